"""What becomes of files that are no media at all, strangely named, damaged or cut short."""

import os
import socket
from pathlib import Path

import numpy as np
import pytest

import media_fixtures as made
from emobraid.decoding import tracks
from emobraid.media import SAMPLE_RATE, MediaError
from media_fixtures import put

reader, short = made.reader, made.short

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
