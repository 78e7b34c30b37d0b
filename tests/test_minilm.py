"""The small BERT: padding changes nothing, 8 bits change little, and its file is refused when it is damaged."""

import pytest
import torch
from transformers import BertConfig, BertModel

from emobraid.encoders.minilm import MiniLm, WordPieces

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnopqrstuvwxyz", "##s", "how", "was", "it", "?", "day"]


@pytest.fixture
def model() -> MiniLm:
    torch.manual_seed(0)
    made = MiniLm(vocabulary=len(PIECES), layers=2, width=16, heads=2, inner=32, positions=20)
    made.pieces = WordPieces(PIECES, longest=20)
    return made.eval()


def test_a_text_is_read_the_same_alone_and_among_longer_ones(model):
    alone = model.embed(["how was it?"])
    among = model.embed(["how was it?", "how was it how was it how was it"])
    assert torch.allclose(alone[0], among[0], atol=1e-6)


def test_words_are_cut_where_the_model_ends(model):
    assert len(model.pieces("how was it " * 50)) == 20
    assert model.pieces("")[:2] == [2, 3]


def test_what_was_saved_in_8_bits_reads_nearly_the_same(model, tmp_path):
    model.save(tmp_path, PIECES)
    again = MiniLm.from_folder(tmp_path)
    texts = ["how was it", "a day", "was it?"]
    assert (again.embed(texts) * model.embed(texts)).sum(1).min() > 0.999


def test_a_cut_vocabulary_changes_nothing_for_the_words_it_keeps(model):
    keep = [i for i, p in enumerate(PIECES) if p not in ("x", "q", "z")]
    small = model.cut(keep)
    small.pieces = WordPieces([PIECES[i] for i in keep])
    assert torch.allclose(small.embed(["how was it"]), model.embed(["how was it"]), atol=1e-6)


def test_a_bert_of_transformers_gives_the_same_vectors(tmp_path):
    config = BertConfig(
        vocab_size=len(PIECES),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=20,
        attn_implementation="eager",
    )
    torch.manual_seed(1)
    bert = BertModel(config).eval()
    bert.save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES))
    ours = MiniLm.from_folder(tmp_path)
    ids, mask = ours.batch(["how was it?", "day"])
    with torch.no_grad():
        theirs = bert(input_ids=ids, attention_mask=mask.long()).last_hidden_state * mask.unsqueeze(-1)
        assert torch.allclose(ours(ids, mask), theirs, atol=1e-5)


def test_a_damaged_file_is_named(model, tmp_path):
    model.save(tmp_path, PIECES)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="no model of sentences"):
        MiniLm.from_folder(tmp_path)
