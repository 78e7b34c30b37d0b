"""The synthetic corpus: same seed same bytes, real files, faces that are found, a folder that is never half made."""

import csv
import shutil
import wave
from collections import Counter

import av
import cv2
import numpy as np
import pytest
from cv2.data import haarcascades

from emobraid.data.sample import make_sample_corpus
from emobraid.data.sample.corpus import MANIFEST
from emobraid.data.sample.expression import UNITS, action
from emobraid.data.sample.plan import CELLS, CHANNELS, SPEAKERS, plan
from emobraid.data.sample.prosody import manner
from emobraid.data.sample.recording import record
from emobraid.data.sample.sentences import syllables
from emobraid.data.sample.voice import RATE, Throat, speak
from emobraid.emotions import Emotion

SEED, CLIPS = 5, 14  # this seed leaves a cell of every kind empty


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample") / "corpus"
    make_sample_corpus(folder, seed=SEED, clips=CLIPS, workers=2)
    return folder


@pytest.fixture(scope="module")
def rows(corpus):
    return {split: read(corpus / f"{split}.csv") for split in SPEAKERS}


@pytest.fixture(scope="module")
def many():
    return plan(0, 2800)


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_same_seed_gives_the_same_bytes_on_one_process_or_two(corpus, tmp_path):
    done = []
    make_sample_corpus(tmp_path / "new", seed=SEED, clips=CLIPS, workers=1, progress=lambda *now: done.append(now))
    assert contents(tmp_path / "new") == contents(corpus)
    assert done == [(i + 1, CLIPS) for i in range(CLIPS)]


def test_another_seed_gives_another_plan_and_another_clip(corpus, tmp_path):
    clip = next(c for c in plan(SEED, CLIPS) if not c.empty)
    for part in ("audio", "video"):
        (tmp_path / part).mkdir()
    record(clip, SEED + 1, tmp_path)
    for name in (f"audio/{clip.name}.wav", f"video/{clip.name}.mp4"):
        assert (tmp_path / name).read_bytes() != (corpus / name).read_bytes()
    assert [c.text for c in plan(SEED, CLIPS)] != [c.text for c in plan(SEED + 1, CLIPS)]


def test_tables_have_the_columns_of_the_layout_and_nothing_else(corpus):
    for split in SPEAKERS:
        with (corpus / f"{split}.csv").open(encoding="utf-8") as file:
            assert file.readline() == "text,audio_path,video_path,emotion,speaker\n"


def test_every_path_is_relative_and_exists_and_an_empty_cell_has_no_file(corpus, rows):
    every = [row for split in rows.values() for row in split]
    for column, pattern in (("audio_path", "audio/*.wav"), ("video_path", "video/*.mp4")):
        named = [row[column] for row in every if row[column]]
        assert len(named) == CLIPS - 1  # as this seed wants it
        assert sorted(named) == sorted(p.relative_to(corpus).as_posix() for p in corpus.glob(pattern))
    assert len(every) == CLIPS
    assert sum(not row["text"] for row in every) == 1


def test_no_speaker_is_in_two_splits(rows):
    speakers = {split: {row["speaker"] for row in table} for split, table in rows.items()}
    assert not speakers["train"] & speakers["val"]
    assert not speakers["train"] & speakers["test"]
    assert not speakers["val"] & speakers["test"]


@pytest.mark.parametrize("clips", [14, 28, 100, 560])
def test_emotions_are_balanced_in_all_and_within_each_split(clips):
    clips_of = plan(3, clips)
    for part in (clips_of, *([c for c in clips_of if c.split == split] for split in SPEAKERS)):
        counts = Counter(clip.emotion for clip in part)
        assert len(part) > 0
        assert max(counts[e] for e in Emotion) - min(counts[e] for e in Emotion) <= 1


def test_splits_have_their_share_of_clips_and_speakers():
    clips_of = plan(0, 560)
    parts = {split: [c for c in clips_of if c.split == split] for split in SPEAKERS}
    assert {split: len(part) for split, part in parts.items()} == {"train": 364, "val": 84, "test": 112}
    assert {split: len({c.speaker for c in part}) for split, part in parts.items()} == {
        "train": 18,
        "val": 4,
        "test": 6,
    }


