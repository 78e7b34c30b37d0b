"""A made-up corpus in the exact layout of MELD: tables, folders, dialogues, films with six-channel sound; and defects.

The people, their lines and their series do not exist.
"""

import csv
import json
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from emobraid.data.audit.meld import NAMES
from emobraid.data.labels import to_common
from emobraid.data.meld import CLIP_FOLDERS, OWN_NAMES
from emobraid.data.origin import ABOUT, EXPECTED_FILE
from emobraid.data.sample.folder import check, whole
from emobraid.data.sample.plan import Clip, Showing, Split
from emobraid.data.sample.recording import Samples, film_of, voice_of, write_mp4
from emobraid.data.sample.sentences import sentence
from emobraid.data.sample.voice import RATE
from emobraid.emotions import Emotion

HEADER = (
    *("Sr No.", "Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID"),
    *("Season", "Episode", "StartTime", "EndTime"),
)
DEFECTS = ("missing_clip", "corrupt_clip", "extra_clip", "gap", "times")
TURNS = 4  # utterances of a dialogue
FEWEST = 3 * TURNS  # clips; fewer leave a split without a dialogue
SOUND_RATE, CENTRE, CHANNELS = 48_000, 2, 6  # of MELD's films: 5.1, where speech comes from the centre
#: a dozen labels in about MELD's proportions, so that no two classes can be taken for each other by their numbers
LABELS = (
    *("neutral", "joy", "neutral", "surprise", "anger", "neutral", "sadness", "neutral", "joy"),
    *("disgust", "neutral", "fear"),
)
SPEAKERS = ("Ada", "Ben", "Cleo", "Dov")
GUESTS = {"train": "The Plumber", "val": "Mrs. Nott", "test": "A Waiter"}
FIRST_MINUTE = {"train": 1, "val": 8, "test": 15}  # of an episode, so that splits share episodes and no time


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row to be, and its clip."""

    split: Split
    dialogue: int
    utterance: int
    speaker: str
    emotion: str
    clip: Clip
    start: float  # seconds into the episode
    end: float = 0.0

    @property
    def name(self) -> str:
        return f"dia{self.dialogue}_utt{self.utterance}"


def make_sample_meld(
    folder: Path,
    *,
    seed: int = 0,
    clips: int = 48,
    defects: Collection[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Writes the three tables and folders of clips of a synthetic corpus in MELD's layout into `folder`.

    `folder` must be new or empty; `clips` utterances, in dialogues of four. `expected.json` says what there should be,
    for the audit. The same settings give the same bytes. `defects` spoils some of it: `missing_clip` (dev dia0_utt1),
    `corrupt_clip` (train dia0_utt2), `extra_clip` (test), `gap` (train dia0 lacks utterance 1), `times` (train
    dia0_utt3 ends before it starts, dev dia0_utt0 has no length, test dia0_utt0 takes five minutes). ValueError for
    settings out of range and a folder that holds anything.
    """
    check(folder, seed, clips, defects, known=DEFECTS, fewest=FEWEST)
    with whole(folder) as aside:
        _fill(aside, seed, clips, defects, progress)


def script(seed: int, clips: int) -> list[Line]:
    """Who says what, before anything is recorded."""
    dialogues = clips // TURNS
    shares: dict[Split, int] = {"val": max(1, round(0.15 * dialogues)), "test": max(1, round(0.25 * dialogues))}
    shares = {"train": dialogues - sum(shares.values()), **shares}
    rng, lines = np.random.default_rng([seed, 5]), list[Line]()
    for split, count in shares.items():
        labels = [LABELS[int(i) % len(LABELS)] for i in rng.permutation(count * TURNS)]
        for place, emotion in enumerate(labels):
            dialogue, utterance = divmod(place, TURNS)
            lines.append(_line(split, dialogue, utterance, emotion, len(lines), rng))
    return lines


def _line(split: Split, dialogue: int, utterance: int, emotion: str, number: int, rng: np.random.Generator) -> Line:
    # two of the cast talk in turns; the last word is a guest's, whom no other split knows
    voice = (dialogue + utterance % 2) % len(SPEAKERS)
    guest = utterance == TURNS - 1
    common = Emotion(str(to_common("meld", emotion)))
    shown = Showing(common, 0.9)
    clip = Clip(
        number=number,
        split=split,
        speaker=len(SPEAKERS) + list(GUESTS).index(split) if guest else voice,
        emotion=common,
        text=sentence(common, weak=False, rng=rng).replace("'", "\N{RIGHT SINGLE QUOTATION MARK}"),
        voice=shown,
        face=shown,
        empty=frozenset(),
    )
    start = 60.0 * FIRST_MINUTE[split] + 8 * utterance + 1 / 8
    who = GUESTS[split] if guest else SPEAKERS[voice]
    return Line(
        split=split, dialogue=dialogue, utterance=utterance, speaker=who, emotion=emotion, clip=clip, start=start
    )


