"""`emobraid doctor FOLDER`: all that is odd about a corpus at once, where, and what to do about it."""

import json

import pytest

from corpora import faceless_video, silence, tone, write_table
from emobraid.cli import main
from emobraid.config import DataConfig, ModelConfig
from emobraid.data.audit import audit
from emobraid.data.audit.findings import Finding
from emobraid.data.audit.meld import MELD_1
from emobraid.data.audit.times import span, stamp
from emobraid.data.meld import Row
from emobraid.data.sample import make_sample_meld
from emobraid.data.sample.meld import DEFECTS

HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"


def line(text, speaker, emotion, dialogue, utterance, start, end, *, episode=1):
    """A row of season 1 at `start` to `end`, each "MM:SS,mmm"."""
    return f'1,{text},{speaker},{emotion},x,{dialogue},{utterance},1,{episode},"00:{start}","00:{end}"'


#: two dialogues in train, one with a gap at its beginning; one row of no length, one of 31 s
TRAIN = [
    line("Hi.", "Ada", "neutral", 0, 0, "01:00,000", "01:02,000"),
    line("Hi.", "Ben", "joy", 0, 1, "01:02,000", "01:33,000"),
    line("No!", "Ada", "anger", 1, 1, "02:00,000", "02:01,000", episode=2),
    line("Why?", "Cleo", "surprise", 1, 2, "01:59,000", "01:59,000", episode=2),
]
#: the second shares 0.6 s with train dia0_utt0, the third exactly 0.5 s, the fourth is in another episode
DEV = [
    line("Hm.", "Eve", "neutral", 0, 0, "05:00,000", "05:01,000", episode=9),
    line("Oh.", "Ada", "fear", 0, 1, "01:01,400", "01:01,990"),
    line("Ah.", "Ada", "fear", 0, 2, "00:59,000", "01:00,500"),
    line("Hi.", "Ben", "joy", 0, 3, "01:00,000", "01:02,000", episode=3),
]
TEST = [line("Hi.", "Finn", "disgust", 0, 0, "01:00,100", "01:09,000")]


def meld(root, train=TRAIN, dev=DEV, test=TEST, *, expected=None):
    root.mkdir(parents=True, exist_ok=True)
    for own, rows in (("train", train), ("dev", dev), ("test", test)):
        (root / f"{own}_sent_emo.csv").write_bytes("".join(f"{x}\r\n" for x in (HEADER, *rows)).encode())
    if expected is not None:
        (root / "expected.json").write_text(json.dumps({"labels": expected}))
    return root


def counts(**labels):
    return dict.fromkeys(("neutral", "surprise", "fear", "disgust", "sadness", "joy", "anger"), 0) | labels


RIGHT = {
    "train": counts(neutral=1, joy=1, anger=1, surprise=1),
    "dev": counts(neutral=1, fear=2, joy=1),
    "test": counts(disgust=1),
}


def look(root, *, dataset="meld", media=False, **model):
    return audit(DataConfig(dataset=dataset, data_root=root, workers=1), ModelConfig(**model), media=media)


def states(found):
    return {f.check: f.state for f in found.findings}


# MELD's tables


def test_a_whole_corpus_is_not_broken_and_its_properties_are_told(tmp_path):
    found = look(meld(tmp_path, expected=RIGHT))
    assert not found.broken
    assert states(found) == {
        "tables": "fine",
        "bad rows": "fine",
        "rows": "fine",
        "labels": "fine",
        "duplicates": "fine",
        "dialogue gaps": "know",
        "times": "fine",
        "odd times": "fine",
        "long rows": "know",
        "zero-length rows": "know",
        "times out of order": "know",
        "speakers in train": "know",
        "episodes in train": "know",
        "words in train": "know",
        "time shared with train": "know",
        "clips": "know",
    }


