"""Each corpus's own labels, the common seven that they stand for, and what a model with other labels makes of them.

Labels are compared by name, without case, never by number: released code numbers MELD's seven in three ways.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from emobraid.emotions import Emotion, LabelSpace, nearest


class Own(NamedTuple):
    """What a label of a corpus means."""

    word: str  # as a class of a model is called
    common: Emotion | None  # which of the common seven it is; None: not mappable
    reason: str = ""  # why not


@dataclass(frozen=True, kw_only=True)
class Taxonomy:
    """The labels of one corpus, by the name in its own tables."""

    title: str
    labels: Mapping[str, Own]
    note: str = ""  # what a reader of a mapped result should know


_HAPPY, _SAD, _ANGRY, _FEAR, _SURPRISE, _DISGUST, _NEUTRAL = Emotion


def _same(*names: str) -> dict[str, Own]:
    """Labels that are called as the common ones are."""
    return {name: Own(name, Emotion(name)) for name in names}


TAXONOMIES: Mapping[str, Taxonomy] = {
    "meld": Taxonomy(
        title="MELD",
        labels={
            **_same("neutral", "surprise", "fear", "disgust"),
            "sadness": Own("sadness", _SAD),
            "joy": Own("joy", _HAPPY),
            "anger": Own("anger", _ANGRY),
        },
    ),
    "iemocap": Taxonomy(
        title="IEMOCAP",
        labels={
            "ang": Own("angry", _ANGRY),
            "hap": Own("happy", _HAPPY),
            "exc": Own("excited", _HAPPY),
            "sad": Own("sad", _SAD),
            "neu": Own("neutral", _NEUTRAL),
            "fru": Own("frustrated", None, "frustration is none of the common seven"),
            "fea": Own("fear", _FEAR),
            "sur": Own("surprise", _SURPRISE),
            "dis": Own("disgust", _DISGUST),
            "oth": Own("other", None, "the annotators chose another emotion than those offered"),
            "xxx": Own("undecided", None, "the annotators did not agree"),
        },
        note="excited counts as happy where a model has no class for it",
    ),
    "mosei": Taxonomy(
        title="CMU-MOSEI",
        labels={
            **_same("happy", "sad", "surprise", "disgust", "fear"),
            "anger": Own("anger", _ANGRY),
            "neutral": Own("neutral", _NEUTRAL),
        },
        note="CMU-MOSEI has no label neutral: it stands for all six intensities being zero",
    ),
    "goemotions": Taxonomy(
        title="GoEmotions (Ekman)",
        labels={
            **_same("neutral", "surprise", "fear", "disgust"),
            "sadness": Own("sadness", _SAD),
            "joy": Own("joy", _HAPPY),
            "anger": Own("anger", _ANGRY),
        },
    ),
    "ravdess": Taxonomy(
        title="RAVDESS",
        labels={
            **_same("neutral", "happy", "sad", "angry", "disgust"),
            "calm": Own("calm", _NEUTRAL),
            "fearful": Own("fearful", _FEAR),
            "surprised": Own("surprised", _SURPRISE),
        },
        note="calm counts as neutral where a model has no class for it",
    ),
}

#: classes that the literature trains on, for --labels; rows of other labels are left out
LABEL_SETS: Mapping[str, tuple[str, ...]] = {
    "common": tuple(e.value for e in Emotion),
    "meld": tuple(own.word for own in TAXONOMIES["meld"].labels.values()),
    "iemocap_4": ("angry", "happy", "sad", "neutral"),
    "iemocap_5": ("angry", "happy", "sad", "neutral", "frustrated"),
    "iemocap_6": ("happy", "sad", "neutral", "angry", "excited", "frustrated"),
    "mosei": ("happy", "sad", "anger", "surprise", "disgust", "fear"),
    "ravdess": ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"),
}


def taxonomy(corpus: str) -> Taxonomy:
    """The labels of a corpus; ValueError names the known corpora."""
    if corpus not in TAXONOMIES:
        hint = nearest(corpus, list(TAXONOMIES)) or ","
        raise ValueError(f"no label map for {corpus!r}{hint} known: {', '.join(TAXONOMIES)}")
    return TAXONOMIES[corpus]


def to_common(corpus: str, name: str) -> str | None:
    """Which of the common seven a corpus's own label is; None when it is none of them. ValueError: no label of it."""
    return _own(corpus, name).common


class Target(NamedTuple):
    """The class that a model knows a label by; None with the reason when it knows none."""

    label: str | None
    reason: str = ""


def targets(corpus: str, labels: Sequence[str]) -> dict[str, Target]:
    """For each of a corpus's own labels, which of a model's classes `labels` it is, and why when it is none.

    The corpus's own name comes first (joy), then the word for it (excited for exc), then the class that means the same
    of the common seven (happy). Two classes that mean the same are no answer: which one would be right is not known.
    """
    return {name: _target(name, own, labels) for name, own in taxonomy(corpus).labels.items()}


def mapping(corpus: str, labels: Sequence[str]) -> dict[str, str | None]:
    """`targets` without the reasons: own label -> class of the model, or None when the model cannot express it."""
    return {name: target.label for name, target in targets(corpus, labels).items()}


def _own(corpus: str, name: str) -> Own:
    known = taxonomy(corpus)
    key = LabelSpace.key(name)
    if key not in known.labels:
        hint = nearest(key, list(known.labels)) or ","
        raise ValueError(f"unknown label {name!r}{hint} {known.title} has {', '.join(known.labels)}")
    return known.labels[key]


def _target(name: str, own: Own, labels: Sequence[str]) -> Target:
    by_key = {LabelSpace.key(label): label for label in labels}
    for word in (name, own.word):
        if word in by_key:
            return Target(by_key[word])
    if own.common is None:
        return Target(None, own.reason)
    same = [label for key, label in by_key.items() if own.common in MEANINGS.get(key, ())]
    if len(same) > 1:
        return Target(None, f"{own.common} could be {' or '.join(same)} in this model")
    return Target(same[0]) if same else Target(None, f"the model has no class for {own.common}")


def _meanings() -> dict[str, frozenset[Emotion]]:
    """What a class of a model can mean, by all names that any corpus has for it."""
    found: dict[str, set[Emotion]] = {e.value: {e} for e in Emotion}
    for known in TAXONOMIES.values():
        for name, own in known.labels.items():
            if own.common is not None:
                for word in (name, own.word):
                    found.setdefault(word, set()).add(own.common)
    return {word: frozenset(common) for word, common in found.items()}


MEANINGS = _meanings()
