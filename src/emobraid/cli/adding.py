"""`emobraid add-emotion`: a class more for a model that is trained."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console


@dataclass(kw_only=True)
class AddEmotion:
    """Teach a trained model one emotion more from a few examples, without forgetting the others.

    The model gets one more row; every weight it had stays as it is, bit for bit, and so does the order among its old
    classes. Utterances of the training split are rehearsed, so that the new class takes little from the old. Prints and
    writes new_emotion.json: the old classes on validation before and after, the new one on held-out examples. The test
    split is never opened. OUTPUT_DIR/best_model is a model like any other.

    Example: emobraid add-emotion pride --examples pride.csv --output_dir runs/pride
    """

    name: Annotated[str, tyro.conf.Positional]
    """The new emotion: letters, digits, spaces, - and _."""
    examples: Path
    """A table of its utterances: text, audio_path, video_path, any subset; speaker, where known."""
    output_dir: Path
    """Where best_model and new_emotion.json go."""
    model_path: Path = Path("checkpoints/best_model")
    """The folder that training wrote; best_model.pth is taken for the folder best_model."""
    held_out: Path | None = None
    """A table of further utterances of it, to be judged on; default: the examples, held out in turn."""
    rehearse: tuple[Path, ...] = ()
    """Further tables to rehearse from, with a column emotion: those of emotions that were added before."""
    data_root: Path | None = None
    """The model's own corpus, where it has moved since training."""
    allow_outside: Path | None = None
    """A second folder that paths in the tables may point into; others outside the table's folder are refused."""
    rehearsal: Annotated[int, tyro.conf.arg(metavar="N")] = 64
    """Training utterances of each old class that are rehearsed, at most."""
    seed: int = 0
    """Which utterances are rehearsed, and which examples are held out together."""
    overwrite: bool = False
    """Take away the model that an earlier add-emotion left in output_dir."""


def add_emotion(args: AddEmotion) -> int:
    if args.rehearsal < 1 or args.seed < 0:
        raise ValueError("rehearsal must be at least 1, and seed not below 0")
    from emobraid.training.display import TerminalReporter
    from emobraid.training.new_emotion_report import print_new_emotion
    from emobraid.training.new_emotion_run import REPORT, Addition, add_from_files
    from emobraid.training.run_folder import BEST

    asked = Addition(**{name: getattr(args, name) for name in Addition.__dataclass_fields__})
    with TerminalReporter() as reporter:
        found = add_from_files(asked, reporter)
    print_new_emotion(found, Console())
    print(f"written: {args.output_dir}/{BEST}, {REPORT}")
    return 0