def test_what_is_odd_is_found_where_it_is(tmp_path):
    found = look(meld(tmp_path, expected=RIGHT))
    assert found.finding("dialogue gaps").numbers == {"train": 1, "dev": 0, "test": 0}
    assert found.finding("dialogue gaps").places == ("train dia1: utterances 0 missing",)
    assert found.finding("long rows").places == ("train dia0_utt1: 31.0 s",)
    assert found.finding("zero-length rows").places == ("train dia1_utt2: 00:01:59,000",)
    assert found.finding("times out of order").places == ("train dia1", "dev dia0")


def test_overlaps_of_the_splits_are_counted_by_speaker_episode_words_and_time(tmp_path):
    found = look(meld(tmp_path, expected=RIGHT))
    assert found.finding("speakers in train").numbers == {"dev": 3, "test": 0}
    assert found.finding("speakers in train").places == ("dev Ada: 2 rows", "dev Ben: 1 rows")
    assert found.finding("episodes in train").numbers == {"dev": 2, "test": 1}
    assert found.finding("words in train").numbers == {"dev": 1, "test": 1}
    shared = found.finding("time shared with train")
    assert shared.numbers == {"dev": 1, "test": 1}
    assert shared.places == (
        "dev dia0_utt1: 0.6 s shared with train dia0_utt0",
        "test dia0_utt0: 7.0 s shared with train dia0_utt1",
    )


def test_without_numbers_of_its_own_a_corpus_is_measured_by_the_release(tmp_path):
    found = look(meld(tmp_path))
    assert found.broken
    rows = found.finding("rows")
    assert (rows.state, rows.expected) == ("broken", "9,989 train, 1,109 dev, 2,610 test")
    assert "test neutral: 0, expected 1,256" in found.finding("labels").places
    assert MELD_1.rows == {"train": 9989, "dev": 1109, "test": 2610}


@pytest.mark.parametrize(
    ("row", "check", "place"),
    [
        (line("x", "Ada", "glee", 5, 0, "01:00,000", "01:01,000"), "bad rows", "unknown label 'glee'"),
        (line("x", "Ada", "joy", "five", 0, "01:00,000", "01:01,000"), "bad rows", "Dialogue_ID 'five' is not"),
        (line("x, y", "Ada", "joy", 5, 0, "01:00,000", "01:01,000"), "bad rows", "more cells than columns"),
        (line("x", "Ada", "joy", 0, 1, "01:00,000", "01:01,000"), "duplicates", "train dia0_utt1: lines 3 and 6"),
        (line("x", "Ada", "joy", 5, 0, "01:02,000", "01:01,000"), "times", "train dia5_utt0: '00:01:02,000'"),
        (line("x", "Ada", "joy", 5, 0, "1:2", "01:01,000"), "times", "train dia5_utt0: '00:1:2'"),
    ],
)
def test_a_bad_row_makes_the_corpus_broken_and_is_found_beside_all_others(row, check, place, tmp_path):
    broken = line("y", "Ada", "gloom", 6, 0, "01:00,000", "01:01,000")
    found = look(meld(tmp_path, [*TRAIN, row, broken], expected=RIGHT))
    assert found.finding(check).state == "broken"
    assert any(place in p for p in found.finding(check).places)
    assert any("line 7: unknown label 'gloom'" in p for p in found.finding("bad rows").places)


def test_a_missing_table_leaves_the_others_to_be_looked_at(tmp_path):
    (meld(tmp_path, expected=RIGHT) / "test_sent_emo.csv").unlink()
    found = look(tmp_path)
    (place,) = found.finding("tables").places
    assert place.startswith(str(tmp_path / "test_sent_emo.csv"))
    assert found.finding("long rows").places == ("train dia0_utt1: 31.0 s",)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("00:14:38,127", 878.127), ("0:00:00,000", 0.0), ("00:06:47,28", 407.028), ("1:02", None), ("", None)],
)
def test_times_are_read_as_subtitles_write_them(value, seconds):
    assert stamp(value) == seconds


