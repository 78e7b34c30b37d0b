"""Sound and faces out of files, and what becomes of files that are damaged, hostile or no media at all."""

import gc
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from PIL import Image, ImageOps

import media_fixtures as made
from emobraid.decoding import faces, tracks
from emobraid.decoding import pictures as films
from emobraid.media import (
    SAMPLE_RATE,
    Limits,
    MediaError,
    MediaReader,
    ProtocolError,
    bounded,
    environment,
    evenly,
    receive,
    send,
)


@pytest.fixture(scope="module")
def reader() -> Iterator[MediaReader]:
    with MediaReader() as reader:
        yield reader


@pytest.fixture(scope="module")
def victim(tmp_path_factory) -> Iterator[MediaReader]:
    """A reader with tight limits, for tests that cost it its child."""
    with MediaReader(limits=Limits(seconds=20, deadline=4.0, memory=24 << 20)) as reader:
        reader.audio(put(tmp_path_factory.mktemp("victim"), "a.wav", made.wav(made.tone(0.1, 16_000))))
        yield reader


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """A tenth of a second of sound."""
    (tmp_path / "short.wav").write_bytes(made.wav(made.tone(0.1, 16_000)))
    return tmp_path / "short.wav"


def put(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def children() -> set[psutil.Process]:
    living = psutil.Process().children()
    return {child for child in living if child.status() != psutil.STATUS_ZOMBIE}


def child_of(reader: MediaReader, path: Path) -> psutil.Process:
    """The child that reads `path` for a reader of one worker."""
    reader.audio(path)
    return psutil.Process(reader._decoders[0]._process.pid)


def pictures(path: Path, count: int = 30, **limits: float) -> tuple[list[np.ndarray], list[float], np.ndarray]:
    """What a child makes of a video before it looks for faces, read here: pictures, times, packets decoded."""
    request = {"pixels": 10**8, "seconds": 600.0, "memory": 1 << 30, "faces": {"max_frames": count}} | limits
    with path.open("rb", buffering=0) as file:
        with tracks.opened(file, request) as container:
            track = tracks.Track(container, container.streams.video[0], request["seconds"])
            wanted, fed = films.plan(*films.survey(track, request["seconds"]), count)
        with tracks.opened(file, request) as container:
            track = tracks.Track(container, container.streams.video[0], request["seconds"])
            return *films.grab(track, wanted, fed, request), fed


# --- Sound


@pytest.mark.parametrize("codec", ["u8", "s16le", "s24le", "s32le", "s64le", "f32le", "f64le", "mulaw"])
def test_every_sample_format_gives_the_same_wave(reader, tmp_path, codec):
    path = made.write_sound(tmp_path / "a.wav", made.tone(0.5, 16_000)[None], 16_000, f"pcm_{codec}")
    samples, note = reader.audio(path)
    assert (samples.dtype, samples.shape, note) == (np.float32, (8000,), "")
    # a step of 8 bits is 1/128; of mu-law, up to 1/32 at this level
    assert np.abs(samples - made.tone(0.5, 16_000)).max() < {"u8": 1 / 128, "mulaw": 1 / 32}.get(codec, 1e-4)


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44_100, 2), (96_000, 8)])
def test_any_rate_and_number_of_channels_becomes_16_khz_mono(reader, tmp_path, rate, channels):
    path = put(tmp_path, "a.wav", made.wav(np.stack([made.tone(1, rate)] * channels, axis=1), rate))
    samples, note = reader.audio(path)
    assert note == ""
    assert len(samples) == SAMPLE_RATE
    assert np.abs(samples - made.tone(1, SAMPLE_RATE))[500:-500].max() < 1e-3


def test_what_16_khz_cannot_hold_is_gone_and_not_folded_back(reader, tmp_path):
    mixed = made.tone(1, 48_000) + made.tone(1, 48_000, 9000.0)  # 9 kHz would come back as 7 kHz
    samples, _ = reader.audio(put(tmp_path, "a.wav", made.wav(mixed * 0.9, 48_000)))
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))  # a bin is 1 Hz
    assert spectrum.argmax() == 440
    assert spectrum[6900:7100].max() < 1e-4 * spectrum[440]


