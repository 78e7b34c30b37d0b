"""Few-shot results as files, as learning curves and as a page in the terminal."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from scipy import stats

from emobraid.evaluation import plots
from emobraid.evaluation.plots import LOOKS, RULE, _figure, _label, _save
from emobraid.evaluation.tables import drawn, markdown_table

WRITTEN = "few_shot.json, few_shot.csv, few_shot.md"
OURS = "prompt_adapter"
COLUMNS = ("method", "subset", "shots", "mean", "half_width", "rate", "learned", "seconds", "episodes_hash")


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The mean over episodes and half the width of its 95 % confidence interval (Student's t)."""
    numbers = np.asarray(values, dtype=np.float64)
    error = numbers.std(ddof=1) / math.sqrt(len(numbers))
    return float(numbers.mean()), float(error * stats.t.ppf(0.975, len(numbers) - 1))


def summarise(found: dict[str, Any]) -> dict[str, Any]:
    """What `Study.score` found, with means, intervals, and our method's paired differences from the others."""
    for row in found["rows"]:
        row["mean"], row["half_width"] = interval(row["macro_f1"])
    whole = "+".join(found["protocol"]["modalities"])
    by_cell = {(r["method"], r["shots"]): r["macro_f1"] for r in found["rows"] if r["subset"] == whole}
    found["differences"] = []
    for (method, shots), theirs in by_cell.items():
        if method == OURS or (OURS, shots) not in by_cell:
            continue
        mean, half = interval(np.subtract(by_cell[OURS, shots], theirs).tolist())
        found["differences"].append({"against": method, "shots": shots, "mean": mean, "half_width": half})
    return found


def write_few_shot(folder: Path, found: Mapping[str, Any], *, pictures: bool = True) -> list[str]:
    """Write few_shot.json, .csv, .md and .png into `folder`; returns what was left out and why."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "few_shot.json").write_text(text + "\n", encoding="utf-8")
    with (folder / "few_shot.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        table.writeheader()
        table.writerows(found["rows"])
    (folder / "few_shot.md").write_text(markdown(found), encoding="utf-8")
    try:
        if pictures:
            curves(found, folder / "few_shot.png")
    except ImportError as error:
        if str(error) != plots.MISSING:
            raise
        return [plots.MISSING]
    return []


def pages(found: Mapping[str, Any]) -> list[tuple[str, list[str], list[list[str]]]]:
    """(title, columns, rows) of every table, macro-F1 in percent."""
    about, rows = found["protocol"], found["rows"]
    whole, titles = "+".join(about["modalities"]), about["titles"]
    shots = list(dict.fromkeys(r["shots"] for r in rows))
    columns = [f"{k} shot{'s' if k > 1 else ''}" for k in shots]

    def line(name: str, own: list[dict[str, Any]]) -> list[str]:
        return [name, *(f"{100 * r['mean']:.1f} +- {100 * r['half_width']:.1f}" for r in own)]

    of = {(m, s): [r for r in rows if (r["method"], r["subset"]) == (m, s)] for m in titles for s in _parts(rows)}
    methods = [[*line(title, of[m, whole]), _learned(of[m, whole], about)] for m, title in titles.items()]
    tables = [(f"All modalities ({whole.replace('+', ' + ')})", ["method", *columns, "learned"], methods)]
    parts = [
        line(f"{subset.replace('+', ' + ')}, {titles[m]}", own)
        for subset in _parts(rows)
        for m in titles
        if (own := of[m, subset]) and any(r["subset"] != whole for r in rows if r["method"] == m)
    ]
    tables += [("Each subset of modalities", ["modalities, method", *columns], parts)] if parts else []
    against: dict[str, list[dict[str, Any]]] = {d["against"]: [] for d in found["differences"]}
    for d in found["differences"]:
        against[d["against"]].append(d)
    apart = [line(titles[m], own) for m, own in against.items()]
    return tables + ([("Ours minus the others, paired by episode", ["method", *columns], apart)] if apart else [])


def _parts(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted({r["subset"] for r in rows}, key=lambda s: (s.count("+"), [r["subset"] for r in rows].index(s)))


def _learned(rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> str:
    count = rows[0]["learned"]
    return f"{count:,} ({100 * count / about['base_parameters']:.1f} %)" if count else "0"


def footnotes(found: Mapping[str, Any]) -> list[str]:
    """What a reader needs to compare the figures with others'."""
    about = found["protocol"]
    hashes = {r["shots"]: r["episodes_hash"][:12] for r in found["rows"]}
    rates = {(r["method"], r["shots"]): r["rate"] for r in found["rows"] if r["rate"]}
    chosen = {m: [f"{rates[m, k]:g}" for k in hashes] for m in dict.fromkeys(m for m, _ in rates)}
    seen = (
        f"the base was trained on labels ({', '.join(about['classes'])} are not new to it if they were among them)"
        if about["base_saw_labels"]
        else "the base never saw a label"
    )
    apart = "other speakers (or dialogues)" if about["speaker_disjoint"] else "the same speakers or unknown ones"
    return [
        f"macro-F1 in percent: mean over {about['episodes']} episodes of the test split and 95 % interval, "
        "which is for episodes drawn from these utterances, not for other speakers",
        f"{about['ways']} ways, {about['queries']} queries of each class from {apart}, seed {about['seed']}; sha256 of "
        f"the episodes by shots: {', '.join(f'{k}: {h}' for k, h in hashes.items())}",
        f"{seen}; {about['fusion_type']} fusion, {about['base_parameters']:,} parameters, sha256 "
        f"{about['base_sha256'][:12]}",
        f"{about['steps']} steps of AdamW for all that learn by steps, on all shots at once; learning rates by shots, "
        f"chosen on {about['dev_episodes']} validation episodes: "
        + "; ".join(f"{about['titles'][m]} {', '.join(r)}" for m, r in chosen.items()),
        "all start from class means of the same readings; the prototypical network is trained on episodes made of the "
        "support set alone, which one shot does not allow",
    ]


