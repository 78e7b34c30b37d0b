"""Words of a crisis are found, figures of speech are not, and what is read then is fixed, human and has a number."""

import re
import time

import pytest

from crisis_phrases import GRIEF, HARMLESS, HARMLESS_ELSEWHERE, LANGUAGES, OTHERS, SELF_HARM
from crisis_sentences import EVERYDAY, SAID_ASLANT
from emobraid.dialogue import Conversation, Reply, crisis_help, is_crisis
from emobraid.dialogue.crisis import KINDS, detect
from emobraid.dialogue.help_lines import STAYING, TEXTS, Help, _shipped
from emobraid.dialogue.strategies import plain_lines


def test_the_lists_are_as_long_as_they_must_be():
    assert len(set(SELF_HARM)) >= 60
    assert len(set(HARMLESS)) >= 60


@pytest.mark.parametrize("said", SELF_HARM)
def test_words_of_self_harm_are_found(said):
    assert is_crisis(said)


def test_what_is_said_aslant_is_nearly_always_found():
    """All of them were written before the patterns that find them; what is left could mean anything."""
    missed = [said for said in SAID_ASLANT if not is_crisis(said)]
    assert len(SAID_ASLANT) > 300
    assert len(missed) <= 0.02 * len(SAID_ASLANT), missed


@pytest.mark.parametrize(("kind", "said"), [(k, s) for k, lines in OTHERS.items() for s in lines.strip().splitlines()])
def test_other_crises_are_found_and_told_apart(kind, said):
    found = detect(said)
    assert found
    assert found.kind == kind


@pytest.mark.parametrize(
    ("language", "said"), [(k, s) for k, lines in LANGUAGES.items() for s in lines.strip().splitlines()]
)
def test_core_phrases_are_found_in_other_languages(language, said):
    found = detect(said)
    assert found
    assert found.language == language


def test_figures_of_speech_are_rarely_taken_for_a_crisis():
    wrong = [said for said in HARMLESS if is_crisis(said)]
    assert len(wrong) < 0.1 * len(HARMLESS), wrong


def test_everyday_sentences_with_the_same_words_are_rarely_taken_for_a_crisis():
    wrong = [said for said in EVERYDAY if is_crisis(said)]
    assert len(EVERYDAY) > 200
    assert len(wrong) < 0.05 * len(EVERYDAY), wrong


@pytest.mark.parametrize("said", GRIEF)
def test_grief_and_fear_of_death_are_no_crisis(said):
    assert not is_crisis(said)


def test_figures_of_speech_in_other_languages_are_rarely_taken_for_a_crisis():
    wrong = [said for said in HARMLESS_ELSEWHERE if is_crisis(said)]
    assert len(wrong) < 0.1 * len(HARMLESS_ELSEWHERE), wrong


@pytest.mark.parametrize("frame", ["{}", "   {}  ", "{}.", "hi. {}! what now", "So... {}\n\nthat's all", "“{}”"])
@pytest.mark.parametrize("said", ["I want to kill myself", "I don't want to live anymore", "I WANT TO DIE"])
def test_what_stands_around_the_words_changes_nothing(frame, said):
    assert is_crisis(frame.format(said))


def test_an_idiom_beside_the_real_thing_hides_nothing():
    assert is_crisis("This homework is killing me and I want to kill myself")
    assert is_crisis("lol I could murder a pizza. I'm going to end my life tonight")


def test_a_long_text_is_read_to_its_end_and_quickly():
    start = time.process_time()
    assert is_crisis("It was a day like any other and we went for a walk. " * 380 + "I want to kill myself.")
    assert not is_crisis("kill " * 4000)
    assert not is_crisis("i want to " * 2000)
    assert time.process_time() - start < 10


@pytest.mark.parametrize("said", ["", "   ", "\x00\u202e", "🙂", "١٢٣", "%s {talk} \\"])
def test_odd_texts_are_no_crisis_and_no_error(said):
    assert not is_crisis(said)


def first_two(text):
    return " ".join(re.split(r"(?<=[.!?])\s+", text)[:2])


@pytest.mark.parametrize("language", _shipped()["languages"])
@pytest.mark.parametrize("kind", [*KINDS, "again"])
def test_the_first_two_sentences_acknowledge_and_lead_to_a_person(language, kind):
    text = Help(f"{language}-DE").text(kind)
    assert "116 123" in first_two(text) or "112" in first_two(text)
    assert "{" not in text
    assert len(first_two(text).split()) > 12


@pytest.mark.parametrize("region", _shipped()["regions"])
def test_every_region_has_a_line_a_page_to_check_it_and_pages_where_its_numbers_were_seen(region):
    row = _shipped()["regions"][region]
    assert set(row) == {"talk", "danger", "abuse", "check", "seen"}
    assert row["check"].startswith("https://")
    assert all(re.match("https?://", page) for page in row["seen"])
    assert row["seen"]
    assert row["talk"] in crisis_help(f"en-{region}")


def test_the_numbers_follow_the_locale():
    assert "988" in first_two(crisis_help("en-US"))
    assert "988" in first_two(crisis_help("fr_CA.UTF-8"))
    assert "116 123" in first_two(crisis_help("en-GB"))
    assert "116 123" in first_two(crisis_help("de"))
    assert "findahelpline.com" in first_two(crisis_help("en"))
    assert "findahelpline.com" in first_two(crisis_help("xx-YY"))
    assert crisis_help("de-AT") != crisis_help("de-DE")


