"""`emobraid predict`: one utterance or a table, for people or as JSON."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from emobraid.data.corpus import Sample
from emobraid.data.csv import BadRow, read_unlabelled
from emobraid.data.tables import layout_of
from emobraid.recognizer import Prediction, Recognizer


def predict_one(model_path: Path, inputs: Mapping[str, Any], *, sound: bool, as_json: bool) -> None:
    """Read one utterance and print what it expresses."""
    with Recognizer.from_pretrained(model_path) as recognizer:
        prediction = recognizer.predict(**inputs, sound=sound)
    if as_json:
        print(json.dumps(prediction.to_json(), ensure_ascii=False))
    else:
        show(prediction, Console())


def show(prediction: Prediction, console: Console) -> None:
    """The reading, a bar for each class, and what each modality said."""
    console.print(f"{_headline(prediction)}  [dim](what is expressed, in the model's reading)[/dim]")
    bars = Table(box=None, show_header=False, padding=(0, 1))
    for name, p in sorted(prediction.probabilities.items(), key=lambda item: -item[1]):
        bars.add_row(name, f"{p:.2f}", "━" * round(30 * p))
    console.print(bars)
    if len(prediction.per_modality) > 1:
        voices = Table(box=None, padding=(0, 1))
        for column in ("modality", "alone", "confidence", "contribution"):
            voices.add_column(column)
        for m, alone in prediction.per_modality.items():
            voices.add_row(m, alone.emotion, f"{alone.confidence:.2f}", f"{prediction.contributions[m]:+.2f}")
        console.print(voices)
    if prediction.affect:
        place = "  ".join(f"{axis} {value:+.2f}" for axis, value in prediction.affect.items())
        console.print(f"{place}  [dim]({prediction.affect_note})[/dim]")
    for modality, note in prediction.notes.items():
        console.print(f"{modality}: {note}", markup=False)


def _headline(prediction: Prediction) -> str:
    if prediction.expressed is None:
        return f"[bold]{prediction.emotion}[/bold]  confidence {prediction.confidence:.2f}"
    if not prediction.expressed:
        return f"no emotion reaches its threshold; likeliest {prediction.emotion} {prediction.confidence:.2f}"
    return "  ".join(f"[bold]{name}[/bold] {prediction.probabilities[name]:.2f}" for name in prediction.expressed)


def predict_table(model_path: Path, table: Path, *, allow_outside: Path | None, as_json: bool) -> int:
    """Read every row of a CSV in order; failed rows are told at the end. Exit code 1 when any failed."""
    failed: list[str] = []
    read = 0
    if note := layout_of(table).note:
        print(f"note: {note}", file=sys.stderr)
    with Recognizer.from_pretrained(model_path) as recognizer:
        rows = read_unlabelled(table, recognizer.config.model, allow_outside=allow_outside)
        for row in rows:
            outcome = _read_row(recognizer, row)
            if isinstance(outcome, str):
                failed.append(f"{table.name} line {row.line}: {outcome}")
            else:
                read += 1
            print(_as_json(row, outcome) if as_json else _as_line(row, outcome), flush=True)
    print(f"{read} rows read, {len(failed)} failed", file=sys.stderr)
    for line in failed:
        print(f"  {line}", file=sys.stderr)
    return 1 if failed else 0


def _read_row(recognizer: Recognizer, row: Sample | BadRow) -> Prediction | str:
    """What a row expresses, or why it cannot be read."""
    if isinstance(row, BadRow):
        return row.reason
    try:
        return recognizer.predict_sample(row)
    except ValueError as error:
        return str(error)


def _as_json(row: Sample | BadRow, outcome: Prediction | str) -> str:
    told = {"error": outcome} if isinstance(outcome, str) else outcome.to_json()
    return json.dumps({"id": row.id, "line": row.line, **told}, ensure_ascii=False)


def _as_line(row: Sample | BadRow, outcome: Prediction | str) -> str:
    if isinstance(outcome, str):
        return f"{row.id:20s} failed"
    notes = "".join(f"  {m}: {note}" for m, note in outcome.notes.items())
    said = outcome.emotion if outcome.expressed is None else "|".join(outcome.expressed) or "|"
    return f"{row.id:20s} {said:10s} {outcome.confidence:.2f}{notes}"
