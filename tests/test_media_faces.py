"""Faces in pictures: found, followed and cut out, and none made up."""

import numpy as np
import pytest
from PIL import Image

import media_fixtures as made
from emobraid.decoding import faces
from media_fixtures import put

reader = made.reader


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
