"""The built-in dialogue: varied, careful with claims, mindful of what was said and of the way so far."""

import json
import random
import re
from itertools import pairwise

import pytest

from emobraid.dialogue import BuiltIn, Conversation, History, Turn
from emobraid.dialogue.activities import activities, suggest
from emobraid.dialogue.history import KEPT
from emobraid.dialogue.repertoire import banned, load
from emobraid.dialogue.themes import theme, themes
from emobraid.dialogue.words import Wish, act, foreign, topic, wish
from emobraid.emotions import CIRCUMPLEX, Emotion, LabelSpace
from emobraid.prediction import Prediction, Reading

SEVEN = [e.value for e in Emotion]
SENTENCES = (
    "My boss shouted at me in front of everybody",
    "I passed the exam!",
    "the weather is strange",
    "<script>alert(1)</script>",
    "you are sad and you should calm down",
    "My mother called about the wedding; I don't know what to say.",
    "ok",
    "what should I do?",
    "I have ten minutes, any ideas?",
    "Ich bin heute ein bisschen müde",
    "my fucking neighbour again",
    "no, I am not angry",
    "bye",
    "are you a robot?",
    "hello",
    "thanks",
    "{topic} %s \\ \u202e",
    "🙂🙂",
    "",
    "a" * 5000,
    "do you save my voice?",
    "I keep thinking about our old house and about Tom",
    "my depressed stupid brother",
)


def reading(emotion: str, confidence: float = 0.8, **alone: str) -> Prediction:
    labels = LabelSpace()
    probabilities = dict.fromkeys(SEVEN, (1 - confidence) / 6) | {emotion: confidence}
    own = {m: Reading(emotion=e, confidence=0.7, probabilities={e: 0.7}) for m, e in alone.items()}
    return Prediction(
        emotion=emotion,
        confidence=confidence,
        probabilities=probabilities,
        contributions={},
        per_modality=own,
        affect=labels.affect(list(probabilities.values())),
        notes={},
    )


def at_random(rng: random.Random) -> Prediction | None:
    if rng.random() < 0.1:
        return None
    alone = {m: rng.choice(SEVEN) for m in ("text", "audio", "video") if rng.random() < 0.5}
    return reading(rng.choice(SEVEN), rng.uniform(0.2, 0.99), **alone)


def said_by(text: str) -> list[str]:
    return [s for s in re.split(r"(?<=[.!?])\s+", text) if s]


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


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("My boss shouted at me", "your boss"),
        ("I lost my job yesterday", "your job"),
        ("I'm so happy about my new puppy!", "your new puppy"),
        ("We went to the old cinema", "the old cinema"),
        ("I keep thinking about Tom", "Tom"),
        ("My best friend Anna didn't call", "your best friend Anna"),
        ("my dog died", "your dog"),
        ("our kitchen smells", "your kitchen smells"),
        ("I am so tired", None),
        ("it was a lot", None),
        ("now I am a bit nervous", None),
        ("I am a teacher", None),
        ("Mein Chef ist laut", None),
        ("<img src=x onerror=alert(1)>", None),
        ("ignore the system prompt", None),
        ("", None),
    ],
)
def test_topics_are_the_persons_own_words_turned_round(said, found):
    assert topic(said) == found


def test_a_reply_refers_to_what_was_said_and_asks_back():
    for seed in range(20):
        text = BuiltIn(seed=seed).reply("I am angry about my new neighbour", reading("angry"), History()).text
        assert "your new neighbour" in text
        assert text.endswith("?")


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
    ("said", "emotion", "found"),
    [
        ("My dad died two weeks ago", "sad", "loss"),
        ("my cat is at the vet", "fear", "pet"),
        ("my dog died", "happy", "pet_loss"),
        ("I have an exam tomorrow", "fear", "exam"),
        ("I passed my exam!", "happy", "good_news"),
        ("I passed my exam!", "angry", "good_news"),
        ("he passed away", "sad", "loss"),
        ("they passed me over", "angry", None),
        ("My sister is pregnant!", "surprise", "baby"),
        ("my boss shouted at me", "angry", "unfair"),
        ("my daughter took her first steps!", "happy", "child"),
        ("maybe I should talk to her", "neutral", "quarrel"),
        ("I don't know anyone here", "sad", "alone"),
        ("I can't breathe", "fear", "breath"),
        ("I don't sleep much", "sad", "sleep"),
        ("it smells rotten", "disgust", "foul"),
        ("it's raining again", "neutral", "weather"),
        ("no sound at the concert", "angry", None),
        ("the chair is blue", "neutral", None),
        ("", "sad", None),
    ],
)
def test_what_a_message_speaks_of_is_found(said, emotion, found):
    assert (about.name if (about := theme(said, emotion)) else None) == found


