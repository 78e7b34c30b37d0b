"""A table of a study as Markdown, LaTeX and CSV, with the protocol it was made under."""

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable

_LATEX = str.maketrans({c: f"\\{c}" for c in "&%$#_{}"} | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"})


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cells as text. The first column names the row; the others are right-aligned."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = field(default=())

    def markdown(self) -> str:
        rule = ("---", *["---:"] * (len(self.columns) - 1))
        lines = [f"| {' | '.join(_bar_free(row))} |" for row in (self.columns, rule, *self.rows)]
        return "\n".join([f"### {self.title}", "", *lines, "", *(f"- {note}" for note in self.notes), ""])

    def latex(self) -> str:
        lines = [" & ".join(cell.translate(_LATEX) for cell in row) + r" \\" for row in (self.columns, *self.rows)]
        remarks = [f"% {said}" for said in (self.title, *self.notes)]
        begin = rf"\begin{{tabular}}{{l{'r' * (len(self.columns) - 1)}}}"
        rule, top, *below = r"\hline", *lines
        return "\n".join([*remarks, begin, rule, top, rule, *below, rule, r"\end{tabular}", ""])

    def save(self, folder: Path, stem: str) -> None:
        """STEM.md, STEM.tex and STEM.csv, each whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, text in ((".md", self.markdown()), (".tex", self.latex())):
            write_whole(folder / f"{stem}{suffix}", text)
        aside = folder / f".{stem}.csv.writing"
        with aside.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([self.columns, *self.rows])
        os.replace(aside, folder / f"{stem}.csv")

    def show(self, console: Console) -> None:
        drawn = RichTable(title=self.title, title_justify="left", title_style="bold", header_style="dim")
        for i, column in enumerate(self.columns):
            drawn.add_column(column, justify="right" if i else "left", overflow="fold")
        for row in self.rows:
            drawn.add_row(*row)
        console.print(drawn)
        for note in self.notes:
            console.print(note, style="dim", markup=False)


def write_whole(path: Path, text: str) -> None:
    """A file that a reader never meets half of."""
    aside = path.with_name(f".{path.name}.writing")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)


def _bar_free(cells: Sequence[str]) -> list[str]:
    return [cell.replace("|", r"\|") for cell in cells]


def percent(values: Sequence[float]) -> str:
    """`76.4`, or over several seeds `76.4 ± 0.5` (sample standard deviation)."""
    mean = 100 * sum(values) / len(values)
    if len(values) < 2:
        return f"{mean:.1f}"
    spread = (sum((100 * v - mean) ** 2 for v in values) / (len(values) - 1)) ** 0.5
    return f"{mean:.1f} ± {spread:.1f}"
