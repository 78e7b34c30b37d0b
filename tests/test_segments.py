"""A stretch of a file, one half of its picture: exact to the sample and the frame, wherever decoding has to start."""

from collections.abc import Iterator

import numpy as np
import pytest

import media_fixtures as made
from emobraid.data.corpus import Clip, Sample
from emobraid.data.preparer import Preparer
from emobraid.data.shelf import Shelf
from emobraid.decoding import pictures as films
from emobraid.decoding.tracks import Part
from emobraid.encoders.compact_audio import CompactAudio
from emobraid.encoders.compact_video import CompactVideo
from emobraid.media import SAMPLE_RATE, Limits, MediaError, MediaReader

BITS = 8  # bars, black or white, in which a frame shows its number


@pytest.fixture(scope="module")
def reader() -> Iterator[MediaReader]:
    with MediaReader() as reader:
        yield reader


def chirp(seconds: float, rate: int) -> np.ndarray:
    """A tone that rises all the time: what is heard tells when it is."""
    times = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * (200 * times + 60 * times**2))).astype(np.float32)


def lag(part: np.ndarray, whole: np.ndarray, start: float) -> int:
    """By how many samples the place in `whole` where `part` is found is off from `start`."""
    near = range(-40, 41)
    at = round(start * SAMPLE_RATE)
    # the ends were cut before resampling, so a few samples there differ
    inner = part[200:-200]
    return min(near, key=lambda k: float(np.abs(whole[at + k + 200 :][: len(inner)] - inner).mean()))


@pytest.mark.parametrize(
    ("codec", "name", "rate", "off"),
    [
        ("pcm_s16le", "a.wav", 16_000, 0),
        ("pcm_s16le", "a.avi", 22_050, 0),
        ("aac", "a.mp4", 48_000, 0),
        ("libopus", "a.webm", 48_000, 16),  # samples in a millisecond, to which Matroska's times are rounded
        ("flac", "a.flac", 44_100, 0),
        ("libopus", "a.ogg", 48_000, 0),
        ("libmp3lame", "a.mp3", 44_100, 0),
        ("libmp3lame", "a.avi", 44_100, 0),
    ],
)
@pytest.mark.parametrize(("start", "end"), [(0.0, 0.5), (1.2345, 2.5), (5.1, 6.37)])
def test_a_stretch_of_sound_is_that_of_the_whole_to_the_sample(reader, tmp_path, codec, name, rate, off, start, end):
    path = made.write_sound(tmp_path / name, chirp(7, rate)[None], rate, codec)
    whole = reader.audio(path).samples
    part = reader.audio(path, start=start, end=end)
    assert part.note == ""
    assert abs(len(part.samples) - (end - start) * SAMPLE_RATE) <= 1
    assert abs(lag(part.samples, whole, start)) <= off


def test_a_stretch_to_the_end_is_what_is_left(reader, tmp_path):
    path = made.write_sound(tmp_path / "a.wav", chirp(5, 16_000)[None], 16_000, "pcm_s16le")
    assert len(reader.audio(path, start=3.5).samples) == 1.5 * SAMPLE_RATE


def test_a_stretch_that_the_file_holds_in_part_says_so_and_one_beyond_it_is_an_error(reader, tmp_path):
    path = made.write_sound(tmp_path / "a.wav", chirp(5, 16_000)[None], 16_000, "pcm_s16le")
    cut = reader.audio(path, start=4.0, end=6.0)
    assert len(cut.samples) == SAMPLE_RATE
    assert cut.note == "its sound ends at 5.0 s"
    with pytest.raises(MediaError, match=r"a\.wav: its sound ends at 5\.0 s, nothing is there from 7 s to 8 s$"):
        reader.audio(path, start=7.0, end=8.0)


@pytest.mark.parametrize(
    ("start", "end"), [(-1.0, 2.0), (2.0, 2.0), (3.0, 1.0), (float("nan"), None), (0.0, float("inf"))]
)
def test_times_that_make_no_stretch_are_refused(reader, tmp_path, start, end):
    with pytest.raises(ValueError, match="a stretch must start at 0 s or later and end after that"):
        reader.audio(tmp_path / "a.wav", start=start, end=end)


