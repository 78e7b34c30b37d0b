"""Computational sequences: rows by time, averages worked by hand, and one line for every broken file."""

import contextlib
import json

import h5py
import numpy as np
import pytest

from corpora import refusal
from emobraid.data.csd import CsdCell, Track, average, open_csd

NAN, INF = float("nan"), float("inf")


def write(path, tracks, *, name="COVAREP", metadata=None):
    """`tracks`: (features, intervals) by video."""
    with h5py.File(path, "w") as file:
        data = file.create_group(f"{name}/data")
        for video, (features, intervals) in tracks.items():
            group = data.create_group(video)
            group.create_dataset("features", data=np.asarray(features))
            group.create_dataset("intervals", data=np.asarray(intervals, "f4"))
        for key, value in ({"root name": name} if metadata is None else metadata).items():
            file.create_dataset(f"{name}/metadata/{key}", (1,), dtype=h5py.string_dtype())[0] = json.dumps(value)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.csd"


def track(values, times):
    return Track(np.asarray(values, np.float32), np.asarray(times, np.float64), np.arange(len(values)))


# what is read


def test_a_file_tells_its_name_metadata_and_videos(path):
    write(path, {"b": ([[1.0]], [[0, 1]]), "a": ([[2.0]], [[0, 1]])}, metadata={"dimension names": ["F0"], "x": 3})
    csd = open_csd(path)
    assert (csd.name, csd.videos) == ("COVAREP", ("a", "b"))
    assert csd.metadata == {"dimension names": ["F0"], "x": 3}


def test_rows_come_by_time_with_their_place_in_the_file(path):
    write(path, {"v": ([[30.0], [10.0], [20.0]], [[3, 4], [1, 2], [2, 3]])})
    read = open_csd(path).track("v")
    assert read.values.tolist() == [[10], [20], [30]]
    assert read.times.tolist() == [[1, 2], [2, 3], [3, 4]]
    assert read.places.tolist() == [1, 2, 0]


def test_rows_without_a_time_are_at_no_time(path):
    write(path, {"v": ([[1.0], [2.0], [3.0]], [[NAN, 1], [0, 1], [1, INF]])})
    assert open_csd(path).track("v").values.tolist() == [[2]]


@pytest.mark.parametrize("kind", ["S32", "strings"])
def test_words_are_text_whichever_way_they_are_stored(path, kind):
    words = np.array([[b"sp"], ["déjà".encode()]], "S32")
    words = words if kind == "S32" else np.array([["sp"], ["déjà"]], dtype=h5py.string_dtype())
    with h5py.File(path, "w") as file:
        file.create_dataset("words/data/v/features", data=words, dtype=words.dtype)
        file.create_dataset("words/data/v/intervals", data=np.array([[0, 1], [1, 2]], "f4"))
        file.create_dataset("words/metadata/root name", data=np.array([b'"words"']))
    assert open_csd(path).track("v").values.tolist() == ["sp", "déjà"]


# alignment


def test_a_position_is_the_mean_of_the_rows_that_share_time_with_it():
    #: rows of a quarter second; the word from 0.3 to 0.8 s shares time with those from 0.25, 0.5 and 0.75 s
    rows = track([[1, 10], [2, 20], [4, 40], [9, 90]], [[0, 0.25], [0.25, 0.5], [0.5, 0.75], [0.75, 1.0]])
    assert average(rows, [(0.3, 0.8)]).tolist() == [[5, 50]]
    assert average(rows, [(0.0, 0.5), (0.5, 1.0)]).tolist() == [[1.5, 15], [6.5, 65]]


def test_rows_that_only_touch_a_word_are_not_in_it():
    rows = track([[1], [2], [4]], [[0, 1], [1, 2], [2, 3]])
    assert average(rows, [(1.0, 2.0)]).tolist() == [[2]]


def test_moments_are_in_the_word_that_they_begin():
    rows = track([[1], [2], [4]], [[0, 0], [1, 1], [2, 2]])
    assert average(rows, [(0.0, 1.0), (1.0, 2.0)]).tolist() == [[1], [2]]
    # a word without length is the moment of its start
    assert average(track([[1], [2]], [[0, 1], [1, 2]]), [(1.0, 1.0)]).tolist() == [[2]]


