"""CMU-MOSEI's transcripts, films and sounds, segment by segment."""

import mosei_fixtures
from corpora import refusal
from emobraid.data.corpus import Clip
from mosei_fixtures import opened

root = mosei_fixtures.root


def raw(root):
    for inside in ("Transcript/Segmented/Combined", "Videos/Full/Combined", "Audio/Full/WAV_16000"):
        (root / "Raw" / inside).mkdir(parents=True)
    lines = ["aaa___7___-0.5___2.0___Well... yes!", "no line", "aaa___2___4.0___6.004___No ___ more."]
    (root / "Raw/Transcript/Segmented/Combined/aaa.txt").write_text("\n".join(lines))
    for name in ("Videos/Full/Combined/aaa.mp4", "Videos/Full/Combined/b-1.mp4", "Audio/Full/WAV_16000/aaa.wav"):
        (root / "Raw" / name).write_bytes(b"")
    return root


def test_words_are_those_of_the_transcript_by_time_else_of_the_word_file(root):
    raw(root)
    read = opened(root, modalities=("text",), context_turns=2).split("train")
    assert [s.cells["text"] for s in read] == ["Well... yes!", "fine", "No ___ more.", None]
    assert read[2].context == (("", "Well... yes!"), ("", "fine"))
    assert read[3].absent["text"] == "no words"


def test_voice_and_face_are_stretches_of_the_videos_files(root):
    raw(root)
    films, sounds = root / "Raw/Videos/Full/Combined", root / "Raw/Audio/Full/WAV_16000"
    read = opened(root, modalities=("audio", "video")).split("train")
    assert read[0].cells == {
        "audio": Clip(sounds / "aaa.wav", 0.0, 2.0),
        "video": Clip(films / "aaa.mp4", 0.0, 2.0),
    }
    # its own sound track stands in for a missing sound file
    assert read[3].cells == {"audio": Clip(films / "b-1.mp4", 0.0, 1.0), "video": Clip(films / "b-1.mp4", 0.0, 1.0)}
    (val,) = opened(root, modalities=("text", "video")).split("val")
    assert (val.cells["video"], val.absent["video"]) == (None, "no such file")


def test_a_film_that_leads_out_of_the_folder_is_refused(root, tmp_path):
    raw(root)
    (tmp_path / "secret.mp4").write_bytes(b"")
    film = root / "Raw/Videos/Full/Combined/aaa.mp4"
    film.unlink()
    film.symlink_to(tmp_path / "secret.mp4")
    assert "leads outside" in refusal(lambda: opened(root, modalities=("video",)).split("train"))


def test_without_anything_to_read_the_lacking_files_are_named(root):
    (root / "CMU_MOSEI_TimestampedWords.csd").unlink()
    message = refusal(lambda: opened(root).split("train"))
    assert message == (
        f"{root} has no CMU_MOSEI_TimestampedWords.csd or Transcript/Segmented/Combined, no Audio/Full/WAV_16000 or "
        "Videos/Full/Combined, no Videos/Full/Combined; see --modalities and the encoders' settings"
    )


def test_there_is_no_motion_here(root):
    message = refusal(lambda: opened(root, modalities=("text", "motion")))
    assert message == "CMU-MOSEI has no motion capture; take motion out of --modalities"
