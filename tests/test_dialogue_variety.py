"""Replies vary, never repeat themselves within ten turns, and never say what must not be said."""

import random
from itertools import pairwise

import pytest

from dialogue_fixtures import SENTENCES, TOLD, at_random, reading
from emobraid.dialogue import BuiltIn, Conversation, History, Turn
from emobraid.dialogue.banned import banned
from emobraid.dialogue.moves import moves
from emobraid.dialogue.strategies import all_plain_lines


def test_a_thousand_replies_hold_no_phrase_that_is_never_said():
    rng = random.Random(0)
    replies = 0
    while replies < 1_000:
        responder, history = (
            BuiltIn(seed=rng.randrange(1000)),
            History(),
        )  # past the look for a crisis, which takes longer
        for _ in range(25):
            said, prediction = rng.choice(SENTENCES), at_random(rng)
            reply = responder.reply(said, prediction, history)
            history.add(Turn(said, prediction, reply))
            assert not banned(reply.text), reply.text
            assert not any(banned(s) for s in reply.suggestions)
            assert "{" not in reply.text
            assert "<" not in reply.text
            assert 2 < len(reply.text) < 700
            replies += 1


@pytest.mark.parametrize(
    "phrase", ["You are sad", "you’re feeling low", "Calm down", "sounds like depression", "I KNOW HOW YOU FEEL"]
)
def test_what_is_never_said_is_recognised(phrase):
    assert banned(f"Well. {phrase}, maybe.")
    assert not banned("That sounds heavy; my guess may be off.")


@pytest.mark.parametrize("said", ["My boss shouted at me", "ok", "The blue one stood there", "what should I do?"])
def test_the_same_words_again_are_not_answered_with_the_same_reply(said):
    conversation = Conversation(None, seed=7)
    texts = [conversation.answer(said, reading("sad")).reply.text for _ in range(10)]
    assert all(a != b for a, b in pairwise(texts))
    assert len(set(texts)) >= 7


@pytest.mark.parametrize("seed", range(2))
def test_a_long_conversation_does_not_repeat_itself(seed):
    rng = random.Random(seed)
    conversation = Conversation(None, seed=seed)
    texts = [conversation.answer(rng.choice(TOLD), at_random(rng)).reply.text for _ in range(60)]
    near = [texts[i] in texts[max(0, i - 6) : i] for i in range(len(texts))]
    assert sum(near) == 0


def test_lines_are_no_riddles():
    """Hardly a line is there twice, and none is so long that it is not read."""
    lines = [line for move in moves().values() if not move.after for line in move.lines()]
    lines += [line for some in all_plain_lines().values() for line in some]
    assert len(lines) > 2000
    assert len(set(lines)) >= 0.97 * len(lines)
    assert max(len(line.split()) for line in lines) <= 45
