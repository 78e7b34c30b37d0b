"""What a person may say in a conversation and what is answered to it: the lines, as people wrote them (lines/*.toml).

A *situation* opens a subject ("I got laid off") and has lines of its own; the moves in its `then` come later in it; a
move of anywhere.toml may come at any time ("I don't know what to do"), one of program.toml is said to the program.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

from emobraid.emotions import Emotion

Mood = Literal["good", "bad", "mixed", "plain"]
# words of gladness in a reply; where they stand, what was said must be plainly good
CHEER = re.compile(
    r"\b(?:great|wonderful|congratulations|lovely|how nice|how good|good news|good for you|well done|i(?: a|.)m glad|"
    r"what a relief|nice|welcome (?:back|home)|a good (?:day|start|sign))\b",
    re.IGNORECASE,
)
SLOTS = {"person", "time"}
PART = "/"  # between a situation and what follows in it: "laid_off/2"


@dataclass(frozen=True, kw_only=True)
class Move:
    """One thing that may be said. Either `reply` holds whole answers, or `reflect`, `ask` and `offer` their parts.

    `said` are utterances by which the move is known, `emotion` the strategy that fits, `after` the situation in which
    it is looked for (empty: at any time), `to_program` whether it speaks to the program and not of a person's life.
    """

    id: str
    mood: Mood
    emotion: str
    said: tuple[str, ...]
    reply: tuple[str, ...] = ()
    reflect: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    offer: tuple[str, ...] = ()
    after: str = ""
    to_program: bool = False

    @property
    def opens(self) -> bool:
        """Whether it opens a subject that later turns can stay with."""
        return bool(self.reflect) and not self.to_program

    def lines(self) -> tuple[str, ...]:
        """Everything that the program may say of it."""
        return (*self.reply, *self.reflect, *self.ask, *self.offer)


def situation_of(move: str) -> str:
    """laid_off/2 -> laid_off."""
    return move.partition(PART)[0]


@cache
def moves() -> Mapping[str, Move]:
    """The shipped ones, by id."""
    return _by_id(_shipped())


def moves_with(folder: Path) -> Mapping[str, Move]:
    """The shipped ones, where files of the same names in `folder` take the place of ours; others are added."""
    own = {}
    for path in sorted(folder.glob("*.toml")):
        try:
            own[path.name] = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ValueError(f"{path}: not a readable TOML file: {error}") from None
    if not own:
        raise ValueError(f"{folder}: no file of lines in it (*.toml); ours are {', '.join(sorted(_shipped()))}")
    return _by_id({**_shipped(), **own})


@cache
def _shipped() -> dict[str, dict[str, Any]]:
    folder = resources.files(__package__) / "lines"
    return {f.name: tomllib.loads(f.read_text(encoding="utf-8")) for f in folder.iterdir() if f.name.endswith(".toml")}


def _by_id(files: Mapping[str, dict[str, Any]]) -> dict[str, Move]:
    found: dict[str, Move] = {}
    for name in sorted(files):
        if unknown := set(files[name]) - {"situation", "move"}:
            raise ValueError(f"{name}: {sorted(unknown)[0]!r} is not known; a file has [[situation]] and [[move]]")
        for move in _of_file(name, files[name]):
            if move.id in found:
                raise ValueError(f"{name}: {move.id} is there twice")
            _check(name, move)
            found[move.id] = move
    return found


def _of_file(name: str, table: dict[str, Any]) -> Iterator[Move]:
    try:
        for row in table.get("situation", []):
            to_program = row["id"].startswith("bot_")
            yield _move(row, ("reflect", "ask", "offer"), to_program=to_program)
            for i, then in enumerate(row.get("then", []), start=1):
                own = {"id": f"{row['id']}{PART}{i}", "mood": row["mood"], "emotion": row["emotion"], **then}
                yield _move(own, ("reply",), after=row["id"], to_program=to_program)
        for row in table.get("move", []):
            yield _move({"emotion": "neutral", **row}, ("reply",), to_program=row["id"].startswith("bot_"))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{name}: a row lacks {error}, or holds something else than a list of sentences") from None


def _move(row: dict[str, Any], lines: tuple[str, ...], *, after: str = "", to_program: bool = False) -> Move:
    parts = {name: tuple(row[name]) for name in lines}
    return Move(
        id=row["id"],
        mood=row["mood"],
        emotion=row["emotion"],
        said=tuple(row["said"]),
        reply=parts.get("reply", ()),
        reflect=parts.get("reflect", ()),
        ask=parts.get("ask", ()),
        offer=parts.get("offer", ()),
        after=after,
        to_program=to_program,
    )


def _check(name: str, move: Move) -> None:
    """Lines that a conversation can be made of: found at the start, not in the middle of one."""
    from emobraid.dialogue.banned import banned

    if move.mood not in get_args(Mood):
        raise ValueError(f"{name}: {move.id}: mood is one of {', '.join(get_args(Mood))}, not {move.mood!r}")
    if move.emotion not in {e.value for e in Emotion}:
        raise ValueError(f"{name}: {move.id}: {move.emotion!r} is not one of the seven emotions")
    if not move.said or not move.lines():
        raise ValueError(f"{name}: {move.id} needs utterances (said) and lines to answer them")
    for line in (*move.said, *move.lines()):
        if not isinstance(line, str) or not line.strip():
            raise ValueError(f"{name}: {move.id} must hold sentences, not {line!r}")
    for line in move.lines():
        if phrase := banned(line):
            raise ValueError(f"{name}: {move.id} holds {phrase!r}, which is never said (banned.toml): {line}")
        if unknown := set(re.findall(r"\{(.*?)\}", line)) - SLOTS:
            raise ValueError(f"{name}: {move.id} names {{{unknown.pop()}}}; known: {', '.join(sorted(SLOTS))}")
