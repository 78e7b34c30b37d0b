"""A recording read in windows: where they lie, what they read, what the files say, and what it needs."""

import csv
import json
import signal
import struct

import numpy as np
import pytest
from starlette.testclient import TestClient

import corpora
import media_fixtures
from emobraid import checkpoint, cli
from emobraid.app.limits import ServerSettings
from emobraid.app.server import create_app
from emobraid.config import Config
from emobraid.media import MediaBytes, MediaError, MediaReader
from emobraid.prediction import Prediction, Reading
from emobraid.recognizer import Recognizer
from emobraid.timeline import Plan, Timeline, Window
from emobraid.timeline_files import ASIDE, as_csv, as_json, as_srt, stamp, summary, write_timeline
from server_fixtures import tiny_recognizer


@pytest.fixture(scope="module")
def recognizer():
    with tiny_recognizer(video_max_frames=30) as opened:
        yield opened


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Nine seconds: a face for the first six, then nobody; a tone, silent from the fourth second to the sixth."""
    images = [media_fixtures.portrait()] * 60 + [media_fixtures.nobody()] * 30
    sound = media_fixtures.tone(9.0, 48_000)
    sound[round(3.9 * 48_000) : round(6.1 * 48_000)] = 0  # the codec smears an edge over some milliseconds
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    return media_fixtures.write_video(path, images, rate=10, sound=sound)


# --- where windows lie ---


@pytest.mark.parametrize(
    ("seconds", "spans"),
    [
        (3.0, [(0, 3)]),
        (4.0, [(0, 4)]),
        (8.0, [(0, 4), (2, 6), (4, 8)]),
        (9.0, [(0, 4), (2, 6), (4, 8), (6, 9)]),
        (8.1, [(0, 4), (2, 6), (4, 8.1)]),  # no window for a sliver
    ],
)
def test_windows_overlap_and_the_last_one_ends_with_the_recording(seconds, spans):
    assert Plan(window=4, step=2).windows(seconds) == spans


def test_an_hour_has_1799_windows():
    assert len(Plan().windows(3600)) == 1799  # (3600 - 4) / 2 + 1


@pytest.mark.parametrize(("window", "step", "fps"), [(0.1, 0.1, 4), (4, 5, 4), (90, 2, 4), (4, 0, 4), (4, 2, 100)])
def test_plans_that_cannot_be_are_refused(window, step, fps):
    with pytest.raises(ValueError, match=r"window must be|step must be"):
        Plan(window=window, step=step, fps=fps)


# --- what they read ---


def apart(one, other):
    return max(abs(one.probabilities[k] - other.probabilities[k]) for k in one.probabilities)


def test_one_window_over_all_of_a_recording_is_its_prediction(recognizer, tmp_path):
    clip = corpora.talking_face(tmp_path)
    [window] = Timeline(recognizer, clip, Plan(window=60, step=60, fps=16))
    whole = recognizer.predict(video=clip)
    assert window.reading.per_modality.keys() == whole.per_modality.keys() == {"audio", "video"}
    # every one of its 11 frames is looked at either way; the sound is cut to the film's length
    assert apart(window.reading.per_modality["video"], whole.per_modality["video"]) < 1e-4
    assert apart(window.reading.per_modality["audio"], whole.per_modality["audio"]) < 1e-3
    assert window.missing == {}


def test_a_window_of_the_sound_is_what_predict_says_of_those_samples(recognizer, tmp_path):
    rng = np.random.default_rng(0)
    samples = (0.1 * rng.normal(size=16_000 * 10) * np.repeat(np.linspace(0.2, 1, 10), 16_000)).astype(np.float32)
    path = corpora.write_wav(tmp_path / "noise.wav", samples)
    for window in Timeline(recognizer, path, Plan(window=4, step=2)):
        part = samples[round(window.start * 16_000) : round(window.end * 16_000)]
        assert apart(window.reading, recognizer.predict(audio=part)) < 1e-3  # 16 bits instead of 32
        assert window.missing == {"video": "no video track"}


def test_what_is_missing_is_told_for_each_window(recognizer, film):
    windows = list(Timeline(recognizer, film, Plan(window=2, step=1)))
    assert [w.start for w in windows] == [0, 1, 2, 3, 4, 5, 6, 7]
    there = [sorted(w.reading.per_modality) if w.reading else [] for w in windows]
    # sound is gone in 4-6, the face from 6 on
    assert there == [["audio", "video"]] * 4 + [["video"]] + [["audio", "video"]] + [["audio"]] * 2
    assert windows[4].missing == {"audio": "silent"}
    assert windows[6].missing == windows[7].missing == {"video": "no face"}
    assert not any("text" in w.missing for w in windows)


def test_where_nothing_can_be_read_there_is_a_window_without_a_reading(recognizer, tmp_path):
    quiet = corpora.silence(tmp_path / "quiet.wav", seconds=3)
    [window] = Timeline(recognizer, quiet, Plan())
    assert window == Window(0.0, 3.0, None, {"audio": "silent", "video": "no video track"})


def test_a_track_that_ends_early_is_missing_from_there_on(recognizer, tmp_path):
    images = [media_fixtures.portrait()] * 40
    path = media_fixtures.write_video(tmp_path / "a.mkv", images, rate=5, sound=media_fixtures.tone(3.0, 48_000))
    windows = list(Timeline(recognizer, path, Plan(window=2, step=2)))
    assert [sorted(w.reading.per_modality) for w in windows] == [["audio", "video"]] * 2 + [["video"]] * 2
    assert "ended" in windows[2].missing["audio"] or "ends at" in windows[2].missing["audio"]


def test_blocks_make_no_difference(recognizer, film, monkeypatch):
    """The same windows whether the file is decoded at once or three seconds at a time."""
    whole = list(Timeline(recognizer, film, Plan(window=2, step=1, fps=10)))
    for kind in ("Voice", "Face"):
        monkeypatch.setattr(f"emobraid.timeline.{kind}.block", 3.0)
    pieces = list(Timeline(recognizer, film, Plan(window=2, step=1, fps=10)))
    for one, other in zip(whole, pieces, strict=True):
        assert (one.start, one.end, one.missing) == (other.start, other.end, other.missing)
        assert apart(one.reading, other.reading) < 0.02  # faces are followed from another first frame


def test_no_more_than_a_block_is_ever_decoded_at_once(recognizer, tmp_path, monkeypatch):
    """Three minutes: what one request to the decoder gives is bounded, however long the file is."""
    path = corpora.tone(tmp_path / "three.wav", seconds=180)
    for kind in ("Voice", "Face"):
        monkeypatch.setattr(f"emobraid.timeline.{kind}.block", 20.0)
    asked = []
    real = MediaReader.audio

    def audio(self, source, **stretch):
        asked.append((stretch["start"], stretch["end"]))
        return real(self, source, **stretch)

    monkeypatch.setattr(MediaReader, "audio", audio)
    windows = list(Timeline(recognizer, path, Plan(window=10, step=10)))
    assert len(windows) == 18
    assert asked == [(float(at), at + 20.0) for at in range(0, 180, 20)]
    assert len({w.reading.emotion for w in windows}) == 1


@pytest.mark.parametrize("container", ["mp4", "mkv", "ogg"])
def test_the_length_of_a_recording_is_known_in_every_container(tmp_path, container):
    path = tmp_path / f"a.{container}"
    if container == "ogg":
        media_fixtures.write_sound(path, media_fixtures.tone(2.5, 48_000)[None], 48_000, "libopus")
    else:
        media_fixtures.write_video(path, [media_fixtures.nobody()] * 25, rate=10)
    with MediaReader() as reader:
        assert reader.length(path) == pytest.approx(2.5, abs=0.11)
        assert reader.length(MediaBytes("film", path.read_bytes())) == reader.length(path)


def test_a_length_that_the_header_does_not_know_is_measured(tmp_path):
    """As browsers record: Matroska without a duration."""
    path = media_fixtures.write_video(
        tmp_path / "a.webm", [media_fixtures.nobody()] * 25, rate=10, codec="libvpx", options={"live": "1"}
    )
    with MediaReader() as reader:
        assert reader.length(path) == pytest.approx(2.5, abs=0.11)


def test_what_has_no_length_or_cannot_be_read_is_refused(recognizer, tmp_path):
    from PIL import Image

    Image.fromarray(media_fixtures.portrait()).save(tmp_path / "still.png")
    with pytest.raises(MediaError, match=r"still\.png: a picture, or empty; a timeline needs sound or film"):
        Timeline(recognizer, tmp_path / "still.png")
    (tmp_path / "text.wav").write_text("not sound")
    with pytest.raises(MediaError, match=r"text\.wav: looks like plain text"):
        Timeline(recognizer, tmp_path / "text.wav")
    with pytest.raises(MediaError, match="no such file"):
        Timeline(recognizer, tmp_path / "gone.wav")


def test_a_model_that_reads_text_alone_has_no_use_for_a_recording(film):
    with tiny_recognizer(modalities=("text",)) as reader, pytest.raises(ValueError, match="reads text alone"):
        Timeline(reader, film)


# --- files ---


def reading(emotion, confidence, valence=0.5):
    chances = (
        {"happy": confidence, "sad": 1 - confidence}
        if emotion == "happy"
        else {"happy": 1 - confidence, "sad": confidence}
    )
    alone = {"emotion": emotion, "confidence": confidence, "probabilities": chances}
    return Prediction(
        **alone,
        contributions={},
        per_modality={"audio": Reading(**alone)},
        affect={"valence": valence, "arousal": 0.25},
        notes={},
    )


WINDOWS = [
    Window(0.0, 4.0, reading("happy", 0.8), {}),
    Window(2.0, 6.0, reading("happy", 0.6), {}),
    Window(4.0, 8.0, None, {"audio": "silent"}),
    Window(6.0, 10.0, reading("sad", 0.75, valence=-0.5), {"video": "no face"}),
    Window(8.0, 10.5, reading("happy", 0.5), {}),
]


def test_subtitles_do_not_overlap_and_join_what_stays_the_same():
    assert as_srt(WINDOWS) == (
        "1\n00:00:00,000 --> 00:00:04,000\nhappy (0.70)\n\n"
        "2\n00:00:06,000 --> 00:00:08,000\nsad (0.75)\n\n"
        "3\n00:00:08,000 --> 00:00:10,500\nhappy (0.50)\n"
    )


def test_a_stamp_has_hours_minutes_seconds_and_milliseconds():
    assert stamp(3723.4506) == "01:02:03,451"
    assert stamp(59.9996) == "00:01:00,000"


def test_the_table_has_a_row_a_window_and_a_column_for_what_was_missing():
    rows = list(csv.DictReader(as_csv(WINDOWS).splitlines()))
    assert list(rows[0]) == [
        *("start", "end", "emotion", "confidence", "valence", "arousal", "happy", "sad"),
        *("audio_missing", "video_missing"),
    ]
    assert [r["emotion"] for r in rows] == ["happy", "happy", "", "sad", "happy"]
    assert rows[2] == {**dict.fromkeys(rows[0], ""), "start": "4.00", "end": "8.00", "audio_missing": "silent"}
    assert (rows[3]["valence"], rows[3]["sad"], rows[3]["video_missing"]) == ("-0.5000", "0.7500", "no face")


def test_json_says_all_of_it():
    told = json.loads(json.dumps(as_json(WINDOWS, name="x.mp4", seconds=10.5, plan=Plan())))
    assert (told["file"], told["seconds"], told["window"], told["step"]) == ("x.mp4", 10.5, 4.0, 2.0)
    assert told["windows"][3]["reading"]["probabilities"] == {"happy": 0.25, "sad": 0.75}
    assert told["windows"][2] == {"start": 4.0, "end": 8.0, "reading": None, "missing": {"audio": "silent"}}


def test_the_summary_counts_windows_most_first():
    assert list(summary(WINDOWS).items()) == [("happy", 3), ("", 1), ("sad", 1)]


@pytest.mark.parametrize("windows", [WINDOWS, [WINDOWS[2]]], ids=["some", "none"])
def test_the_picture_is_drawn_even_where_nothing_was_read(tmp_path, windows):
    write_timeline(tmp_path, windows, name="$x_$.mp4", seconds=10.5, plan=Plan())
    head = (tmp_path / "timeline.png").read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert min(struct.unpack("!II", head[16:24])) > 400


def test_a_failure_while_writing_leaves_the_earlier_timeline_whole(tmp_path, monkeypatch):
    write_timeline(tmp_path, WINDOWS, name="x", seconds=10.5, plan=Plan(), pictures=False)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert sorted(before) == ["timeline.csv", "timeline.json", "timeline.srt"]

    def stopped(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("emobraid.timeline_files.as_srt", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_timeline(tmp_path, WINDOWS[:1], name="y", seconds=4, plan=Plan(), pictures=False)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


# --- the command and the API ---


@pytest.fixture(scope="module")
def folder(recognizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "best_model"
    config = Config(model=recognizer.config.model)
    checkpoint.publish(folder, checkpoint.model_files(recognizer.model, config, calibration={}, card=""))
    return folder


def test_the_command_writes_four_files_and_says_what_it_found(folder, film, tmp_path, capsys):
    args = ["timeline", str(film), "--model_path", str(folder), "--output_dir", str(tmp_path), "--window", "3"]
    assert cli.main(args) == 0
    out = capsys.readouterr().out
    assert out.startswith("4 windows in 9.")
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"timeline.{k}" for k in ("csv", "json", "png", "srt")]
    told = json.loads((tmp_path / "timeline.json").read_text())
    with Recognizer.from_pretrained(folder) as recognizer:
        expected = [w.to_json() for w in Timeline(recognizer, film, Plan(window=3))]
    assert told["windows"] == expected


def test_ctrl_c_leaves_nothing_behind(folder, film, tmp_path, monkeypatch, capsys):
    real, seen = Recognizer.read_many, []

    def interrupted(self, many):
        seen.append(many)
        if len(seen) == 2:
            signal.raise_signal(signal.SIGINT)
        return real(self, many)

    monkeypatch.setattr(Recognizer, "read_many", interrupted)
    monkeypatch.setattr("emobraid.timeline.BATCH", 2)
    args = ["timeline", str(film), "--model_path", str(folder), "--output_dir", str(tmp_path / "out"), "--window", "2"]
    # whoever was started in the background of a shell is deaf to Ctrl-C
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert cli.main(args) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == "emobraid: stopped\n"
    assert len(seen) == 2
    assert not (tmp_path / "out").exists()
    assert ASIDE not in [p.name for p in tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("flags", "message"),
    [(["--window", "2", "--step", "3"], "step at most that"), (["--model_path", "nowhere"], "there is no model here")],
)
def test_what_the_command_cannot_do_it_says_in_a_line(folder, film, flags, message, capsys):
    assert cli.main(["timeline", str(film), "--model_path", str(folder), *flags]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_without_matplotlib_it_says_so_before_it_begins(folder, film, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("emobraid.app.timeline_command.find_spec", lambda name: None)
    args = ["timeline", str(film), "--model_path", str(folder), "--output_dir", str(tmp_path)]
    assert cli.main(args) == 1
    assert "pip install 'emobraid[report]', or give --no_pictures" in capsys.readouterr().err
    assert cli.main([*args, "--no_pictures"]) == 0
    assert not (tmp_path / "timeline.png").exists()


def test_the_api_gives_the_same_windows(recognizer, film):
    with TestClient(create_app(recognizer), base_url="http://127.0.0.1") as client:
        answer = client.post(
            "/v1/timeline", data={"window": "3", "step": "2"}, files={"video": ("x.mp4", film.read_bytes())}
        ).json()
    expected = list(Timeline(recognizer, film, Plan(window=3, step=2)))
    assert [w["start"] for w in answer["windows"]] == [w.start for w in expected] == [0, 2, 4, 6]
    for told, window in zip(answer["windows"], expected, strict=True):
        assert told["missing"] == window.missing
        assert told["reading"]["probabilities"] == pytest.approx(window.reading.probabilities, abs=1e-4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"window": "nan"}, "window: Input should be"),
        ({"window": "2", "step": "3"}, "step: must be at most as long as window"),
        ({"step": "0"}, "step: Input should be greater"),
        ({"text": "words"}, "text: Input should be None"),
    ],
)
def test_the_api_refuses_plans_that_cannot_be(recognizer, film, fields, message):
    with TestClient(create_app(recognizer), base_url="http://127.0.0.1") as client:
        answer = client.post("/v1/timeline", data=fields, files={"video": ("x.mp4", film.read_bytes())})
        assert (answer.status_code, answer.json()["error"].startswith(message)) == (422, True), answer.text


def test_the_api_refuses_a_recording_beyond_its_limit(recognizer, film):
    with TestClient(create_app(recognizer, ServerSettings(media_seconds=5)), base_url="http://127.0.0.1") as client:
        answer = client.post("/v1/timeline", files={"video": ("x.mp4", film.read_bytes())})
        assert answer.json()["error"] == "it lasts 9 s, the limit is 5 s; cut it"
        assert client.post("/v1/timeline", json={}).json()["error"] == "send one recording, as audio or video"