@pytest.mark.parametrize(
    "path",
    ["a.flac flac 16000", "a.mp3 libmp3lame 16000", "a.m4a aac 16000", "a.opus libopus 48000", "a.mka libopus 48000"],
)
def test_compressed_sound_is_told_by_its_content_whatever_the_name(reader, tmp_path, path):
    name, codec, rate = path.split()
    made.write_sound(tmp_path / name, made.tone(1, int(rate))[None], int(rate), codec)
    renamed = (tmp_path / name).rename(tmp_path / "voice.png")
    samples, note = reader.audio(renamed)
    assert note == ""
    assert abs(len(samples) - SAMPLE_RATE) < 1000
    assert abs(samples[4000:12_000].std() - 0.5 / np.sqrt(2)) < 0.02


@pytest.mark.parametrize(
    "samples",
    [np.zeros(16_000), np.full(16_000, 0.5), np.random.default_rng(0).normal(0, 1e-4, 16_000)],
    ids=["zeros", "constant offset", "dither at -80 dB"],
)
def test_silence_is_missing_sound(reader, tmp_path, samples):
    audio = reader.audio(put(tmp_path, "a.wav", made.wav(samples)))
    assert (len(audio.samples), audio.note) == (0, "silent")


@pytest.mark.parametrize(
    ("count", "note"),
    [(0, "the audio track is empty"), (2, "too short (0 ms)"), (160, "too short (10 ms)"), (399, "too short (25 ms)")],
)
def test_less_than_25_ms_is_missing_sound(reader, tmp_path, count, note):
    audio = reader.audio(put(tmp_path, "a.wav", made.wav(made.tone(1, 16_000)[:count])))
    assert (len(audio.samples), audio.note) == (0, note)


def test_25_ms_are_enough(reader, tmp_path):
    assert len(reader.audio(put(tmp_path, "a.wav", made.wav(made.tone(0.025, 16_000)))).samples) == 400


def test_channels_out_of_phase_do_not_cancel_out(reader, tmp_path):
    wave = made.tone(0.5, 16_000)
    samples, note = reader.audio(put(tmp_path, "a.wav", made.wav(np.stack([wave, -wave], axis=1))))
    assert np.abs(samples - wave).max() < 1e-3
    assert note == "the channels cancel out, read the first"


@pytest.mark.parametrize("wild", [np.nan, np.inf, -np.inf, 1e30])
def test_wild_values_are_cleaned_with_a_note(reader, tmp_path, wild):
    wave = made.tone(0.5, 16_000)
    spoilt = np.where(np.arange(8000) % 1000 == 0, wild, wave)
    samples, note = reader.audio(put(tmp_path, "a.wav", made.wav(spoilt, kind="<f4")))
    assert np.array_equal(samples, np.where(np.arange(8000) % 1000 == 0, 0, wave))
    assert note == "values that are not a number, or far too large, were set to 0"


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF])
def test_a_wav_header_that_lies_about_its_size_is_not_believed(reader, tmp_path, size):
    wave = made.tone(0.5, 16_000)
    assert len(reader.audio(put(tmp_path, "a.wav", made.wav(wave, size=size))).samples) == 8000
    tiny = put(tmp_path, "b.wav", made.wav(wave[:15], size=size))  # 74 bytes in all
    assert tiny.stat().st_size == 74
    assert reader.audio(tiny).note == "too short (1 ms)"


def test_a_wav_that_was_cut_says_so(reader, tmp_path):
    whole = made.wav(made.tone(2, 16_000))
    samples, note = reader.audio(put(tmp_path, "a.wav", whole[: 44 + 2 * 19_200]))
    assert (len(samples), note) == (19_200, "cut short at 1.2 of 2.0 s")


