"""Sound and picture on the film's own clock, of the track that a player takes; pictures as they are shown."""

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

import media_fixtures as made
from emobraid.media import MediaError
from media_fixtures import put

reader = made.reader
RATE = 48_000


def film(path, tracks, *, seconds=6, late=0, ratio=None, images=None, language=(), default=None):
    """A film of `seconds` with a sound track for each list of (start, samples) in `tracks`, in seconds and floats."""
    images = [made.portrait(128)] * (seconds * 5) if images is None else images
    with av.open(str(path), "w") as out:
        picture = out.add_stream("libx264" if path.suffix != ".webm" else "libvpx", rate=5)
        picture.width, picture.height, picture.pix_fmt = images[0].shape[1], images[0].shape[0], "yuv420p"
        if ratio:
            picture.codec_context.sample_aspect_ratio = ratio
        sounds = [out.add_stream("aac" if path.suffix in {".mp4", ".ts"} else "libopus", rate=RATE) for _ in tracks]
        for i, sound in enumerate(sounds):
            sound.codec_context.layout = "mono"
            if language:
                sound.metadata["language"] = language[i]
            if default is not None:
                sound.disposition = av.stream.Disposition.default if i == default else av.stream.Disposition(0)
        packets = []
        for i, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
            frame.pts, frame.time_base = i + 5 * late, Fraction(1, 5)
            packets += picture.encode(frame)
        packets += picture.encode(None)
        for sound, pieces in zip(sounds, tracks, strict=True):
            for start, samples in pieces:
                for at in range(0, len(samples) - 959, 960):
                    frame = av.AudioFrame.from_ndarray(samples[None, at : at + 960].astype(np.float32), "fltp", "mono")
                    frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
                    frame.pts = round(start * RATE) + at
                    packets += sound.encode(frame)
            packets += sound.encode(None)
        for packet in sorted(packets, key=lambda p: float(p.dts * p.time_base)):
            out.mux(packet)
    return path


def where_heard(samples: np.ndarray) -> tuple[float, float]:
    loud = np.flatnonzero(np.abs(samples) > 0.05)
    return loud[0] / 16_000, loud[-1] / 16_000


LATE = [[(2.5, made.tone(2.0, RATE))]]


@pytest.mark.parametrize("ending", ["mp4", "mkv", "webm", "ts"])
def test_a_sound_that_begins_late_is_heard_when_it_is(reader, tmp_path, ending):
    path = film(tmp_path / f"a.{ending}", LATE)
    audio = reader.audio(path)
    assert where_heard(audio.samples) == pytest.approx((2.5, 4.5), abs=0.1)
    assert "no sound from 0.0 to 2.5 s" in audio.note
    assert "cut short" not in audio.note
    assert reader.length(path) == pytest.approx(6.0, abs=0.15)
    for start, end, first, last in [(2, 4, 0.5, 2.0), (4, 6, 0.0, 0.5), (0, 6, 2.5, 4.5)]:
        part = reader.audio(path, start=start, end=end)
        assert where_heard(part.samples) == pytest.approx((first, last), abs=0.1)
        assert "cut short" not in part.note or ending in {"ts", "mkv", "webm"}
    early = reader.audio(path, start=0, end=2)
    assert (len(early.samples), early.note[:16]) == (0, "its sound begins")


def test_a_picture_that_begins_late_is_seen_when_it_is(reader, tmp_path):
    path = film(tmp_path / "a.mkv", [[(0.0, made.tone(5.0, RATE))]], seconds=2, late=3)
    faces = reader.faces(path, max_frames=4, size=24)
    assert (faces.times[0] > 2.9, faces.times[-1] < 5.0, faces.note) == (True, True, "")
    assert reader.faces(path, max_frames=4, size=24, start=0, end=2).note == "its picture begins at 3.0 s"
    assert len(reader.faces(path, max_frames=4, size=24, start=2, end=4).times)


@pytest.mark.parametrize("ending", ["mkv", "ts"])
def test_a_pause_is_silence_and_what_follows_comes_when_it_does(reader, tmp_path, ending):
    tone = made.tone(1.0, RATE)
    audio = reader.audio(film(tmp_path / f"a.{ending}", [[(0.0, tone), (4.0, tone)]]))
    assert where_heard(audio.samples) == pytest.approx((0.0, 5.0), abs=0.1)
    assert np.abs(audio.samples[20_000:60_000]).max() < 0.01
    assert "no sound from 1.0 to 4.0 s" in audio.note


def test_stamps_of_another_clock_are_told_and_not_computed(reader, tmp_path):
    tone = made.tone(1.0, RATE)
    path = film(tmp_path / "a.mkv", [[(0.0, tone), (400_000.0, tone)]], seconds=2)
    with pytest.raises(MediaError, match=r"stamps"):
        reader.audio(path)


def test_a_track_that_is_wholly_on_another_clock_is_read_from_its_own_start(reader, tmp_path):
    path = film(tmp_path / "a.mkv", [[(400_000.0, made.tone(2.0, RATE))]], seconds=2)
    assert where_heard(reader.audio(path).samples) == pytest.approx((0.0, 2.0), abs=0.1)
    assert reader.length(path) < 10