def test_about_eight_percent_of_rows_have_an_empty_cell_and_none_is_empty_altogether(many):
    counts = Counter(len(clip.empty) for clip in many)
    assert counts[1] / len(many) == pytest.approx(0.065, abs=0.012)
    assert counts[2] / len(many) == pytest.approx(0.015, abs=0.006)
    assert set(counts) == {0, 1, 2}
    assert {cell for clip in many for cell in clip.empty} == set(CELLS)


def test_voice_and_face_show_something_else_as_often_as_the_table_says_and_independently(many):
    voice = np.array([clip.voice.emotion != clip.emotion for clip in many])
    face = np.array([clip.face.emotion != clip.emotion for clip in many])
    assert voice.mean() == pytest.approx(CHANNELS["voice"].off, abs=0.02)
    assert face.mean() == pytest.approx(CHANNELS["face"].off, abs=0.02)
    assert abs(np.corrcoef(voice, face)[0, 1]) < 0.05


def test_most_test_sentences_are_not_in_train():
    clips_of = plan(0, 560)
    train = {clip.text for clip in clips_of if clip.split == "train"}
    assert np.mean([clip.text in train for clip in clips_of if clip.split == "test"]) < 0.25


def test_some_sentences_are_said_under_several_emotions(many):
    meanings = {}
    for clip in many:
        meanings.setdefault(clip.text.rstrip(".!"), set()).add(clip.emotion)
    assert max(len(emotions) for emotions in meanings.values()) == len(Emotion)


def test_syllables_are_groups_of_vowels_without_a_silent_e():
    assert syllables("My sister made the cake") == 6  # my, sis-ter, made, th', cake
    assert syllables("hm!") == 1


def test_sounds_are_16_khz_mono_of_a_sensible_length_and_never_clip(corpus):
    for path in (corpus / "audio").iterdir():
        with wave.open(str(path), "rb") as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
        assert 1.49 <= len(samples) / 16_000 <= 2.51
        assert -12.1 <= 20 * np.log10(np.abs(samples).max()) <= -2.9


def test_films_are_h264_at_12_frames_and_sound_unless_their_row_has_no_audio(corpus, rows):
    for row in (row for table in rows.values() for row in table if row["video_path"]):
        with av.open(str(corpus / row["video_path"])) as film:
            assert (film.streams.video[0].codec_context.name, film.streams.video[0].average_rate) == ("h264", 12)
            assert [s.codec_context.name for s in film.streams.audio] == (["aac"] if row["audio_path"] else [])
            frames = [frame.to_ndarray(format="gray") for frame in film.decode(video=0)]
        assert frames[0].shape == (160, 192)
        assert 18 <= len(frames) <= 30  # 1.5 to 2.5 seconds


@pytest.mark.parametrize("cascade", ["haarcascade_frontalface_default.xml", "haarcascade_frontalface_alt2.xml"])
def test_a_face_detector_finds_the_face_in_nearly_every_film(corpus, cascade):
    detector, found = cv2.CascadeClassifier(haarcascades + cascade), []
    for path in (corpus / "video").iterdir():
        with av.open(str(path)) as film:
            frames = [frame.to_ndarray(format="gray") for frame in film.decode(video=0)][::6]
        found.append(np.mean([in_the_middle(detector.detectMultiScale(f, 1.1, minSize=(50, 50))) for f in frames]))
    assert np.mean(np.array(found) >= 0.6) >= 0.97


def in_the_middle(boxes):
    """Whether there are boxes, and the largest is about the middle of the picture: the face, not a false alarm."""
    if not len(boxes):
        return False
    x, y, width, height = max(boxes, key=lambda box: box[2])
    return abs(x + width / 2 - 96) < 25 and abs(y + height / 2 - 90) < 25


def spoken(emotion, kind):
    """Six utterances by one speaker."""
    throat = Throat.draw(kind, np.random.default_rng(kind))
    return [speak(throat, manner(emotion, 1.0), 8, np.random.default_rng(100 + i))[0] for i in range(6)]


def peak(sound):
    return np.abs(sound).max()


def bright(sound):
    """The share of energy between 1 and 5 kHz, in dB: harder closing folds, flatter spectrum."""
    power, hertz = np.abs(np.fft.rfft(sound)) ** 2, np.fft.rfftfreq(len(sound), 1 / RATE)
    return 10 * np.log10(power[(hertz > 1000) & (hertz < 5000)].sum() / power[hertz < 5000].sum())


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_anger_is_louder_and_brighter_than_neutral_and_sadness_softer_and_duller(kind):
    angry, neutral, sad = (spoken(e, kind) for e in (Emotion.ANGRY, Emotion.NEUTRAL, Emotion.SAD))
    assert min(map(peak, angry)) > max(map(peak, neutral)) > min(map(peak, neutral)) > max(map(peak, sad))
    assert np.mean([bright(s) for s in angry]) > np.mean([bright(s) for s in neutral]) + 1
    assert np.mean([bright(s) for s in sad]) < np.mean([bright(s) for s in neutral]) - 1