def test_a_flac_that_was_cut_says_so(reader, tmp_path):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 32_000)).astype(np.float32)
    path = made.write_sound(tmp_path / "a.flac", noise, 16_000, "flac")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    samples, note = reader.audio(path)
    assert 8000 < len(samples) < 20_000
    assert note == f"cut short at {len(samples) / SAMPLE_RATE:.1f} of 2.0 s"


# --- Limits


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
        films.look(file, request, faces.haar())
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


# --- Files that are no media


STRANGERS = {
    "a.wav": (b"To be or not to be\n" * 100, "plain text"),
    "page.mp4": (b"\xef\xbb\xbf\n<!DOCTYPE HTML><html><body>Log in", "a web page"),
    "lfs.mp4": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "zip.wav": (b"PK\x03\x04" + bytes(900), "a ZIP archive; unpack it"),
    "list.mp4": (b"#EXTM3U\n#EXTINF:1,\n/etc/hostname\n", "a playlist"),
    "concat.mp4": (b"ffconcat version 1.0\nfile /etc/hostname\n", "a playlist"),
    "dash.mp4": (b"<MPD xmlns='urn:mpeg:dash:schema:mpd:2011'/>", "a playlist"),
    "call.mp4": (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=audio 4000 RTP/AVP 0\r\n", "a session description"),
    "drawing.png": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
    "subtitles.mkv": (b"1\n00:00:01,000 --> 00:00:02,000\nHello\n", "plain text"),
    "empty.wav": (b"", "empty file"),
    "zeros.wav": (bytes(5000), "no sound, video or picture in a format we know"),
    "random.mp3": (bytes(np.random.default_rng(0).integers(0, 256, 9000, dtype=np.uint8)), "in a format we know"),
    "magic.wav": (b"RIFF", "looks like WAV, AVI or WebP, but is damaged or cut off"),
    "header.wav": (made.wav(made.tone(1, 16_000))[:30], "looks like WAV"),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_a_file_that_is_no_media_is_named_with_what_it_looks_like(reader, tmp_path, name):
    data, words = STRANGERS[name]
    path = put(tmp_path, name, data)
    with pytest.raises(MediaError) as raised:
        reader.both(path, max_frames=2, size=16)
    assert str(raised.value).startswith(f"{path}: ")
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("formats", [tracks.FORMATS, tracks.FORMATS + ",hls,concat"])
@pytest.mark.parametrize("playlist", ["ffconcat version 1.0\nfile {}\n", "#EXTM3U\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"])
def test_a_playlist_opens_no_other_file_even_if_its_format_were_allowed(
    monkeypatch, tmp_path, short, formats, playlist
):
    monkeypatch.setattr(tracks, "FORMATS", formats)
    path = put(tmp_path, "a.mp4", playlist.format(short).encode())
    with (
        path.open("rb", buffering=0) as file,
        pytest.raises(tracks.Refused, match="plain text"),
        tracks.opened(file, {"pixels": 1000}) as container,
    ):
        list(container.demux())


def test_only_regular_files_are_opened(reader, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder").symlink_to(".")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tmp_path / "socket"))
    cases = {
        tmp_path: "a folder, not a regular file",
        tmp_path / "folder": "a folder, not a regular file",
        tmp_path / "pipe": "a named pipe, not a regular file",
        tmp_path / "socket": "a socket, not a regular file",
        Path("/dev/zero"): "a device, not a regular file",
        tmp_path / "dangling": "a link to a file that does not exist",
        tmp_path / "loop": "too many levels of symbolic links",
        tmp_path / "missing.wav": "no such file",
        tmp_path / ("x" * 300): "file name too long",
        tmp_path / "nul\0": "not a file name",
    }
    for path, words in cases.items():
        with pytest.raises(MediaError, match=words):
            reader.audio(path)


@pytest.mark.parametrize(
    "name",
    ["-i.wav", "%03d.wav", "concat:a|b.wav", "$(touch x).wav", "http:__a.wav", "\N{GRINNING FACE}.wav", "a\nb.wav"],
)
def test_a_strange_name_is_only_a_name(reader, tmp_path, short, name):
    assert len(reader.audio(short.rename(tmp_path / name)).samples) == 1600


def test_a_link_to_a_regular_file_is_followed(reader, tmp_path, short):
    (tmp_path / "link.wav").symlink_to(short)
    assert len(reader.audio(tmp_path / "link.wav").samples) == 1600


def test_a_line_feed_in_a_name_does_not_break_the_message(reader, tmp_path):
    with pytest.raises(MediaError) as raised:
        reader.audio(put(tmp_path, "a\nb.wav", b""))
    assert "\n" not in str(raised.value)
    assert str(raised.value).endswith("a\\nb.wav': empty file (0 bytes)")


# --- Video


def test_faces_come_at_even_times_with_the_sound_of_the_clip(reader, tmp_path):
    path = made.write_video(tmp_path / "a.mp4", [made.portrait()] * 30, sound=made.tone(3, 48_000))
    audio, faces = reader.both(path, max_frames=10, size=48)
    assert abs(len(audio.samples) - 3 * SAMPLE_RATE) < 1500
    assert (faces.crops.shape, faces.crops.dtype, faces.times.dtype) == ((10, 48, 48, 3), np.uint8, np.float32)
    # 30 frames at 0, 0.1, ... 2.9 s; ten parts of 0.3 s have their middles at 0.15, 0.45, ...
    assert np.abs(faces.times - (0.15 + 0.3 * np.arange(10))).max() < 0.051
    assert (audio.note, faces.note) == ("", "")


def test_the_crop_is_a_square_around_the_face(reader, tmp_path):
    picture = made.portrait(256)
    crop = reader.faces(put(tmp_path, "a.png", made.saved(picture)), max_frames=1, size=126).crops[0]
    # the detector sees her face in 97 pixels from (79, 66), so with 15 % on every side, in 126 from about (64, 52)
    places = [(y, x) for y in range(48, 57) for x in range(60, 69)]
    errors = [np.abs(picture[y : y + 126, x : x + 126].astype(int) - crop).mean() for y, x in places]
    assert min(errors) == 0
    y, x = places[int(np.argmin(errors))]
    assert y < 105 < 135 < y + 126  # her eyes and her mouth
    assert x < 112 < 144 < x + 126


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_the_rotation_tag_of_a_phone_is_applied(reader, tmp_path, quarter_turns):
    turned = [np.rot90(made.portrait(), quarter_turns)] * 2  # anticlockwise, and the tag turns it back
    path = made.write_video(tmp_path / "phone.mp4", turned, rotation=-90 * quarter_turns)
    for picture in pictures(path)[0]:
        assert np.abs(picture.astype(int) - made.portrait()).mean() < 5
    assert len(reader.faces(path, max_frames=2, size=48).crops) == 2


def test_the_matrix_of_a_portrait_video_turns_it_clockwise():
    # what a phone writes when held upright: x' = -y, y' = x, with y pointing down
    matrix = np.array([[0, 65536, 0], [-65536, 0, 0], [0, 0, 1 << 30]])
    image = np.arange(6 * 3, dtype=np.uint8).reshape(2, 3, 3)
    assert np.array_equal(films.turned(image, matrix), np.rot90(image, -1))
    mirror = np.array([[-65536, 0, 0], [0, 65536, 0], [0, 0, 1 << 30]])
    assert np.array_equal(films.turned(image, mirror), image[:, ::-1])


ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_exif_orientation_gives_the_upright_face(reader, tmp_path, orientation):
    upright = Image.fromarray(made.portrait())
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = made.saved(upright.transpose(ORIENTATIONS[orientation]), "PNG", exif=exif)
    path = put(tmp_path, "a.png", stored)
    with Image.open(path) as picture:
        assert np.array_equal(np.asarray(ImageOps.exif_transpose(picture)), made.portrait())
    want = reader.faces(put(tmp_path, "b.png", made.saved(upright)), max_frames=1, size=48)
    got = reader.faces(path, max_frames=1, size=48)
    assert np.array_equal(want.crops, got.crops)
    jpeg = made.saved(upright.transpose(ORIENTATIONS[orientation]), "JPEG", exif=exif, quality=95)
    (picture,), _, _ = pictures(put(tmp_path, "a.jpg", jpeg))
    assert np.abs(picture.astype(int) - made.portrait()).mean() < 3


@pytest.mark.parametrize("kind", ["16-bit", "alpha", "palette"])
def test_a_grey_picture_of_any_depth_gives_the_same_crop_as_8_bits(reader, tmp_path, kind):
    grey = Image.fromarray(made.portrait()).convert("L")
    deep = np.asarray(grey).astype(np.uint16) * 257
    other = {"16-bit": deep, "alpha": grey.convert("LA"), "palette": grey.convert("P")}[kind]
    want = reader.faces(put(tmp_path, "a.png", made.saved(grey)), max_frames=1, size=48)
    audio, got = reader.both(put(tmp_path, "b.png", made.saved(other)), max_frames=1, size=48)
    assert len(got.crops) == 1
    assert got.times.tolist() == [0.0]
    assert np.abs(want.crops.astype(int) - got.crops).max() <= 1
    assert audio.note == "no audio track"


@pytest.mark.parametrize("container", ["webm", "mp4"])
def test_a_browser_recording_without_a_duration_is_read(reader, tmp_path, container):
    options = {"live": "1"} if container == "webm" else {"movflags": "frag_keyframe+empty_moov"}
    codec = "libvpx" if container == "webm" else "libx264"
    path = tmp_path / "a"
    sound = made.tone(1, 48_000)
    made.write_video(path, [made.portrait()] * 10, codec=codec, container=container, options=options, sound=sound)
    audio, faces = reader.both(path, max_frames=5, size=32)
    assert abs(len(audio.samples) - SAMPLE_RATE) < 1500
    assert len(faces.crops) == 5
    assert np.isfinite(faces.times).all()
    assert np.abs(faces.times - (0.1 + 0.2 * np.arange(5))).max() < 0.051


def test_frames_are_chosen_by_time_and_not_by_number(reader, tmp_path):
    stamps = [0, 10, 20, 30, 40, 50, 60, 70, 1000, 2000, 3000, 4000]  # ms: a burst, then one a second
    images = [made.portrait()] * len(stamps)
    path = tmp_path / "a.webm"
    made.write_video(path, images, codec="libvpx", container="webm", stamps=stamps)
    times = reader.faces(path, max_frames=4, size=16).times
    # the span, 4.36 s with the length of a mean frame, in four parts: middles at 0.55, 1.64, 2.73, 3.82 s
    assert times.tolist() == [1.0, 2.0, 3.0, 4.0]


def test_evenly_takes_the_nearest_to_the_middles_of_equal_parts():
    # ten times, 0 to 9 s, as 10 s in two parts: 2.5 and 7.5 s; of two equally near, the later
    assert evenly(np.arange(10.0), 2).tolist() == [3, 8]
    assert evenly(np.arange(3.0), 5).tolist() == [0, 1, 2]
    assert evenly(np.empty(0), 5).tolist() == []
    assert evenly(np.zeros(4), 2).tolist() in ([0], [1], [2], [3])  # a file may give all frames one time


def test_only_the_groups_of_pictures_that_hold_a_wanted_frame_are_decoded():
    times = np.arange(100.0)
    keys = times % 25 == 0  # four groups; two frames are wanted, at 25 and at 75
    wanted, fed = films.plan(times, keys, 2)
    assert wanted.tolist() == [25, 75]
    assert np.flatnonzero(fed).tolist() == [25, 75]  # both are key frames, or next to one
    keys = times == 0
    wanted, fed = films.plan(times, keys, 2)
    assert wanted.tolist() == [25, 75]
    assert fed.all()
    keys = np.isin(times, [0, 60])
    wanted, fed = films.plan(times, keys, 10)  # from 5 to 95 in steps of 10: all groups are needed
    assert len(wanted) == 10
    assert fed.all()


def test_passing_over_pictures_changes_no_picture(tmp_path):
    shades = [np.full((64, 64, 3), 4 * i, np.uint8) for i in range(60)]
    images, stamps, fed = pictures(made.write_video(tmp_path / "a.mp4", shades, key_every=6), 4)
    assert len(images) == 4
    assert fed.sum() < 60
    for image, stamp in zip(images, stamps, strict=True):
        assert abs(image.mean() - 40 * stamp) < 3  # ten frames a second, four shades a frame


def test_many_large_frames_are_kept_within_the_memory(tmp_path):
    path = made.write_video(tmp_path / "a.mp4", [made.portrait()] * 4)
    images, _, _ = pictures(path, 4, memory=4 * 4 * 3 * 64 * 64)
    assert [image.shape for image in images] == [(64, 64, 3)] * 4
    assert np.abs(images[0].astype(int) - made.portrait(64)).mean() < 5


@pytest.mark.parametrize("image", [np.zeros((96, 96, 3), np.uint8), made.nobody()], ids=["black", "coffee"])
def test_where_there_is_no_face_none_is_made_up(reader, tmp_path, image):
    faces = reader.faces(made.write_video(tmp_path / "a.mp4", [image] * 6), max_frames=30, size=24)
    assert (faces.crops.shape, faces.times.shape, faces.note) == ((0, 24, 24, 3), (0,), "no face in 6 frames")


def test_a_face_that_leaves_is_read_while_it_is_there(reader, tmp_path):
    images = [made.portrait()] * 15 + [made.nobody()] * 15
    faces = reader.faces(made.write_video(tmp_path / "a.mp4", images), max_frames=30, size=24)
    # looked for in every third frame: seen in frames 0 to 12, held for one more
    assert faces.note == "face in 14 of 30 frames"
    assert np.allclose(faces.times, np.arange(14) / 10)


def test_of_two_faces_the_larger_is_followed(reader, tmp_path):
    large = made.portrait(256)
    small = np.asarray(Image.fromarray(large).resize((160, 160)))
    scenes = []
    for step in range(12):  # the large one moves from left to right over the small one's height
        scene = np.full((300, 500, 3), 200, np.uint8)
        scene[0:256, 10 + 4 * step : 266 + 4 * step] = large
        scene[100:260, 330:490] = small
        scenes.append(scene)
    got = reader.frames_to_faces(np.stack(scenes), np.arange(12) / 10, max_frames=12, size=48)
    alone = reader.frames_to_faces(large[None], np.zeros(1), max_frames=1, size=48)
    assert got.note == "2 faces, read the largest"
    assert len(got.crops) == 12
    assert np.abs(got.crops.astype(int) - alone.crops).mean(axis=(1, 2, 3)).max() < 25


def test_a_picture_that_is_a_tight_crop_of_a_face_is_found(reader, tmp_path):
    tight = made.portrait(256)[70:152, 82:164]
    assert not len(faces.haar()(tight, faces.SMALLEST_FACE))
    path = put(tmp_path, "a.png", made.saved(tight))
    assert len(reader.faces(path, max_frames=1, size=48).crops) == 1


def test_a_crop_beyond_the_edge_repeats_the_last_pixels():
    image = np.repeat(np.arange(10, dtype=np.uint8)[None, :, None], 10, axis=0).repeat(3, axis=2)  # value = column
    # a box of 10 from -5 to 5 with 15 % on every side is 13 wide and begins at -6
    crop = faces.crop(image, np.array([-5.0, 0.0, 10.0, 10.0]), 13)
    assert crop[0, :, 0].tolist() == [0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6]


def test_frames_in_memory_give_the_same_faces_as_a_file(reader, tmp_path):
    picture = made.portrait()
    path = put(tmp_path, "a.png", made.saved(picture))
    want = reader.faces(path, max_frames=1, size=48).crops
    got = reader.frames_to_faces(np.stack([picture] * 4), np.array([3.0, 1.0, 2.0, 4.0]), max_frames=2, size=48)
    assert got.times.tolist() == [2.0, 4.0]
    assert np.array_equal(got.crops[0], want[0])
    none = reader.frames_to_faces(np.empty((0, 8, 8, 3), np.uint8), np.empty(0), max_frames=2, size=48)
    assert (none.crops.shape, none.note) == ((0, 48, 48, 3), "no frames")


def test_a_missing_track_is_told_apart_from_a_damaged_file(reader, tmp_path):
    silent = made.write_video(tmp_path / "silent.mp4", [made.portrait()] * 2)
    assert reader.audio(silent).note == "no audio track"
    blind = put(tmp_path, "blind.wav", made.wav(made.tone(0.1, 16_000)))
    assert reader.faces(blind, max_frames=2, size=16).note == "no video track"


def test_a_cover_picture_is_no_video(reader, tmp_path):
    # an ID3 tag with a picture of a face, before silence in MP3
    sound = made.write_sound(tmp_path / "a.mp3", made.tone(0.5, 16_000)[None], 16_000, "libmp3lame").read_bytes()
    picture = b"\x00image/jpeg\x00\x03\x00" + made.saved(made.portrait(), "JPEG")
    frame = b"APIC" + len(picture).to_bytes(4, "big") + b"\0\0" + picture
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    audio, faces = reader.both(put(tmp_path, "b.mp3", b"ID3\x03\0\0" + size + frame + sound), max_frames=2, size=16)
    assert len(audio.samples)
    assert faces.note == "no video track, only a cover picture"


def test_an_mp4_that_was_cut_is_read_as_far_as_it_goes(reader, tmp_path):
    path = tmp_path / "a.mp4"
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 96_000).astype(np.float32)
    made.write_video(path, [made.portrait()] * 20, sound=sound, options={"movflags": "faststart"}, key_every=1)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    audio, faces = reader.both(path, max_frames=20, size=16)
    assert 0 < len(audio.samples) < 1.8 * SAMPLE_RATE
    assert 0 < len(faces.crops) < 18
    assert audio.note.startswith("cut short at 1.")
    assert faces.note.startswith("cut short at 1.")
    assert faces.note.endswith("of 2.0 s")


def test_an_mp4_without_its_index_is_damaged(reader, tmp_path):
    path = made.write_video(tmp_path / "a.mp4", [made.portrait()] * 4)
    path.write_bytes(path.read_bytes()[:-1000])  # the index comes last
    with pytest.raises(MediaError, match="looks like MP4 or MOV, but is damaged or cut off"):
        reader.faces(path, max_frames=4, size=16)


def test_damage_gives_a_reading_or_one_clear_error(reader, tmp_path):
    path = made.write_video(tmp_path / "a.mp4", [made.portrait()] * 4, sound=made.tone(0.4, 48_000))
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    errors = []
    for turn in range(16):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), 8):
            damaged[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged[: -200 if turn % 4 == 0 else None])
        try:
            audio, faces = reader.both(path, max_frames=2, size=16)
        except MediaError as error:
            errors.append(str(error))
        else:
            assert np.isfinite(audio.samples).all()
            assert np.isfinite(faces.times).all()
    assert 0 < len(errors) < 16
    assert all(error.startswith(f"{path}: ") and "Error" not in error for error in errors)


