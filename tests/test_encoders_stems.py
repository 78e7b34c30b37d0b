"""Encoders on frozen nets in a folder of the user's: words by MiniLM tuned for emotion, faces by our own net.

The nets here are tiny and random: no test needs trained weights.
"""

import json
import shutil

import numpy as np
import pytest
import torch

from emobraid import checkpoint, encoders
from emobraid.config import ModelConfig
from emobraid.encoders import FaceStem, MiniLmStem
from emobraid.encoders.base import Utterance
from emobraid.encoders.face_stem import clip_evidence
from emobraid.encoders.minilm_stem import spelled
from emobraid.model import MultimodalEmotionModel
from tiny_stems import STEM_WIDTH, stem, write


def test_a_texts_reading_does_not_depend_on_those_it_is_read_with():
    encoder = MiniLmStem(stem("text"), 8)
    prepared = [encoder.prepare(t) for t in ("I love it", "why", "the train leaves at nine " * 9)]
    together = encoder.stem(prepared)
    for one, ours in zip(prepared, together, strict=True):
        torch.testing.assert_close(encoder.stem([one])[0], ours, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_no_words_are_length_zero(text):
    assert len(MiniLmStem(stem("text"), 8).prepare(text)) == 0


def test_emoji_are_read_by_name_and_once():
    assert spelled("ok \U0001f622\U0001f622\U0001f622").split() == ["ok", "crying", "face"]
    assert spelled("see you \u2764\ufe0f").split() == ["see", "you", "heavy", "black", "heart"]
    assert spelled("it\u2019s \u201cfine\u201d") == 'it\'s "fine"'


def test_capitals_change_nothing():
    encoder = MiniLmStem(stem("text"), 8)
    assert encoder.prepare("I Am So Happy").equal(encoder.prepare("i am so happy"))


def test_context_is_heard_but_only_the_utterance_is_summed():
    encoder = MiniLmStem(stem("text"), 8)
    alone = encoder.prepare("Really?")
    after = encoder.prepare(Utterance("Really?", "", (("A", "I won the lottery."), ("B", "No!"))))
    assert len(after) > len(alone)
    assert after[:, 1].sum() == len(alone)
    assert not torch.equal(*(encoder.stem([p])[0] for p in (alone, after)))


def test_context_that_does_not_fit_is_left_out_oldest_first():
    encoder = MiniLmStem(stem("text"), 8, max_length=48)
    turns = tuple(("A", f"turn number {i}") for i in range(20))
    assert len(encoder.prepare(Utterance("What now?", "", turns))) <= 48
    assert len(encoder.prepare("word " * 400)) == 48


def face(value, side=96):
    return np.full((3, side, side, 3), value, np.uint8)


def test_faces_become_grey_and_of_one_size():
    prepared = FaceStem(stem("video"), 8).prepare(face(200))
    assert prepared.shape == (3, 64, 64)
    assert prepared.unique().tolist() == [200]
    assert FaceStem(stem("video"), 8).prepare(face(0)[:0]).shape == (0, 64, 64)


def test_each_frame_is_read_alone_by_the_frozen_net():
    encoder = FaceStem(stem("video"), 8)
    frames = torch.randint(0, 256, (5, 64, 64), dtype=torch.uint8)
    whole, parts = encoder.stem([frames])[0], encoder.stem([frames[:2], frames[2:]])
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-3, atol=1e-3)


def test_an_even_picture_is_read_without_a_nan():
    encoder = FaceStem(stem("video"), 8)
    assert encoder.stem([encoder.prepare(face(7))])[0].isfinite().all()


def test_a_sure_frame_counts_more_than_one_that_could_be_anything():
    sure = torch.tensor([0.94, *[0.01] * 6]).log()
    unsure = torch.full((7,), 1 / 7).log()
    evidence = torch.stack([sure, unsure, unsure])[None]
    every = clip_evidence(evidence, torch.ones(1, 3).bool())
    assert every[0].softmax(0)[0] > evidence.mean(1)[0].softmax(0)[0]


def test_a_stream_of_frames_that_mostly_agree_is_read_as_they_agree():
    happy, sad = (torch.tensor([0.1] * 7).index_fill(0, torch.tensor([i]), 0.4).log() for i in (0, 1))
    evidence = torch.stack([happy, sad, happy, happy])[None]
    assert clip_evidence(evidence, torch.ones(1, 4).bool()).argmax() == 0
    assert clip_evidence(evidence, torch.tensor([[False, True, False, False]])).argmax() == 1


STEMS = {"text": MiniLmStem, "video": FaceStem}
KINDS = {"text": "minilm_stem", "video": "face_stem"}
SHIPPED = {"text": "text", "video": "face"}
EACH = pytest.mark.parametrize("modality", STEMS)


def configured(modality, folder):
    named = {f"{modality}_encoder": KINDS[modality], f"{modality}_model_name": str(folder)}
    return ModelConfig(modalities=(modality,), encoder_dim=8, fusion_type="late", fusion_hidden_size=16, **named)


