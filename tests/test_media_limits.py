"""Files that are too long, too large or take too much are refused, and so are settings that make no sense."""

import struct
import threading
import time
import zlib
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import media_fixtures as made
from emobraid.decoding import faces, tracks
from emobraid.decoding import pictures as films
from emobraid.media import Limits, MediaError, MediaReader
from media_fixtures import child_of, put

reader, victim, short = made.reader, made.victim, made.short


def test_a_declared_length_over_the_limit_is_refused(reader, tmp_path):
    path = made.flac(tmp_path / "a.flac", 1, claimed=36_000 * 8000)
    with pytest.raises(MediaError, match=r"a\.flac: 10 h 0 min, the limit is 10 min"):
        reader.audio(path)


def test_an_undeclared_length_is_counted_while_decoding(victim, tmp_path):
    bomb = made.flac(tmp_path / "a.flac", 21, claimed=0)
    assert bomb.stat().st_size < 12_000
    with pytest.raises(MediaError, match=r"a\.flac: longer than the limit of 20\.0 s"):
        victim.audio(bomb)


def test_a_video_over_the_limit_is_refused_even_without_a_declared_length(reader, tmp_path):
    options = {"live": "1"}
    stamps = [0, 1000, 700_000]
    images = [made.nobody(64)] * 3
    path = tmp_path / "a.webm"
    made.write_video(path, images, codec="libvpx", container="webm", options=options, stamps=stamps)
    with pytest.raises(MediaError, match="longer than the limit of 10 min"):
        reader.faces(path, max_frames=4, size=16)


def test_a_low_sample_rate_does_not_blow_up_in_the_resampler(reader, tmp_path):
    with pytest.raises(MediaError, match="a sample rate of 10 Hz is no sound"):
        reader.audio(put(tmp_path, "a.wav", made.wav(made.tone(0.1, 16_000), rate=10)))


def test_a_picture_larger_than_the_limit_is_refused(reader, tmp_path):
    with pytest.raises(MediaError, match=r"a\.png: .*larger than 50 megapixels"):
        reader.faces(put(tmp_path, "a.png", made.png_header(20_000, 20_000)), max_frames=1, size=16)


def test_a_video_larger_than_the_limit_is_refused(tmp_path):
    path = made.write_video(tmp_path / "a.mp4", [made.nobody()] * 2)
    words = r"128 x 128 pixels, the limit is 0\.01 megapixels"
    request = {"pixels": 10_000, "seconds": 10, "memory": 1 << 30, "faces": {"max_frames": 2}}
    with path.open("rb", buffering=0) as file, pytest.raises(tracks.Refused, match=words):
        films.look(file, request, faces.blazeface())
    with pytest.raises(tracks.Refused, match=words):  # where the header promised less
        films.refuse_large(av.VideoFrame(128, 128, "yuv420p"), 10_000)
    with MediaReader(limits=Limits(pixels=10_000)) as small, pytest.raises(MediaError, match=f"frames: {words}"):
        small.frames_to_faces(made.nobody()[None], np.zeros(1), max_frames=1, size=16)


def test_decoding_for_longer_than_the_deadline_is_an_error(tmp_path):
    path = made.flac(tmp_path / "a.flac", 60, claimed=0)
    with (
        MediaReader(limits=Limits(deadline=0.001)) as hasty,
        pytest.raises(MediaError, match=r"a\.flac: decoding took more than 0\.001 s"),
    ):
        hasty.audio(path)


def test_a_file_that_needs_too_much_memory_is_an_error_and_the_next_file_works(victim, tmp_path, short):
    path = put(tmp_path, "a.png", made.saved(Image.new("RGB", (2500, 2500))))
    with pytest.raises(MediaError, match=r"a\.png: .* needs more than 24 MB"):
        victim.faces(path, max_frames=1, size=16)
    assert len(victim.audio(short).samples) == 1600


def test_a_child_keeps_the_limits_it_was_started_with(reader, short):
    child = child_of(reader, short)
    table = Path(f"/proc/{child.pid}/limits").read_text().splitlines()
    limits = {line[:26].strip(): line[26:].split()[0] for line in table}
    assert limits["Max core file size"] == limits["Max file size"] == "0"
    assert int(limits["Max address space"]) < child.memory_info().vms + (1 << 30) + (1 << 28)
    assert float(limits["Max cpu time"]) < sum(child.cpu_times()[:2]) + 20 + 3


