"""What the text encoder of `compact` learns from: comments, utterances, our own sentences, and pairs made by rule.

Rows are (text, target over the seven emotions, the comment's 28 labels or nothing). Only training splits are read here.
"""

import csv
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from emobraid.encoders.minilm_stem import spelled

EMOTIONS = ("happy", "sad", "angry", "fear", "surprise", "disgust", "neutral")
EKMAN = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")  # the order of GoEmotions' Ekman labels
OWN_NAMES = {"joy": "happy", "sadness": "sad", "anger": "angry", **{name: name for name in EMOTIONS}}
#: comments with only these labels stand under an emotion in the Ekman table that a reader would often call neutral
MILD = {"approval": 0.3, "realization": 0.3, "curiosity": 0.35, "confusion": 0.25, "desire": 0.15, "caring": 0.15}
EMOJI = {
    "happy": "😀😁😂😄😊😍🥰🤩🎉🥳😎❤💕👏🙌😆",
    "sad": "😢😭😞😔💔🥺😿☹🙁😥",
    "angry": "😡🤬😠👿😤💢",
    "fear": "😱😨😰🫣😧😖",
    "surprise": "😲😮😳🤯😯🙀",
    "disgust": "🤢🤮😝🤧👎💩",
    "neutral": "📎📞🕒📅✅📧🚌📦🧾🥚☕📝💼🗓🏠🚗",
}
PART = {"neutral": 0.4, "happy": 0.5}  # of these there are more than an epoch needs
IRONIC = (
    "oh great,", "great,", "wonderful,", "oh how lovely,", "just perfect,", "fantastic,", "well done,", "oh nice,",
    "lucky me,", "brilliant,", "yeah right,", "of course,", "what a joy,", "oh good,", "thanks a lot,", "lovely,",
)  # fmt: skip
FEELINGS = {
    "happy": "happy glad delighted thrilled cheerful excited overjoyed joyful proud pleased grateful content",
    "sad": "sad depressed lonely heartbroken miserable hopeless gloomy devastated hurt homesick",
    "angry": "angry furious mad annoyed irritated outraged livid enraged",
    "fear": "scared afraid terrified frightened nervous anxious worried panicking",
    "surprise": "surprised astonished amazed shocked stunned startled",
    "disgust": "disgusted revolted grossed-out nauseated sickened repulsed",
}
Target = tuple[float, ...]  # one share for each of EMOTIONS


class Row(NamedTuple):
    text: str
    target: Target
    fine: tuple[int, ...] | None  # the labels of GoEmotions, None where nobody gave them
    plain: str | None  # the emotion when there is only one


def shares(**parts: float) -> Target:
    total = sum(parts.values())
    return tuple(parts.get(name, 0.0) / total for name in EMOTIONS)


def goemotions(folder: Path, split: str) -> list[Row]:
    """Comments of one split, mixed ones with a share for each of their emotions."""
    names = (folder / "original" / "labels.txt").read_text().split()
    rows = []
    with (folder / "ekman" / f"{split}.tsv").open() as ekman, (folder / "original" / f"{split}.tsv").open() as original:
        for coarse, fine in zip(ekman, original, strict=True):
            text, labels, _ = coarse.rstrip("\n").split("\t")
            fines = tuple(int(i) for i in fine.rstrip("\n").split("\t")[1].split(","))
            emotions = [EKMAN[int(i)] for i in labels.split(",")]
            parts = dict.fromkeys(emotions, 1.0)
            milds = [MILD.get(names[i]) for i in fines]
            if None not in milds:
                parts = {name: 1 - max(m for m in milds if m) for name in emotions}
                parts["neutral"] = parts.get("neutral", 0.0) + max(m for m in milds if m)
            rows.append(Row(text, shares(**parts), fines, emotions[0] if len(emotions) == 1 else None))
    return rows


def meld(folder: Path, split: str) -> list[Row]:
    with (folder / f"{split}_sent_emo.csv").open(encoding="utf-8") as file:
        pairs = [(row["Utterance"], OWN_NAMES[row["Emotion"]]) for row in csv.DictReader(file)]
    return [Row(text, shares(**{emotion: 1.0}), None, emotion) for text, emotion in pairs]


def own(path: Path) -> list[Row]:
    """Sentences of a table with the columns `text` and `emotion`."""
    with path.open(encoding="utf-8") as file:
        pairs = [(row["text"], row["emotion"]) for row in csv.DictReader(file)]
    return [Row(text, shares(**{emotion: 1.0}), None, emotion) for text, emotion in pairs]