def test_an_end_before_the_start_is_no_span():
    row = Row(2, 0, 0, "Ada", "Hi.", "joy", "1", "1", "00:00:02,000", "00:00:01,000")
    assert span(row) is None
    assert span(row._replace(end="00:00:02,000")) == (2.0, 2.0)


# MELD's clips


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory):
    root = tmp_path_factory.mktemp("audit") / "meld"
    make_sample_meld(root, clips=12, defects=DEFECTS)
    silent = root / "train" / "train_splits" / "dia0_utt3.mp4"
    silent.unlink()
    faceless_video(silent)
    (root / "test" / "output_repeated_splits_test" / "dia0_utt3.mp4").write_bytes(b"")
    return root


@pytest.fixture(scope="module")
def decoded(spoilt):
    return look(spoilt, media=True)


def test_defects_of_clips_are_found_each_where_it_is(decoded):
    found = decoded
    assert found.broken
    assert found.finding("missing clips").places == ("dev dia0_utt1",)
    assert found.finding("extra clips").places == ("test final_videos_testdia0_utt0.mp4",)
    assert found.finding("empty files").places == ("test dia0_utt3",)
    unreadable = found.finding("unreadable files")
    assert [p.split(":")[0] for p in unreadable.places] == ["train dia0_utt2", "test dia0_utt3"]
    assert found.finding("silent files").places == ("train dia0_utt3: no audio track",)
    (faceless,) = found.finding("files without a face").places
    assert faceless.startswith("train dia0_utt3: no face in 5 frames")
    assert found.finding("dialogue gaps").places == ("train dia0: utterances 1 missing",)
    assert [p.split(":")[0] for p in found.finding("times").places] == ["train dia0_utt3"]
    assert found.finding("long rows").places == ("test dia0_utt0: 300.0 s",)
    assert [p.split(":")[0] for p in found.finding("lengths").places] == ["dev dia0_utt0", "test dia0_utt0"]


def test_without_media_nothing_is_decoded(spoilt):
    assert "unreadable files" not in states(look(spoilt))


def test_clips_that_the_release_lacks_or_has_broken_do_not_count_as_broken(tmp_path):
    root = meld(tmp_path, dev=[line("x", "Ada", "joy", 110, 7, "01:00,000", "01:01,000")])
    for folder in ("train/train_splits", "dev/dev_splits_complete", "test/output_repeated_splits_test"):
        (root / folder).mkdir(parents=True)
    for name in ("dia0_utt0", "dia0_utt1", "dia1_utt1", "dia1_utt2"):
        (root / "train" / "train_splits" / f"{name}.mp4").write_bytes(b"x")
    (root / "test" / "output_repeated_splits_test" / "dia0_utt0.mp4").write_bytes(b"x")
    (root / "train" / "train_splits" / "._dia0_utt0.mp4").write_bytes(b"a Mac was here")
    found = look(root)
    assert (found.finding("missing clips").state, found.finding("missing clips").places) == (
        "know",
        ("dev dia110_utt7",),
    )
    assert found.finding("extra clips").state == "fine"
    (root / "train" / "train_splits" / "dia0_utt0.mp4").unlink()
    assert look(root).finding("missing clips").state == "broken"


def test_a_folder_of_one_split_alone_is_broken(tmp_path):
    (meld(tmp_path, expected=RIGHT) / "dev" / "dev_splits_complete").mkdir(parents=True)
    found = look(tmp_path)
    assert found.finding("clips").places == ("train/train_splits", "test/output_repeated_splits_test")
    assert found.finding("clips").state == "broken"


# our own tables


def tables(root, train, val=(("hi", "", "", "sad"),), test=(("ho", "", "", "sad"),), columns=None):
    root.mkdir(parents=True, exist_ok=True)
    columns = columns or ("text", "audio_path", "video_path", "emotion")
    for name, rows in (("train", train), ("val", val), ("test", test)):
        write_table(root / f"{name}.csv", rows, columns)
    return root


def places(found, check):
    return list(found.finding(check).places)


