"""The missing-modality benchmark as files and as a page in the terminal."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.markup import escape

from emobraid.evaluation import missing_plots, plots
from emobraid.evaluation.missing import ALL
from emobraid.evaluation.missing_scores import Row
from emobraid.evaluation.report import _aside
from emobraid.evaluation.tables import drawn, markdown_table

COLUMNS = (
    *("model", "protocol", "part", "rate", "achieved", "draws", "n", "guessed"),
    *("macro_f1", "macro_f1_std", "weighted_f1", "weighted_f1_std", "accuracy", "accuracy_std"),
)
WRITTEN = "robustness.json, robustness.csv, robustness.md"
GUESSED = "(in brackets: no modality of this model is left, every row is the commonest class of training)"


class Page(NamedTuple):
    """A table as text."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def write_robustness(folder: Path, found: dict[str, Any], *, pictures: bool = True) -> None:
    """Write what `benchmark` found into `folder`, made if absent, as JSON, CSV, Markdown and a picture.

    Without matplotlib the picture is left out, and a note says so.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if pictures:
            with _aside(folder / "robustness.png") as path:
                missing_plots.robustness(found, path)
    except ImportError as error:
        if str(error) != plots.MISSING:
            raise
        found["protocol"]["notes"].append(plots.MISSING)
    text = json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False)
    with _aside(folder / "robustness.json") as path:
        path.write_text(text + "\n", encoding="utf-8")
    with _aside(folder / "robustness.csv") as path, path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        table.writeheader()
        table.writerows(found["rows"])
    with _aside(folder / "robustness.md") as path:
        path.write_text(markdown(found), encoding="utf-8")


def print_robustness(found: Mapping[str, Any], console: Console) -> None:
    """The same tables in the terminal."""
    console.print(f"[bold]{escape(heading(found))}[/bold]")
    for page in pages(found):
        console.print(f"[bold]{escape(page.title)}[/bold]")  # as a table's own title it would wrap to a narrow table
        console.print(drawn(page.columns, page.rows))
    for line in footnotes(found):
        console.print(f"[dim]{escape(line)}[/dim]")


def markdown(found: Mapping[str, Any]) -> str:
    """The same tables for a paper's appendix or a page on the web."""
    parts = [f"# {heading(found)}"]
    for page in pages(found):
        parts.append(f"## {page.title}\n\n{markdown_table(page.columns, page.rows)}")
    parts.append("\n".join(f"- {line}" for line in footnotes(found)))
    return "\n\n".join(parts) + "\n"


def heading(found: Mapping[str, Any]) -> str:
    about = found["protocol"]
    return f"Missing modalities: {about['utterances']:,} utterances, macro-F1"


def footnotes(found: Mapping[str, Any]) -> list[str]:
    """What a reader needs to compare the figures with others'."""
    about = found["protocol"]
    hashes = ", ".join(f"{name} {value[:12]}" for name, value in about["masks"].items())
    draws = f"{about['draws']} draws" + (f", {about['frame_draws']} inside streams" if about["frame_draws"] else "")
    return [
        f"seed {about['seed']}, {draws}; ± is the standard deviation over draws",
        f"sha256 of the masks: {hashes}",
        about["nothing_left"] + " " + GUESSED,
        "area: under macro-F1 over the rates asked, by trapezoids, over their width",
        *about["notes"],
    ]


def pages(found: Mapping[str, Any]) -> list[Page]:
    """All tables, the summary first."""
    rows, models = found["rows"], list(found["models"])
    tables = [_summary(found), _fixed(rows, models), _random(rows, models)]
    for protocol, title, unit in (
        ("frames", "Positions hidden inside streams (frame protocol)", "share hidden"),
        ("noise", "Gaussian noise, in spreads of each stream", "noise"),
    ):
        if own := [r for r in rows if r["protocol"] == protocol]:
            tables.append(_inside(own, found["models"], f"{protocol}_area", title, unit))
    return tables


def _summary(found: Mapping[str, Any]) -> Page:
    columns = ["model", "all there", "mean of incomplete", "worst subset", "area, random", "area, positions"]
    rows = []
    for name, s in found["models"].items():
        worst = f"{_number(s['worst'])} ({_spaced(s['worst_subset'])})"
        inside = s["frames_area"].get(ALL) or next(iter(s["frames_area"].values()), None)
        areas = [_spread(a["mean"], a["std"]) if a else "n/a" for a in (s["random_area"], inside)]
        rows.append([name, _number(s["whole"]), _number(s["incomplete"]), worst, *areas])
    constant = found["protocol"]["constant"]
    rows.append([f"always {constant['label']}", *[_number(constant["macro_f1"])] * 5])
    return Page("In short", columns, rows)


def _fixed(rows: Sequence[Row], models: Sequence[str]) -> Page:
    own = [r for r in rows if r["protocol"] == "fixed"]
    title = "Whole modalities missing everywhere (fixed protocol)"
    if len(models) == 1:
        columns = ["modalities", "utterances", "macro-F1", "weighted F1", "accuracy"]
        keys = ("macro_f1", "weighted_f1", "accuracy")
        return Page(title, columns, [[_spaced(r["part"]), f"{r['n']:,}", *(_number(r[k]) for k in keys)] for r in own])
    lines = [[_spaced(part), f"{own_rows[0]['n']:,}", *map(_cell, own_rows)] for part, own_rows in _by(own, "part")]
    return Page(title, ["modalities", "utterances", *models], lines)


def _random(rows: Sequence[Row], models: Sequence[str]) -> Page:
    own = [r for r in rows if r["protocol"] == "random"]
    lines = [
        [f"{rate:.1f}", f"{some[0]['achieved']:.3f}", *(_spread(r["macro_f1"], r["macro_f1_std"]) for r in some)]
        for rate, some in _by(own, "rate")
    ]
    return Page("Modalities missing at random (random protocol)", ["rate asked", "really", *models], lines)


def _inside(rows: Sequence[Row], models: Mapping[str, Any], areas: str, title: str, unit: str) -> Page:
    """The curve of all modalities at once, and the area of each alone; the other curves are in the CSV."""
    parts = list(dict.fromkeys(r["part"] for r in rows))
    shown = ALL if ALL in parts else parts[0]
    lines = []
    for rate, some in _by((r for r in rows if r["part"] == shown), "rate"):
        by_model = {r["model"]: _spread(r["macro_f1"], r["macro_f1_std"]) for r in some}
        lines.append([f"{shown} {rate:g}", *(by_model.get(m, "n/a") for m in models)])
    for part in parts:
        found = [models[m][areas].get(part, {"mean": None, "std": None}) for m in models]
        lines.append([f"area, {part}", *(_spread(a["mean"], a["std"]) for a in found)])
    return Page(title, [unit, *models], lines)


def _by(rows: Iterable[Row], key: str) -> list[tuple[Any, list[Row]]]:
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[key], []).append(row)
    return list(groups.items())


def _cell(row: Row) -> str:
    text = _number(row["macro_f1"])
    return f"({text})" if row["n"] and row["guessed"] == row["n"] else text


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


def _spread(mean: float | None, std: float | None) -> str:
    """`0.722±.014`: narrow, so that a column of each model finds room."""
    return _number(mean) if std is None or mean is None else f"{mean:.3f}±{std:.3f}".replace("±0", "±")


def _spaced(subset: str) -> str:
    return subset.replace("+", " + ")
