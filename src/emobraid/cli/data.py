"""The commands about data: a corpus is made, cut, looked over, encoded ahead."""

import json
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from emobraid.cli.telling import command
from emobraid.config import Config, DataConfig, ModelConfig

MeldDefect = Literal["missing_clip", "corrupt_clip", "extra_clip", "gap", "times"]
MoseiDefect = Literal[
    "no_metadata",
    "out_of_order",
    "negative_start",
    "minus_infinity",
    "no_features",
    "out_of_range",
    "no_fold",
    "missing_film",
]
IemocapDefect = Literal["missing_wav", "cut_film", "missing_hand", "mac_files", "times", "missing_transcript"]


@dataclass(kw_only=True)
class Extract:
    """Decode and encode everything ahead, so that training starts at once.

    Frozen encoders run once for every file; what they give is kept under a name made of the file's content, the
    weights and all settings, so that a change in any of them makes it anew. Stop it at any time: the next call goes on.
    train, evaluate and extract share one cache, and fill it themselves when it is empty.

    Example: emobraid extract --config pretrained --data_root data
    """

    config: Path | None = None
    """A recipe: a TOML file, or the name of one that ships. Flags override it."""
    splits: tuple[Literal["train", "val", "test"], ...] = ("train", "val")
    """Which tables; of the test split inputs only, never labels."""
    model: Annotated[ModelConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=ModelConfig)
    data: Annotated[DataConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=DataConfig)


def extract(args: Extract) -> int:
    from emobraid.data.extraction import extract as run
    from emobraid.training.display import TerminalReporter, show_sizes

    with TerminalReporter() as reporter:
        sizes = run(Config(model=args.model, data=args.data), args.splits, reporter)
    show_sizes(sizes, Console())
    return 0


@dataclass(kw_only=True)
class Doctor:
    """Look a corpus over: `emobraid doctor data` tells all that is odd about it and what to do, with line numbers.

    Exit code 1 when something is broken; --json prints every place. --media decodes all clips to find unreadable,
    silent and faceless ones, which takes as long as extracting them.

    `emobraid doctor cache` looks after what is kept instead: it makes random entries again and compares them (exit code
    1 when one differs); --clear deletes all of it, which was cut from people's recordings.

    Example: emobraid doctor data/MELD.Raw --dataset meld
    """

    what: Annotated[str, tyro.conf.Positional] = "cache"
    """A folder with a corpus, or `cache` (write ./cache for a folder of that name)."""
    json: bool = False
    """Print JSON, with every place of every finding."""
    media: bool = False
    """Decode every clip as well."""
    rows: int = 50
    """How many bad rows are listed with all that is wrong with each (csv layout)."""
    entries: int = 20
    """How many random entries of the cache are made again."""
    seed: int = 0
    """Which ones."""
    clear: bool = False
    """Delete everything in the cache."""
    config: Path | None = None
    """The recipe that the model is made with: its labels and modalities are what a corpus must have."""
    model: Annotated[ModelConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=ModelConfig)
    data: Annotated[DataConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=DataConfig)


def doctor(args: Doctor) -> int:
    if args.what != "cache":
        return _doctor_corpus(args)
    if args.json or args.media:
        raise ValueError("--json and --media are for a corpus: emobraid doctor FOLDER")
    from emobraid.data.extraction import check, clear
    from emobraid.training.display import TerminalReporter

    config = Config(model=args.model, data=args.data)
    if args.clear:
        print(f"{clear(config)} entries deleted")
        return 0
    with TerminalReporter() as reporter:
        checks = check(config, args.entries, args.seed, reporter)
    wrong = [c for c in checks if not c.agrees]
    for c in wrong:
        print(f"{c.split} {c.id} {c.modality}: kept and made again differ by {c.difference:.1e}", file=sys.stderr)
    worst = max((c.difference for c in checks), default=0.0)
    told = f"{len(checks)} entries made again, largest relative difference {worst:.1e}"
    print(f"{told}; {len(wrong)} differ, --clear deletes the cache" if wrong else told if checks else "nothing is kept")
    return 1 if wrong else 0


