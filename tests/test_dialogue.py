"""The built-in dialogue: varied, careful with claims, mindful of what was said and of the way so far."""

import json
import re

import pytest

from dialogue_fixtures import SENTENCES, SEVEN, reading
from emobraid.dialogue import BuiltIn, Conversation, History
from emobraid.dialogue.builtin import STAYS, situation
from emobraid.dialogue.history import KEPT
from emobraid.dialogue.moves import moves
from emobraid.dialogue.strategies import plain_lines
from emobraid.emotions import CIRCUMPLEX, LabelSpace
from emobraid.prediction import Prediction

UNKNOWN = "The second drawer of the cupboard holds forty paper clips."  # words that tell of no event


def test_a_guess_is_named_as_one_and_only_where_it_is_firm():
    firm = BuiltIn(seed=1).reply(UNKNOWN, reading("sad", 0.9), History()).text
    assert any(line in firm for line in plain_lines("sad"))
    for prediction in (reading("sad", 0.4), reading("neutral", 0.9), None):
        text = BuiltIn(seed=1).reply(UNKNOWN, prediction, History()).text
        assert not [line for emotion in SEVEN if emotion != "neutral" for line in plain_lines(emotion) if line in text]


def test_a_guess_is_not_named_in_every_turn():
    conversation = Conversation(None, seed=1)
    texts = [conversation.answer(UNKNOWN, reading("sad", 0.9)).reply.text for _ in range(4)]
    assert [any(line in text for line in plain_lines("sad")) for text in texts] == [True, False, False, False]


def test_what_was_said_comes_before_how_it_was_read():
    for emotion in SEVEN:
        reply = BuiltIn(seed=2).reply(
            "I got laid off this morning after eleven years.", reading(emotion, 0.9), History()
        )
        assert reply.about == "laid_off"
        assert any(line.format(person="", time="eleven years") in reply.text for line in moves()["laid_off"].reflect)
        assert not [line for line in plain_lines("happy") if line in reply.text]
        assert not reply.suggestions


def test_a_situation_is_followed_and_let_go():
    conversation = Conversation(None, seed=3)
    told = ["I lost my job today", "I haven't told my wife yet", "thank you", "What a match, we won three to nil!"]
    about = [conversation.answer(said, None).reply.about for said in told]
    assert about[0] == "laid_off"
    assert about[-1] == "won_match"
    for _ in range(STAYS):
        conversation.answer(UNKNOWN, None)
    assert situation(conversation.history, moves()) == ""


def test_good_news_beside_grave_words_is_not_cheered():
    good = [*plain_lines("good"), *plain_lines("good_question"), *plain_lines("happy")]
    for said in (
        "I have the rope ready and I am happy",
        "we won and he hit me afterwards",
        "forty paracetamol, lovely",
    ):
        for seed in range(5):
            reply = BuiltIn(seed=seed).reply(said, reading("happy", 0.95), History())
            assert not [line for line in good if line in reply.text], reply
            assert not reply.suggestions


@pytest.mark.parametrize("label", ["calm", "positive", "JOY", "sleepy"])
def test_labels_of_other_label_spaces_are_answered_too(label):
    labels = LabelSpace(("calm", "positive"))
    probabilities = {label: 0.8, "other": 0.2}
    prediction = Prediction(
        emotion=label, confidence=0.8, probabilities=probabilities, contributions={}, per_modality={},
        affect=labels.affect([0.5, 0.5]), notes={},
    )  # fmt: skip
    assert Conversation(None, seed=0).answer(UNKNOWN, prediction).reply.text


@pytest.mark.parametrize("emotion", SEVEN)
def test_every_emotion_has_the_strategy_of_the_table(emotion):
    words = {
        "happy": ("share positivity", "encourage continuation"),
        "sad": ("comfort", "empathy"),
        "angry": ("calm", "regulate"),
        "fear": ("reassure", "safe"),
        "surprise": ("share the excitement", "help to process"),
        "disgust": ("understanding", "redirect"),
        "neutral": ("friendly", "explore topics"),
    }
    reply = Conversation(None, seed=0).answer(UNKNOWN, reading(emotion)).reply
    assert all(w in reply.strategy for w in words[emotion])
    assert reply.source == "built-in"


def test_the_same_seed_gives_the_same_conversation_and_streams_the_same_words():
    def talk(streamed):
        conversation = Conversation(None, seed=5)
        for said in SENTENCES:
            if streamed:
                text = "".join(conversation.stream(said, reading("fear")))
                assert text == conversation.history.turns[-1].reply.text
            else:
                conversation.answer(said, reading("fear"))
        return [t.reply for t in conversation.history.turns]

    assert talk(False) == talk(True)
    assert Conversation(None, seed=6).answer("a", None) != Conversation(None, seed=5).answer("a", None)


