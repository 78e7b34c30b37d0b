"""The mission's CSV layout: what is read, and what is refused with the file, the line and the reason."""

from pathlib import Path

import pytest

from emobraid.config import ModelConfig
from emobraid.data.corpus import Corpus, SealedSplit
from emobraid.data.csv import BadRow, CsvRows, read_rows, read_unlabelled
from emobraid.data.features import FeatureCell

HEADER = "text,audio_path,video_path,emotion"


@pytest.fixture
def write(tmp_path):
    """Lines (or bytes) as `train.csv` in a data folder of its own."""
    folder = tmp_path / "data"
    folder.mkdir()

    def save(*lines, name="train.csv"):
        content = lines[0] if isinstance(lines[0], bytes) else "".join(f"{line}\n" for line in lines).encode()
        (folder / name).write_bytes(content)
        return folder / name

    return save


def rows(path, **changed):
    allow_outside = changed.pop("allow_outside", None)
    return list(read_rows(path, ModelConfig(**changed), allow_outside=allow_outside))


def refusal(path, **changed):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # each test matches the message
        rows(path, **changed)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


# what is read


def test_a_row_is_an_utterance(write):
    path = write(HEADER, "I won!,audio/a.wav,video/a.mp4,happy", "Oh no,audio/b.wav,video/b.mp4,sad")
    first, second = rows(path)
    assert first.cells == {
        "text": "I won!",
        "audio": path.parent.resolve() / "audio/a.wav",
        "video": path.parent.resolve() / "video/a.mp4",
    }
    assert (first.id, first.table, first.line, first.label, first.group) == ("train-2", "train.csv", 2, 0, "")
    assert (second.id, second.line, second.label) == ("train-3", 3, 1)
    assert not first.sound_from_video


def test_an_empty_cell_is_a_missing_modality_and_an_empty_emotion_no_label(write):
    (row,) = rows(write(HEADER, ",  ,v.mp4,"))
    assert row.cells["text"] is row.cells["audio"] is None
    assert row.cells["video"].name == "v.mp4"
    assert row.label is None


def test_cells_left_off_at_the_end_are_empty(write):
    (row,) = rows(write("emotion,text,audio_path,video_path", "happy,hello"))
    assert (row.label, row.cells["text"], row.cells["video"]) == (0, "hello", None)


@pytest.mark.parametrize("word", ["null", "NA", "nan", "None", "N/A", "0", "false"])
def test_words_that_look_like_nothing_stay_words(word, write):
    (row,) = rows(write(HEADER, f"{word},,,sad"))
    assert row.cells["text"] == word


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(write):
    lines = [HEADER, "hé,a.wav,v.mp4,happy", '"one, two",,,sad']
    plain = rows(write(*lines))
    windows = rows(write(b"\xef\xbb\xbf" + "\r\n".join(lines).encode() + b"\r\n"))
    assert windows == plain
    assert plain[0].cells["text"] == "hé"


def test_quotes_hold_commas_quotes_and_line_ends(write):
    path = write(HEADER, '"Well, he said ""no"",', 'and left.",,,angry', "next,,,sad")
    first, second = rows(path)
    assert first.cells["text"] == 'Well, he said "no",\nand left.'
    assert (first.line, second.line) == (3, 4)  # where the row ends


def test_spaces_around_names_and_cells_do_not_count(write):
    (row,) = rows(write(" text , audio_path,video_path ,emotion ", " hello ,,, Happy "))
    assert (row.cells["text"], row.label) == ("hello", 0)


def test_columns_may_stand_in_any_order_beside_others(write):
    (row,) = rows(write("emotion,mood,video_path,audio_path,text", "sad,grey,v.mp4,a.wav,hi"))
    assert (row.cells["text"], row.label) == ("hi", 1)


@pytest.mark.parametrize("column", ["speaker", "dialogue"])
def test_speaker_or_dialogue_is_the_group_and_id_the_id(column, write):
    (row,) = rows(write(f"id,{column},{HEADER}", "utt7,anna,hi,,,sad"))
    assert (row.id, row.group) == ("utt7", "anna")


def test_only_the_models_own_modalities_are_asked_for(write):
    (row,) = rows(write("text,emotion", "hi,sad"), modalities=("text",))
    assert row.cells == {"text": "hi"}


def test_the_models_own_labels_are_the_columns(write):
    (row,) = rows(write("text,emotion", "hi,Bored"), modalities=("text",), labels=("calm", "bored"))
    assert row.label == 1


def test_a_very_long_text_is_cut(write):
    (row,) = rows(write(HEADER, "a" * 30_000 + ",,,sad"))
    assert len(row.cells["text"]) == 20_000


