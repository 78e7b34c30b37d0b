"""The figures of a report on a terminal, each table with the conventions of what it shows."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

#: (heading, figure) of the first table of exclusive classes: by corpus, what its literature reports and how it calls it
HEADLINES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "": (("accuracy", "accuracy"), ("macro-F1", "macro_f1"), ("weighted F1", "weighted_f1"), ("UAR", "uar")),
    "meld": (("weighted F1", "weighted_f1"), ("accuracy", "accuracy"), ("macro-F1", "macro_f1"), ("UAR", "uar")),
    "iemocap": (("WA", "accuracy"), ("UA", "uar"), ("weighted F1", "weighted_f1"), ("macro-F1", "macro_f1")),
}
SEVERAL = (
    ("mean WAcc", "mean_wacc"),
    ("AUROC", "macro_auroc"),
    ("AUPRC", "macro_auprc"),
    ("macro-F1", "macro_f1"),
    ("micro-F1", "micro_f1"),
    ("exact", "exact_match"),
)


def print_report(metrics: Mapping[str, Any], console: Console) -> None:
    """Print what `evaluate_predictions` returned: headline beside a constant answer, per class, modality subsets."""
    several = metrics["kind"] == "multi"
    corpus = metrics.get("run", {}).get("protocol", {}).get("dataset", "")
    columns = SEVERAL if several else HEADLINES.get(corpus, HEADLINES[""])
    console.print(_headline(metrics, columns))
    console.print(_several_table(metrics) if several else _class_table(metrics))
    for table in _affect_tables(metrics):
        console.print(table)
    console.print(_subset_table(metrics, columns[:2] if several else (("macro-F1", "macro_f1"), columns[0])))
    if found := metrics.get("retrieval"):
        console.print(_retrieval_table(found["pairs"]))
    if (wrong := metrics.get("errors")) and wrong["pairs"]:
        console.print(_errors_table(wrong))
    for line in _told(metrics, [figure for _, figure in columns]):
        console.print(f"[dim]{escape(line)}[/dim]", soft_wrap=True, highlight=False)
    for note in metrics["notes"]:
        console.print(f"[yellow]note:[/yellow] {_safe(note)}")


def _told(metrics: Mapping[str, Any], shown: Sequence[str]) -> list[str]:
    """The convention of every figure shown."""
    texts = metrics["conventions"]
    own = ["wacc", "f1", "constant", "thresholds"] if metrics["kind"] == "multi" else []
    names = [*shown, "auroc", "auprc", *own]
    if affect := metrics["all"].get("affect"):
        names += dict.fromkeys(figure for row in affect.values() for figure in row)
    lines = [f"{name.replace('_', ' ')}: {texts[name]}" for name in dict.fromkeys(names) if name in texts]
    honest = metrics["calibration"]
    lines += [f"ECE: {honest['ece']}", f"ECE of a class, after calibration: {honest['classwise_ece']}"]
    if (wrong := metrics.get("errors")) and wrong["pairs"]:
        lines.append(f"mistakes: {wrong['convention']}")
    if moved := metrics.get("contributions"):
        shares = ", ".join(f"{m} {share:+.2f}" for m, share in moved["all"].items())
        lines.append(f"contributions: {shares}; {moved['convention']}")
    return [*lines, *([f"retrieval: {metrics['retrieval']['convention']}"] if "retrieval" in metrics else [])]


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim")
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", overflow="fold")
    return table


def _headline(metrics: Mapping[str, Any], columns: Sequence[tuple[str, str]]) -> Table:
    full = metrics["all"]
    title = f"{full['n']:,} utterances, {_modalities(full['subset'])}"
    table = _table(title, "", *(heading for heading, _ in columns), "ECE before -> after")
    several = metrics["kind"] == "multi"
    constant = full["constant" if several else "majority"]
    table.add_row("model", *(_number(full[k]) for _, k in columns), _ece(full))
    answer = "every class" if several else _safe(constant["label"])
    table.add_row(f"always {answer}", *(_number(constant[k]) for _, k in columns), "")
    return table


def _class_table(metrics: Mapping[str, Any]) -> Table:
    table = _table("Per class", "class", "precision", "recall", "F1", "AUROC", "AUPRC", "ECE", "utterances")
    keys, full = ("precision", "recall", "f1", "auroc", "auprc", "ece"), metrics["all"]
    for name, row in full["per_class"].items():
        table.add_row(_safe(name), *(_number(row[k]) for k in keys), f"{row['support']:,}")
    means = (*(full[f"macro_{k}"] for k in keys[:-1]), full["classwise_ece_after"])
    table.add_section()
    table.add_row("mean", *map(_number, means), f"{full['n']:,}")
    return table


def _several_table(metrics: Mapping[str, Any]) -> Table:
    # precision and recall are in metrics.json: the table has to fit a terminal
    keys = ("wacc", "f1", "constant_f1", "auroc", "auprc", "ece", "threshold")
    heads = ("WAcc", "F1", "F1 if always", "AUROC", "AUPRC", "ECE", "cut at")
    table = _table("Per class", "class", *heads, "rows")
    for name, row in metrics["all"]["per_class"].items():
        table.add_row(_safe(name), *(_number(row[k]) for k in keys), f"{row['support']:,}")
    full = metrics["all"]
    means = (full["mean_wacc"], full["macro_f1"], full["constant"]["macro_f1"], full["macro_auroc"])
    honest = (full["macro_auprc"], full["classwise_ece_after"])
    table.add_section()
    table.add_row("mean", *map(_number, (*means, *honest)), "", f"{full['n']:,}")
    return table


def _affect_tables(metrics: Mapping[str, Any]) -> list[Table]:
    tables = []
    for name, row in metrics["all"].get("affect", {}).items():
        table = _table(f"{name}, {row['n']:,} utterances", "", "model", "always the mean")
        constant = _paired(row.get("constant", {}))
        for figure, told in _paired(row).items():
            table.add_row(figure.replace("_", " "), told, constant[figure])
        tables.append(table)
    return tables


def _paired(row: Mapping[str, Any]) -> dict[str, str]:
    """Figures as text; has0 and non0 stand together as the literature writes them, `a/b`."""
    shown = {k: _number(v) for k, v in row.items() if k not in ("n", "constant", "by_group")}
    for name in ("acc2", "f1"):
        if f"{name}_has0" in shown:
            pair = f"{shown.pop(f'{name}_has0')}/{shown.pop(f'{name}_non0')}"
            shown[f"{name} has0/non0"] = pair
    return shown


def _subset_table(metrics: Mapping[str, Any], columns: Sequence[tuple[str, str]]) -> Table:
    names = [heading for heading, _ in columns]
    table = _table("Modality subsets", "modalities", "utterances", *names, "ECE before -> after")
    for subset, row in metrics["subsets"].items():
        table.add_row(_modalities(subset), f"{row['n']:,}", *(_number(row[k]) for _, k in columns), _ece(row))
    return table


def _errors_table(wrong: Mapping[str, Any]) -> Table:
    title = f"Commonest of {wrong['n']:,} mistakes"
    table = _table(title, "true class", "read as", "utterances", "of the class", "mean confidence")
    for pair in wrong["pairs"][:5]:
        share, sure = f"{100 * pair['share']:.0f} %", f"{pair['confidence']:.2f}"
        table.add_row(_safe(pair["true"]), _safe(pair["said"]), f"{pair['n']:,}", share, sure)
    return table


def _retrieval_table(pairs: Sequence[Mapping[str, Any]]) -> Table:
    keys = [k for k in (pairs[0] if pairs else ()) if k.startswith("recall@")]
    table = _table("Retrieval", "from -> to", "utterances", *keys, "median rank")
    for pair in pairs:
        cells = [f"{pair['n']:,}", *(_number(pair[k]) for k in keys), f"{pair['median_rank']:g}"]
        table.add_row(_safe(f"{pair['query']} -> {pair['target']}"), *cells)
    table.add_section()
    for n, chance in {pair["n"]: pair["chance"] for pair in pairs}.items():
        table.add_row("guessing", f"{n:,}", *(_number(chance[k]) for k in keys), f"{chance['median_rank']:g}")
    return table


def _ece(row: Mapping[str, Any]) -> str:
    return f"{_number(row['ece_before'])} -> {_number(row['ece_after'])}" if row["n"] else "n/a"


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


def _modalities(subset: str) -> str:
    return _safe(subset.replace("+", " + "))


def _safe(text: str) -> str:
    # names come from files: neither rich's markup nor the terminal may obey them
    return escape("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text))
