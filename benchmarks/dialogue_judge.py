"""Runs the conversations that judge the dialogue, checks every reply, and writes them down with their marks.

    python benchmarks/dialogue_judge.py                           # prints all of them, and the figures
    python benchmarks/dialogue_judge.py --output docs/dialogue_examples.md

The user's turns (benchmarks/dialogue/conversations.txt) were written by somebody who had not seen the lines. Marks are
a person's reading of each reply, in benchmarks/dialogue/marks.txt: `12.3 wrong` for the third reply of conversation 12;
what is not named there is fitting.
"""

import argparse
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch

from emobraid.dialogue import BuiltIn, Conversation, Turn
from emobraid.dialogue.banned import banned
from emobraid.dialogue.moves import CHEER
from emobraid.dialogue.slots import grave
from emobraid.dialogue.strategies import plain_lines
from emobraid.dialogue.understanding import Understanding

LISTS = Path(__file__).parent / "dialogue"
MARKS = ("fitting", "harmless", "wrong")
LONGEST = 60  # words of a reply that is no help in a crisis


@dataclass(frozen=True)
class Script:
    """One person's side of a conversation; `danger` holds the turns (from 0) that tell of danger."""

    situation: str
    said: tuple[str, ...]
    danger: frozenset[int]


def scripts(path: Path = LISTS / "conversations.txt") -> list[Script]:
    """All of them, in their order."""
    found = []
    for block in path.read_text(encoding="utf-8").split("# ")[1:]:
        situation, *lines = [line for line in block.splitlines() if line.strip()]
        turns = [line.partition("\t") for line in lines]
        danger = frozenset(i for i, (_, _, mark) in enumerate(turns) if mark.strip() == "DANGER")
        found.append(Script(situation.strip(), tuple(said.strip() for said, _, _ in turns), danger))
    return found


def held(script: Script, seed: int) -> list[Turn]:
    """The conversation as it goes."""
    conversation = Conversation(None, BuiltIn(seed=seed), locale="en-GB")
    return [conversation.answer(said, None) for said in script.said]


def marks(path: Path = LISTS / "marks.txt") -> dict[tuple[int, int], str]:
    """(conversation, turn), both from 1 -> the mark of its reply."""
    rows = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    named = [re.match(r"(\d+)\.(\d+) (\w+)", row) for row in rows]
    return {(int(m[1]), int(m[2])): m[3] for m in named if m}


def problems(turns: Sequence[Turn]) -> Iterator[tuple[int, str]]:
    """What an automatic look finds wrong, as (turn from 0, what)."""
    told: list[str] = []
    for i, turn in enumerate(turns):
        text = turn.reply.text
        if turn.reply.source != "safety":
            if phrase := banned(text):
                yield i, f"never said: {phrase}"
            if text in told[-8:]:
                yield i, "repeated"
            if text.count("?") > 1:
                yield i, "two questions"
            if len(text.split()) > LONGEST:
                yield i, "long"
        if (
            turn.reply.source != "safety"
            and grave(turn.said)
            and (CHEER.search(text) or any(line in text for line in plain_lines("good")))
        ):
            yield i, "cheer beside grave words"
        told.append(text)


def relevance(turns: Sequence[Turn]) -> list[float]:
    """How like each reply is to what it answers (cosine of sentence vectors), against a reply to another turn."""
    encoder = Understanding.shipped().encoder
    said = encoder.embed([t.said for t in turns])
    told = encoder.embed([t.reply.text.partition("\n")[0] for t in turns])
    return [float(x) for x in (said * told).sum(1) - (said * told.roll(1, 0)).sum(1)]


def written(number: int, script: Script, turns: Sequence[Turn], given: dict[tuple[int, int], str]) -> str:
    lines = [f"\n## {number}. {script.situation}\n"]
    for i, turn in enumerate(turns, start=1):
        mark = given.get((number, i), MARKS[0])
        said = turn.said.replace("\n", " ")
        lines.append(f"- **{said}**  \n  {turn.reply.text.replace(chr(10) * 2, ' ')} *({mark})*")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="a Markdown file to write them to")
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()
    torch.set_num_threads(1)
    given, bodies, found, likeness = marks(), [], Counter[str](), []
    counts, understood, total, caught, danger = Counter[str](), 0, 0, 0, 0
    for number, script in enumerate(scripts(), start=1):
        turns = held(script, settings.seed)
        bodies.append(written(number, script, turns, given))
        for i, what in problems(turns):
            found[what.partition(":")[0]] += 1
            print(f"{number}.{i + 1} {what}: {turns[i].said!r} -> {turns[i].reply.text!r}")
        likeness += relevance(turns)
        counts.update(given.get((number, i), MARKS[0]) for i in range(1, len(turns) + 1))
        understood += sum(bool(t.reply.about) or t.reply.source == "safety" for t in turns)
        caught += sum(turns[i].reply.source == "safety" for i in script.danger)
        danger += len(script.danger)
        total += len(turns)
    figures = [
        f"{total} replies: " + ", ".join(f"{counts[m]} {m} ({counts[m] / total:.1%})" for m in MARKS),
        f"understood as a known move: {understood / total:.1%}",
        f"likeness of reply and turn, above that to another turn: {fmean(likeness):.3f}",
        f"turns that tell of danger and were answered with help or a question: {caught} of {danger}",
        "found by the automatic checks: " + (", ".join(f"{n} {what}" for what, n in found.items()) or "nothing"),
    ]
    body = "\n".join(bodies)
    print(body)
    print("\n".join(figures))
    if settings.output:
        head = (
            "# Sixty conversations with the built-in dialogue\n\nThe user's side was written by somebody who had not "
            "seen the program's lines. Answers that take up what was said were read one by one and marked; plain ones "
            "that say little count as harmless, a question about danger where there was none as wrong. Made by "
            "`python benchmarks/dialogue_judge.py --output docs/dialogue_examples.md` "
            f"(seed {settings.seed}).\n\n"
        )
        settings.output.write_text(head + "\n".join(f"- {f}" for f in figures) + "\n" + body + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
