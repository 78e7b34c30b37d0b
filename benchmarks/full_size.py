"""Folders of the default encoders at their real size, with random weights: their settings are public, and how long a
model takes does not depend on what it has learnt. About 1.5 GB.

    python benchmarks/full_size.py DIR
"""

import shutil
import sys
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import sentencepiece
import torch
import transformers

from emobraid.encoders.reports import quiet

LETTERS = "the quick brown fox jumps over the lazy dog, and packs five dozen liquor jugs: 0123456789!?"


def random_weights(build: Callable[[], transformers.PreTrainedModel]) -> transformers.PreTrainedModel:
    """As the library initialises it, always the same; but a bias of zero and a gain of one would hide that they were
    lost, so vectors get a little noise."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = build().eval()
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter), alpha=0.02)
    return model


def deberta(folder: Path) -> None:
    """microsoft/deberta-v3-base: 12 layers of 768, 128,100 pieces. The tokenizer knows 100 of them."""
    settings: dict[str, Any] = {
        "vocab_size": 128_100, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
        "intermediate_size": 3072, "max_position_embeddings": 512, "type_vocab_size": 0, "relative_attention": True,
        "position_buckets": 256, "norm_rel_ebd": "layer_norm", "share_att_key": True, "pos_att_type": "p2c|c2p",
        "max_relative_positions": -1, "position_biased_input": False, "layer_norm_eps": 1e-7,
    }  # fmt: skip
    config = transformers.DebertaV2Config(**settings)
    random_weights(lambda: transformers.DebertaV2Model(config)).save_pretrained(folder)
    pieces = BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([LETTERS, *LETTERS.split()]), model_writer=pieces, vocab_size=100,
        hard_vocab_limit=False, num_threads=1, minloglevel=2, pad_id=0, pad_piece="[PAD]", bos_id=1, bos_piece="[CLS]",
        eos_id=2, eos_piece="[SEP]", unk_id=3, unk_piece="[UNK]",
    )  # fmt: skip
    (folder / "spm.model").write_bytes(pieces.getvalue())
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false, "vocab_type": "spm"}')


def wav2vec2(folder: Path) -> None:
    """facebook/wav2vec2-base-960h: convolutions of 512 that normalise over time, 12 layers of 768, letters on top."""
    config = transformers.Wav2Vec2Config(feat_extract_norm="group", conv_bias=False, do_stable_layer_norm=False)
    random_weights(lambda: transformers.Wav2Vec2ForCTC(config)).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=False).save_pretrained(folder)


def vit(folder: Path) -> None:
    """google/vit-base-patch16-224: 196 patches and a class token, 12 layers of 768, 1,000 classes on top."""
    classes: dict[str, Any] = {"num_labels": 1000}
    config = transformers.ViTConfig(**classes)
    random_weights(lambda: transformers.ViTForImageClassification(config)).save_pretrained(folder)
    grey = [0.5, 0.5, 0.5]
    transformers.ViTImageProcessorPil(
        size={"height": 224, "width": 224}, image_mean=grey, image_std=grey
    ).save_pretrained(folder)


MAKERS: Mapping[str, Callable[[Path], None]] = {"text": deberta, "audio": wav2vec2, "video": vit}


def full_size(folder: Path) -> dict[str, Path]:
    """`folder/MODALITY` for each, made where it is not there yet."""
    places = {modality: folder / modality for modality in MAKERS}
    for modality, place in places.items():
        if not place.is_dir():
            aside = place.with_suffix(".part")
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
            with quiet():
                MAKERS[modality](aside)
            aside.rename(place)
    return places


if __name__ == "__main__":
    for where in full_size(Path(sys.argv[1])).values():
        print(where)
