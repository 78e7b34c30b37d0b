"""Recordings of real people give one reading, whether `predict`, the API or the page is asked.

They are not in this repository: EMOBRAID_CLIPS names a folder of them (mp4), EMOBRAID_MODEL a model; else a tiny one
with random weights reads them.

    EMOBRAID_CLIPS=ravdess_av_actor01/clips python -m pytest tests/test_real_recordings.py
"""

import json
import os
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from emobraid import Recognizer
from emobraid.app import spool
from emobraid.app.actions import Actions
from emobraid.app.server import create_app
from server_fixtures import HERE, WORDS, tiny_recognizer

CLIPS = sorted(Path(os.environ["EMOBRAID_CLIPS"]).glob("*.mp4")) if "EMOBRAID_CLIPS" in os.environ else []
MODEL = os.environ.get("EMOBRAID_MODEL")
NEAR = 1e-4

pytestmark = pytest.mark.skipif(not CLIPS, reason="no real recordings: set EMOBRAID_CLIPS to a folder of mp4 files")


@pytest.fixture(scope="module")
def recognizer():
    with Recognizer.from_pretrained(MODEL) if MODEL else tiny_recognizer() as opened:
        yield opened


@pytest.fixture(scope="module")
def client(recognizer):
    with TestClient(create_app(recognizer), base_url=HERE) as opened:
        yield opened


@pytest.fixture(scope="module")
def actions(recognizer):
    return Actions(lambda: recognizer, None, None)


def test_there_is_more_than_one():
    assert len(CLIPS) > 1


@pytest.mark.parametrize("clip", CLIPS, ids=lambda path: path.stem)
def test_page_and_api_read_a_real_person_as_predict_does(recognizer, client, actions, clip):
    expected = recognizer.predict(video=clip, text=WORDS)
    assert {"text", "audio", "video"} == set(expected.per_modality)  # a face was found and a voice was heard
    told = client.post("/v1/predict", data={"text": WORDS}, files={"video": clip.read_bytes()}).json()
    visit = actions.visit(clip.name)
    list(actions.read(visit, str(as_uploaded(clip)), WORDS))
    shown = json.loads(json.dumps(visit.shown.reading.to_json()))
    for given in (told, shown):
        assert given["emotion"] == expected.emotion
        assert given["probabilities"] == pytest.approx(expected.probabilities, abs=NEAR)
        assert given["contributions"] == pytest.approx(expected.contributions, abs=NEAR)
        for modality, reading in expected.per_modality.items():
            assert given["per_modality"][modality]["probabilities"] == pytest.approx(reading.probabilities, abs=NEAR)


def as_uploaded(clip: Path) -> Path:
    place = spool.spool() / os.urandom(8).hex() / clip.name
    place.parent.mkdir()
    place.write_bytes(clip.read_bytes())
    return place
