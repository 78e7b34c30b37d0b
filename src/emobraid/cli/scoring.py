"""`emobraid evaluate`: a trained model on the test split, whole or with modalities missing."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

import tyro
from rich.console import Console

from emobraid.cli.places import refuse_unwritable
from emobraid.config import DataConfig


@dataclass(kw_only=True)
class Evaluate:
    """Score a model on the test split: figures, tables, pictures.

    Opens the test table of the data that the model was trained on, or of DATA_ROOT, and writes so into the run's
    ledger.jsonl. Nothing is fitted here: temperatures
    come from the model, which fitted them on validation. On another corpus than the model's own (--dataset meld), rows
    whose label it cannot express are left out, counted and told. Writes metrics.json, predictions.csv and PNGs.

    Example: emobraid evaluate --model_path checkpoints/best_model --data_root data --output_dir results
    """

    given: ClassVar[frozenset[str]] = frozenset()  # settings that flags name

    model_path: Path = Path("checkpoints/best_model")
    """The folder that training wrote, or emobraid/compact, which ships; best_model.pth is the folder best_model."""
    output_dir: Path = Path("results")
    """Where the report goes."""
    no_pictures: bool = False
    """Leave the PNGs out."""
    retrieval: bool = False
    """Add how well one modality of an utterance finds its others among all test utterances: recall, median rank."""
    robustness: bool = False
    """Run the missing-modality benchmark instead: robustness.json, .csv, .md and .png; see docs/robustness.md."""
    beside: tuple[str, ...] = ()
    """NAME=PATH of further models for --robustness, read through the same gaps; they may have fewer modalities."""
    draws: int = 10
    """Draws of the random protocol of --robustness."""
    frame_draws: int = 3
    """Draws of its frame protocol, each of which runs the encoders nine times; 0 leaves it out."""
    noise: bool = False
    """Add the noise study to --robustness."""
    seed: int = 0
    """Which masks --robustness draws."""
    data: Annotated[DataConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=DataConfig)


def evaluate(args: Evaluate) -> int:
    if args.robustness:
        if args.retrieval:
            raise ValueError("--retrieval is part of the plain report; leave --robustness out")
        return _robustness(args)
    for name in ("beside", "draws", "frame_draws", "noise", "seed"):
        if getattr(args, name) != getattr(Evaluate, name):
            raise ValueError(f"--{name} is a setting of the missing-modality benchmark; give --robustness too")
    _refuse_places(args)
    from emobraid.evaluation.remembered import as_trained
    from emobraid.evaluation.report import print_report
    from emobraid.evaluation.sealed import evaluate as run
    from emobraid.training.display import TerminalReporter

    args.data = as_trained(args.model_path, args.data, args.given)
    asked = {"pictures": not args.no_pictures, "retrieval": args.retrieval}
    with TerminalReporter() as reporter:
        metrics = run(args.model_path, args.data, args.output_dir, reporter, **asked)
    print_report(metrics, Console())
    drawn = "" if args.no_pictures else " and pictures"
    print(f"written: {args.output_dir}/metrics.json, predictions.csv{drawn}")
    return 0


def _refuse_places(args: Evaluate) -> None:
    from emobraid.evaluation.sealed import ledger_of

    refuse_unwritable(args.output_dir)
    refuse_unwritable(ledger_of(args.model_path).parent)


def _robustness(args: Evaluate) -> int:
    from emobraid.evaluation.missing import Plan
    from emobraid.evaluation.missing_report import WRITTEN, print_robustness
    from emobraid.evaluation.remembered import as_trained
    from emobraid.evaluation.robustness import evaluate_robustness as run
    from emobraid.training.display import TerminalReporter

    plan = Plan(draws=args.draws, frame_draws=args.frame_draws, seed=args.seed, noise=args.noise)
    stem = args.model_path.with_suffix("") if args.model_path.suffix == ".pth" else args.model_path
    models = {stem.resolve().parent.name if stem.name == "best_model" else stem.name: args.model_path}
    for given in args.beside:
        name, _, path = given.partition("=")
        if not name or not path or name in models:
            raise ValueError(f"--beside {given!r}: give NAME=PATH, each name once; {', '.join(models)} is taken")
        models[name] = Path(path)
    _refuse_places(args)
    args.data = as_trained(args.model_path, args.data, args.given)
    with TerminalReporter() as reporter:
        found = run(models, args.data, args.output_dir, reporter, plan=plan, pictures=not args.no_pictures)
    print_robustness(found, Console())
    print(f"written: {args.output_dir}/{WRITTEN}{'' if args.no_pictures else ', robustness.png'}")
    return 0
