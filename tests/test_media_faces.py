"""Faces in pictures: found, followed and cut out, and none made up."""

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image

import media_fixtures as made
from emobraid.decoding import blazeface, faces
from media_fixtures import put

reader = made.reader


LOOKED_FOR = " (looked for faces from a twentieth of the longer side on, tilted by up to 45 degrees)"


def eyes_in(crop: np.ndarray) -> np.ndarray:
    """(3, 2) eyes and mouth as parts of a square crop."""
    found = blazeface.BlazeFace().find(cv2.copyMakeBorder(crop, 48, 48, 48, 48, cv2.BORDER_REPLICATE))
    return (found[0] - 48) / len(crop)


@pytest.mark.parametrize("size", [48, 96, 126])
def test_the_crop_is_a_square_around_the_face_with_level_eyes(reader, tmp_path, size):
    picture = made.portrait(256)
    crop = reader.faces(put(tmp_path, "a.png", made.saved(picture)), max_frames=1, size=size).crops[0]
    assert crop.shape == (size, size, 3)
    if size > 48:
        left, right, mouth = eyes_in(crop)
        assert abs(left[1] - right[1]) < 0.03
        # her eyes are 3 degrees from level in the picture; the middle of the face is the middle of the crop
        assert np.allclose([(left[0] + right[0]) / 2, left[1], mouth[1]], [0.5, 0.41, 0.75], atol=0.06)


@pytest.mark.parametrize("tilt", [-45, -30, -20, 20, 30, 45])
def test_a_tilted_face_is_found_and_levelled(tilt):
    picture = made.portrait(256)
    turn = cv2.getRotationMatrix2D((128, 110), tilt, 1)
    tilted = cv2.warpAffine(picture, turn, (256, 256), borderMode=cv2.BORDER_REPLICATE)
    upright, crop = (faces.crop_of(p, 96, faces.blazeface()) for p in (picture, tilted))
    assert np.abs(upright.astype(int) - crop).mean() < 12  # of 255; 35 when it is not levelled


@pytest.mark.parametrize("part", [0.05, 0.08, 0.12, 0.3])
def test_a_small_face_is_found_where_it_is(part):
    scene = np.full((720, 1280, 3), (120, 140, 110), np.uint8)
    side = round(1280 * part / 0.39)  # her face takes 39 % of the portrait
    side = min(side, 720)
    scene[:side, 200 : 200 + side] = made.portrait(side)
    boxes, _ = faces.searched([scene], faces.blazeface())
    x, y, width, _, _ = boxes[0]
    assert abs(x + width / 2 - (200 + 0.5 * side)) < 0.1 * side
    assert abs(y + width / 2 - 0.45 * side) < 0.1 * side
    assert width == pytest.approx(0.39 * side, rel=0.2)


def test_pictures_of_things_hold_no_face():
    """Of 500 such pictures two were taken for one, see docs/results.md."""
    detect, draw = faces.blazeface(), np.random.default_rng(0)
    noise = draw.integers(0, 256, (240, 320, 3), dtype=np.uint8)
    written = np.full((240, 320, 3), 255, np.uint8)
    for line in range(6):
        cv2.putText(written, "oO (8:) %@& oO", (5, 40 * line + 30), cv2.FONT_HERSHEY_COMPLEX, 1.0, (0, 0, 0), 2)
    things = [skimage.data.coffee(), skimage.data.chelsea(), *map(cv2.cvtColor, things_in_grey(), [8, 8, 8])]
    assert [len(faces.searched([image], detect)[0]) for image in [noise, written, *things]] == [0] * (2 + len(things))


def things_in_grey() -> list[np.ndarray]:
    return [skimage.data.brick(), skimage.data.gravel(), skimage.data.moon()]


@pytest.mark.parametrize("image", [np.zeros((96, 96, 3), np.uint8), made.nobody()], ids=["black", "coffee"])
def test_where_there_is_no_face_none_is_made_up(reader, tmp_path, image):
    faces = reader.faces(made.write_video(tmp_path / "a.mp4", [image] * 6), max_frames=30, size=24)
    assert (faces.crops.shape, faces.times.shape, faces.note) == (
        (0, 24, 24, 3),
        (0,),
        "no face in 6 frames" + LOOKED_FOR,
    )


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
    path = put(tmp_path, "a.png", made.saved(tight))
    assert len(reader.faces(path, max_frames=1, size=48).crops) == 1


def test_a_crop_beyond_the_edge_repeats_the_last_pixels():
    image = np.repeat(np.arange(10, dtype=np.uint8)[None, :, None], 10, axis=0).repeat(3, axis=2)  # value = column
    # a box of 10 from -5 to 5 with 15 % on every side is 13 wide and goes from -6.5 to 6.5
    crop = faces.crop(image, np.array([-5.0, 0.0, 10.0, 10.0, 0.0]), 13)
    assert np.abs(crop[0, :, 0] - (np.arange(13) - 6.5).clip(0, 9)).max() <= 0.5


def test_frames_in_memory_give_the_same_faces_as_a_file(reader, tmp_path):
    picture = made.portrait()
    path = put(tmp_path, "a.png", made.saved(picture))
    want = reader.faces(path, max_frames=1, size=48).crops
    got = reader.frames_to_faces(np.stack([picture] * 4), np.array([3.0, 1.0, 2.0, 4.0]), max_frames=2, size=48)
    assert got.times.tolist() == [2.0, 4.0]
    assert np.array_equal(got.crops[0], want[0])
    none = reader.frames_to_faces(np.empty((0, 8, 8, 3), np.uint8), np.empty(0), max_frames=2, size=48)
    assert (none.crops.shape, none.note) == ((0, 48, 48, 3), "no frames")