# the sound of a clip


def test_without_an_audio_column_a_clips_own_sound_is_its_audio(write):
    (row,) = rows(write("text,video_path,emotion", "hi,v.mp4,sad"))
    assert row.sound_from_video
    assert row.cells["audio"] is None


def test_with_an_audio_column_an_empty_cell_stays_missing(write):
    (row,) = rows(write(HEADER, "hi,,v.mp4,sad"))
    assert not row.sound_from_video


@pytest.mark.parametrize("published", ["audio", "video"])
def test_features_have_no_sound_track(published, write):
    path = write("text,video_path,emotion", "hi,v.npz#x[0],sad")
    assert "missing audio_path" in refusal(path, **{f"{published}_encoder": "features"})


# what is refused


def test_missing_columns_are_named_beside_the_found_ones(write):
    path = write("text,clip", "hi,v.mp4")
    # a clip's own sound would do for audio
    assert refusal(path) == f"{path}: found columns text, clip; missing video_path, emotion"
    path = write("clip", "v.mp4")
    message = refusal(path, modalities=("text", "audio"))
    assert message == f"{path}: found columns clip; missing text, audio_path, emotion"


def test_a_missing_label_column_is_named(write):
    assert refusal(write("text,audio_path,video_path", "hi,,")).endswith("; missing emotion")


def test_an_unknown_label_is_refused_with_its_line_and_the_nearest(write):
    path = write(HEADER, "a,,,sad", "b,,,hapy")
    assert refusal(path).startswith(f"{path} line 3: unknown label 'hapy', did you mean 'happy'? known: happy, sad")


def test_more_cells_than_columns_are_refused_with_the_line(write):
    path = write(HEADER, "a,,,sad", "Well, he said,,,angry")
    assert refusal(path) == f"{path} line 3: more cells than columns; quote texts with commas"


@pytest.mark.parametrize("content", [b"", HEADER.encode(), HEADER.encode() + b"\n\n"])
def test_a_table_without_rows_is_refused(content, write):
    assert refusal(write(content)).endswith("there are no rows in it")


def test_a_table_in_latin_1_is_refused_with_the_place(write):
    content = f"{HEADER}\n".encode() + "né,,,sad\n".encode("latin-1")
    assert refusal(write(content)).endswith(f"not UTF-8 at byte {len(HEADER) + 2}; save the table as UTF-8")


def test_a_quote_that_never_ends_is_refused(write):
    assert " line 2: a quote is not closed" in refusal(write(HEADER, '"hi,,,sad'))


def test_a_table_that_is_no_text_is_refused(write):
    assert "no CSV table but a picture (PNG)" in refusal(write(b"\x89PNG\r\n\x1a\n\x00\x00"))


# paths


@pytest.mark.parametrize("column", [1, 2])
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("style", ["above", "absolute", "hidden"])
def test_a_path_out_of_the_folder_is_refused_in_the_same_words_whether_the_file_exists(style, there, column, write):
    path = write(HEADER, "x,,,sad")
    target = path.parent.parent / "secret.wav"
    if there:
        target.write_bytes(b"x")
    value = {"above": "../secret.wav", "absolute": str(target), "hidden": "audio/../../secret.wav"}[style]
    cells = ["hi", "", "", "sad"]
    cells[column] = value
    message = refusal(write(HEADER, ",".join(cells)))
    assert message == (
        f"{path} line 2: path {value!r} leads outside {path.parent}; use --allow_outside DIR to permit another folder"
    )


def test_a_link_out_of_the_folder_is_refused_and_one_inside_is_not(write, tmp_path):
    (tmp_path / "secret.wav").write_bytes(b"x")
    path = write(HEADER, "hi,link.wav,,sad")
    (path.parent / "real.wav").write_bytes(b"x")
    (path.parent / "link.wav").symlink_to(path.parent / "real.wav")
    assert rows(path)[0].cells["audio"] == (path.parent / "real.wav").resolve()
    (path.parent / "link.wav").unlink()
    (path.parent / "link.wav").symlink_to(tmp_path / "secret.wav")
    assert "leads outside" in refusal(path)


def test_a_folder_beside_whose_name_only_begins_alike_is_outside(write):
    assert "leads outside" in refusal(write(HEADER, "hi,../data2/a.wav,,sad"))


def test_a_path_that_comes_back_inside_is_fine(write):
    path = write(HEADER, "hi,../data/a.wav,,sad")
    assert rows(path)[0].cells["audio"] == path.parent.resolve() / "a.wav"