def test_help_comes_in_the_language_that_was_used():
    reply = Conversation(None, locale="en-FR").answer("je veux mourir", None).reply
    assert reply.text == crisis_help("fr-FR")


class Loud:
    """A responder that must not be asked."""

    def __init__(self):
        self.asked = []

    def reply(self, said, prediction, history):
        self.asked.append(said)
        return Reply("loud", "loud", ("go for a run",), "llm")

    def stream(self, said, prediction, history):
        self.asked.append(said)
        yield "loud"
        yield Reply("loud", "loud", ("go for a run",), "llm")


@pytest.mark.parametrize("streamed", [False, True])
def test_a_crisis_goes_past_every_responder_and_stays_with_the_person(streamed):
    responder = Loud()
    conversation = Conversation(None, responder)

    def answer(said):
        if streamed:
            pieces = "".join(conversation.stream(said, None))
            assert pieces == conversation.history.turns[-1].reply.text
        else:
            conversation.answer(said, None)
        return conversation.history.turns[-1].reply

    assert answer("hello") == Reply("loud", "loud", ("go for a run",), "llm")
    assert answer("I want to die") == Reply(crisis_help("en"), "help", (), "safety")
    for _ in range(STAYING):
        reply = answer("ok")
        assert (reply.source, reply.suggestions) == ("safety", ())
        assert "988" in reply.text
    after = answer("maybe we talk about football")
    assert (after.source, after.suggestions) == ("built-in", ())
    assert after.text.endswith(Help("en").text("reminder"))
    assert responder.asked == ["hello"]
    for _ in range(10):
        last = answer("still football")
    assert last.source == "llm"


def test_a_second_cry_is_not_answered_with_the_same_words():
    conversation = Conversation(None, locale="en-US")
    texts = [conversation.answer("I want to die", None).reply.text for _ in range(4)]
    assert len(set(texts[:3])) == 3
    assert all("988" in first_two(t) for t in texts)


def test_words_taken_back_lead_on_but_keep_the_number_in_sight():
    conversation = Conversation(None)
    conversation.answer("I want to die", None)
    assert conversation.answer("sorry, that was a song lyric", None).reply.text == Help("en").text("misread")
    after = conversation.answer("let us talk about music", None).reply
    assert after.source == "built-in"
    assert "988" in after.text


def test_a_sentence_sent_in_two_halves_is_put_together():
    conversation = Conversation(None)
    assert conversation.answer("I am going to kill", None).reply.strategy != "help"
    assert conversation.answer("myself tonight", None).reply.strategy == "help"


def test_what_was_said_in_a_crisis_is_not_exported_and_can_be_forgotten():
    conversation = Conversation(None)
    conversation.answer("nice day", None)
    conversation.answer("I want to die", None)
    assert "die" not in str(conversation.export())
    assert len(conversation.export()["turns"]) == 1
    conversation.forget()
    assert conversation.answer("nice day", None).reply.source == "built-in"
    assert "988" not in conversation.history.turns[-1].reply.text


def test_no_recognizer_reads_words_of_a_crisis():
    class Recognizer:
        def predict(self, **given):
            raise AssertionError(given)

    turn = Conversation(Recognizer()).say(text="I want to kill myself", audio="a.wav")
    assert turn.prediction is None
    assert turn.reply.source == "safety"


def test_an_operator_may_change_single_lines(tmp_path):
    own = tmp_path / "lines.toml"
    own.write_text(
        '[regions]\nGB = { talk = "0800 0 0 0" }\nJP = { talk = "1-2-3", danger = "119" }\n', encoding="utf-8"
    )
    assert "0800 0 0 0" in crisis_help("en-GB", help_lines=own)
    assert "999" in crisis_help("en-GB", help_lines=own)
    assert "1-2-3" in crisis_help("en-JP", help_lines=own)
    assert "988" in crisis_help("en-US", help_lines=own)
    assert "0800 0 0 0" in Conversation(None, locale="en-GB", help_lines=own).answer("I want to die", None).reply.text


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[regions", "no readable table of help lines"),
        ("[numbers]\nx = 1", "unknown table 'numbers'; there are regions, languages"),
        ('[languages.da]\nself_harm = "Ring {talk}"', "languages.da lacks"),
        ('[languages.en]\nself_harm = "Call {number}"', "languages.en.self_harm: unknown placeholder"),
    ],
)
def test_a_broken_table_is_refused_at_the_start(tmp_path, content, says):
    own = tmp_path / "lines.toml"
    own.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(says)):
        Conversation(None, help_lines=own)


def test_every_language_has_every_text():
    for texts in _shipped()["languages"].values():
        assert set(TEXTS) <= set(texts)


def test_after_a_crisis_there_is_no_small_talk_for_ten_turns():
    conversation = Conversation(None, seed=1)
    conversation.answer("I want to die", None)
    for _ in range(STAYING):
        conversation.answer("I texted my sister", None)
    for said in ("she is coming over", "it is raining", "hello", "we drink tea"):
        reply = conversation.answer(said, None).reply
        assert any(line in reply.text for line in plain_lines("care"))
        assert any(line in reply.text for line in plain_lines("care_question"))
        assert reply.suggestions == ()
