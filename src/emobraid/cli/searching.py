"""`emobraid search`: better settings for a recipe, found on the validation split."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from emobraid.cli.telling import quoted
from emobraid.config import Config, DataConfig, ModelConfig, TrainingConfig


@dataclass(kw_only=True)
class Search:
    """Try settings of a recipe, each in a whole training, and keep those with the best validation macro-F1.

    The test split is never opened. OUTPUT_DIR gets best.toml, a recipe for --config; every trial in search.md, .tex,
    .csv and search.png; the best trial's model. Ctrl-C stops, the same command goes on. Needs: emobraid[search].

    Example: emobraid search --config features --data_root data --space learning_rate=1e-4..1e-2 fusion_depth=1..3
    """

    config: Path | None = None
    """A recipe: a TOML file, or the name of one that ships (sample, features, meld). Flags override it."""
    output_dir: Path = Path("runs/search")
    """Where everything goes."""
    trials: Annotated[int, tyro.conf.arg(metavar="N")] = 20
    """Trainings, those included that end early."""
    minutes: float | None = None
    """Begin no further trial after so long."""
    space: tuple[str, ...] = ()
    """NAME=LOW..HIGH or NAME=A,B,C, any settings of model and training; a range over a decade or more is searched on a
    logarithmic scale. Default: learning_rate, fusion_dropout, weight_decay, modality_dropout."""
    whole: bool = False
    """Train every trial to its end; otherwise those end early that fall behind the median of the others."""
    overwrite: bool = False
    """Take away the search in output_dir first."""
    model: Annotated[ModelConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=ModelConfig)
    training: Annotated[TrainingConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=TrainingConfig)
    data: Annotated[DataConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=DataConfig)


def search(args: Search) -> int:
    if args.trials < 1 or (args.minutes is not None and args.minutes <= 0):
        raise ValueError("trials must be at least 1, and minutes more than 0")
    try:
        from emobraid.study.search import RECIPE, TABLE, search_anew
        from emobraid.study.search import Search as Study
    except ModuleNotFoundError as error:
        if error.name != "optuna":
            raise
        raise ImportError("a search needs Optuna: pip install 'emobraid[search]'") from None
    from emobraid.data.layouts import open_corpus
    from emobraid.study.space import axes
    from emobraid.training.display import TerminalReporter

    config = Config(model=args.model, training=args.training, data=args.data)
    space = axes(args.space, config)
    open_corpus(config.data, config.model).split("train")  # nothing is written for data that is not there
    if args.overwrite:
        search_anew(args.output_dir)
    with TerminalReporter() as reporter:
        study = Study(
            config=config,
            axes=space,
            folder=args.output_dir,
            trials=args.trials,
            minutes=args.minutes,
            early=not args.whole,
        )
        table = study.run(reporter)
    table.show(Console())
    recipe = quoted(args.output_dir / RECIPE)
    print(f"written: {args.output_dir}/{RECIPE}, {TABLE}.md, .tex, .csv; train it: --config {recipe}")
    return 0