# --- The children


def test_a_child_that_is_killed_costs_one_file(victim, short):
    child = child_of(victim, short)
    child.suspend()
    threading.Timer(0.1, child.kill).start()
    with pytest.raises(MediaError, match=r"short\.wav: the decoder died on it \(SIGKILL\)"):
        victim.audio(short)
    assert len(victim.audio(short).samples) == 1600


def test_a_child_that_hangs_is_replaced(victim, short):
    child = child_of(victim, short)
    child.suspend()
    with pytest.raises(MediaError, match=r"short\.wav: decoding took more than 4 s"):
        victim.audio(short)
    assert not child.is_running()
    assert len(victim.audio(short).samples) == 1600


def test_ctrl_c_ends_the_child_and_the_next_file_works(victim, short):
    # a shell that starts us in the background has Ctrl-C ignored
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    child = child_of(victim, short)
    child.suspend()
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        victim.audio(short)
    signal.signal(signal.SIGINT, former)
    assert not child.is_running()
    assert len(victim.audio(short).samples) == 1600


def test_close_ends_the_children_and_a_call_that_waits_for_one(short):
    reader = MediaReader()
    child = child_of(reader, short)
    child.suspend()
    threading.Timer(0.1, reader.close).start()
    with pytest.raises(MediaError, match="closed while reading"):
        reader.audio(short)
    assert not child.is_running()
    with pytest.raises(ValueError, match="closed"):
        reader.audio(short)


