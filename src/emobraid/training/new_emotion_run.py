"""`emobraid add-emotion`: from a model folder, a table of examples and the model's corpus to another model folder.

The test split is not asked for; old classes are read on validation, which nothing here was fitted or chosen on.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emobraid import checkpoint
from emobraid.checkpoint import Trained
from emobraid.config import Config, DataConfig
from emobraid.data.corpus import Sample
from emobraid.data.csv import BadRow, read_rows, read_unlabelled
from emobraid.data.layouts import open_corpus
from emobraid.data.prepared import PreparedSplit
from emobraid.data.preparer import Reporter, read_split
from emobraid.data.tables import records
from emobraid.emotions import LabelSpace
from emobraid.model import MultimodalEmotionModel
from emobraid.training.new_emotion import (
    EACH,
    balanced,
    check_name,
    readable,
    rehearsable,
    remembered,
    with_row,
    witnessed,
)
from emobraid.training.new_emotion_report import markdown
from emobraid.training.new_emotion_row import Evidence, folds, held_out, learn_row, speakers_apart
from emobraid.training.run_folder import BEST

REPORT = "new_emotion.json"


@dataclass(frozen=True, kw_only=True)
class Addition:
    """What is added to which model, and where it goes."""

    name: str
    model_path: Path
    examples: Path
    output_dir: Path
    held_out: Path | None = None
    rehearse: tuple[Path, ...] = ()
    data_root: Path | None = None
    allow_outside: Path | None = None
    rehearsal: int = EACH
    seed: int = 0
    overwrite: bool = False


def add_from_files(asked: Addition, reporter: Reporter) -> dict[str, Any]:
    """Write OUTPUT_DIR/best_model and new_emotion.json; the figures of the latter. ValueError before anything is
    written for what a user can mend."""
    base = checkpoint.load_trained(asked.model_path)
    check_name(asked.name, base.model)
    check_folder(asked)
    config = replace(base.config, data=_data(base.config.data, asked))
    examples = read_examples(asked.examples, asked, base.model, config, "examples", reporter)
    others = None
    if asked.held_out:
        others = read_examples(asked.held_out, asked, base.model, config, "held out", reporter)
    rehearsal, val = _corpus(base.model, config, asked, reporter)
    seen, rehearsed = (witnessed(base.model, split, base.temperatures) for split in (examples, rehearsal))
    row = learn_row(seen, rehearsed, balance := balanced(rehearsal), seed=asked.seed)
    grown = with_row(base.model, asked.name, row)
    old = remembered(grown, val)
    if others is None:
        taken, how = held_out(seen, rehearsed, balance, seed=asked.seed), _how(seen, asked.seed)
    else:
        taken, how = row.takes(witnessed(base.model, others, base.temperatures)), f"{asked.held_out}"
    found = {
        "emotion": asked.name,
        "classes": list(grown.config.labels),
        "base": str(asked.model_path),
        "base_sha256": _base_hash(asked.model_path),
        "examples": len(examples),
        "rehearsed": len(rehearsal),
        "learned_numbers": len(row.weight) + 1,
        "seed": asked.seed,
        "old": {"read_on": "the validation split", **old},
        "new": {"read_on": how, **new_figures(None if taken is None else taken.tolist(), old["taken"])},
    }
    _publish(grown, base, replace(config, model=grown.config), found, asked)
    return found


def check_folder(asked: Addition) -> None:
    """ValueError when OUTPUT_DIR holds anything that must not go."""
    folder = asked.output_dir
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; give a folder")
    held = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    if other := [n for n in held if n not in (BEST, REPORT, "ledger.jsonl")]:
        raise ValueError(f"{folder} holds something else, {other[0]}; give a folder of its own")
    if folder.resolve() == checkpoint.resolve(asked.model_path).resolve().parent:
        raise ValueError(f"{folder} holds the model that the emotion is added to; give another folder")
    if held and not asked.overwrite:
        raise ValueError(f"{folder} holds a model already; --overwrite takes it away")


def _data(data: DataConfig, asked: Addition) -> DataConfig:
    """Where the corpus lies now."""
    root = asked.data_root or data.data_root
    return replace(data, data_root=root, allow_outside=asked.allow_outside or data.allow_outside)


def read_examples(
    path: Path, asked: Addition, model: MultimodalEmotionModel, config: Config, what: str, reporter: Reporter
) -> PreparedSplit:
    """The readable rows of a table of the new emotion; ValueError names the line that is of another, or that is bad."""
    for line, row in records(path):
        told = row.get("emotion", "")
        if told and LabelSpace.key(told) != LabelSpace.key(asked.name):
            raise ValueError(f"{path} line {line}: emotion {told!r} is not {asked.name!r}; leave the row out")
    samples: list[Sample] = []
    for found in read_unlabelled(path, config.model, allow_outside=asked.allow_outside):
        if isinstance(found, BadRow):
            raise ValueError(f"{path} line {found.line}: {found.reason}")
        samples.append(found)
    split = read_split(model.by_modality(), samples, config, what, reporter)
    if not len(kept := readable(model, split)):
        raise ValueError(f"{path}: nothing can be read in any of its rows; {split.missing()}")
    return kept


def _corpus(
    model: MultimodalEmotionModel, config: Config, asked: Addition, reporter: Reporter
) -> tuple[PreparedSplit, PreparedSplit]:
    """The utterances to rehearse, and the validation split."""
    corpus = open_corpus(config.data, config.model)
    try:
        train, val = (corpus.split(name) for name in ("train", "val"))
    except ValueError as error:
        told = str(error).rstrip(".")
        raise ValueError(
            f"{told}; old classes are rehearsed from the model's own corpus: --data_root says where"
        ) from None
    for table in asked.rehearse:  # an emotion that was added is in no training split
        train += read_rows(table, config.model, allow_outside=asked.allow_outside)
    chosen = rehearsable(train, config.model.labels, each=asked.rehearsal, seed=asked.seed)
    encoders = model.by_modality()
    rehearsal = readable(model, read_split(encoders, chosen, config, "rehearsal", reporter))
    return rehearsal, read_split(encoders, val, config, "val", reporter)


def _how(seen: Evidence, seed: int) -> str:
    """How the examples were held out, in words."""
    if len(seen.groups) == 1:
        return "nothing: a single example cannot be held out; --held_out names a table of others"
    count = len(folds(seen.groups, (), seed))
    parts = "one by one" if count == len(seen.groups) else f"in {count} parts"
    who = "no speaker on both sides" if speakers_apart(seen.groups) else "all of one speaker"
    return f"the examples, held out {parts}, {who}"


def new_figures(taken: list[bool] | None, old_taken: int) -> dict[str, Any]:
    """Recall of the new class over its held-out utterances; its precision and F1 over these and the old ones together,
    of which it took `old_taken`. None where nothing was held out."""
    if taken is None:
        return {"n": 0, "recall": None, "precision": None, "f1": None}
    hits, n = sum(taken), len(taken)
    return {
        "n": n,
        "recall": hits / n,
        "precision": hits / max(1, hits + old_taken),
        "f1": 2 * hits / (n + hits + old_taken),
    }


def _base_hash(path: Path) -> str:
    return hashlib.sha256((checkpoint.resolve(path) / "manifest.json").read_bytes()).hexdigest()


def _publish(
    grown: MultimodalEmotionModel, base: Trained, config: Config, found: Mapping[str, Any], asked: Addition
) -> None:
    before = checkpoint.read(checkpoint.resolve(asked.model_path)).get("README.md", b"").decode()
    card = f"{markdown(found)}\n## The model below it\n\n{before.replace('# An', '### An', 1)}"
    files = checkpoint.model_files(
        grown, config, calibration=base.temperatures, card=card, synthetic=base.synthetic, terms=base.terms
    )
    checkpoint.publish(asked.output_dir / BEST, files)
    text = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False)
    (asked.output_dir / REPORT).write_text(text + "\n", encoding="utf-8")