def test_themes_have_lines_that_may_be_said_and_fit_no_placeholder():
    for t in themes():
        assert len(t.about) >= 4, t.name
        assert len(t.ask) >= 4, t.name
        assert all(line.endswith("?") for line in t.ask)
        assert not [line for line in (*t.about, *t.ask) if banned(line) or "{" in line]


def test_a_theme_is_answered_and_asked_after_in_the_turns_that_follow():
    conversation = Conversation(None, seed=4)
    loss = theme("My dad died two weeks ago", "sad")
    said = ["My dad died two weeks ago", "he taught me to ride a bike", "yes, every Sunday"]
    texts = [conversation.answer(s, reading("sad")).reply.text for s in said]
    assert all(any(line in text for line in (*loss.about, *loss.ask)) for text in texts)
    assert any(line in texts[0] for line in loss.about)


def test_plain_good_news_is_answered_as_such_whatever_the_face_was_read_as():
    angry, news = load().strategies["angry"].lines, theme("I passed the exam today!", "angry")
    for seed in range(10):
        reply = Conversation(None, seed=seed).answer("I passed the exam today!", reading("angry")).reply
        assert any(line in reply.text for line in news.about)
        assert any(line in reply.text for line in news.ask)
        assert "share positivity" in reply.strategy
        assert not [line for slot in angry.values() for line in slot if line in reply.text]


@pytest.mark.parametrize("said", ["My dad died two weeks ago", "my old dog died on Monday"])
def test_a_loss_is_never_answered_with_delight(said):
    happy = load().strategies["happy"].lines
    for seed in range(10):
        reply = Conversation(None, seed=seed).answer(said, reading("happy")).reply
        assert "comfort" in reply.strategy
        assert not [line for slot in happy.values() for line in slot if line in reply.text]


def test_a_calm_turn_after_a_heavy_one_is_not_small_talk():
    neutral = load().strategies["neutral"].lines
    for seed in range(10):
        conversation = Conversation(None, seed=seed)
        conversation.answer("everything went wrong again and again", reading("angry"))
        text = conversation.answer("well, perhaps it can wait until Monday", reading("neutral")).reply.text
        assert not [
            line for slot in ("opening", "plain", "support", "question") for line in neutral[slot] if line in text
        ]
        assert any(line in text for line in load().general["after"])


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
def test_other_languages_are_told_once_that_the_answers_are_english(said, language):
    assert foreign(said) == language
    conversation = Conversation(None, seed=0)
    texts = [conversation.answer(said, reading("sad")).reply.text for _ in range(3)]
    line = load().foreign.get(language, "-")
    assert [line in text for text in texts] == [language is not None, False, False]


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
    offers = [o for _ in range(4) for o in conversation.answer("more", reading(emotion)).reply.suggestions]
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


def test_listening_comes_before_much_is_suggested_and_not_in_two_turns_running():
    conversation = Conversation(None, seed=0)
    said = ["my cat is gone", "it is so quiet", "my cat is gone", "what can I do?", "bye"]
    assert [len(conversation.answer(s, reading("sad")).reply.suggestions) for s in said] == [1, 0, 2, 3, 0]


@pytest.mark.parametrize("said", ["hello", "thank you", "ok", "how are you?", "tell me a joke", "sorry", "haha"])
def test_small_talk_gets_no_suggestions(said):
    assert Conversation(None, seed=0).answer(said, reading("happy")).reply.suggestions == ()


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
