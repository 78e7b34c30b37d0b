"""Which pictures of a film are read and at what times, and that they stand upright."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

import media_fixtures as made
from emobraid.decoding import pictures as films
from emobraid.decoding import tracks
from emobraid.media import SAMPLE_RATE
from emobraid.media.frames import evenly
from media_fixtures import put

reader = made.reader


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


def test_faces_come_at_even_times_with_the_sound_of_the_clip(reader, tmp_path):
    path = made.write_video(tmp_path / "a.mp4", [made.portrait()] * 30, sound=made.tone(3, 48_000))
    audio, faces = reader.both(path, max_frames=10, size=48)
    assert abs(len(audio.samples) - 3 * SAMPLE_RATE) < 1500
    assert (faces.crops.shape, faces.crops.dtype, faces.times.dtype) == ((10, 48, 48, 3), np.uint8, np.float32)
    # 30 frames at 0, 0.1, ... 2.9 s; ten parts of 0.3 s have their middles at 0.15, 0.45, ...
    assert np.abs(faces.times - (0.15 + 0.3 * np.arange(10))).max() < 0.051
    assert (audio.note, faces.note) == ("", "")


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
    assert np.abs(want.crops.astype(int) - got.crops).mean() <= 1.5  # its eyes are found to a part of a pixel
    assert audio.note == "no audio track"
