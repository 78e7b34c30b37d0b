"""Words for the compact text encoder, worked out by hand."""

import zlib

import pytest
import torch

from emobraid.encoders import CompactText
from emobraid.encoders.compact_text import PIECES, word_pieces
from emobraid.stream import pad
from encoder_fixtures import DIM, build


def test_a_word_is_hashed_with_its_character_ngrams():
    def bucket(piece):
        return zlib.crc32(piece.encode()) % 97 + 1

    assert word_pieces("hi", 97) == [bucket(p) for p in ("hi", "<hi", "hi>", "<hi>")]
    assert len(word_pieces("incomprehensible", 97)) == PIECES


def test_text_becomes_one_row_of_buckets_a_word_or_mark():
    prepared = CompactText(DIM, buckets=97).prepare("Don't  STOP!")
    assert prepared.shape == (3, PIECES)
    for row, word in zip(prepared.tolist(), ["don't", "stop", "!"], strict=True):
        pieces = word_pieces(word, 97)
        assert row == pieces + [0] * (PIECES - len(pieces))


@pytest.mark.parametrize("text", ["", "   \n\t"])
def test_text_without_words_has_length_zero(text):
    assert CompactText(DIM).prepare(text).shape == (0, PIECES)


def test_text_is_cut_at_its_longest_length():
    assert len(CompactText(DIM, max_length=4).prepare("one two three four five six")) == 4


def test_text_in_any_script_has_words():
    assert len(CompactText(DIM).prepare("я рад 嬉しい 😀")) == 4


def test_the_order_of_words_is_read():
    encoder = build("text")
    there, back = (encoder(pad([encoder.prepare(t)])).values[0] for t in ("dog bites man", "man bites dog"))
    assert not torch.allclose(there.sum(0), back.sum(0), atol=1e-3)