def test_a_word_without_rows_is_no_position_and_never_zeros():
    rows = track([[1.0, 2.0]], [[0, 1]])
    assert average(rows, [(0.0, 1.0), (5.0, 6.0)]).tolist() == [[1, 2]]
    assert average(rows, [(5.0, 6.0)]).shape == (0, 2)
    assert average(rows, []).shape == (0, 2)


def test_infinities_and_nan_do_not_count_in_a_mean():
    rows = track([[-INF, 1, NAN], [3, 2, NAN], [5, NAN, INF]], [[0, 1], [1, 2], [2, 3]])
    mean = average(rows, [(0.0, 3.0)])
    np.testing.assert_array_equal(mean, [[4, 1.5, NAN]])


def test_a_cell_gives_the_rows_of_its_utterance_or_its_positions(path):
    write(path, {"v": ([[1.0], [3.0], [5.0], [7.0]], [[0, 1], [1, 2], [2, 3], [3, 4]])})
    assert CsdCell(path, "COVAREP", "v", (1.0, 3.0), None).load().tolist() == [[3], [5]]
    assert CsdCell(path, "COVAREP", "v", (1.0, 3.0), ((1.0, 3.0),)).load().tolist() == [[4]]
    assert CsdCell(path, "COVAREP", "v", (9.0, 9.5), None).load().shape == (0, 1)


def test_a_changed_file_is_read_again(path):
    cell = CsdCell(path, "COVAREP", "v", (0.0, 1.0), None)
    write(path, {"v": ([[1.0]], [[0, 1]])})
    assert cell.load().tolist() == [[1]]
    write(path, {"v": ([[2.0]], [[0, 1]])})
    assert cell.load().tolist() == [[2]]


# what is refused


def test_a_file_that_is_not_there_or_no_hdf5_is_named(path):
    assert refusal(lambda: open_csd(path)) == f"{path}: no such file"
    path.write_bytes(b"<html>404 Not Found</html>")
    assert refusal(lambda: open_csd(path)).startswith(f"{path}: no readable HDF5 file: ")


@pytest.mark.parametrize("part", ["metadata", "data"])
def test_a_sequence_without_metadata_or_data_is_told(path, part):
    write(path, {"v": ([[1.0]], [[0, 1]])})
    with h5py.File(path, "a") as file:
        del file[f"COVAREP/{part}"]
    assert refusal(lambda: open_csd(path)) == f"{path}: 'COVAREP' has no {part}; download it again"


def test_empty_metadata_is_no_metadata(path):
    write(path, {"v": ([[1.0]], [[0, 1]])}, metadata={})
    with h5py.File(path, "a") as file:
        file.create_group("COVAREP/metadata")
    assert refusal(lambda: open_csd(path)) == f"{path}: 'COVAREP' has no metadata; download it again"


def test_metadata_that_is_no_json_is_passed_over(path):
    write(path, {"v": ([[1.0]], [[0, 1]])})
    with h5py.File(path, "a") as file:
        file.create_dataset("COVAREP/metadata/version", data=np.array([b"{"]))
        file.create_dataset("COVAREP/metadata/shape", data=np.zeros((2, 2)))
    assert open_csd(path).metadata == {"root name": "COVAREP", "shape": None, "version": None}


def test_two_sequences_in_a_file_are_one_too_many(path):
    write(path, {"v": ([[1.0]], [[0, 1]])})
    with h5py.File(path, "a") as file:
        file.create_group("other")
    assert "holds 2 computational sequences, need one" in refusal(lambda: open_csd(path))


@pytest.mark.parametrize(
    ("features", "intervals", "reason"),
    [
        ([[1.0], [2.0]], [[0, 1]], "has 2 rows of features and 1 intervals"),
        ([[[1.0]]], [[0, 1]], "has features (1, 1, 1) and intervals (1, 2); need (N, D), (N, 2)"),
        ([[1.0]], [[0, 1, 2]], "has features (1, 1) and intervals (1, 3); need (N, D), (N, 2)"),
        ([[1.0]], [0.0], "and intervals (1,); need (N, D), (N, 2)"),
        ([1.0], [[0, 1]], "has features (1,), need (N, D)"),
        (np.array([[b"a", b"b"]]), [[0, 1]], "need numbers or (N, 1) words"),
        (np.array([[1j]]), [[0, 1]], "need numbers or (N, 1) words"),
        (np.array([[b"x" * 2000]]), [[0, 1]], "has words of 2000 bytes; at most 1024 are read"),
    ],
)
def test_wrong_shapes_name_the_video_and_do_not_stop_the_others(path, features, intervals, reason):
    write(path, {"bad": (features, intervals), "good": ([[1.0]], [[0, 1]])})
    message = refusal(lambda: open_csd(path).track("bad"))
    assert message.startswith(f"{path}: video 'bad' ")
    assert message.endswith(reason)
    read = dict(open_csd(path).tracks())
    assert read["bad"] == message
    assert read["good"].values.tolist() == [[1]]


