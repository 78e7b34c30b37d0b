"""The README of a sample corpus: what it is, what it is not, how it was made, and its numbers."""

from collections import Counter
from collections.abc import Sequence

from emobraid.data.sample.plan import CELLS, CHANNELS, SPEAKERS, Clip
from emobraid.emotions import Emotion

_TEXT = """\
# A synthetic sample corpus

**Nobody was recorded.** The voices are babble from a small synthesiser, the faces are drawings, the sentences come from
templates; the people do not exist. The corpus is there to try emobraid and to test it. Nothing can be learnt from it
about how people feel, look or sound, and a model trained on it must not be used on people.

## What is here

- `train.csv`, `val.csv`, `test.csv`: one clip a row, columns `text,audio_path,video_path,emotion,speaker`. Paths are
  relative to this folder. An empty cell means that this modality is missing, and then no such file exists.
- `audio/*.wav`: 16 kHz, mono, 16 bit. `video/*.mp4`: H.264, 192 x 160, 12 frames a second, with the same sound as AAC;
  the film of a row without audio is silent.
- `sample_corpus.json`: the settings and the SHA-256 of every file.

## How it was made

`emobraid sample-corpus DIR --seed {seed} --clips {clips}`, edition {edition} of the generator.
The same seed and number of clips give the same bytes with the same versions of the libraries and any number of workers.

Each modality shows the labelled emotion with an intensity of its own, but is sometimes off, whatever the others do:

| modality | off | then it |
|---|---|---|
{channels}

## Numbers

| split | clips | speakers | {emotions} |
|---|---|---|{rule}
{splits}

No speaker is in two splits. Empty cells: {empty}; {one} rows have one, {two} have two, none has three.
"""


def readme(rows: Sequence[Clip], seed: int, edition: int) -> str:
    """The text of README.md for a corpus of `rows`."""
    empty = Counter(cell for clip in rows for cell in clip.empty)
    how_many = Counter(len(clip.empty) for clip in rows)
    return _TEXT.format(
        seed=seed,
        clips=len(rows),
        edition=edition,
        channels="\n".join(_channel(name) for name in CHANNELS),
        emotions=" | ".join(Emotion),
        rule="---|" * len(Emotion),
        splits="\n".join(_split(split, [clip for clip in rows if clip.split == split]) for split in SPEAKERS),
        empty=", ".join(f"{empty[cell]} {cell}" for cell in CELLS),
        one=how_many[1],
        two=how_many[2],
    )


def _channel(name: str) -> str:
    channel = CHANNELS[name]
    if name == "text":
        return f"| text | {channel.off:.0%} | fits several emotions |"
    instead = f"is neutral ({channel.neutral:.0%}) or shows an emotion easily mistaken for it"
    return f"| {name} | {channel.off:.0%} | {instead} |"


def _split(split: str, rows: Sequence[Clip]) -> str:
    counts = Counter(clip.emotion for clip in rows)
    numbers = " | ".join(str(counts[emotion]) for emotion in Emotion)
    return f"| {split} | {len(rows)} | {len({clip.speaker for clip in rows})} | {numbers} |"
