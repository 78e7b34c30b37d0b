"""Who says what to whom in the made-up IEMOCAP, and how it is annotated, in the words of its files."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emobraid.data.labels import to_common
from emobraid.data.sample.plan import Clip, Showing
from emobraid.data.sample.sentences import sentence
from emobraid.emotions import CIRCUMPLEX, Emotion

DIALOGUES = 10  # two in each of five sessions: one improvised, where she wears the markers, one played, where he does
#: labels in about IEMOCAP's proportions, as they come in turn
LABELS = (
    "neu",
    "ang",
    "exc",
    "sad",
    "fru",
    "hap",
    "neu",
    "xxx",
    "fru",
    "sad",
    "ang",
    "neu",
    "exc",
    "sur",
    "fru",
    "fea",
)
FORMS = {
    "neu": "Neutral",
    "ang": "Anger",
    "exc": "Excited",
    "sad": "Sadness",
    "fru": "Frustration",
    "hap": "Happiness",
    "sur": "Surprise",
    "fea": "Fear",
}
EVALUATORS = ("E2", "E3", "E4")
GAP = 0.4  # s between two turns, and before the first


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One turn to be, and its clip."""

    dialogue: str  # Ses01F_impro01
    number: int  # of its speaker's turns
    speaker: str  # F or M
    emotion: str
    votes: tuple[tuple[str, ...], ...]  # of each evaluator
    ratings: tuple[tuple[int, int, int], ...]  # valence, activation, dominance, of each evaluator
    clip: Clip
    start: float = 0.0
    end: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.dialogue}_{self.speaker}{self.number:03d}"

    @property
    def session(self) -> int:
        return int(self.dialogue[4])

    @property
    def marked(self) -> bool:
        """Whether the speaker wears the markers, and sits left."""
        return self.dialogue[5] == self.speaker


def script(seed: int, clips: int) -> list[Turn]:
    """All turns in their order, before anything is recorded; `clips` of them, the same number in each dialogue."""
    rng, turns = np.random.default_rng([seed, 6]), list[Turn]()
    each = clips // DIALOGUES
    for place in range(DIALOGUES):
        session, played = place // 2 + 1, place % 2
        name = f"Ses{session:02d}{'M_script01_1' if played else 'F_impro01'}"
        for i in range(each):
            emotion = LABELS[(place * each + i) % len(LABELS)]
            turns.append(_turn(name, i, emotion, len(turns), 2 * session, rng))
    return turns


def _turn(dialogue: str, place: int, emotion: str, number: int, person: int, rng: np.random.Generator) -> Turn:
    speaker = "FM"[place % 2]
    common = Emotion(to_common("iemocap", emotion) or ("angry" if emotion == "fru" else "neutral"))
    shown = Showing(common, 0.6 if emotion == "fru" else 0.9)
    clip = Clip(
        number=number,
        split="train",
        speaker=40 + person + place % 2,
        emotion=common,
        text=sentence(common, weak=False, rng=rng),
        voice=shown,
        face=shown,
        empty=frozenset(),
    )
    votes, ratings = _votes(emotion, number), _ratings(common, rng)
    return Turn(
        dialogue=dialogue,
        number=place // 2,
        speaker=speaker,
        emotion=emotion,
        votes=votes,
        ratings=ratings,
        clip=clip,
    )


def _votes(emotion: str, number: int) -> tuple[tuple[str, ...], ...]:
    """All three agree, or two do and the third names another, or two; without a majority none does."""
    if emotion == "xxx":
        return ("neu",), ("fru",), ("sad",)
    other = "fru" if emotion != "fru" else "ang"
    return (emotion,), (emotion,), ((emotion,), (other,), (emotion, other))[number % 3]


def _ratings(common: Emotion, rng: np.random.Generator) -> tuple[tuple[int, int, int], ...]:
    valence, arousal = CIRCUMPLEX[common]
    middle = np.array([3 + 2 * valence, 3 + 2 * arousal, 3 + arousal])
    rows = np.clip(np.rint(middle + rng.uniform(-0.9, 0.9, (2, 3))), 1, 5).astype(int)
    return tuple((int(v), int(a), int(d)) for v, a, d in rows)


def timed(turns: Sequence[Turn], seconds: Sequence[float]) -> list[Turn]:
    """The turns of one dialogue one after another, each as long as it was recorded."""
    placed, now = list[Turn](), GAP
    for turn, length in zip(turns, seconds, strict=True):
        placed.append(Turn(**{**vars(turn), "start": round(now, 4), "end": round(now + length, 4)}))
        now += length + GAP
    return placed


def annotations(turns: Sequence[Turn]) -> str:
    """A file of EmoEvaluation."""
    blocks = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n"]
    for turn in turns:
        mean = ", ".join(f"{v:.4f}" for v in np.mean(turn.ratings, axis=0))
        lines = [f"[{turn.start:.4f} - {turn.end:.4f}]\t{turn.name}\t{turn.emotion}\t[{mean}]"]
        said = dict(zip(EVALUATORS, turn.votes, strict=True)) | {f"{turn.speaker}1": turn.votes[0]}
        lines += [f"C-{who}:\t{' '.join(f'{FORMS[v]};' for v in votes)}\t()" for who, votes in said.items()]
        rated = zip(EVALUATORS, turn.ratings, strict=False)
        lines += [f"A-{who}:\tval {v}; act {a}; dom  {d};\t()" for who, (v, a, d) in rated]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def transcript(turns: Sequence[Turn]) -> str:
    """A file of transcriptions: with a turn that nobody judged, and a sound that has no time."""
    lines = [f"{t.name} [{t.start:08.4f}-{t.end:08.4f}]: {t.clip.text}" for t in turns]
    last = turns[-1]
    lines.append(f"{last.dialogue}_{last.speaker}XX0 [{last.end + 0.05:08.4f}-{last.end + 0.3:08.4f}]: Yeah.")
    return "\n".join([*lines, f"{last.speaker}: [LAUGHTER]"]) + "\n"
