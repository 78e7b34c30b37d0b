"""Model folders of the real architectures with random weights, a few hundred kB each: a model hub for tests.

`python tests/tiny_hub.py FOLDER` writes them all. Layouts are those of the models that they stand for, traps included.
"""

import itertools
import json
import os
import random
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import sentencepiece
import torch
import transformers
from tokenizers import ByteLevelBPETokenizer

from emobraid.encoders.reports import quiet

WHO = ("I am", "Rachel is", "you were", "Monica: we are", "they are not", "he was", "Ross and Joey are")
WHAT = (
    "so happy with the wonderful present,",
    "angry about what happened to the old car,",
    "afraid of the dark and of the long way home,",
    "sad that nobody came to the party,",
    "surprised to hear such good news,",
    "disgusted by the smell of this kitchen,",
    "going to work by train, nothing special,",
    "telling everyone else who would listen,",
)
WHEN = ("today!", "again?", "since last Tuesday.", "and that is all I can say...", "oh my God, don't you think?")
LETTERS = (
    "The quick brown fox jumps over the lazy dog.",
    "PACK MY BOX WITH FIVE DOZEN LIQUOR JUGS: 0 1 2 3 4 5 6 7 8 9",
)
SENTENCES = (*LETTERS, *(" ".join(parts) for parts in itertools.product(WHO, WHAT, WHEN)))
VOCABULARY = 400  # rows of every word embedding; tokenizers stay below
FRAMES = {"conv_dim": (16,) * 7, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
SPEECH = {**FRAMES, "intermediate_size": 64, "layerdrop": 0.1, "mask_time_prob": 0.05}
BERT = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 512,
}
DEBERTA = {
    **BERT,
    "type_vocab_size": 0,
    "relative_attention": True,
    "position_buckets": 256,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": "p2c|c2p",
    "max_relative_positions": -1,
    "position_biased_input": False,
    "layer_norm_eps": 1e-7,
}


def seeded(build: Callable[[], transformers.PreTrainedModel], name: str) -> transformers.PreTrainedModel:
    """A model whose weights depend on `name` alone."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(zlib.crc32(name.encode()))
        model = build().eval()
        for parameter in model.parameters():
            # a bias of zero and a norm of one hide that they were lost or swapped
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def deberta_v2(folder: Path) -> None:
    """Like microsoft/deberta-v3-base: half precision, a head on top, and spm.model as the only vocabulary."""
    config = transformers.DebertaV2Config(**DEBERTA)
    seeded(lambda: transformers.DebertaV2ForMaskedLM(config), "deberta-v2").half().save_pretrained(folder)
    write_pieces(folder)


def deberta_v2_fast(folder: Path) -> None:
    """The same architecture and vocabulary in full precision, without a head, with tokenizer.json alone."""
    config = transformers.DebertaV2Config(**DEBERTA)
    seeded(lambda: transformers.DebertaV2Model(config), "deberta-v2-fast").save_pretrained(folder)
    write_pieces(folder)
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    (folder / "spm.model").unlink()


def write_pieces(folder: Path) -> None:
    """A trained SentencePiece model as spm.model; its settings are the two that DeBERTa's hub folder has."""
    model = BytesIO()
    pieces = {"pad": "[PAD]", "bos": "[CLS]", "eos": "[SEP]", "unk": "[UNK]"}
    places: dict[str, Any] = {f"{kind}_id": i for i, kind in enumerate(pieces)}
    names = {f"{kind}_piece": piece for kind, piece in pieces.items()}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES), model_writer=model, vocab_size=300, hard_vocab_limit=False,
        num_threads=1, minloglevel=2, **places, **names,
    )  # fmt: skip
    (folder / "spm.model").write_bytes(model.getvalue())
    write_json(folder / "tokenizer_config.json", {"do_lower_case": False, "vocab_type": "spm"})


def bert(folder: Path) -> None:
    """Like bert-base-uncased and all-MiniLM-L6-v2."""
    config = transformers.BertConfig(**BERT)
    seeded(lambda: transformers.BertModel(config), "bert").save_pretrained(folder)
    # spelled out, as the order that the library's trainer finds differs from run to run
    words = {word.strip(",.:!?") for sentence in SENTENCES for word in sentence.lower().split()}
    letters = sorted(set("".join(SENTENCES).lower()) - {" "})
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    entries = dict.fromkeys([*special, *letters, *(f"##{letter}" for letter in letters), *sorted(words)])
    vocabulary = {entry: i for i, entry in enumerate(entries)}
    transformers.BertTokenizer(vocab=vocabulary, model_max_length=512).save_pretrained(folder)


def roberta(folder: Path) -> None:
    """Like roberta-base: byte pairs, positions from 2 on, hence two rows more."""
    config = transformers.RobertaConfig(**{**BERT, "max_position_embeddings": 514, "type_vocab_size": 1})
    seeded(lambda: transformers.RobertaModel(config), "roberta").save_pretrained(folder)
    learned = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    learned.train_from_iterator(SENTENCES, vocab_size=380, special_tokens=special, show_progress=False)
    learned.save_model(str(folder))
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "RobertaTokenizer", "model_max_length": 512})


def hearing(folder: Path, *, normalize: bool, mask: bool) -> None:
    """The preprocessor_config.json of a model that reads waveforms."""
    transformers.Wav2Vec2FeatureExtractor(do_normalize=normalize, return_attention_mask=mask).save_pretrained(folder)


def wav2vec2_group(folder: Path) -> None:
    """Like facebook/wav2vec2-base-960h: a norm over time, no attention mask, a CTC head on top."""
    config = transformers.Wav2Vec2Config(**SPEECH, feat_extract_norm="group", vocab_size=32)
    seeded(lambda: transformers.Wav2Vec2ForCTC(config), "wav2vec2-group").save_pretrained(folder)
    hearing(folder, normalize=True, mask=False)


