"""Several live people at once: fused side by side, each as if alone."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from emobraid import Recognizer
from emobraid.app.together import MOST, Together
from emobraid.config import Config, ModelConfig
from emobraid.model import MultimodalEmotionModel
from emobraid.stream import Stream, stacked

PATIENCE = 20  # seconds


@pytest.fixture(scope="module")
def recognizer():
    torch.manual_seed(0)
    settings = ModelConfig(encoder_dim=16, fusion_hidden_size=16, fusion_heads=2, fusion_depth=1, fusion_type="mult")
    with Recognizer(MultimodalEmotionModel(settings), Config(model=settings), {}) as made:
        yield made


def person(number):
    """Streams of the fusion's width, of other lengths for everybody; the third of each three has no voice."""
    draw = torch.Generator().manual_seed(number)
    lengths = {"text": 2 + number % 4, "audio": 0 if number % 3 == 2 else 3 + number % 5, "video": 1 + number % 6}
    return {
        m: Stream(torch.randn(1, n, 16, generator=draw), torch.ones(1, n, dtype=torch.bool)) for m, n in lengths.items()
    }


class Gate:
    """A recognizer that counts the people of each pass, and lets the first one through only when told."""

    def __init__(self, recognizer):
        self.recognizer, self.passes = recognizer, []
        self.entered, self.open = threading.Event(), threading.Event()

    def read_all_encoded(self, many):
        self.passes.append(len(many))
        self.entered.set()
        assert self.open.wait(PATIENCE)
        return self.recognizer.read_all_encoded(many)


def all_at_once(gate, people):
    """Everybody asks while the pass of the first one is under way."""
    together = Together(gate)
    with ThreadPoolExecutor(len(people)) as pool:
        first = pool.submit(together.read, people[0], {"note": "0"})
        assert gate.entered.wait(PATIENCE)
        others = [pool.submit(together.read, p, {"note": str(i)}) for i, p in enumerate(people[1:], 1)]
        while len(together._waiting) < len(others):
            pass
        gate.open.set()
        return [first, *others]


def test_those_who_ask_meanwhile_are_read_in_one_pass_and_as_if_alone(recognizer):
    people, gate = [person(i) for i in range(7)], Gate(recognizer)
    readings = [asked.result(PATIENCE) for asked in all_at_once(gate, people)]
    assert gate.passes == [1, 6]
    for i, (reading, streams) in enumerate(zip(readings, people, strict=True)):
        alone = recognizer.read_encoded(streams, {"note": str(i)})
        assert reading.notes == {"note": str(i)}
        assert reading.probabilities == pytest.approx(alone.probabilities, abs=1e-5)
        assert reading.contributions == pytest.approx(alone.contributions, abs=1e-5)
        assert set(reading.per_modality) == set(alone.per_modality)


def test_a_pass_takes_so_many_and_nobody_waits_forever(recognizer):
    gate = Gate(recognizer)
    answers = all_at_once(gate, [person(i) for i in range(MOST + 4)])
    assert all(asked.result(PATIENCE) for asked in answers)
    assert gate.passes == [1, MOST, 3]


def test_one_that_cannot_be_read_does_not_take_the_others_with_it(recognizer):
    broken = {m: Stream(torch.randn(1, 2, 5), torch.ones(1, 2, dtype=torch.bool)) for m in person(0)}
    first, wrong, right = all_at_once(Gate(recognizer), [person(0), broken, person(1)])
    assert first.result(PATIENCE)
    assert right.result(PATIENCE)
    with pytest.raises(RuntimeError):
        wrong.result(PATIENCE)


def test_streams_of_unequal_length_and_number_become_one():
    short = Stream(torch.ones(1, 1, 2), torch.tensor([[True]]))
    long = Stream(torch.full((2, 3, 2), 2.0), torch.tensor([[True, False, True], [False, False, False]]))
    values, mask = stacked([short, long])
    assert values[:, :, 0].tolist() == [[1, 0, 0], [2, 2, 2], [2, 2, 2]]
    assert mask.tolist() == [[True, False, False], [True, False, True], [False, False, False]]
