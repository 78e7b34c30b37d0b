"""`emobraid train`: one model, or in the modes few_shot, ablation and all a study of many."""

import os
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import tyro
from rich.console import Console

from emobraid.cli.places import refuse_unwritable
from emobraid.cli.telling import command
from emobraid.config import (
    Config,
    DataConfig,
    DistillationConfig,
    FewShotConfig,
    ModelConfig,
    StudyConfig,
    TrainingConfig,
    to_toml,
)

STUDIES = ("ablation", "all")  # modes that are loops over runs
Mode = Literal["standard", "contrastive", "few_shot", "distillation", "robust", "ablation", "all"]


@dataclass(kw_only=True)
class Train:
    """Train a model on a folder of raw clips (or feature files) and calibrate it.

    The folder holds train.csv and val.csv with columns text, audio_path, video_path, emotion; an empty cell is a
    missing modality. The best model by validation macro-F1 is kept in OUTPUT_DIR/best_model; the test split is never
    opened here. Ctrl-C saves and stops; --resume goes on, bit for bit.

    Example: emobraid train --data_root data --fusion_type hierarchical
    """

    given: ClassVar[frozenset[str]] = frozenset()  # settings that flags or a recipe name

    mode: Mode = "standard"
    """Training regime. contrastive, distillation and robust lay the recipe of that name over --config; ablation
    compares all fusions, all runs the whole suite."""
    config: Path | None = None
    """A recipe: a TOML file, or the name of one that ships (sample, features, meld). Flags override it."""
    output_dir: Path = Path("checkpoints")
    """Where metrics.jsonl, training.png, tensorboard/, resume/ and best_model/ go; of other modes than standard by
    default a folder of that name in it."""
    resume: bool = False
    """Go on with the run in output_dir."""
    overwrite: bool = False
    """Take away the run in output_dir first."""
    sharding: Literal["none", "fsdp"] = "none"
    """How processes under torchrun hold the weights. none: each holds all (DDP); fsdp: each a part, for full tuning of
    large encoders. What is written is the same."""
    print_config: bool = False
    """Print the settings as TOML and stop."""
    model: Annotated[ModelConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=ModelConfig)
    training: Annotated[TrainingConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=TrainingConfig)
    data: Annotated[DataConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=DataConfig)
    distillation: Annotated[DistillationConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=DistillationConfig)
    few_shot: Annotated[FewShotConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=FewShotConfig)
    study: Annotated[StudyConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=StudyConfig)


def train(args: Train) -> int:
    if args.mode != "standard" and "output_dir" not in args.given and args.output_dir == Train.output_dir:
        args.output_dir = Train.output_dir / args.mode  # each beside the others
    if args.mode not in STUDIES and args.study != StudyConfig():
        raise ValueError(
            f"seeds, fusions, switch_off and jobs are for --mode {' and '.join(STUDIES)}; one run has --seed"
        )
    if args.sharding != "none" and args.mode in (*STUDIES, "few_shot"):
        raise ValueError(f"sharding is for one training; --mode {args.mode} is made of many")
    if args.mode in STUDIES:
        return _study(args)
    if args.mode == "few_shot":
        return _few_shot(args)
    if args.mode != "all" and args.few_shot != FewShotConfig():
        raise ValueError("settings of few-shot learning need --mode few_shot")
    config = Config(model=args.model, training=args.training, data=args.data, distillation=args.distillation)
    if args.mode == "distillation" and args.distillation.teacher_model is None:
        raise ValueError("--mode distillation needs --teacher_model: a folder that `emobraid train` wrote")
    if args.distillation != DistillationConfig() and args.distillation.teacher_model is None:
        raise ValueError("settings of distillation need --teacher_model, without which nobody teaches")
    if args.print_config:
        print(to_toml(config), end="")
        return 0
    refuse_unwritable(args.output_dir)
    from emobraid.training.curves import draw as draw_curves
    from emobraid.training.display import TerminalReporter
    from emobraid.training.run import train as run
    from emobraid.training.run_folder import BEST

    with TerminalReporter() as reporter:
        if (odd := oddities(config)) and not args.resume and os.environ.get("RANK", "0") == "0":
            reporter.say(odd)
        outcome = run(
            config,
            args.output_dir,
            resume=args.resume,
            overwrite=args.overwrite,
            reporter=reporter,
            sharding=args.sharding,
            given=args.given,
        )
    if os.environ.get("RANK", "0") != "0":  # launched together with the process that speaks
        return 0
    if find_spec("matplotlib"):  # without it there are TensorBoard's curves, and the log
        print(f"{draw_curves(args.output_dir)}: losses, scores, learning rate and gradients, step by step")
    best = args.output_dir / BEST
    other = () if args.data.dataset == "csv" else ("--dataset", args.data.dataset)
    scoring = command("evaluate", "--model_path", best, "--data_root", args.data.data_root, *other)
    print(
        f"{best}: validation macro-F1 {outcome.best_macro_f1:.3f} at epoch {outcome.best_epoch + 1}; "
        f"score it with: {scoring}"
    )
    return 0


def oddities(config: Config) -> str:
    """What `emobraid doctor` would say of the corpus, in one line; empty when there is nothing to mend or to know, or
    when it cannot be looked at: then training itself says why."""
    from emobraid.data.audit import audit
    from emobraid.data.audit.page import in_one_line

    try:
        return in_one_line(audit(config.data, config.model))
    except (ValueError, OSError):
        return ""


def _study(args: Train) -> int:
    config = Config(model=args.model, training=args.training, data=args.data)
    if args.print_config:
        print(to_toml(config), end="")
        return 0
    if args.distillation != DistillationConfig():
        raise ValueError(f"--mode {args.mode} chooses the teacher itself; leave the settings of distillation out")
    from emobraid.study.command import ablate, suite
    from emobraid.training.display import TerminalReporter

    run = ablate if args.mode == "ablation" else suite
    with TerminalReporter() as reporter:
        print(run(config, args.study, args.few_shot, args.output_dir, args.overwrite, reporter, args.given))
    return 0


def _few_shot(args: Train) -> int:
    from emobraid.training.few_shot_run import without_labels

    if args.distillation != DistillationConfig():
        raise ValueError("settings of distillation need --mode distillation")
    config = Config(model=args.model, training=args.training, data=args.data, few_shot=args.few_shot)
    config = config if args.few_shot.base_model else without_labels(config)
    if args.print_config:
        print(to_toml(config), end="")
        return 0
    from emobraid.evaluation.sealed import score_episodes
    from emobraid.training.display import TerminalReporter
    from emobraid.training.few_shot_report import WRITTEN, print_few_shot, summarise, write_few_shot
    from emobraid.training.few_shot_run import prepare

    with TerminalReporter() as reporter:
        again = {"resume": args.resume, "overwrite": args.overwrite}
        study = prepare(config, args.output_dir, **again, reporter=reporter, given=args.given)
        found = summarise(score_episodes(study.base_path, study.config, study.score, reporter))
    left_out = write_few_shot(study.folder, found)
    print_few_shot(found, Console())
    print("; ".join([f"written: {study.folder}/{WRITTEN}{'' if left_out else ', few_shot.png'}", *left_out]))
    return 0