def test_limits_count_for_the_stretch_and_not_for_the_file(tmp_path):
    path = made.write_sound(tmp_path / "a.wav", chirp(8, 16_000)[None], 16_000, "pcm_s16le")
    film = made.write_video(tmp_path / "a.mp4", [made.portrait(64)] * 80)
    with MediaReader(limits=Limits(seconds=2)) as reader:
        assert len(reader.audio(path, start=5.0, end=6.5).samples) == 1.5 * SAMPLE_RATE
        assert len(reader.faces(film, max_frames=3, size=16, start=5.0, end=6.5).times) == 3
        for refused in (lambda: reader.audio(path), lambda: reader.audio(path, start=1.0, end=4.0)):
            with pytest.raises(MediaError, match=r"the limit is 2\.0 s"):
                refused()
        with pytest.raises(MediaError, match=r"the limit is 2\.0 s"):
            reader.faces(film, max_frames=3, size=16, start=1.0)


# pictures


def numbered_film(path, *, seconds: int, codec: str = "libx264", key_every: int = 12):
    """Ten frames a second that show their number."""
    bars = [np.array([i >> bit & 1 for bit in range(BITS)]).repeat(16) for i in range(10 * seconds)]
    images = [np.tile(255 * row.astype(np.uint8)[None, :, None], (48, 1, 3)) for row in bars]
    return made.write_video(path, images, codec=codec, key_every=key_every)


def number(image: np.ndarray) -> int:
    return sum(1 << bit for bit in range(BITS) if image[:, 16 * bit + 4 : 16 * bit + 12].mean() > 127)


def grabbed(path, count: int, part: Part, side=None) -> tuple[list[int], list[float], np.ndarray]:
    """The numbers of the frames that are kept of a stretch, when they are shown, and which packets were decoded."""
    request = {
        "faces": {"max_frames": count, "size": 16},
        "memory": 1 << 30,
        "pixels": 10**7,
        "seconds": 60,
        "side": side,
    }
    with path.open("rb", buffering=0) as file:

        def track(container):
            return films.Track(container, container.streams.video[0], 60, part)

        with films.opened(file, request) as container:
            first = track(container)
            times, keys = films.survey(first, 60)
            wanted, fed = films.plan(times, keys, count, films.shown_in(times - first.zero, part))
        with films.opened(file, request) as container:
            images, stamps = films.grab(track(container), wanted, fed, request)
    return [number(image) for image in images], stamps, fed


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.avi", "mpeg4"), ("a.mkv", "libx264")])
@pytest.mark.parametrize("key_every", [5, 250])
def test_the_frames_of_a_stretch_are_those_shown_in_it(tmp_path, name, codec, key_every):
    path = numbered_film(tmp_path / name, seconds=7, codec=codec, key_every=key_every)
    frames, stamps, fed = grabbed(path, 100, Part(4.25, 5.0))
    # the first is on the screen since 4.2 s; the one at 5.0 s comes after the end
    assert frames == [42, 43, 44, 45, 46, 47, 48, 49]
    assert stamps == pytest.approx([4.2, 4.3, 4.4, 4.5, 4.6, 4.7, 4.8, 4.9], abs=2e-3)
    assert fed.sum() <= (70 if key_every == 250 else 15)


def test_a_few_frames_of_a_stretch_are_spaced_evenly_in_it(tmp_path):
    frames, _, _ = grabbed(numbered_film(tmp_path / "a.mp4", seconds=7, key_every=250), 3, Part(2.0, 5.0))
    assert frames == [25, 35, 45]  # in the middle of each second


def test_a_stretch_shorter_than_a_frame_is_the_frame_on_the_screen(tmp_path):
    assert grabbed(numbered_film(tmp_path / "a.mp4", seconds=3), 5, Part(1.52, 1.55))[0] == [15]


@pytest.mark.parametrize(("side", "shade"), [("left", 40), ("right", 200), (None, 120)])
def test_one_half_of_a_picture(tmp_path, side, shade):
    image = np.full((48, 96, 3), 40, np.uint8)
    image[:, 48:] = 200
    path = made.write_video(tmp_path / "a.mp4", [image] * 10)
    request = {"faces": {"max_frames": 1, "size": 16}, "memory": 1 << 30, "pixels": 10**7, "side": side}
    with path.open("rb", buffering=0) as file, films.opened(file, request) as container:
        track = films.Track(container, container.streams.video[0], 60)
        (kept,), _ = films.grab(track, np.zeros(1), np.ones(10, bool), request)
    assert kept.shape == (48, 48 if side else 96, 3)
    assert kept.mean() == pytest.approx(shade, abs=2)


