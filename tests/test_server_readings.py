"""The HTTP API gives the same readings as `predict`, also when requests are read together."""

import base64

import numpy as np
import pytest

import server_fixtures
from emobraid.app.batching import Batcher, Job, alike
from emobraid.app.metrics import Metrics
from emobraid.data.shelf import Input
from emobraid.recognizer import NothingToRead
from server_fixtures import WORDS

recognizer, clips, shared = server_fixtures.recognizer, server_fixtures.clips, server_fixtures.shared


def apart(told, prediction):
    """The largest difference between two readings, part by part."""
    pairs = [(told["probabilities"], prediction.probabilities), (told["contributions"], prediction.contributions)]
    pairs += [(told["affect"], prediction.affect)]
    pairs += [(told["per_modality"][m]["probabilities"], r.probabilities) for m, r in prediction.per_modality.items()]
    assert all(ours.keys() == theirs.keys() for ours, theirs in pairs)
    return max(abs(ours[k] - theirs[k]) for ours, theirs in pairs for k in ours)


@pytest.mark.parametrize("given", [("text",), ("audio",), ("video",), ("text", "audio"), ("text", "audio", "video")])
@pytest.mark.parametrize("way", ["form", "json"])
def test_the_api_gives_the_same_reading_as_predict(shared, recognizer, clips, given, way):
    files = {m: clips[m].read_bytes() for m in given if m != "text"}
    text = {"text": WORDS} if "text" in given else {}
    if way == "form":
        fields = {name: (None, value) for name, value in text.items()}  # so that text alone is a form of parts as well
        answer = shared.post("/v1/predict", files={**fields, **{m: (f"{m}.bin", f) for m, f in files.items()}})
    else:
        answer = shared.post(
            "/v1/predict", json={**text, **{m: base64.b64encode(f).decode() for m, f in files.items()}}
        )
    assert answer.status_code == 200
    expected = recognizer.predict(**text, **{m: clips[m] for m in files})
    assert answer.json()["emotion"] == expected.emotion
    assert answer.json()["notes"] == expected.notes
    assert apart(answer.json(), expected) < 1e-4


def test_a_videos_own_sound_can_be_refused(shared, recognizer, clips):
    answer = shared.post("/v1/predict", data={"sound": "false"}, files={"video": clips["video"].read_bytes()})
    assert list(answer.json()["per_modality"]) == ["video"]
    assert apart(answer.json(), recognizer.predict(video=clips["video"], sound=False)) < 1e-4


def test_requests_that_are_read_together_get_what_each_gets_alone(recognizer):
    """Twelve utterances of all lengths and subsets at once, in batches of up to eight."""
    encoders, rng = recognizer.model.by_modality(), np.random.default_rng(0)
    many = []
    for i in range(12):
        inputs = {m: Input(e.absent(), "not given") for m, e in encoders.items()}
        if i % 3 != 1:
            inputs["text"] = Input(encoders["text"].prepare("word " * (1 + i)))
        if i % 2:
            inputs["audio"] = Input(encoders["audio"].prepare(0.1 * rng.normal(size=1600 * (1 + i))))
        if i % 3 == 1 or i % 4 == 0:
            crops = rng.integers(0, 255, (1 + i % 4, 96, 96, 3), np.uint8)
            inputs["video"] = Input(encoders["video"].prepare(crops), "face in 3 of 4 frames")
        many.append(inputs)
    metrics = Metrics()
    batcher = Batcher(recognizer, max_batch=8, max_wait=0.2, metrics=metrics)
    together = [future.result(30) for future in [batcher.submit(inputs) for inputs in many]]
    batcher.close()
    for read, inputs in zip(together, many, strict=True):
        alone = recognizer.read(inputs)
        assert read.notes == alone.notes
        assert apart(read.to_json(), alone) < 1e-5
    assert metrics.batch.sum == 12
    assert sum(metrics.batch.counts) < 12  # fewer batches than requests


def test_batches_hold_what_is_alike_in_length(recognizer):
    encoder = recognizer.model.by_modality()["text"]
    jobs = [Job({"text": Input(encoder.prepare("word " * n))}) for n in (200, 5, 60, 3, 90)]
    # 3 and 5 go together, 60 is beyond 2 * 3 + 16; 90 is within 2 * 60 + 16, 200 is not
    assert [[job.length for job in batch] for batch in alike(jobs)] == [[3, 5], [60, 90], [200]]


def test_one_that_fails_in_a_batch_does_not_take_the_others_along(recognizer, monkeypatch):
    real = recognizer.read_many

    def out_of_memory(many):
        if any(len(inputs["text"].tensor) == 7 for inputs in many):
            raise MemoryError
        return real(many)

    monkeypatch.setattr(recognizer, "read_many", out_of_memory)
    batcher = Batcher(recognizer, max_batch=8, max_wait=0.2, metrics=Metrics())
    encoders = recognizer.model.by_modality()
    absent = {m: Input(e.absent(), "not given") for m, e in encoders.items()}
    futures = [batcher.submit({**absent, "text": Input(encoders["text"].prepare("word " * n))}) for n in (6, 7, 8)]
    nothing = batcher.submit(absent)
    assert futures[0].result(10).emotion == futures[0].result().emotion
    assert isinstance(futures[1].exception(10), MemoryError)
    assert futures[2].exception(10) is None
    assert isinstance(nothing.exception(10), NothingToRead)
    batcher.close()