@pytest.mark.parametrize("ending", ["mkv", "mp4"])
def test_the_default_sound_track_is_read_and_the_others_are_told_of(reader, tmp_path, ending):
    low, high = made.tone(2.0, RATE, 300.0), made.tone(2.0, RATE, 1000.0)
    path = film(tmp_path / f"a.{ending}", [[(0.0, low)], [(0.0, high)]], seconds=2, language=("fre", "eng"), default=1)
    audio = reader.audio(path)
    assert np.abs(np.fft.rfft(audio.samples[8000:24_000])).argmax() == pytest.approx(1000, abs=3)
    assert audio.note == "2 sound tracks, read number 2 (eng)"


def test_pixels_are_made_square(reader, tmp_path):
    whole = made.portrait(256)
    narrow = np.asarray(Image.fromarray(whole).resize((180, 256)))
    want = reader.faces(film(tmp_path / "a.mp4", [], images=[whole] * 5), max_frames=1, size=48)
    got = reader.faces(film(tmp_path / "b.mp4", [], images=[narrow] * 5, ratio=Fraction(64, 45)), max_frames=1, size=48)
    flat = reader.faces(film(tmp_path / "c.mp4", [], images=[narrow] * 5), max_frames=1, size=48)
    off, bad = (np.abs(f.crops[0].astype(int) - want.crops[0]).mean() for f in (got, flat))
    assert off < 8
    assert bad > 1.5 * off


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_second_picture_in_the_file_of_a_photo_is_not_looked_at(reader, tmp_path, kind):
    photo = made.saved(made.portrait(256), kind)
    second = made.saved(255 - made.portrait(128), kind)
    want = reader.faces(put(tmp_path, "a.jpg", photo), max_frames=8, size=48)
    got = reader.faces(put(tmp_path, "b.jpg", photo + second), max_frames=8, size=48)
    assert np.array_equal(got.crops, want.crops)
    assert (got.times.tolist(), got.note) == ([0.0], "")
    assert reader.length(tmp_path / "b.jpg") == 0


@pytest.mark.parametrize(("kind", "part"), [("JPEG", 0.95), ("JPEG", 0.6), ("PNG", 0.95), ("PNG", 0.6)])
def test_a_picture_that_is_cut_short_is_called_that(reader, tmp_path, kind, part):
    photo = made.saved(made.portrait(256), kind)
    path = put(tmp_path, "a.jpg", photo[: int(part * len(photo))])
    try:
        note = reader.faces(path, max_frames=1, size=48).note
    except MediaError as error:
        note = str(error)
    assert f"the {kind} picture is cut short" in note


def test_an_animated_webp_is_refused_with_the_true_reason(reader, tmp_path):
    frames = [Image.fromarray(made.portrait(64)), Image.fromarray(made.nobody(64))]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:])
    with pytest.raises(MediaError, match="an animated WebP, which we cannot read; save it as GIF, PNG or MP4"):
        reader.faces(tmp_path / "a.webp", max_frames=2, size=48)
    frames[0].save(tmp_path / "b.webp")
    assert reader.faces(tmp_path / "b.webp", max_frames=2, size=48).times.tolist() == [0.0]


def voice() -> np.ndarray:
    return made.tone(1.0, 16_000, 200.0) * 0.2


@pytest.mark.parametrize("channel", [0, 1])
def test_a_voice_in_one_channel_is_as_loud_as_alone(reader, tmp_path, channel):
    columns = np.zeros((16_000, 2), np.float32)
    columns[:, channel] = voice()
    got = reader.audio(put(tmp_path, "a.wav", made.wav(columns)))
    assert np.abs(got.samples - voice()).max() < 1e-3
    assert got.note == ""


def test_a_voice_in_the_centre_is_read_without_what_is_around_it(reader, tmp_path):
    music = made.tone(1.0, 16_000, 700.0) * 0.1
    path = tmp_path / "a.flac"
    columns = np.stack([music, music, voice(), 0 * music, music, music])  # FL FR FC LFE and two behind
    with av.open(str(path), "w") as out:
        stream = out.add_stream("flac", rate=16_000, layout="5.1")
        whole = (columns.T * 32767).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(whole, "s16", "5.1")
        frame.sample_rate = 16_000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert np.abs(reader.audio(path).samples - voice()).max() < 1e-2


def test_floats_at_16_bit_scale_are_brought_to_one_and_told(reader, tmp_path):
    got = reader.audio(put(tmp_path, "a.wav", made.wav(voice() * 32767, kind="<f4")))
    assert np.abs(got.samples - voice()).max() < 1e-3
    assert got.note == "values of 16-bit scale were divided by 32768"


def test_a_voice_at_a_tenth_of_its_level_is_not_silent(reader, tmp_path):
    quiet = np.random.default_rng(0).normal(0, 10 ** (-74 / 20), 16_000)
    assert len(reader.audio(put(tmp_path, "a.wav", made.wav(quiet))).samples)