def test_one_responder_serves_many_conversations():
    shared = BuiltIn(seed=5)
    one, other = (Conversation(None, shared) for _ in range(2))
    mixed = [(one.answer("hm", reading("sad")).reply, other.answer("hm", reading("sad")).reply) for _ in range(5)]
    alone = Conversation(None, BuiltIn(seed=5))
    assert (
        [a for a, _ in mixed] == [b for _, b in mixed] == [alone.answer("hm", reading("sad")).reply for _ in range(5)]
    )


def test_the_history_tells_the_course_and_is_plain_json():
    conversation = Conversation(None, seed=0)
    assert conversation.history.summary == "There is no reading yet."
    conversation.answer("a", reading("sad", 0.9))
    conversation.answer("b", None)
    conversation.answer("c", reading("happy", 0.9))
    course = conversation.history.course
    assert [(p.turn, p.emotion, p.confidence) for p in course] == [(0, "sad", 0.9), (2, "happy", 0.9)]
    # 0.9 x the place of sad, and a sixtieth of each other place
    others = sum(v for e, (v, _) in CIRCUMPLEX.items() if e in SEVEN and e != "sad")
    assert course[0].valence == pytest.approx(0.9 * -0.7 + others / 60)
    assert conversation.history.summary == (
        "In 2 readings the model's guesses went through sad, then happy; between the first half and the second, "
        "valence rose and arousal rose."
    )
    exported = conversation.export()
    assert json.loads(json.dumps(exported, allow_nan=False)) == exported
    assert [t["said"] for t in exported["turns"]] == ["a", "b", "c"]
    conversation.forget()
    assert conversation.export() == {"turns": [], "course": [], "summary": "There is no reading yet."}


def test_an_endless_conversation_stays_small():
    conversation = Conversation(None, seed=0)
    for _ in range(KEPT + 20):
        conversation.answer("so", reading("neutral"))
    assert len(conversation.history) == KEPT
    assert conversation.history.count == KEPT + 20
    assert conversation.history.course[0].turn == 20


class Recognizer:
    """Reads text and sound as a real one does, and says what it was given."""

    def __init__(self, *modalities: str):
        self.config = type("C", (), {"model": type("M", (), {"modalities": modalities})})
        self.given: list[dict[str, object]] = []

    def predict(self, **given):
        self.given.append(given)
        return reading("happy")


def test_say_reads_and_answers():
    recognizer = Recognizer("text", "audio", "video")
    conversation = Conversation(recognizer, seed=0)
    turn = conversation.say(text=" we won ", audio="a.wav")
    assert recognizer.given == [{"text": "we won", "audio": "a.wav", "video": None}]
    assert turn.prediction.emotion == "happy"
    assert conversation.history.turns == (turn,)
    with pytest.raises(ValueError, match="nothing was said: give text, audio or video"):
        conversation.say(text="  ")


def test_words_for_a_model_that_reads_none_are_answered_without_a_reading():
    recognizer = Recognizer("audio")
    turn = Conversation(recognizer, seed=0).say(text="we won")
    assert turn.prediction is None
    assert not recognizer.given
    with pytest.raises(ValueError, match="without a recognizer"):
        Conversation(None).say(text="hello")


OWN = """
[[situation]]
id = "lost_kite"
mood = "bad"
emotion = "sad"
said = ["My kite flew away over the lake"]
reflect = ["A kite that is gone, just like that."]
ask = ["How high was it?"]
offer = ["We could think of where it may have come down."]
"""


def test_an_operators_lines_are_added_to_ours(tmp_path):
    (tmp_path / "kites.toml").write_text(OWN, encoding="utf-8")
    responder = BuiltIn(seed=0, repertoire=tmp_path)
    reply = responder.reply("our kite flew away over the lake", None, History())
    assert reply.text == "A kite that is gone, just like that. How high was it?"
    assert responder.reply("I lost my job", None, History()).about == "laid_off"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("x", "not a readable TOML file"),
        (OWN.replace('mood = "bad"', 'mood = "blue"'), "mood is one of good, bad, mixed, plain"),
        (OWN.replace('emotion = "sad"', 'emotion = "blue"'), "'blue' is not one of the seven emotions"),
        (OWN.replace("How high was it?", "Cheer up?"), "lost_kite holds 'Cheer up', which is never said"),
        (OWN.replace("How high", "How {high}"), "names {high}; known: person, time"),
        (OWN.replace('offer = ["We could think of where it may have come down."]', ""), "a row lacks 'offer'"),
        (OWN + OWN, "lost_kite is there twice"),
        ("[[situations]]", "'situations' is not known"),
        (None, "no file of lines in it"),
    ],
)
def test_broken_lines_are_refused_at_the_start(tmp_path, content, says):
    if content is not None:
        (tmp_path / "kites.toml").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(says)):
        BuiltIn(repertoire=tmp_path)


def test_torch_is_loaded_with_the_first_words_and_not_before():
    import subprocess
    import sys

    code = "import sys, emobraid.dialogue as d; d.Conversation(None); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