def markdown(found: Mapping[str, Any]) -> str:
    """All tables and notes for a paper's appendix or a page on the web."""
    parts = ["# Few-shot learning"]
    for title, columns, rows in pages(found):
        parts.append(f"## {title}\n\n{markdown_table(columns, rows)}")
    parts.append("\n".join(f"- {line}" for line in footnotes(found)))
    return "\n\n".join(parts) + "\n"


def print_few_shot(found: Mapping[str, Any], console: Console) -> None:
    """The same in the terminal."""
    for title, columns, rows in pages(found):
        console.print(drawn(columns, rows, title=title))
    for note in footnotes(found):
        console.print(f"[dim]{escape(note)}[/dim]")


def curves(found: Mapping[str, Any], path: Path | str) -> None:
    """Draw macro-F1 by shots: all methods on all modalities, and ours on each subset, with 95 % bands."""
    about, rows = found["protocol"], found["rows"]
    whole = "+".join(about["modalities"])
    methods = {
        title: [r for r in rows if (r["method"], r["subset"]) == (m, whole)] for m, title in about["titles"].items()
    }
    ours = next(iter(about["titles"]))
    subsets = {
        s.replace("+", " + "): [r for r in rows if (r["method"], r["subset"]) == (ours, s)] for s in _parts(rows)
    }
    figure = _figure(11, 5.6)
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, lines, title in (
        (left, methods, f"All modalities, {about['ways']} ways"),
        (right, {k: v for k, v in subsets.items() if v}, f"{about['titles'][ours]}, by modality"),
    ):
        for (colour, marker, dash), (name, own) in zip(LOOKS, lines.items(), strict=False):
            x, mean, half = (np.array([r[k] for r in own], dtype=float) for k in ("shots", "mean", "half_width"))
            axes.fill_between(x, mean - half, mean + half, color=colour, alpha=0.12, linewidth=0)
            axes.plot(x, mean, color=colour, marker=marker, linestyle=dash, markersize=5, linewidth=1.6, label=name)
        shots = sorted({r["shots"] for r in rows})
        axes.set_xscale("log")
        axes.set_xticks(shots, [str(k) for k in shots])
        axes.set_xticks([], minor=True)
        axes.axhline(1 / about["ways"], color="#999999", linewidth=1, linestyle=(0, (4, 4)), label="chance")
        axes.grid(color=RULE, linewidth=0.8)
        _label(axes, title, "shots of each class", "macro-F1" if axes is left else "")
        axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)
    _save(figure, path)