def _fill(
    root: Path, seed: int, clips: int, defects: Collection[str], progress: Callable[[int, int], None] | None
) -> None:
    for split in OWN_NAMES:
        _clip(root, split, "x").parent.mkdir(parents=True)
    planned, lines = script(seed, clips), list[Line]()
    for done, line in enumerate(planned):
        samples, loudness = voice_of(line.clip, seed)
        film = film_of(line.clip, seed, loudness)
        write_mp4(_clip(root, line.split, line.name), film, _surround(samples), rate=SOUND_RATE, layout="5.1")
        lines.append(replace(line, end=line.start + len(samples) / RATE))
        if progress:
            progress(done + 1, len(planned))
    lines = list(_spoilt(root, lines, defects))
    for split in OWN_NAMES:
        _write_table(root / f"{OWN_NAMES[split]}_sent_emo.csv", [x for x in lines if x.split == split])
    (root / EXPECTED_FILE).write_text(json.dumps(_expected(lines), indent=1) + "\n", encoding="utf-8")
    (root / "README.md").write_text(README.format(seed=seed, clips=clips), encoding="utf-8")


def _clip(root: Path, split: str, name: str) -> Path:
    return root / OWN_NAMES[split] / CLIP_FOLDERS[split] / f"{name}.mp4"


def _surround(samples: Samples) -> Samples:
    """(N,) at RATE -> (6, N') at SOUND_RATE: the voice in the centre, the other speakers silent."""
    voice = resample_poly(samples.astype(np.float64), SOUND_RATE // RATE, 1).clip(-32768, 32767)
    channels: Samples = np.zeros((CHANNELS, len(voice)), np.int16)
    channels[CENTRE] = voice.round()
    return channels


def _spoilt(root: Path, lines: list[Line], defects: Collection[str]) -> Iterator[Line]:
    if "missing_clip" in defects:
        _clip(root, "val", "dia0_utt1").unlink()
    if "corrupt_clip" in defects:
        broken = _clip(root, "train", "dia0_utt2")
        broken.write_bytes(broken.read_bytes()[:2_000])
    if "extra_clip" in defects:
        shutil.copy(_clip(root, "test", "dia0_utt0"), _clip(root, "test", "final_videos_testdia0_utt0"))
    for line in lines:
        place = (line.split, line.name)
        if "gap" in defects and place == ("train", "dia0_utt1"):
            _clip(root, *place).unlink()
            continue
        ends = {("train", "dia0_utt3"): -1.5, ("val", "dia0_utt0"): 0.0, ("test", "dia0_utt0"): 300.0}
        if "times" in defects and place in ends:
            yield replace(line, end=line.start + ends[place])
            continue
        yield line


def _write_table(path: Path, lines: list[Line]) -> None:
    """As MELD's are: RFC 4180 with CRLF, UTF-8 without a byte order mark."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(HEADER)
        for number, x in enumerate(lines, start=1):
            mood = {"joy": "positive", "neutral": "neutral", "surprise": "positive"}.get(x.emotion, "negative")
            about = (x.clip.text, x.speaker, x.emotion, mood, x.dialogue, x.utterance)
            writer.writerow([number, *about, 1 + x.dialogue % 3, 1 + x.dialogue, _stamp(x.start), _stamp(x.end)])


def _stamp(seconds: float) -> str:
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d},{rest % 1000:03d}"


def _expected(lines: list[Line]) -> dict[str, object]:
    labels = {
        own: {name: Counter(x.emotion for x in lines if x.split == split)[name] for name in NAMES}
        for split, own in OWN_NAMES.items()
    }
    return {"about": ABOUT.format("MELD"), "labels": labels}


README = """\
# A synthetic corpus in the layout of MELD

**This is not MELD, and nobody was recorded.** Voices are synthesised, faces drawn, lines put together from templates;
the people and their series do not exist. It is there to try and to test the reading of MELD's files:
tables `*_sent_emo.csv`, clips `train/train_splits`, `dev/dev_splits_complete`, `test/output_repeated_splits_test`, as
H.264 with six channels of 48 kHz AAC. `expected.json` is ours: what the audit should find.

Made by `emobraid sample-corpus DIR --layout meld --seed {seed} --clips {clips}`.
"""
