"""The built-in dialogue: varied, careful with claims, mindful of what was said and of the way so far."""

import json
import re

import pytest

from dialogue_fixtures import SENTENCES, SEVEN, reading
from emobraid.dialogue import BuiltIn, Conversation, History
from emobraid.dialogue.history import KEPT
from emobraid.dialogue.repertoire import load
from emobraid.emotions import CIRCUMPLEX, LabelSpace
from emobraid.prediction import Prediction


def test_a_weak_guess_is_called_one():
    lines = [re.split(r"\{.*?\}", x) for x in load().general["unsure"]]
    for seed in range(10):
        text = BuiltIn(seed=seed).reply("I went to the shop", reading("sad", 0.3), History()).text
        assert any(max(pieces, key=len) in text for pieces in lines)


def test_words_and_voice_that_differ_are_said_to_and_not_in_every_turn():
    conversation = Conversation(None, seed=3)
    prediction = reading("sad", text="happy", audio="sad")
    first, second = (conversation.answer("all is well", prediction).reply.text for _ in range(2))
    assert all(word in first for word in ("your words", "your voice", "bright", "heavy"))
    assert "your voice" not in second


def test_the_course_is_followed():
    general = load().general
    conversation = Conversation(None, seed=0)
    for _ in range(3):
        conversation.answer("hm", reading("angry"))
    text = conversation.answer("so the trip went well in the end", reading("happy")).reply.text
    assert any(line in text for line in general["eased"])
    conversation = Conversation(None, seed=0)
    texts = [conversation.answer("so it goes", reading("sad")).reply.text for _ in range(5)]
    assert any(line in text for text in texts for line in general["staying"])
    assert not any(line in texts[0] for line in general["staying"])


def test_a_topic_that_comes_back_is_noticed():
    anchors = [max(x.split("{topic}"), key=len) for x in load().general["returning"]]
    conversation = Conversation(None, seed=0)
    conversation.answer("my boss was late", reading("neutral"))
    conversation.answer("the rain goes on", reading("neutral"))
    text = conversation.answer("and then my boss again", reading("neutral")).reply.text
    assert any(a in text for a in anchors)
    assert "your boss" in text


@pytest.mark.parametrize("label", ["calm", "positive", "JOY", "sleepy"])
def test_labels_of_other_label_spaces_are_answered_too(label):
    labels = LabelSpace(("calm", "positive"))
    probabilities = {label: 0.8, "other": 0.2}
    prediction = Prediction(
        emotion=label, confidence=0.8, probabilities=probabilities, contributions={}, per_modality={},
        affect=labels.affect([0.5, 0.5]), notes={},
    )  # fmt: skip
    assert Conversation(None, seed=0).answer("so", prediction).reply.text


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
    reply = Conversation(None, seed=0).answer("so", reading(emotion)).reply
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


def test_an_operators_lines_take_the_place_of_ours(tmp_path):
    shipped = load().strategies["sad"]
    own = ["Aha, that is how it is, then."]
    lines = {**shipped.lines, "opening": own}
    body = "".join(f"{k} = {json.dumps(v)}\n" for k, v in lines.items())
    (tmp_path / "sad.toml").write_text(f'strategy = "s"\nguidance = "g"\nshade = "low"\n{body}', encoding="utf-8")
    responder = BuiltIn(seed=0, repertoire=tmp_path)
    assert responder.reply("my cat", reading("sad"), History()).text.startswith(own[0])
    (tmp_path / "sad.toml").write_text(
        f'strategy = "s"\nguidance = "g"\nshade = "low"\n{body}'.replace("Aha", "Cheer up"), encoding="utf-8"
    )
    with pytest.raises(ValueError, match=r"sad\.toml: opening holds 'Cheer up', which is never said"):
        BuiltIn(repertoire=tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("sat.toml", "", "not a file of the repertoire"),
        ("sad.toml", "x", "not a readable TOML file"),
        ("sad.toml", "", "sad.toml lacks strategy"),
        (None, "", "no file of a repertoire"),
    ],
)
def test_a_broken_repertoire_is_refused_at_the_start(tmp_path, name, content, says):
    if name:
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=says):
        BuiltIn(repertoire=tmp_path)


def test_the_dialogue_needs_no_torch():
    import subprocess
    import sys

    code = "import sys, emobraid.dialogue as d; d.Conversation(None).answer('hi', None); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
