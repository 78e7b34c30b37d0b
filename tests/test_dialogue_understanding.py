"""What the built-in dialogue takes up of what was said: situations, people, wishes, losses, other languages."""

from importlib import resources
from pathlib import Path

import pytest

from dialogue_fixtures import reading
from emobraid.dialogue import BuiltIn, Conversation, History
from emobraid.dialogue.banned import banned
from emobraid.dialogue.moves import moves
from emobraid.dialogue.slots import grave, slots
from emobraid.dialogue.strategies import all_plain_lines, foreign_line, plain_lines
from emobraid.dialogue.understanding import mark, read_vectors
from emobraid.dialogue.words import Wish, act, foreign, wish


@pytest.mark.parametrize(
    ("said", "filled"),
    [
        ("I got laid off this morning after eleven years.", {"time": "eleven years"}),
        ("my best friend hasn't called for two weeks", {"person": "your best friend", "time": "two weeks"}),
        ("My sister Anna is getting married", {"person": "Anna"}),
        ("our landlord shouted", {"person": "your landlord"}),
        ("he died two weeks ago", {}),
        ("in three days it is over", {}),
        ("my keys", {}),
        ("", {}),
    ],
)
def test_slots_are_the_persons_own_words_turned_round(said, filled):
    assert slots(said) == filled


@pytest.mark.parametrize(
    "said",
    [
        "he hit me", "forty paracetamol", "12 tablets", "there is a gun in the car", "my dad died", "she cut me",
        "I found blood", "the funeral is on Monday", "he choked me", "they beat him up", "it is cancer",
    ],
)  # fmt: skip
def test_grave_words_are_known(said):
    assert grave(said)


@pytest.mark.parametrize("said", ["we won", "I hit the road", "a beat I like", "my shoes", "I have twenty euros", ""])
def test_ordinary_words_are_not_grave(said):
    assert not grave(said)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("Hi!", "greeting"),
        ("thank you so much", "thanks"),
        ("Goodbye", "bye"),
        ("no, I'm not angry", "correction"),
        ("are you a robot?", "identity"),
        ("do you store my voice?", "data"),
        ("what should I do now?", "advice"),
        ("ok", "short"),
        ("how are you?", "self"),
        ("do you like music?", "self"),
        ("Can you see me?", "reading"),
        ("why do you think I'm sad?", "reading"),
        ("do you remember what I said?", "memory"),
        ("what can you do?", "ability"),
        ("what is the capital of France", "ability"),
        ("what is the point", None),
        ("what do you think?", "opinion"),
        ("tell me a joke", "joke"),
        ("this is useless", "rude"),
        ("you are stupid", "rude"),
        ("sorry", "sorry"),
        ("haha yes", "laugh"),
        ("I am so sorry for my friend", None),
        ("the exam was useless", None),
        ("hi, my dog ran away and I am looking for her", None),
    ],
)
def test_what_a_message_does_is_understood(said, found):
    assert act(said) == found


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("I have five minutes", Wish(minutes=5, asked=True)),
        ("I only have half an hour at work", Wish(minutes=30, place="work", asked=True)),
        ("got 2 hours, home alone, any ideas?", Wish(minutes=120, company="alone", asked=True)),
        ("what can I do with my kids at home?", Wish(place="home", company="together", asked=True)),
        ("nothing much", Wish()),
    ],
)
def test_time_place_and_company_are_understood(said, expected):
    assert wish(said) == expected


@pytest.mark.parametrize(
    ("said", "about"),
    [
        ("My dad passed away two weeks ago", "death_parent"),
        ("our cat got run over on Monday", "pet_died pet_ill pet_lost"),
        ("I got the sack this morning", "fired laid_off"),
        ("they let me go after nine years at the firm", "laid_off fired"),
        ("the test on Thursday scares me, I have learnt nothing", "exam_soon"),
        ("I flunked chemistry", "exam_failed"),
        ("I passed! I passed the bar exam!", "exam_passed"),
        ("she dumped me by text", "breakup_left"),
        ("my girlfriend said yes, we are getting married", "got_engaged"),
        ("I lie awake until four every night", "cannot_sleep cannot_sleep_over_it night_worry"),
        ("my boss yelled at me before the whole team", "boss_shouted"),
        ("there was a cockroach in my soup", "insect_in_food bad_restaurant"),
        ("our team took the cup yesterday", "won_match sports_watch"),
        ("nothing to do, so bored", "bored"),
        ("are you a real person?", "bot_are_you_real bot_are_you_human_there"),
    ],
)
def test_what_a_message_tells_of_is_found_in_other_words_too(said, about):
    assert BuiltIn(seed=0).reply(said, None, History()).about.partition("/")[0] in about.split()


def test_a_loss_is_never_answered_with_delight():
    happy = [*plain_lines("good"), *plain_lines("happy")]
    for said in ("My dad died two weeks ago", "my old dog died on Monday"):
        for seed in range(10):
            reply = Conversation(None, seed=seed).answer(said, reading("happy")).reply
            assert "comfort" in reply.strategy
            assert not [line for line in happy if line in reply.text]


def test_lines_may_be_said_and_are_enough():
    assert sum(move.opens or move.to_program for move in moves().values()) >= 200
    for move in moves().values():
        assert not [line for line in move.lines() if banned(line)], move.id
        assert len(move.said) >= 4, move.id
        assert all(line.count("?") <= 1 for line in move.reply) or move.id == "bot_tell_joke", move.id
        assert all(line.rstrip().endswith("?") for line in move.ask), move.id
        assert not any("?" in line for line in move.reflect), move.id
    for name, lines in all_plain_lines().items():
        assert not [line for line in lines if banned(line)], name
        assert not name.endswith("_question") or all(line.endswith("?") for line in lines), name


def test_every_utterance_of_the_lines_has_its_vector():
    """benchmarks/dialogue_train.py writes them; who changes lines runs it again with --vectors_only."""
    vectors = read_vectors(Path(str(resources.files("emobraid") / "weights" / "dialogue")))
    assert not [text for move in moves().values() for text in move.said if mark(text) not in vectors]


@pytest.mark.parametrize(
    ("said", "language"),
    [
        ("Ich bin heute so traurig", "de"),
        ("estoy muy enfadado con mi jefe", "es"),
        ("j'ai peur de l'avenir", "fr"),
        ("eu não estou bem hoje", "pt"),
        ("oggi sono molto triste", "it"),
        ("ik ben vandaag niet blij", "nl"),
        ("jestem dziś bardzo smutna", "pl"),
        ("I am so sad today", None),
        ("ok", None),
        ("asdf qwer", None),
    ],
)
def test_other_languages_get_a_plain_line_and_where_a_person_is(said, language):
    assert foreign(said) == language
    text = Conversation(None, locale="en-GB", seed=0).answer(said, reading("sad")).reply.text
    assert (foreign_line(language or "none") in text) == (language is not None)
    assert ("116 123" in text or "112" in text) == (language is not None)


def test_a_language_that_is_not_known_gets_the_safe_line_too():
    for said in ("bugün kendimi çok kötü hissediyorum", "сегодня мне очень плохо", "今日はとても疲れました、本当に"):
        reply = Conversation(None, locale="en-US").answer(said, None).reply
        assert foreign_line("other") in reply.text
        assert "988" in reply.text
