"""Text encoders read the turns before an utterance, and only the utterance comes out."""

import itertools

import pytest
import torch
from transformers import AutoTokenizer

import pretrained_fixtures
from emobraid.encoders.base import Utterance
from emobraid.encoders.compact_text import PIECES, CompactText, word_pieces
from emobraid.stream import pad
from encoder_fixtures import real
from pretrained_fixtures import METHODS, TEXT, encoder_of

build, plain = pretrained_fixtures.build, pretrained_fixtures.plain


def ids(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


CONTEXT = (("Rachel", "they are not going to work"), ("", "oh my God"), ("Monica", "I am sad about the old car"))
SAID = Utterance("I am so happy today!", "Ross", CONTEXT)


@pytest.mark.parametrize("name", TEXT)
def test_turns_before_go_in_first_with_who_spoke_and_only_the_utterance_comes_out(build, plain, hub, name):
    encoder, tokenizer = build(name), AutoTokenizer.from_pretrained(hub[name])
    end = tokenizer.sep_token_id
    before = [
        *ids(tokenizer, "Rachel: they are not going to work"), end,
        *ids(tokenizer, "oh my God"), end,
        *ids(tokenizer, "Monica: I am sad about the old car"), end,
    ]  # fmt: skip
    own = ids(tokenizer, "Ross: I am so happy today!")
    expected = [tokenizer.cls_token_id, *before, *own, end]
    belongs = [1] + [0] * len(before) + [1] * (len(own) + 1)
    tokens = encoder.prepare(SAID)
    assert tokens.dtype == torch.long
    assert tokens.T.tolist() == [expected, belongs]
    with torch.no_grad():
        hidden = plain(name)(input_ids=torch.tensor([expected])).last_hidden_state[0]
    (ours,) = encoder.stem([tokens])
    assert len(ours) == len(own) + 2
    torch.testing.assert_close(ours, hidden[torch.tensor(belongs) == 1], rtol=1e-4, atol=1e-5)
    (without,) = encoder.stem([encoder.prepare(SAID._replace(context=()))])
    assert len(without) == len(ours)
    assert (without - ours).abs().max() > 1e-2


@pytest.mark.parametrize("name", TEXT)
@pytest.mark.parametrize("method", METHODS[1:])
def test_a_tuned_encoder_reads_context_and_gives_the_utterance(build, name, method):
    encoder = build(name, method)
    tokens = [encoder.prepare(SAID), encoder.prepare(SAID._replace(context=()))]
    long, short = real(encoder(pad(encoder.stem(tokens))))
    assert len(long) == len(short) == len(tokens[1]) < len(tokens[0])
    assert (long - short).abs().max() > 1e-2


@pytest.mark.parametrize("name", TEXT)
def test_where_there_is_no_room_the_oldest_turn_goes_first_and_then_the_end_of_the_utterance(hub, name):
    tokenizer = AutoTokenizer.from_pretrained(hub[name])
    end = [tokenizer.sep_token_id]
    turns = [ids(tokenizer, f"{who}: {what}" if who else what) + end for who, what in CONTEXT]
    own = ids(tokenizer, "Ross: I am so happy today!")
    whole = sum(map(len, turns)) + len(own) + 2
    for room in range(8, whole + 3):
        tokens = encoder_of(hub[name], "text", max_length=room).prepare(SAID)
        fits = [n for n in range(4) if sum(map(len, turns[3 - n :])) + len(own) + 2 <= room]
        kept = turns[3 - max(fits) :] if fits else []
        expected = [tokenizer.cls_token_id, *itertools.chain(*kept), *own[: room - 2], *end]
        assert tokens[:, 0].tolist() == expected
        assert len(tokens) <= room
    assert len(tokens) == whole


@pytest.mark.parametrize(("name", "limit"), [("bert", 512), ("roberta", 512), ("deberta-v2", 900), ("deberta-v2", 700)])
def test_text_is_cut_where_the_model_has_no_more_places(hub, name, limit):
    encoder = encoder_of(hub[name], "text", max_length=900 if limit < 600 else limit)
    assert encoder.max_length == limit
    tokens = encoder.prepare("happy " * 1_000)
    assert len(tokens) == limit
    (read,) = encoder.stem([tokens])
    assert len(read) == limit
    assert read.isfinite().all()


@pytest.mark.parametrize("text", ["", "  \n\t"])
@pytest.mark.parametrize("method", ["frozen", "lora"])
def test_an_utterance_without_words_is_missing_whatever_was_said_before(build, text, method):
    encoder = build("deberta-v2", method)
    assert len(encoder.prepare(Utterance(text, "Ross", CONTEXT))) == 0


def test_compact_text_reads_turns_before_as_words_of_their_own():
    encoder = CompactText(16, buckets=97)
    prepared = encoder.prepare(Utterance("So happy", "Ross", (("Monica", "no"), ("", "Happy"))))
    expected = [word_pieces(w, 97, before=True) for w in ("monica", "no", "happy")]
    expected += [word_pieces(w, 97) for w in ("so", "happy", "ross")]
    assert prepared.tolist() == [row + [0] * (PIECES - len(row)) for row in expected]
    assert not set(word_pieces("happy", 10**9)) & set(word_pieces("happy", 10**9, before=True))


def test_compact_text_never_cuts_its_own_words_for_those_before():
    words = [f"w{i}" for i in range(9)]
    for room in range(1, 15):
        encoder = CompactText(16, max_length=room)
        own = encoder.prepare(" ".join(words[4:]))
        both = encoder.prepare(Utterance(" ".join(words[4:]), context=(("", "w0 w1"), ("", "w2 w3"))))
        assert len(own) == min(room, 5)
        assert len(both) == min(room, 9)
        assert both[-len(own) :].equal(own)
        newest = words[4 - (len(both) - len(own)) : 4]
        before = [word_pieces(w, encoder.buckets, before=True) for w in newest]
        assert [[p for p in row if p] for row in both[: len(newest)].tolist()] == before
