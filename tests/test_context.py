"""Published features with those of the utterances before: a position each, marked, of the same dialogue alone."""

from dataclasses import dataclass

import numpy as np
import pytest

from corpora import LABELS, feature_config, run, write_table
from emobraid.config import ModelConfig
from emobraid.data.context import InContext, in_context
from emobraid.data.csv import read_rows, read_unlabelled
from emobraid.data.features import ArrayCell

NAN, INF = float("nan"), float("inf")
COLUMNS = ("audio_path", "emotion", "dialogue", "turn")
MODEL = {"modalities": ("audio",), "audio_encoder": "features", "labels": LABELS}


@dataclass(frozen=True)
class Given(ArrayCell):
    rows: tuple

    def load(self):
        return np.array(self.rows, dtype="f4")


def test_utterances_before_come_first_as_their_means_and_are_marked():
    earlier, own = Given(((1.0, 2.0), (3.0, 6.0))), Given(((5.0, 6.0), (7.0, 8.0)))
    assert InContext(own, (earlier,)).load().tolist() == [[2, 4, 1], [5, 6, 0], [7, 8, 0]]
    # vectors are positions of their own
    assert InContext(Given((5.0, 6.0)), (Given((1.0, 2.0)),)).load().tolist() == [[1, 2, 1], [5, 6, 0]]
    assert InContext(Given((5.0, 6.0)), ()).load().tolist() == [[5, 6, 0]]


def test_infinities_do_not_count_in_the_mean_of_an_utterance_before():
    earlier = Given(((1.0, -INF), (3.0, NAN)))
    assert InContext(Given((0.0, 0.0)), (earlier,)).load().tolist() == [[2, 0, 1], [0, 0, 0]]


def test_what_is_missing_stays_missing():
    empty = Given(np.zeros((0, 2)).tolist())
    nothing = InContext(_Empty(), (Given((1.0, 2.0)),))
    assert nothing.load().shape == (0, 3)
    assert InContext(Given((5.0, 6.0)), (_Empty(),)).load().tolist() == [[5, 6, 0]]
    assert in_context([{"audio": empty}, {"audio": None}], 2)[1] == {"audio": None}


class _Empty(ArrayCell):
    def load(self):
        return np.zeros((0, 2), "f4")


def test_each_has_those_right_before_it_and_words_stay_words():
    a, b, c = (Given((float(i),)) for i in range(3))
    dialogue = [{"audio": a, "text": "x"}, {"audio": None, "text": "y"}, {"audio": b, "text": "z"}, {"audio": c}]
    assert in_context(dialogue, 0) == dialogue
    assert in_context(dialogue, 2) == [
        {"audio": InContext(a, ()), "text": "x"},
        {"audio": None, "text": "y"},
        {"audio": InContext(b, (a,)), "text": "z"},
        {"audio": InContext(c, (b,))},
    ]


@pytest.fixture
def table(tmp_path):
    """Two dialogues, mixed and out of order; the last row is in none."""
    np.savez(tmp_path / "f.npz", audio=np.arange(10, dtype="f4").reshape(5, 2))
    cells = [f"f.npz#audio[{i}]" for i in range(5)]
    places = [("a", 2), ("b", 1), ("a", 1), ("b", 10), ("", "")]
    write_table(tmp_path / "train.csv", [[c, "happy", *p] for c, p in zip(cells, places, strict=True)], COLUMNS)
    return tmp_path / "train.csv"


@pytest.mark.parametrize("reader", [read_rows, read_unlabelled])
def test_a_table_gives_the_features_of_the_turns_before_by_their_numbers(table, reader):
    read = list(reader(table, ModelConfig(**MODEL, context_features=1)))
    assert [s.cells["audio"].load().tolist() for s in read] == [
        [[4, 5, 1], [0, 1, 0]],
        [[2, 3, 0]],
        [[4, 5, 0]],
        [[2, 3, 1], [6, 7, 0]],
        [[8, 9, 0]],
    ]


def test_without_the_option_nothing_is_marked(table):
    read = list(read_rows(table, ModelConfig(**MODEL)))
    assert read[0].cells["audio"].load().tolist() == [0, 1]


def test_it_needs_dialogues_and_published_features(table):
    config = ModelConfig(**MODEL, context_features=1)
    write_table(table, [["f.npz#audio[0]", "happy"]], COLUMNS[:2])
    with pytest.raises(ValueError, match="context_features needs columns dialogue and turn; missing dialogue, turn"):
        list(read_rows(table, config))
    write_table(table, [["f.npz#audio[0]", "happy", "a", "one"]], COLUMNS)
    with pytest.raises(ValueError, match="line 2: turn 'one' is not a number"):
        list(read_rows(table, config))
    with pytest.raises(ValueError, match="context_features is for published features"):
        ModelConfig(context_features=1)


def test_a_model_learns_what_only_the_utterance_before_tells(tmp_path):
    """The first utterance of each dialogue shows the class of the second, whose own features are noise."""
    rng, arrays = np.random.default_rng(0), []
    for split, dialogues in {"train": 60, "val": 24, "test": 24}.items():
        rows = []
        for i in range(dialogues):
            label = i % len(LABELS)
            arrays += [4 * np.eye(3)[label], rng.normal(size=3) * 0.1]
            place = f"f.npz#audio[{len(arrays) - 2}]", f"f.npz#audio[{len(arrays) - 1}]"
            rows += [[place[0], "", f"{split}{i}", 1], [place[1], LABELS[label], f"{split}{i}", 2]]
        write_table(tmp_path / f"{split}.csv", rows, COLUMNS)
    np.savez(tmp_path / "f.npz", audio=np.array(arrays, "f4"))

    def score(context):
        changed = {"modalities": ["audio"], "num_epochs": 12, "context_features": context, "modality_dropout": 0.0}
        return run(feature_config(tmp_path, **changed), tmp_path / f"run{context}").best_macro_f1

    assert score(0) < 0.6
    assert score(1) > 0.9