def test_everything_wrong_in_a_table_is_told_at_once_with_its_line(tmp_path):
    root = tmp_path / "data"
    rows = [
        ("won!", "", "", "happy"),
        ("lost", "gone.wav", "", "sad"),
        ("hm", "../out.wav", "", "hapy"),
        ("", "", "", "neutral"),
        ("oh", ".", "", "joyful"),
    ]
    found = look(tables(root, rows), dataset="csv")
    assert places(found, "missing files") == [
        "train.csv line 3: audio_path gone.wav: no such file",
        "train.csv line 6: audio_path .: a folder",
    ]
    assert [p[: p.index(": path")] for p in places(found, "paths")] == ["train.csv line 4"]
    unknown = places(found, "unknown labels")
    assert unknown[0].startswith("train.csv line 4: unknown label 'hapy', did you mean 'happy'?")
    assert unknown[1].startswith("train.csv line 6: unknown label 'joyful'")
    assert places(found, "empty rows") == ["train.csv line 5"]
    assert found.broken


def test_rows_that_cannot_be_parsed_do_not_hide_the_others(tmp_path):
    root = tables(tmp_path / "data", [("a", "", "", "sad")])
    with (root / "train.csv").open("a") as file:
        file.write("Well, he said,,,sad\nb,,,glum\nWell, she said,,,sad\n")
    found = look(root, dataset="csv")
    told = "more cells than columns; quote texts with commas"
    assert places(found, "bad rows") == [f"train.csv line 3: {told}", f"train.csv line 5: {told}"]
    assert places(found, "unknown labels")[0].startswith("train.csv line 4: unknown label 'glum'")


def test_tables_and_columns_that_are_missing_are_named(tmp_path):
    root = tables(tmp_path / "data", [("a", "sad")], columns=("text", "mood"), val=[("b", "sad")], test=[("c", "sad")])
    (root / "val.csv").unlink()
    (root / "test.csv").write_bytes(b"text,emotion\n\xff,sad\n")
    found = look(root, dataset="csv")
    assert places(found, "tables") == [
        "val.csv: no such file",
        "test.csv: not UTF-8 at byte 13; save the table as UTF-8",
    ]
    assert places(found, "columns") == ["train.csv: found columns text, mood; missing video_path, emotion"]
    assert not look(root, dataset="csv", modalities=("text",)).finding("columns").places[0].count("video_path")


def test_a_clips_own_sound_is_the_voice_whatever_kind_of_encoder_hears_it(tmp_path):
    columns = ("text", "video_path", "emotion")
    root = tables(
        tmp_path / "data", [("a", "", "sad")], columns=columns, val=[("b", "", "sad")], test=[("c", "", "sad")]
    )
    assert not places(look(root, dataset="csv", audio_encoder="whisper_stem"), "columns")
    assert "missing audio_path" in places(look(root, dataset="csv", audio_encoder="features"), "columns")[0]


def test_rows_twice_are_a_leak_when_in_two_splits(tmp_path):
    within = [("a", "", "", "sad"), ("a", "", "", "happy"), ("b", "", "", "sad")]
    found = look(tables(tmp_path / "one", within), dataset="csv")
    assert places(found, "duplicates") == ["train.csv line 2 and train.csv line 3, labelled happy and sad"]
    assert found.finding("duplicates").state == "know"
    found = look(tables(tmp_path / "two", [("hi", "", "", "sad")]), dataset="csv")
    assert places(found, "duplicates") == ["train.csv line 2 and val.csv line 2"]
    assert found.finding("duplicates").state == "broken"