def by_rule(chance: random.Random, count: int) -> list[Row]:
    """Feelings asserted, strengthened, negated and negated twice, each with what the sentence then says."""
    rows = []
    for _ in range(count):
        emotion = chance.choice(list(FEELINGS))
        word = chance.choice(FEELINGS[emotion].split()).replace("-", " ")
        who = chance.choice(("I'm", "I am", "i am", "im", "I feel", "I was", "we are", "she is", "he is", "they were"))
        much = chance.choice(("", "", "so ", "very ", "really ", "absolutely ", "totally ", "extremely "))
        end = chance.choice(("", "", ".", "!", " right now", " today", " about this", " with that", " at all"))
        shape = chance.random()
        if shape < 0.4:
            rows.append(Row(f"{who} {much}{word}{end.replace(' at all', '')}", shares(**{emotion: 1}), None, None))
        elif shape < 0.75:
            deny = chance.choice(("not", "not", "never", "no longer", "not exactly", "not even"))
            rows.append(Row(f"{who} {deny} {much}{word}{end}", _denied(emotion, deny), None, None))
        else:
            frame = chance.choice(
                ("I can't say {w} not {x}", "it's not that {w} not {x}", "don't think {w} not {x}",
                 "nobody can say {w} not {x}", "it would be a lie to say {w} not {x}", "{w} anything but not {x}")
            )  # fmt: skip
            rows.append(Row(frame.format(w=who, x=much + word), shares(**{emotion: 0.9, "neutral": 0.1}), None, None))
    return rows


def _denied(emotion: str, deny: str) -> Target:
    if emotion == "happy":
        return shares(sad=0.55, angry=0.3, neutral=0.1, disgust=0.05)
    if deny == "no longer" or emotion in ("fear", "sad"):
        return shares(neutral=0.5, happy=0.4, **{emotion: 0.1})
    return shares(neutral=0.75, happy=0.1, **{emotion: 0.15})


def changed(row: Row, chance: random.Random) -> tuple[str, Target]:
    """The row as another visitor might type it; where that changes what is said, so does the target."""
    text, target = row.text, row.target
    words = len(text.split())
    if row.plain == "neutral" and words < 14 and chance.random() < 0.06:  # a face decides what plain words mean
        emotion = chance.choice(EMOTIONS[:-1])
        face = chance.choice(EMOJI[emotion]) * chance.randint(1, 3)
        return _placed(text, face, chance), shares(**{emotion: 0.8, "neutral": 0.2})
    if row.plain is not None and chance.random() < 0.08:
        return _placed(text, chance.choice(EMOJI[row.plain]) * chance.randint(1, 3), chance), target
    if row.plain in ("angry", "sad", "disgust", "fear") and 3 < words < 16 and chance.random() < 0.07:
        return f"{chance.choice(IRONIC)} {text}", target
    if chance.random() < 0.15:
        text = re.sub(r"[^\w\s'\U0001F300-\U0001FAFF]", "", text)  # as speech recognisers write
    if chance.random() < 0.15:
        text = "".join(_misspelt(part, chance, rate=0.25) for part in re.split(r"(\s+)", text))
    return text, target


def _placed(text: str, face: str, chance: random.Random) -> str:
    return f"{face} {text}" if chance.random() < 0.2 else f"{text} {face}"


def _misspelt(word: str, chance: random.Random, *, rate: float) -> str:
    if len(word) < 3 or not word.isalpha() or chance.random() > rate:
        return word
    at = chance.randrange(1, len(word) - 1) if len(word) > 3 else 1
    kind = chance.randrange(4)
    if kind == 0:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind == 1:
        return word[:at] + word[at + 1 :]
    if kind == 2:
        return word[:at] + word[at] + word[at:]
    return word[:at] + chance.choice("aeiousrtnl") + word[at + 1 :]


def epoch(data: Path, own_table: Path, seed: int) -> Iterator[tuple[str, Target, tuple[int, ...] | None]]:
    """One epoch's rows in a new order: of the common emotions a part, rare ones twice, our own sentences often."""
    chance = random.Random(seed)
    rows = goemotions(data / "goemotions", "train") + meld(data / "meld_text", "train")
    rows = [row for row in rows if chance.random() < PART.get(row.plain or "", 1.0)]
    rows += [row for row in rows if row.plain in ("fear", "disgust")]
    rows += by_rule(chance, 3000)
    if own_table.is_file():
        rows += own(own_table) * 9
    chance.shuffle(rows)
    for row in rows:
        text, target = changed(row, chance)
        yield spelled(text), target, row.fine
