"""What a person sees of a run: a line an epoch, a live bar, TensorBoard curves."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from rich import filesize
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from emobraid.config import Config
from emobraid.data.cache import CacheSizes
from emobraid.data.preparer import Progress as Report
from emobraid.training.curves import Curves
from emobraid.training.state import Standing, Watcher


class TerminalReporter:
    """Rich progress on a terminal; plain lines elsewhere."""

    def __init__(self, console: Console | None = None) -> None:
        # of processes that were launched together, one speaks
        speaks = os.environ.get("RANK", "0") == "0"
        self.console = console or Console(stderr=True, highlight=False, quiet=not speaks)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self.prefix = ""
        self.bars: list[TaskID] = []

    @contextmanager
    def named(self, name: str) -> Iterator[Self]:
        """For one of several that work side by side: its lines and bars begin with `name`; the bars go when it ends."""
        own = copy(self)
        own.prefix, own.bars = f"{name}: ", []
        try:
            yield own
        finally:
            for bar in own.bars:
                self.bar.remove_task(bar)

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def say(self, line: str) -> None:
        self.console.print(self.prefix + line, markup=False, soft_wrap=True)

    def progress(self, task: str) -> Report:
        bar = self._bar(task, total=None)

        def report(done: int, of: int) -> None:
            self.bar.update(bar, completed=done, total=of, visible=done < of)

        return report

    def watchers(self, config: Config, folder: Path, first_step: int, total_steps: int) -> Sequence[Watcher]:
        task = self._bar("training", total=total_steps, completed=first_step)
        watchers: list[Watcher] = [TerminalWatcher(self, task)]
        if find_spec("matplotlib"):
            watchers.append(Curves(folder))
        try:
            watchers.append(TensorBoard(folder / "tensorboard", first_step))
        except ModuleNotFoundError:
            self.say("TensorBoard curves are off; they need: pip install 'emobraid[track]'")
        return watchers

    def _bar(self, name: str, *, total: int | None, completed: int = 0) -> TaskID:
        bar = self.bar.add_task(self.prefix + name, total=total, completed=completed, note="")
        self.bars.append(bar)
        return bar


def show_sizes(sizes: Mapping[str, CacheSizes], console: Console) -> None:
    """What the cache holds for each encoder."""
    table = Table(box=None, padding=(0, 2))
    table.add_column("kept for", overflow="fold")
    table.add_column("entries", justify="right")
    table.add_column("size", justify="right")
    for group, size in sorted(sizes.items()):
        table.add_row(group, f"{size.entries:,}", filesize.decimal(size.bytes))
    console.print(table)


class TerminalWatcher:
    def __init__(self, reporter: TerminalReporter, task: TaskID) -> None:
        self.reporter, self.task = reporter, task

    def step(self, standing: Standing, values: Mapping[str, float]) -> None:
        self.reporter.bar.update(self.task, completed=standing.step, note=f"loss {values['loss']:.3f}")

    def epoch(self, standing: Standing, values: Mapping[str, float]) -> None:
        star = " *" if standing.best_epoch == standing.epoch else ""
        if "val_belonging" in values:  # no label was looked at
            self.reporter.say(
                f"epoch {standing.epoch + 1:3d}  without labels: loss {values['train_loss']:.3f}  "
                f"val loss {values['val_belonging']:.3f}  partner among the first ten "
                f"{values['val_recall_at_10']:.3f}{star}"
            )
            return
        self.reporter.say(
            f"epoch {standing.epoch + 1:3d}  loss {values['train_loss']:.3f}  val loss {values['val_loss']:.3f}  "
            f"val macro-F1 {values['val_macro_f1']:.3f}{star}"
        )


class TensorBoard:
    """Curves by step; on resume the steps after the saved one are dropped."""

    def __init__(self, folder: Path, first_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(folder, purge_step=first_step or None)

    def step(self, standing: Standing, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(f"train/{name}", value, standing.step)

    def epoch(self, standing: Standing, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(f"epoch/{name}", value, standing.step)
        self.writer.flush()