@EACH
def test_the_folder_that_was_named_is_read(modality, tmp_path):
    encoder = encoders.build(modality, configured(modality, write(tmp_path / "stem", modality)))
    assert type(encoder) is STEMS[modality]
    width = STEM_WIDTH if modality == "text" else 256
    assert encoder.absent().shape == (0, width + 7)
    raw = "so glad" if modality == "text" else face(90)
    (made,) = encoder.stem([encoder.prepare(raw)])
    torch.testing.assert_close(made[:, width:].exp().sum(1), torch.ones(len(made)))


@EACH
def test_nothing_of_the_frozen_net_is_in_the_model(modality, tmp_path):
    model = MultimodalEmotionModel(configured(modality, write(tmp_path / "stem", modality)))
    before = set(model.state_dict())
    next(iter(model.by_modality().values())).network()
    assert set(model.state_dict()) == before


@EACH
@pytest.mark.parametrize("name", ["microsoft/deberta-v3-base", "no/such/folder", ""])
def test_without_a_folder_one_sentence_says_how_to_make_one(modality, name):
    with pytest.raises(ValueError, match="reads its weights from a folder") as refused:
        STEMS[modality](name, 8)
    told = str(refused.value)
    assert f"stems_ship.py {SHIPPED[modality]} RUN" in told
    assert f"--{modality}_model_name FOLDER" in told
    assert "\n" not in told


def test_the_default_name_is_no_folder_and_is_told_so():
    with pytest.raises(ValueError, match="deberta-v3-base is none: make one with"):
        encoders.build("text", ModelConfig(text_encoder="minilm_stem"))
    with pytest.raises(ValueError, match="vit-base-patch16-224 is none: make one with"):
        encoders.build("video", ModelConfig(video_encoder="face_stem"))


FILES = [("text", "model.safetensors"), ("text", "seven.safetensors"), ("text", "vocab.txt")]
FILES += [("video", "model.safetensors")]


@pytest.mark.parametrize(("modality", "file"), FILES)
def test_a_folder_without_one_of_its_files_is_refused(modality, file, tmp_path):
    folder = write(tmp_path / "stem", modality)
    (folder / file).unlink()
    with pytest.raises(ValueError, match=rf"{file} is missing\): make one with"):
        STEMS[modality](folder, 8)


@pytest.mark.parametrize(("modality", "file"), [pair for pair in FILES if pair[1] != "vocab.txt"])
def test_a_file_cut_short_is_refused(modality, file, tmp_path):
    folder = write(tmp_path / "stem", modality)
    (folder / file).write_bytes((folder / file).read_bytes()[:40])
    with pytest.raises(ValueError, match=rf"{file} cannot be read.*make one with"):
        STEMS[modality](folder, 8)


@EACH
def test_the_folder_of_another_net_is_refused(modality, tmp_path):
    folder = write(tmp_path / "stem", modality)
    other = write(tmp_path / "other", "video" if modality == "text" else "text")
    shutil.copy(other / "model.safetensors", folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"make one with"):
        STEMS[modality](folder, 8)


@pytest.mark.parametrize(("modality", "file"), FILES)
def test_the_key_of_the_cache_follows_what_the_folder_holds(modality, file, tmp_path):
    first, same, other = (write(tmp_path / str(i), modality, seed) for i, seed in enumerate((0, 0, 1)))
    (other / "vocab.txt").write_text("another", encoding="utf-8")
    encoder = STEMS[modality](first, 8)
    key = encoder.stem_identity()
    assert STEMS[modality](same, 8).stem_identity() == key
    shutil.copy(other / file, first / file)
    assert encoder.stem_identity() != key


def test_pieces_of_another_vocabulary_are_prepared_under_another_name(tmp_path):
    folder = write(tmp_path / "stem", "text")
    before = MiniLmStem(folder, 8).preparation
    words = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
    (folder / "vocab.txt").write_text("\n".join([*words[:4], *reversed(words[4:])]), encoding="utf-8")
    assert MiniLmStem(folder, 8).preparation != before


@EACH
def test_a_model_is_refused_with_another_net_below(modality, tmp_path):
    folder = write(tmp_path / "stem", modality)
    model = MultimodalEmotionModel(configured(modality, folder))
    files = {"bases.json": json.dumps(model.bases()).encode()}
    checkpoint.check_bases(model, files, tmp_path)
    write(folder, modality, seed=1)
    with pytest.raises(ValueError, match="was trained on another"):
        checkpoint.check_bases(MultimodalEmotionModel(configured(modality, folder)), files, tmp_path)


def test_a_name_is_for_an_encoder_that_has_weights_there():
    assert configured("text", "stem").text_model_name == "stem"
    with pytest.raises(ValueError, match="text_tuning needs --text_encoder pretrained"):
        ModelConfig(text_encoder="minilm_stem", text_tuning="lora")
