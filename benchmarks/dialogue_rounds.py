"""Judges the safety net on rounds of sentences that it was not made from, by kind of danger.

    python benchmarks/dialogue_rounds.py                          # every round in benchmarks/dialogue/rounds
    python benchmarks/dialogue_rounds.py --patterns               # the patterns alone, as before the net
    python benchmarks/dialogue_rounds.py my_round.txt --misses

A round is a text file: `## kind`, then one sentence a line; kinds that begin with self_harm, abuse, harm_others or
someone_else are danger, plain or aslant by the end of their name; all others are harmless.
"""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from dialogue_train import LISTS, Sentence, sentences
from emobraid.dialogue.crisis import detect
from emobraid.dialogue.safety import look


def by_patterns(text: str) -> str:
    return "crisis" if detect(text) else ""


def by_net(text: str) -> str:
    alarm = look(text)
    return alarm.level if alarm else ""


def row(name: str, levels: list[str]) -> str:
    """Shares of a kind: crisis, caution, either."""
    n = len(levels)
    crisis, caution = (sum(level == name for level in levels) for name in ("crisis", "caution"))
    return f"{name:26} {n:4}   {crisis / n:6.1%} {caution / n:7.1%} {(crisis + caution) / n:7.1%}"


def judge(told: Iterable[Sentence], level: Callable[[str], str], *, misses: bool) -> None:
    """Prints the table of one round, and what was missed or wrongly alarmed."""
    levels = [(s, level(s.text)) for s in told]
    print(f"{'kind':26} {'n':>4}   crisis caution  either")
    for kind in dict.fromkeys(s.kind for s, _ in levels):
        print(row(kind, [x for s, x in levels if s.kind == kind]))
    for name, of in (
        ("danger, plain", [x for s, x in levels if s.label and s.kind.endswith("plain")]),
        ("danger, aslant", [x for s, x in levels if s.label and s.kind.endswith("aslant")]),
        ("harmless", [x for s, x in levels if not s.label]),
    ):
        if of:
            print(row(name, of))
    if misses:
        for s, x in levels:
            if (s.label and not x) or (not s.label and x == "crisis"):
                print(f"  {'missed' if s.label else 'alarmed'} [{s.kind}] {s.text}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rounds", nargs="*", type=Path, help="files; by default those in benchmarks/dialogue/rounds")
    parser.add_argument("--patterns", action="store_true", help="the first layer alone")
    parser.add_argument("--misses", action="store_true", help="print what was missed, and false alarms")
    settings = parser.parse_args()
    torch.set_num_threads(1)
    for path in settings.rounds or sorted((LISTS / "rounds").glob("*.txt")):
        print(f"\n{path.name}")
        judge(sentences(path), by_patterns if settings.patterns else by_net, misses=settings.misses)


if __name__ == "__main__":
    main()