def test_settings_that_make_no_sense_are_refused(reader, tmp_path, short):
    for workers in (0, 9):
        with pytest.raises(ValueError, match=f"workers must be 1 to 8, got {workers}"):
            MediaReader(workers=workers)
    with pytest.raises(ValueError, match="max_frames and size must be at least 1"):
        reader.faces(short, max_frames=0, size=8)
    with pytest.raises(ValueError, match="frames must be"):
        reader.frames_to_faces(np.zeros((1, 8, 8)), np.zeros(1), max_frames=1, size=8)
    with pytest.raises(ValueError, match="times must be 1 finite seconds"):
        reader.frames_to_faces(np.zeros((1, 8, 8, 3), np.uint8), np.full(1, np.nan), max_frames=1, size=8)
    with pytest.raises(ValueError, match="no such file"):
        MediaReader(face_model=tmp_path / "yunet.onnx")
    with MediaReader(face_model=short) as reader, pytest.raises(ValueError, match="not a YuNet model"):
        reader.audio(short)


def with_chunks(chunks: list[tuple[bytes, bytes]], size: int = 64) -> bytes:
    """A PNG with more chunks before its picture."""
    whole = made.saved(made.portrait(size))
    parts = [struct.pack("!I", len(d)) + k + d + struct.pack("!I", zlib.crc32(k + d)) for k, d in chunks]
    return whole[:33] + b"".join(parts) + whole[33:]


WORDY = {
    "many notes": [(b"tEXt", b"k%d\0a" % i) for i in range(20_000)],
    "long notes": [(b"tEXt", b"k%d\0" % i + b"a" * 1_000_000) for i in range(20)],
    "international notes": [(b"iTXt", b"k\0\0\0\0\0" + b"a" * 2_000_000)],
    "many chunks of no kind": [(b"abCd", b"")] * 200_000,
}


@pytest.mark.parametrize("name", WORDY)
def test_a_picture_that_is_mostly_text_is_refused_at_once(reader, tmp_path, name):
    path = put(tmp_path, "a.png", with_chunks(WORDY[name]))
    started = time.monotonic()
    with pytest.raises(MediaError, match=r"a\.png: holds more text than picture"):
        reader.faces(path, max_frames=1, size=32)
    assert time.monotonic() - started < 5


def test_text_that_is_packed_to_a_thousandth_takes_no_more_memory_than_a_picture_may(victim, tmp_path, short):
    path = put(tmp_path, "a.png", with_chunks([(b"zTXt", b"k\0\0" + zlib.compress(b"a" * 300_000_000, 9))]))
    child = child_of(victim, short)
    before = child.memory_info().rss
    taken, over = [before], threading.Event()

    def watch() -> None:
        while not over.wait(0.005) and child.is_running():
            taken.append(child.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    with suppress(MediaError):  # read or refused
        victim.faces(path, max_frames=1, size=32)
    over.set()
    thread.join()
    assert max(taken) - before < 260 << 20


@pytest.fixture(scope="module")
def usual():
    """A reader with the limits that everybody has."""
    with MediaReader() as opened:
        yield opened


def test_a_few_notes_and_a_large_picture_are_fine(usual, tmp_path):
    path = put(tmp_path, "a.png", with_chunks([(b"tEXt", b"Author\0somebody")] * 3))
    assert len(usual.faces(path, max_frames=1, size=32).times) == 1
    Image.new("RGB", (7000, 7000)).save(tmp_path / "large.png", compress_level=1)
    assert usual.faces(tmp_path / "large.png", max_frames=1, size=32).note == f"no face in 1 frame ({faces.LOOKED_FOR})"


def test_sound_that_unfolds_to_far_more_than_its_file_can_hold_is_refused(usual, tmp_path):
    """20 s of a decoder for 71 kB before."""
    path = tmp_path / "a.flac"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=192_000, layout="7.1", format="s16", options={"frame_size": "65535"})
        for at in range(176):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 8 * 65535), np.int16), "s16", "7.1")
            frame.sample_rate, frame.pts = 192_000, at * 65535
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert path.stat().st_size < 60_000
    with pytest.raises(MediaError, match=r"a\.flac: unfolds to far more sound than recordings of its size hold"):
        usual.audio(path)
    with pytest.raises(MediaError, match=r"a\.flac: unfolds to far more sound"):
        usual.audio(path, start=50, end=55)


def test_ten_minutes_of_silence_in_a_small_file_are_honest(usual, tmp_path):
    path = made.write_sound(tmp_path / "a.ogg", np.zeros((2, 590 * 48_000), np.float32), 48_000, "libopus", "ogg")
    assert path.stat().st_size < 200_000
    assert usual.audio(path).note == "silent"