def test_one_more_folder_can_be_allowed(write, tmp_path):
    path = write(HEADER, f"hi,{tmp_path}/media/a.wav,,sad")
    assert rows(path, allow_outside=tmp_path / "media")[0].cells["audio"] == (tmp_path / "media/a.wav").resolve()
    assert "leads outside" in refusal(path, allow_outside=tmp_path / "other")


def test_a_path_with_a_zero_byte_is_refused(write):
    assert "line 2" in refusal(write(f"{HEADER}\nhi,a\0.wav,,sad\n".encode()))


# feature files


def test_a_feature_cell_names_a_file_in_the_folder_an_array_and_a_row(write):
    path = write(HEADER, "hi,f.npz#audio[12],,sad")
    (row,) = rows(path, audio_encoder="features")
    assert row.cells["audio"] == FeatureCell(path.parent.resolve() / "f.npz", "audio", 12)


def test_text_features_have_a_path_column_of_their_own(write):
    path = write("text_path,audio_path,video_path,emotion", "f.npz#text[3],,,sad")
    (row,) = rows(path, text_encoder="features")
    assert row.cells["text"] == FeatureCell(path.parent.resolve() / "f.npz", "text", 3)
    assert "missing text_path" in refusal(write(HEADER, "hi,,,sad"), text_encoder="features")


def test_a_feature_cell_out_of_the_folder_is_refused(write):
    path = write(HEADER, "hi,../f.npz#x,,sad")
    assert "line 2: path '../f.npz' leads outside" in refusal(path, audio_encoder="features")


def test_a_cell_that_is_no_feature_cell_is_refused(write):
    path = write(HEADER, "hi,a.wav,,sad")
    assert "line 2: 'a.wav' is no feature cell" in refusal(path, audio_encoder="features")


# tables to be predicted


def test_a_table_to_be_predicted_needs_no_labels_and_one_modality(write):
    (row,) = read_unlabelled(write("text", "hi"), ModelConfig())
    assert row.cells == {"text": "hi", "audio": None, "video": None}
    assert row.label is None


def test_labels_in_a_table_to_be_predicted_are_not_read(write):
    (row,) = read_unlabelled(write("text,emotion", "hi,whatever"), ModelConfig())
    assert row.label is None


def test_a_bad_row_does_not_stop_the_others_and_keeps_its_place(write):
    path = write("id,text,audio_path", "a,hi,", "b,,../x.wav", "c,ho,")
    first, bad, last = read_unlabelled(path, ModelConfig())
    assert isinstance(bad, BadRow)
    assert (first.id, bad.id, last.id) == ("a", "b", "c")
    assert bad.line == 3
    assert bad.reason.startswith("path '../x.wav' leads outside")


def test_a_table_without_any_modality_is_refused(write):
    path = write("name,emotion", "x,sad")
    with pytest.raises(ValueError, match="found columns name, emotion; need one of text, audio_path, video_path"):
        list(read_unlabelled(path, ModelConfig()))


# a corpus


def test_the_test_split_is_sealed(write):
    for name in ("train.csv", "val.csv", "test.csv"):
        write(HEADER, f"{name},,,sad", name=name)
    corpus = Corpus(CsvRows(root=write(HEADER, "train.csv,,,sad").parent, config=ModelConfig()))
    assert [corpus.split(s)[0].cells["text"] for s in ("train", "val")] == ["train.csv", "val.csv"]
    with pytest.raises(SealedSplit, match="the test split is sealed: only evaluation opens it"):
        corpus.split("test")
    assert corpus.open_test()[0].cells["text"] == "test.csv"


@pytest.mark.parametrize("name", ["./test", "../data/test", "Test", ""])
def test_the_seal_cannot_be_walked_around(name, write):
    corpus = Corpus(CsvRows(root=write(HEADER, "x,,,sad", name="test.csv").parent, config=ModelConfig()))
    with pytest.raises(ValueError, match="unknown split"):
        corpus.split(name)


def test_a_missing_split_is_named_with_all_that_must_be_there(tmp_path):
    with pytest.raises(ValueError, match=r"val\.csv: no such file; data_root must hold train\.csv, val\.csv, test\."):
        Corpus(CsvRows(root=tmp_path, config=ModelConfig())).split("val")


def test_a_corpus_permits_its_other_folder(write, tmp_path):
    path = write(HEADER, f"hi,{tmp_path}/media/a.wav,,sad")
    corpus = Corpus(CsvRows(root=path.parent, config=ModelConfig(), allow_outside=tmp_path / "media"))
    assert corpus.split("train")[0].cells["audio"] == Path(tmp_path / "media/a.wav").resolve()