def _doctor_corpus(args: Doctor) -> int:
    if args.clear:
        raise ValueError("--clear is for the cache: emobraid doctor cache --clear; a corpus is never deleted")
    from emobraid.data.audit import audit
    from emobraid.data.audit.bad_rows import bad_rows, show_bad_rows
    from emobraid.data.audit.page import show
    from emobraid.training.display import TerminalReporter

    with TerminalReporter() as reporter:
        progress = reporter.progress("decoding") if args.media else None
        found = audit(replace(args.data, data_root=Path(args.what)), args.model, media=args.media, progress=progress)
    if args.json:
        print(json.dumps(found.to_json(), ensure_ascii=False, indent=1))
    else:
        show(found, Console())
        if found.dataset == "csv":
            show_bad_rows(bad_rows(found), Console(), limit=args.rows)
    return 1 if found.broken else 0


@dataclass(kw_only=True)
class SampleCorpus:
    """Make a small synthetic corpus in the expected layout, to try the program with.

    Drawn faces, synthesised voices, sentences from templates: nobody was recorded, and nothing about people can be
    learnt from it.

    Example: emobraid sample-corpus sample
    """

    folder: Annotated[Path, tyro.conf.Positional]
    """Where to put it; must be new or empty."""
    layout: Literal["csv", "meld", "mosei", "iemocap"] = "csv"
    """csv: our own tables; meld: dialogues in the folders and tables of MELD; mosei: CMU-MOSEI's features and films;
    iemocap: IEMOCAP's dialogues with markers."""
    clips: int | None = None
    """Utterances in all three splits; default: 560, meld and mosei 48, iemocap 40."""
    defects: tuple[MeldDefect | MoseiDefect | IemocapDefect, ...] = ()
    """What to spoil in another layout than csv, to see what the doctor says; each layout names its own."""
    seed: int = 0
    """The same seed gives the same bytes."""
    workers: int = 2
    """Processes (csv)."""


def sample_corpus(args: SampleCorpus) -> int:
    from emobraid.data.sample import make_sample_corpus, make_sample_iemocap, make_sample_meld, make_sample_mosei
    from emobraid.training.display import TerminalReporter

    if args.defects and args.layout == "csv":
        raise ValueError("--defects needs --layout meld, mosei or iemocap")
    published = {"meld": make_sample_meld, "mosei": make_sample_mosei, "iemocap": make_sample_iemocap}
    with TerminalReporter() as reporter:
        progress = reporter.progress("drawing")
        if make := published.get(args.layout):
            clips = {"iemocap": 40}.get(args.layout, 48) if args.clips is None else args.clips
            make(args.folder, seed=args.seed, clips=clips, defects=args.defects, progress=progress)
        else:
            clips = 560 if args.clips is None else args.clips
            make_sample_corpus(args.folder, seed=args.seed, clips=clips, workers=args.workers, progress=progress)
    other = ("--dataset", args.layout) if args.layout != "csv" else ()
    recipe = args.layout if args.layout in ("mosei", "iemocap") else "sample"
    training = command("train", "--config", recipe, "--data_root", args.folder, *other)
    print(f"{args.folder}: a synthetic corpus; train on it with: {training}")
    return 0


@dataclass(kw_only=True)
class Split:
    """Cut one table into train.csv, val.csv and test.csv (five, one and one seventh) with no speaker in two of them.

    Labels are spread as evenly as whole speakers allow; the same seed gives the same tables.

    Example: emobraid split all.csv --output_dir data --seed 0
    """

    table: Annotated[Path, tyro.conf.Positional]
    """A CSV with columns emotion and speaker beside those of the modalities."""
    output_dir: Path = Path("data")
    """Where the three go; in another folder than the table's own, relative paths become absolute."""
    by: Literal["speaker", "dialogue", "row"] = "speaker"
    """What stays together. row: nothing does, and train and test may share people."""
    seed: int = 0
    """The same seed gives the same tables."""
    overwrite: bool = False
    """Write over tables that are there."""


def split(args: Split) -> int:
    from emobraid.data.splitting import not_kept, split_table

    parts = split_table(args.table, args.output_dir, by=args.by, seed=args.seed, overwrite=args.overwrite)
    for part in parts:
        print(part.told(args.by))
    if told := not_kept(parts, args.by):
        print(f"note: {told}")
    if args.by == "row":
        print("note: rows were split at random, so train and test may share people; say so beside results")
    return 0