def test_the_face_is_looked_for_in_its_half_and_in_its_time(reader, tmp_path):
    """Two people side by side: the left one goes after two seconds, the right one is never in the left half."""
    face, none = made.portrait(96), made.nobody(96)
    images = [np.hstack([face if i < 20 else none, none if i < 20 else face]) for i in range(40)]
    path = made.write_video(tmp_path / "a.avi", images, codec="mpeg4")
    found = {
        (side, start): len(reader.faces(path, max_frames=4, size=32, start=start, end=start + 1.5, side=side).times)
        for side in ("left", "right")
        for start in (0.2, 2.2)
    }
    assert found == {("left", 0.2): 4, ("left", 2.2): 0, ("right", 0.2): 0, ("right", 2.2): 4}
    times = reader.faces(path, max_frames=3, size=32, start=0.2, end=1.5, side="left").times
    assert times == pytest.approx([0.2, 0.6, 1.0], abs=0.11)


def test_a_film_that_was_cut_is_read_as_far_as_it_goes_and_not_beyond(reader, tmp_path):
    path = tmp_path / "a.avi"
    border = np.random.default_rng(0).integers(
        0, 255, (60, 96, 96, 3), np.uint8
    )  # so that every frame takes some space
    made.write_video(path, [np.hstack([made.portrait(96), noise]) for noise in border], codec="mpeg4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert len(reader.faces(path, max_frames=3, size=32, start=0.5, end=1.5).times) == 3
    with pytest.raises(MediaError, match=r"a\.avi: its picture ends at \d\.\d s, nothing is there from 5 s to 6 s$"):
        reader.faces(path, max_frames=3, size=32, start=5.0, end=6.0)


def test_a_still_picture_is_there_at_any_time(reader, tmp_path):
    (tmp_path / "a.png").write_bytes(made.saved(made.portrait()))
    assert len(reader.faces(tmp_path / "a.png", max_frames=3, size=32, start=3.0, end=4.0).times) == 1


# as a cell


@pytest.fixture
def clip(tmp_path) -> Clip:
    path = made.write_video(tmp_path / "a.mp4", [made.portrait(96)] * 40, sound=chirp(4, 48_000))
    return Clip(path, 1.0, 2.5, None)


def sample(cell) -> Sample:
    return Sample(id="a", group="", cells={"audio": cell, "video": cell}, sound_from_video=False, label=None)


def test_a_clip_is_prepared_as_its_stretch(reader, clip):
    encoders = {"audio": CompactAudio(8), "video": CompactVideo(8)}
    preparer = Preparer(encoders, reader, max_frames=5)
    heard, whole = preparer.sample(sample(clip)), preparer.sample(sample(clip.path))
    assert len(heard["audio"].tensor) == 1 + (24_000 - 512) // 256
    assert len(whole["audio"].tensor) >= 1 + (64_000 - 512) // 256
    assert len(heard["video"].tensor) == 5
    halved = preparer.sample(sample(Clip(clip.path, 1.0, 2.5, "left")))
    assert heard["video"].note == ""
    assert halved["video"].note != "" or (halved["video"].tensor != heard["video"].tensor).any()


def test_what_is_kept_of_a_clip_has_a_name_of_its_own(tmp_path, clip):
    with Shelf(tmp_path / "cache", {"video": CompactVideo(8)}, max_frames=5) as shelf:
        cells = [clip.path, clip, *(Clip(clip.path, *part) for part in [(1.0, 2.0), (1.5, 2.5), (1.0, 2.5, "left")])]
        keys = [shelf.key("video", sample(cell)) for cell in cells]
        assert len({*keys, ""}) == 6
        assert shelf.key("video", sample(Clip(clip.path, 1.0, 2.5))) == keys[1]
        assert shelf.key("video", sample(Clip(tmp_path / "none.mp4", 1.0, 2.0))) == ""