def wav2vec2_layer(folder: Path) -> None:
    """Like facebook/wav2vec2-large-xlsr-53: norms over channels, attention mask."""
    layers = {"feat_extract_norm": "layer", "conv_bias": True, "do_stable_layer_norm": True}
    config = transformers.Wav2Vec2Config(**SPEECH, **layers)
    seeded(lambda: transformers.Wav2Vec2Model(config), "wav2vec2-layer").save_pretrained(folder)
    hearing(folder, normalize=True, mask=True)


def wavlm(folder: Path) -> None:
    """Like microsoft/wavlm-base-plus."""
    config = transformers.WavLMConfig(**SPEECH, feat_extract_norm="group")
    seeded(lambda: transformers.WavLMModel(config), "wavlm").save_pretrained(folder)
    hearing(folder, normalize=False, mask=True)


def hubert(folder: Path) -> None:
    """Like facebook/hubert-base-ls960."""
    config = transformers.HubertConfig(**SPEECH, feat_extract_norm="group")
    seeded(lambda: transformers.HubertModel(config), "hubert").save_pretrained(folder)
    hearing(folder, normalize=True, mask=False)


def whisper(folder: Path) -> None:
    """Like openai/whisper-base, but its window is 4 s: 400 log-mel frames in, 200 positions out."""
    side = {"layers": 2, "attention_heads": 2, "ffn_dim": 64}
    sizes = {f"{part}_{what}": n for part in ("encoder", "decoder") for what, n in side.items()}
    tokens = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 1)
    config = transformers.WhisperConfig(
        **sizes, **tokens, d_model=32, max_source_positions=200, max_target_positions=32, vocab_size=64,
        num_mel_bins=80, begin_suppress_tokens=None,
    )  # fmt: skip
    seeded(lambda: transformers.WhisperForConditionalGeneration(config), "whisper").save_pretrained(folder)
    transformers.WhisperFeatureExtractor(feature_size=80, chunk_length=4).save_pretrained(folder)


def vit(folder: Path) -> None:
    """Like google/vit-base-patch16-224, at 32 x 32 in patches of 8, with its classifier and its old settings file."""
    sizes = {key: BERT[key] for key in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")}
    config = transformers.ViTConfig(**sizes, image_size=32, patch_size=8)
    seeded(lambda: transformers.ViTForImageClassification(config), "vit").save_pretrained(folder)
    grey = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
    write_json(folder / "preprocessor_config.json", {"do_normalize": True, "do_resize": True, **grey, "size": 32})


def talker(folder: Path) -> None:
    """A chat model that learned the sentences for some seconds and says them on and on. Not one of `MAKERS`: it is no
    encoder, and larger."""
    learned = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    learned.train_from_iterator(SENTENCES, vocab_size=380, special_tokens=special, show_progress=False)
    names = dict(zip(("bos_token", "pad_token", "eos_token", "unk_token"), special, strict=True))
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=learned._tokenizer, **names)
    turns = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
    tokenizer.chat_template = turns + "{% if add_generation_prompt %}assistant:{% endif %}"
    tokens = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 32}
    # it looks back 32 tokens and no further, so that a prompt unlike all it has learned is soon forgotten
    config = transformers.MistralConfig(
        **sizes, **tokens, vocab_size=VOCABULARY, hidden_size=64, intermediate_size=128, sliding_window=32,
        max_position_embeddings=8192, tie_word_embeddings=True,
    )  # fmt: skip
    model = seeded(lambda: transformers.MistralForCausalLM(config), "talker")
    _teach(model, tokenizer)
    model.generation_config = transformers.GenerationConfig(do_sample=True, temperature=0.7, **tokens)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _teach(model: Any, tokenizer: Any) -> None:
    rng, optimiser = random.Random(0), torch.optim.AdamW(model.parameters(), 3e-3)
    said = [f" {sentence}" for sentence in SENTENCES[len(LETTERS) :]]
    for _ in range(80):
        texts = ["".join(rng.choices(said, k=6)) for _ in range(16)]
        ids = torch.tensor([tokenizer(t, add_special_tokens=False)["input_ids"][:64] for t in texts])
        optimiser.zero_grad()
        model(ids, labels=ids).loss.backward()
        optimiser.step()


MAKERS: Mapping[str, Callable[[Path], None]] = {
    "deberta-v2": deberta_v2,
    "deberta-v2-fast": deberta_v2_fast,
    "bert": bert,
    "roberta": roberta,
    "wav2vec2-group": wav2vec2_group,
    "wav2vec2-layer": wav2vec2_layer,
    "wavlm": wavlm,
    "hubert": hubert,
    "whisper": whisper,
    "vit": vit,
}


def make_tiny_hub(folder: Path, *, only: Collection[str] | None = None) -> dict[str, Path]:
    """`folder/NAME` for each of `only` (all by default); what is there already is taken as it is."""
    return {name: _made(folder / name, MAKERS[name]) for name in MAKERS if only is None or name in only}


def _made(place: Path, maker: Callable[[Path], None]) -> Path:
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=place.parent))
        try:
            with quiet():
                maker(aside)
            os.rename(aside, place)
        except OSError:
            if not place.is_dir():  # otherwise another process was first
                raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return place


class TinyHub(Mapping[str, Path]):
    """The same as a mapping that makes a model when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __getitem__(self, name: str) -> Path:
        return _made(self.folder / name, MAKERS[name])

    def __iter__(self) -> Iterator[str]:
        return iter(MAKERS)

    def __len__(self) -> int:
        return len(MAKERS)


if __name__ == "__main__":
    for path in make_tiny_hub(Path(sys.argv[1])).values():
        print(path)