def test_a_reader_that_is_forgotten_leaves_no_child(short):
    reader = MediaReader()
    child = child_of(reader, short)
    del reader
    gc.collect()
    assert not child.is_running()


def test_a_parent_that_is_killed_leaves_no_child(tmp_path):
    path = made.flac(tmp_path / "a.flac", 60, claimed=0)
    script = f"""
import psutil
from pathlib import Path
from emobraid.media import MediaReader
reader = MediaReader()
reader.audio(Path({str(path)!r}))
print(psutil.Process().children()[0].pid, flush=True)
while True:
    reader.audio(Path({str(path)!r}))
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    until = time.monotonic() + 10
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE and time.monotonic() < until:
        time.sleep(0.02)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_threads_share_a_reader_without_mixing_answers(tmp_path):
    paths = [put(tmp_path, f"{n}.wav", made.wav(made.tone(0.1 * n, 16_000))) for n in range(1, 9)]
    before = children()
    with MediaReader(workers=2) as reader, ThreadPoolExecutor(4) as threads:
        lengths = list(threads.map(lambda path: len(reader.audio(path).samples), paths * 3))
        assert len(children() - before) == 2
    assert lengths == [1600 * n for n in range(1, 9)] * 3
    assert children() == before


def test_a_reader_works_on_in_a_fork_and_leaves_the_parents_child_alone(reader, tmp_path, short):
    reader.audio(short)
    before = children()
    if not (fork := os.fork()):
        try:
            (tmp_path / "answer").write_text(str(len(reader.audio(short).samples)))
            reader.close()
        finally:
            os._exit(0)
    os.waitpid(fork, 0)
    assert (tmp_path / "answer").read_text() == "1600"
    assert children() == before
    assert len(reader.audio(short).samples) == 1600


def test_a_reader_can_be_sent_to_another_process():
    copy = pickle.loads(pickle.dumps(MediaReader(workers=2, limits=Limits(seconds=5))))
    assert (copy.workers, copy.limits, copy.face_model) == (2, Limits(seconds=5), None)


def test_a_child_never_loads_torch(reader, short):
    child = child_of(reader, short)
    assert not [m.path for m in child.memory_maps() if "torch" in m.path]
    assert [m.path for m in child.memory_maps() if "libavcodec" in m.path]


def test_a_child_gets_no_secrets(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert "hf_secret" not in environment().values()


@pytest.mark.parametrize("message", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x02[]", b"\x00\x00\x00\x02no"])
def test_an_answer_that_is_no_answer_is_refused(message):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(message)
        with pytest.raises(ProtocolError):
            receive(ours, time.monotonic() + 1)


@pytest.mark.parametrize("count", [-1, 11, 3.0, "3", True, None])
def test_a_count_that_no_honest_child_sends_is_refused(count):
    assert bounded({"samples": 10}, "samples", 10) == 10
    with pytest.raises(ProtocolError):
        bounded({"samples": count}, "samples", 10)


def test_what_is_sent_is_received():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(ours, {"samples": 3})
        assert receive(theirs, time.monotonic() + 1) == {"samples": 3}
        with pytest.raises(TimeoutError):
            receive(theirs, time.monotonic() + 0.01)


# --- What a caller may get wrong


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
