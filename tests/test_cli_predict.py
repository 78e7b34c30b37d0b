"""`emobraid predict` for people and for programs, for one utterance and for a table."""

import json

import pytest

import command_fixtures
import corpora
from corpora import write_table
from emobraid.config import ModelConfig

clips, model = command_fixtures.clips, command_fixtures.model


def test_predict_prints_one_json_object_with_the_promised_keys(command, model, clips):
    face = next((clips / "video").iterdir())
    code, out, err = command("predict", "--model_path", model, "--text", "I am happy", "--video", face, "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert list(told) == [
        *("emotion", "confidence", "probabilities"),
        *("contributions", "per_modality", "affect", "notes", "affect_note"),
    ]
    assert list(told["per_modality"]) == ["text", "audio", "video"]  # the film's own sound


def test_predict_leaves_the_sound_out_when_told(command, model, clips):
    face = next((clips / "video").iterdir())
    told = json.loads(command("predict", "--model_path", model, "--video", face, "--no_sound", "--json")[1])
    assert list(told["per_modality"]) == ["video"]


def test_predict_for_people_names_the_emotion_and_each_modality(command, model, clips):
    code, out, _ = command(
        "predict", "--model_path", model, "--text", "I am happy", "--audio", clips / "audio" / "sad.wav"
    )
    assert code == 0
    assert out.splitlines()[0].split()[0] in ModelConfig().labels
    assert "text " in out
    assert "audio " in out


def test_predict_says_in_one_line_why_a_silent_sound_or_a_faceless_film_alone_is_not_read(refused, model, tmp_path):
    silent, faceless = corpora.silence(tmp_path / "s.wav"), corpora.faceless_video(tmp_path / "f.mp4")
    assert "audio: silent" in refused("predict", "--model_path", model, "--audio", silent)
    assert "video: no face in 4 frames" in refused("predict", "--model_path", model, "--video", faceless)


def test_predict_tells_what_was_missing_beside_what_was_read(command, model, tmp_path):
    silent = corpora.silence(tmp_path / "s.wav")
    told = json.loads(command("predict", "--model_path", model, "--text", "hi", "--audio", silent, "--json")[1])
    assert told["notes"] == {"audio": "silent"}
    _, out, _ = command("predict", "--model_path", model, "--text", "hi", "--audio", silent)
    assert "audio: silent" in out


def test_predict_refuses_files_that_are_not_there(refused, model, tmp_path):
    assert refused("predict", "--model_path", model, "--audio", tmp_path / "a.wav").endswith("a.wav: no such file")
    told = refused("predict", "--model_path", model, "--csv", tmp_path / "a.csv")
    assert "a.csv: cannot be read as a CSV table" in told


def test_predict_refuses_a_table_without_any_known_column(refused, model, tmp_path):
    write_table(tmp_path / "t.csv", [["x"]], columns=("sentence",))
    told = refused("predict", "--model_path", model, "--csv", tmp_path / "t.csv")
    assert told.endswith("found columns sentence; need one of text, audio_path, video_path")


@pytest.fixture
def table(tmp_path):
    corpora.tone(tmp_path / "tone.wav")
    rows = [
        ["first", "good", ""],
        ["second", "", "gone.wav"],
        ["third", "", "tone.wav"],
        ["fourth", "", ""],
        ["fifth", "", "../../x.wav"],
        ["sixth", "good", "tone.wav"],
    ]
    write_table(tmp_path / "t.csv", rows, columns=("id", "text", "audio_path"))
    return tmp_path / "t.csv"


def test_a_table_is_read_in_order_and_failed_rows_are_told_at_the_end(command, model, table):
    code, out, err = command("predict", "--model_path", model, "--csv", table, "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert [(r["id"], r["line"]) for r in rows] == [
        *(("first", 2), ("second", 3), ("third", 4), ("fourth", 5), ("fifth", 6), ("sixth", 7))
    ]
    assert [list(r["per_modality"]) if "emotion" in r else None for r in rows] == [
        *(["text"], None, ["audio"], None, None, ["text", "audio"])
    ]
    assert rows[1]["error"].endswith("gone.wav: no such file")
    summary, *failed = err.splitlines()
    assert summary == "3 rows read, 3 failed"
    assert [line.split(": ")[0].strip() for line in failed] == ["t.csv line 3", "t.csv line 5", "t.csv line 6"]
    assert "nothing to read" in failed[1]
    assert "leads outside" in failed[2]
    one = json.loads(command("predict", "--model_path", model, "--text", "good", "--json")[1])
    assert rows[0]["probabilities"] == one["probabilities"]


def test_a_table_for_people_has_a_line_a_row(command, model, table):
    code, out, _ = command("predict", "--model_path", model, "--csv", table)
    lines = [line.split() for line in out.splitlines()]
    assert code == 1
    assert [line[0] for line in lines] == ["first", "second", "third", "fourth", "fifth", "sixth"]
    assert [line[1] == "failed" for line in lines] == [False, True, False, True, True, False]


def test_a_table_without_failures_ends_with_exit_code_0(command, model, tmp_path):
    write_table(tmp_path / "t.csv", [["good"], ["bad"]], columns=("text",))
    code, out, err = command("predict", "--model_path", model, "--csv", tmp_path / "t.csv")
    assert (code, err) == (0, "2 rows read, 0 failed\n")
    assert [line.split()[0] for line in out.splitlines()] == ["t-2", "t-3"]


def test_a_second_folder_may_be_allowed(command, refused, model, tmp_path):
    (tmp_path / "here").mkdir()
    tone = corpora.tone(tmp_path / "tone.wav")
    write_table(tmp_path / "here" / "t.csv", [[tone]], columns=("audio_path",))
    assert command("predict", "--model_path", model, "--csv", tmp_path / "here" / "t.csv")[0] == 1
    more = ["--csv", tmp_path / "here" / "t.csv", "--allow_outside", tmp_path]
    assert command("predict", "--model_path", model, *more)[0] == 0