def test_speakers_and_dialogues_in_several_splits_and_ids_twice_are_found(tmp_path):
    columns = ("id", "speaker", "dialogue", "text", "emotion")
    train = [("x", "ada", "d1", "a", "sad"), ("x", "ben", "d1", "b", "sad"), ("y", "ada", "d2", "c", "sad")]
    root = tables(tmp_path / "d", train, [("x", "ada", "d3", "e", "sad")], [("x", "eve", "d1", "f", "sad")], columns)
    found = look(root, dataset="csv", modalities=("text",))
    assert places(found, "speakers") == ["'ada': 2 train, 1 val"]
    assert places(found, "dialogues") == ["'d1': 2 train, 1 test"]
    assert places(found, "ids") == ["'x': train.csv line 2 and train.csv line 3"]


def test_labels_are_counted_by_split_and_lacking_classes_told(tmp_path):
    train = [("a", "", "", "sad"), ("b", "", "", " Sad "), ("c", "", "", "happy"), ("d", "", "", "")]
    found = look(tables(tmp_path / "d", train), dataset="csv", labels=("happy", "sad"))
    labels = found.finding("labels")
    assert labels.found == "happy 1/0/0, sad 2/1/1"
    assert places(found, "labels") == ["val.csv: no row is happy", "test.csv: no row is happy"]
    assert not found.broken


def test_media_of_a_table_are_decoded_when_asked_for(tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    tone(root / "a.wav")
    silence(root / "b.wav")
    (root / "c.wav").write_bytes(b"no sound at all")
    faceless_video(root / "v.mp4")
    rows = [
        ("a", "a.wav", "v.mp4", "sad"),
        ("b", "b.wav", "", "sad"),
        ("c", "c.wav", "", "sad"),
        ("d", "a.wav", "", "sad"),
    ]
    found = look(tables(root, rows), dataset="csv", media=True)
    assert [p.split(": ")[0] for p in places(found, "silent files")] == ["train.csv line 3 audio"]
    assert [p.split(": ")[0] for p in places(found, "files without a face")] == ["train.csv line 2 video"]
    assert [p.split(": ")[0] for p in places(found, "unreadable files")] == ["train.csv line 4 audio"]


# the command


def test_the_command_exits_0_when_nothing_is_broken_and_1_otherwise(tmp_path, capsys):
    root = tables(tmp_path / "d", [("a", "", "", "sad")])
    assert main(["doctor", str(root)]) == 0
    assert "nothing is broken" in capsys.readouterr().out
    (root / "val.csv").unlink()
    assert main(["doctor", str(root)]) == 1
    out = capsys.readouterr().out
    assert "something is broken" in out
    assert "val.csv: no such file" in out


def test_json_holds_every_place(tmp_path, capsys):
    root = tables(tmp_path / "d", [(f"t{i}", f"{i}.wav", "", "sad") for i in range(12)])
    assert main(["doctor", str(root), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["dataset"], told["root"], told["broken"]) == ("csv", str(root), True)
    by_check = {f["check"]: f for f in told["findings"]}
    assert len(by_check["missing files"]["places"]) == 12
    assert by_check["missing files"]["numbers"] == {"count": 12}


def test_the_page_shows_a_few_places_and_nothing_that_could_steer_a_terminal(tmp_path, capsys):
    rows = [("x", f"{i}\x1b[31m[bold].wav", "", "sad") for i in range(8)]
    main(["doctor", str(tables(tmp_path / "d", rows))])
    out = capsys.readouterr().out
    assert "and 3 more; --json lists all" in out
    assert "\x1b[31m" not in out
    assert "[bold].wav" in out


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["nowhere"], "nowhere: no such folder"),
        (["nowhere", "--clear"], "a corpus is never deleted"),
        (["cache", "--json"], "--json and --media are for a corpus"),
    ],
)
def test_the_command_refuses_what_makes_no_sense(flags, reason, capsys):
    assert main(["doctor", *flags]) == 2
    assert reason in capsys.readouterr().err


def test_every_finding_that_is_not_fine_says_what_to_do(decoded, tmp_path):
    found: list[Finding] = [*decoded.findings]
    found += look(tables(tmp_path / "d", [("", "x.wav", "../y", "glum")]), dataset="csv").findings
    assert [f.check for f in found if f.state != "fine" and not f.advice] == []
