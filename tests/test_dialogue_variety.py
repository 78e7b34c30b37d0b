"""Replies vary, never repeat themselves within ten turns, and never say what must not be said."""

import random
import re
from itertools import pairwise

import pytest

from dialogue_fixtures import SENTENCES, SEVEN, at_random, reading, said_by
from emobraid.dialogue import BuiltIn, Conversation, History, Turn
from emobraid.dialogue.repertoire import banned, load
from emobraid.dialogue.themes import themes


def test_ten_thousand_replies_hold_no_phrase_that_is_never_said():
    rng = random.Random(0)
    replies = 0
    while replies < 10_000:
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


@pytest.mark.parametrize("emotion", SEVEN)
@pytest.mark.parametrize("said", ["My boss shouted at me", "ok", "", "bye", "what should I do?", "hello"])
def test_the_same_words_ten_times_never_get_the_same_sentence_twice(emotion, said):
    conversation = Conversation(None, seed=7)
    texts = [conversation.answer(said, reading(emotion)).reply.text for _ in range(24)]
    for i in range(len(texts) - 9):
        ten = texts[i : i + 10]
        assert len(set(ten)) == 10
        sentences = [s for text in ten for s in said_by(text) if len(s.split()) > 2]
        assert len(set(sentences)) == len(sentences)


@pytest.mark.parametrize("seed", range(2))
def test_a_long_conversation_repeats_no_pattern_within_ten_turns(seed):
    rng = random.Random(seed)
    conversation = Conversation(None, seed=seed)
    texts = [conversation.answer(rng.choice(SENTENCES), at_random(rng)).reply.text for _ in range(120)]
    repertoire = load()
    lines = [x for s in repertoire.strategies.values() for slot in s.lines.values() for x in slot]
    lines += [x for slot in repertoire.general.values() for x in slot]
    lines += [x for slot in repertoire.acts.values() for x in slot]
    lines += [x for theme in themes() for x in (*theme.about, *theme.ask)]
    anchors = [a for x in lines if len(a := max(re.split(r"\{.*?\}", x), key=len)) > 8]
    for anchor in anchors:
        used = [i for i, text in enumerate(texts) if anchor in text]
        assert all(b - a > 10 for a, b in pairwise(used)), anchor


def test_no_line_holds_another_so_that_each_can_be_told_apart():
    repertoire = load()
    slots = [s for strategy in repertoire.strategies.values() for s in strategy.lines.values()]
    slots += [*repertoire.general.values(), *repertoire.acts.values()]
    assert all(len(slot) >= 14 for slot in slots)  # more than the turns within which nothing is said twice
    lines = [line for slot in slots for line in slot] + [x for t in themes() for x in (*t.about, *t.ask)]
    assert len(lines) > 1100
    assert len(lines) == len(set(lines))
    anchors = [max(re.split(r"\{.*?\}", line), key=len) for line in lines]
    inside = [(a, b) for a in anchors for b in lines if a in b and a != max(re.split(r"\{.*?\}", b), key=len)]
    assert not [pair for pair in inside if len(pair[0]) > 8], inside


def test_reflections_take_up_the_topic_and_the_other_lines_need_none():
    for strategy in load().strategies.values():
        assert all("{topic}" in line for line in strategy.lines["reflection"])
        assert not any(
            "{" in line for slot in ("opening", "plain", "support", "question") for line in strategy.lines[slot]
        )
