"""What is suggested, when, and to whom not."""

import random

import pytest

from dialogue_fixtures import SEVEN, reading
from emobraid.dialogue import Conversation, History
from emobraid.dialogue.activities import activities, suggest
from emobraid.dialogue.words import Wish


def test_there_are_sixty_activities_and_enough_for_every_emotion():
    assert len(activities()) >= 60
    assert len({a.text for a in activities()}) == len(activities())
    for emotion in SEVEN:
        assert sum(emotion in a.emotions for a in activities()) >= 12
        assert sum(emotion in a.emotions and a.minutes <= 5 for a in activities()) >= 2
    assert {a.energy for a in activities()} == {"low", "medium", "high"}
    assert {a.place for a in activities()} == {"anywhere", "home", "outside", "work"}
    assert {a.company for a in activities()} == {"alone", "together", "either"}


@pytest.mark.parametrize("emotion", SEVEN)
def test_activities_fit_the_time_and_are_not_offered_twice(emotion):
    conversation = Conversation(None, seed=1)
    minutes = {a.text: a.minutes for a in activities()}
    for _ in range(3):
        offers = conversation.answer("I have 5 minutes", reading(emotion)).reply.suggestions
        assert all(minutes[o] <= 5 for o in offers)
    conversation = Conversation(None, seed=1)
    offers = [o for _ in range(4) for o in conversation.answer("any ideas?", reading(emotion)).reply.suggestions]
    assert offers
    assert len(offers) == len(set(offers))


def test_strong_readings_get_other_activities_than_mild_ones():
    energy = {a.text: a.energy for a in activities()}
    strong = suggest("happy", Wish(), reading("happy", 0.95), History(), random.Random(0), count=3)
    mild = suggest("happy", Wish(), reading("happy", 0.4), History(), random.Random(0), count=3)
    assert {energy[a] for a in strong} == {"high"}
    assert {energy[a] for a in mild} == {"medium"}


def test_when_it_lasts_company_comes_first():
    company = {a.text: a.company for a in activities()}
    conversation = Conversation(None, seed=0)
    for _ in range(3):
        conversation.answer("still", reading("sad"))
    first = suggest("sad", Wish(), reading("sad"), conversation.history, random.Random(0), count=1)
    assert company[first[0]] == "together"


def test_who_asks_gets_three_and_who_tells_of_trouble_is_listened_to():
    conversation = Conversation(None, seed=0)
    said = [
        "my cat died",
        "it is so quiet at home now",
        "I have five minutes, any ideas?",
        "what can I do at home?",
        "bye",
    ]
    assert [len(conversation.answer(s, reading("sad")).reply.suggestions) for s in said] == [0, 0, 3, 3, 0]


@pytest.mark.parametrize("said", ["what can I do with these pills", "any ideas, he hit me", "suggest a knife"])
def test_nothing_is_suggested_beside_grave_words(said):
    assert Conversation(None, seed=0).answer(said, reading("happy", 0.95)).reply.suggestions == ()


@pytest.mark.parametrize("said", ["hello", "thank you", "ok", "how are you?", "tell me a joke", "sorry", "haha"])
def test_small_talk_gets_no_suggestions(said):
    assert Conversation(None, seed=0).answer(said, reading("happy")).reply.suggestions == ()