def test_an_expression_rises_to_its_apex_and_a_silent_neutral_face_only_blinks():
    quiet = np.zeros(30)
    happy = action(Emotion.HAPPY, 1.0, quiet, 12, np.random.default_rng(0))
    assert happy[6:20, UNITS.index(12)].min() > 0.65  # the smile at its apex
    assert happy[0, UNITS.index(12)] < 0.6 * happy[6:20, UNITS.index(12)].max()
    still = action(Emotion.NEUTRAL, 1.0, quiet, 12, np.random.default_rng(0))
    assert still[:, [UNITS.index(u) for u in UNITS if u != 43]].max() < 0.1
    assert still[:, UNITS.index(43)].max() > 0.8


def test_speech_opens_the_mouth():
    loud, quiet = (action(Emotion.NEUTRAL, 1.0, np.full(30, x), 12, np.random.default_rng(0)) for x in (1.0, 0.0))
    assert (loud[:, UNITS.index(26)] - quiet[:, UNITS.index(26)]).min() > 0.2


def test_the_readme_says_that_nobody_was_recorded_and_how_it_was_made(corpus):
    text = (corpus / "README.md").read_text(encoding="utf-8")
    assert "synthetic" in text
    assert "Nobody was recorded" in text
    assert "--seed 5 --clips 14" in text
    assert "| train | 9 | 9 |" in text


def test_an_identical_corpus_is_left_as_it_is(corpus):
    before = (corpus / "train.csv").stat().st_mtime_ns
    make_sample_corpus(corpus, seed=SEED, clips=CLIPS, progress=lambda *_: pytest.fail("made again"))
    assert (corpus / "train.csv").stat().st_mtime_ns == before


def test_a_corpus_with_other_settings_is_refused(corpus):
    with pytest.raises(ValueError, match=r"edition 1, seed 5, 14 clips; asked for edition 1, seed 0, 560 clips"):
        make_sample_corpus(corpus)


@pytest.mark.parametrize("harm", ["delete", "change"])
def test_a_corpus_that_lost_or_changed_a_file_is_refused_by_its_name(corpus, tmp_path, harm):
    folder = shutil.copytree(corpus, tmp_path / "copy")
    if harm == "delete":
        (folder / "val.csv").unlink()
    else:
        (folder / "val.csv").write_text("text,audio_path,video_path,emotion,speaker\n")
    with pytest.raises(ValueError, match=r"val\.csv is missing or was changed"):
        make_sample_corpus(folder, seed=SEED, clips=CLIPS)


def test_a_folder_with_anything_else_in_it_is_refused_and_kept(tmp_path):
    (tmp_path / "thesis.txt").write_text("all my work")
    with pytest.raises(ValueError, match="not empty and holds no sample corpus"):
        make_sample_corpus(tmp_path, clips=CLIPS)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_where_the_folder_should_be_is_refused_and_kept(tmp_path):
    (tmp_path / "data").write_text("all my work")
    with pytest.raises(ValueError, match="not empty and holds no sample corpus"):
        make_sample_corpus(tmp_path / "data", clips=CLIPS)
    assert (tmp_path / "data").read_text() == "all my work"


def test_a_damaged_manifest_is_one_clear_line(tmp_path):
    (tmp_path / MANIFEST).write_text("{")
    with pytest.raises(ValueError, match="is damaged"):
        make_sample_corpus(tmp_path, clips=CLIPS)


def test_an_interruption_leaves_nothing_behind(tmp_path):
    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_sample_corpus(tmp_path / "data", clips=CLIPS, workers=1, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "value"), [("seed", -1), ("clips", 13), ("workers", 0)])
def test_settings_out_of_range_are_named(tmp_path, name, value):
    with pytest.raises(ValueError, match=f"{name} must be at least {value + 1}, got {value}"):
        make_sample_corpus(tmp_path / "data", **{name: value})
    assert list(tmp_path.iterdir()) == []