def test_a_video_without_features_or_intervals_is_told(path):
    write(path, {"v": ([[1.0]], [[0, 1]])})
    with h5py.File(path, "a") as file:
        del file["COVAREP/data/v/intervals"]
        file.create_dataset("COVAREP/data/w", data=[1.0])
    assert refusal(lambda: open_csd(path).track("v")) == f"{path}: no /COVAREP/data/v/intervals; download it again"
    assert refusal(lambda: open_csd(path).track("w")) == f"{path}: /COVAREP/data/w is a dataset, need a group"
    assert refusal(lambda: open_csd(path).track("u")) == f"{path}: no /COVAREP/data/u; download it again"


def test_a_size_that_is_only_claimed_is_not_believed(path):
    write(path, {})
    with h5py.File(path, "a") as file:
        group = file.create_group("COVAREP/data/v")
        # a terabyte in a few hundred bytes of file: no chunk of it is written
        group.create_dataset("features", (1 << 28, 1 << 10), "f4", chunks=(1, 1 << 10))
        group.create_dataset("intervals", (1 << 28, 2), "f4", chunks=(1 << 10, 2))
    assert path.stat().st_size < 100_000
    assert "claims 1,099,511,627,776 bytes; at most 536,870,912 are read" in refusal(lambda: open_csd(path).track("v"))


def test_nothing_outside_the_file_is_opened(path, tmp_path):
    secret = write(tmp_path / "secret.csd", {"v": ([[42.0]], [[0, 1]])})
    write(path, {"v": ([[1.0]], [[0, 1]])})
    (tmp_path / "secret.bin").write_bytes(b"\0" * 64)
    with h5py.File(path, "a") as file:
        file["COVAREP/data/outside"] = h5py.ExternalLink(secret, "/COVAREP/data/v")
        file["COVAREP/data/soft"] = h5py.SoftLink("/COVAREP/data/v")
        raw = file.create_group("COVAREP/data/raw")
        raw.create_dataset("features", (4, 2), "f4", external=[(tmp_path / "secret.bin", 0, 32)])
        raw["intervals"] = np.zeros((4, 2), "f4")
        layout = h5py.VirtualLayout((1, 1), "f4")
        layout[:] = h5py.VirtualSource(secret, "/COVAREP/data/v/features", (1, 1))
        virtual = file.create_group("COVAREP/data/virtual")
        virtual.create_virtual_dataset("features", layout)
        virtual["intervals"] = np.zeros((1, 2), "f4")
    csd = open_csd(path)
    for video in ("outside", "soft"):
        assert refusal(lambda video=video: csd.track(video)).endswith(
            "is a link; only what is in the file itself is read"
        )
    for video in ("raw", "virtual"):
        assert "lies in another file" in refusal(lambda video=video: csd.track(video))
    assert csd.track("v").values.tolist() == [[1]]


def test_a_file_cut_off_anywhere_is_one_line(path):
    write(path, {f"v{i}": (np.ones((50, 20)), np.arange(100).reshape(50, 2)) for i in range(3)})
    whole = path.read_bytes()
    for share in (0.02, 0.3, 0.6, 0.9, 0.99):
        path.write_bytes(whole[: int(share * len(whole))])
        message = refusal(lambda: [open_csd(path).track(v) for v in ("v0", "v1", "v2")])
        assert message.startswith(f"{path}: ")


def test_a_damaged_file_never_raises_anything_else(path):
    write(path, {f"v{i}": (np.ones((20, 5)), np.arange(40).reshape(20, 2)) for i in range(3)})
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(100):
        spoilt = bytearray(whole)
        for place in rng.integers(len(whole), size=8):
            spoilt[place] = int(rng.integers(256))
        path.write_bytes(bytes(spoilt))
        with contextlib.suppress(ValueError):
            for _, read in open_csd(path).tracks():
                assert isinstance(read, str | Track)
