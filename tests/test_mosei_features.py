"""CMU-MOSEI's published features: every sample exactly as the files say."""

import numpy as np
import pytest

import mosei_fixtures
from corpora import refusal
from emobraid.data.corpus import Sample
from emobraid.data.csd import CsdCell
from mosei_fixtures import MULTI, PUBLISHED, WORDS, opened, write

root = mosei_fixtures.root


def features(root):
    """Half a second a row, COVAREP with an infinity; no face in b-1."""
    halves = [[i / 2, (i + 1) / 2] for i in range(12)]
    heard = np.array([[i, 10 * i] for i in range(12)], "f4")
    heard[2, 1] = -np.inf
    write(root / "CMU_MOSEI_COVAREP.csd", "COVAREP", {"aaa": (heard, halves), "b-1": (heard, halves)})
    write(root / "CMU_MOSEI_VisualFacet42.csd", "FACET 4.2", {"aaa": (heard[:, :1] + 100, halves)})
    vectors = np.arange(6, dtype="f4")[:, None] + np.zeros(3, "f4")
    glove = root / "CMU_MOSEI_TimestampedWordVectors.csd"
    write(glove, "glove_vectors", {"aaa": (vectors, [[a, b] for _, a, b in WORDS])})
    return root


def test_every_segment_is_the_sample_that_it_says_in_order_of_time(root):
    features(root)
    read = opened(root, **MULTI, **PUBLISHED).split("train")
    assert [s.id for s in read] == ["aaa[1]", "aaa[2]", "aaa[0]", "b-1[0]", "b-1[1]"]
    heard = ((0.0, 0.5), (0.5, 1.0), (1.0, 2.0))
    assert read[0] == Sample(
        id="aaa[1]",
        table="CMU_MOSEI_Labels.csd aaa",
        line=1,
        group="aaa",
        cells={
            # pauses are no words, but something is seen and heard in them
            "text": CsdCell(
                root / "CMU_MOSEI_TimestampedWordVectors.csd", "glove_vectors", "aaa", (0.0, 2.0), (heard[0], heard[2])
            ),
            "audio": CsdCell(root / "CMU_MOSEI_COVAREP.csd", "COVAREP", "aaa", (0.0, 2.0), heard),
            "video": CsdCell(root / "CMU_MOSEI_VisualFacet42.csd", "FACET 4.2", "aaa", (0.0, 2.0), heard),
        },
        sound_from_video=False,
        label=None,
        spread=(1.0, 0.0, 0.0, 0.0, 0.0, 0.0),
        affect={"sentiment": 2.0},
        absent=dict.fromkeys(("text", "audio", "video"), "the video is not in the file"),
    )
    assert [s.spread for s in read[1:]] == [(0,) * 6, (0, 0, 1, 0, 1, 0), (1, 0, 0, 0, 0, 0), (1, 1, 0, 0, 0, 0)]
    assert [s.affect["sentiment"] for s in read] == [2, 0, -1, 3, 0]
    assert read[3].cells["video"] is None
    assert read[3].cells["text"] is None


def test_alignment_averages_over_words_and_pauses_as_worked_by_hand(root):
    features(root)
    first, second, third, bare, _ = opened(root, **MULTI, **PUBLISHED).split("train")
    assert first.cells["text"].load().tolist() == [[0, 0, 0], [2, 2, 2]]
    # "well" is row 0, the pause row 1, "yes" rows 2 and 3, of which one second value is infinite
    assert first.cells["audio"].load().tolist() == [[0, 0], [1, 10], [2.5, 30]]
    assert first.cells["video"].load().tolist() == [[100], [101], [102.5]]
    assert second.cells["audio"].load().tolist() == [[4, 40]]  # "fine"; the silence after it has no word
    assert third.cells["audio"].load().tolist() == [[8, 80], [10, 100]]
    # no words to align to: all of the segment, two rows of 0 to 1 s, is one position
    assert bare.cells["audio"].load().tolist() == [[0.5, 5]]


def test_the_features_of_segments_before_can_be_read_with_each_in_order_of_time(root):
    features(root)
    read = opened(root, **MULTI, **PUBLISHED, context_features=2).split("train")
    # the means of 0 to 2 s and of 2 to 4 s, which come before 4 to 6 s in the video, not in the file
    assert read[2].cells["audio"].load().tolist() == [
        [pytest.approx(3.5 / 3), pytest.approx(40 / 3), 1],
        [4, 40, 1],
        [8, 80, 0],
        [10, 100, 0],
    ]
    assert read[3].cells["audio"].load().tolist() == [[0.5, 5, 0]]  # the first of another video


def test_without_alignment_every_row_is_there(root):
    features(root)
    data = {"alignment": "none"}
    cells = opened(root, data=data, **MULTI, **PUBLISHED).split("train")[0].cells
    assert [c.load().shape for c in cells.values()] == [(2, 3), (4, 2), (4, 1)]


def test_either_set_of_face_features_can_be_chosen(root):
    features(root)
    (root / "CMU_MOSEI_VisualFacet42.csd").rename(root / "CMU_MOSEI_VisualOpenFace2.csd")
    model = {**MULTI, **PUBLISHED, "modalities": ("video",)}
    assert refusal(lambda: opened(root, **model).split("train")).startswith(
        f"{root} has no CMU_MOSEI_VisualFacet42.csd"
    )
    read = opened(root, data={"video_features": "openface"}, **model).split("train")
    assert read[0].cells["video"].path.name == "CMU_MOSEI_VisualOpenFace2.csd"


def test_a_broken_feature_file_is_one_line(root):
    features(root)
    write(root / "CMU_MOSEI_COVAREP.csd", "COVAREP", {"aaa": ([[1.0]], [[0, 1]])}, metadata=())
    message = refusal(lambda: opened(root, **MULTI, **PUBLISHED).split("train"))
    assert message == f"{root / 'CMU_MOSEI_COVAREP.csd'}: 'COVAREP' has no metadata; download it again"
