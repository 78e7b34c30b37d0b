"""What the tests of the built-in dialogue share: sentences, readings, and the sentences of a reply."""

import random

from emobraid.emotions import Emotion, LabelSpace
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

TOLD = (
    "My boss shouted at me in front of everybody",
    "I passed the exam!",
    "it rains all day",
    "I haven't told anybody",
    "My mother called about the wedding and I don't know what to say.",
    "what should I do?",
    "I cannot sleep because of it",
    "we won the finals",
    "my cat is ill",
    "I moved into a new flat",
    "she apologised",
    "the train was late again",
    "I feel alone with it",
    "I baked bread for the first time",
    "my exam is tomorrow",
    "thanks for listening",
    "the blue one stood there",
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
