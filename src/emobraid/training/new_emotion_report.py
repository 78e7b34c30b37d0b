"""What came of adding an emotion, as a page in the terminal and as a model card."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape

from emobraid.evaluation.tables import drawn, markdown_table

Cells = tuple[str, ...]


def shown(value: float | None, digits: int = 3) -> str:
    return "n/a" if value is None else f"{value:.{digits}f}"


def page(found: Mapping[str, Any]) -> tuple[Cells, list[Cells]]:
    """Columns and rows: each class before and after, the old ones together, the new one."""
    old, new, name = found["old"], found["new"], found["emotion"]
    rows: list[Cells] = [
        (f"{label}, F1", str(own["n"]), shown(own["f1_before"]), shown(own["f1_after"]), str(own["taken"]))
        for label, own in old["by_class"].items()
    ]
    for key, title in (("macro_f1", "old classes, macro-F1"), ("accuracy", "old classes, accuracy")):
        rows.append((title, str(old["n"]), shown(old["before"][key]), shown(old["after"][key]), str(old["taken"])))
    rows += [(f"{name}, {k}", str(new["n"]), "", shown(new[k]), "") for k in ("recall", "precision")]
    rows.append((f"{name}, F1", str(new["n"]), "", shown(new["f1"]), ""))
    return ("", "utterances", "before", "after", f"read as {name}"), rows


def footnotes(found: Mapping[str, Any]) -> list[str]:
    """What the figures are."""
    old, name = found["old"], found["emotion"]
    return [
        f"Old classes: {old['read_on']}, which chose the model before and nothing here; of {old['taken']} utterances "
        f"that {name} took, {old['taken_that_were_right']} had been read right.",
        f"{name}: {found['new']['read_on']}. Its precision counts the {old['taken']} old utterances against it.",
        f"Learned: {found['learned_numbers']:,} numbers, one row, from {found['examples']} examples and "
        f"{found['rehearsed']} rehearsed utterances. All else is the model before, bit for bit.",
    ]


def print_new_emotion(found: Mapping[str, Any], console: Console) -> None:
    columns, rows = page(found)
    console.print(drawn(columns, rows, title=f"{found['emotion']} added"))
    for note in footnotes(found):
        console.print(f"[dim]{escape(note)}[/dim]")


def markdown(found: Mapping[str, Any]) -> str:
    """The top of the new model's card."""
    columns, rows = page(found)
    table = markdown_table(columns, rows)
    notes = "\n".join(f"- {note}" for note in footnotes(found))
    return f"""\
# An emobraid model with an added class: {found["emotion"]}

- **Classes**: {", ".join(found["classes"])}
- **Added to**: `{found["base"]}` (manifest sha256 {found["base_sha256"][:12]})
{notes}

{table}
"""
