"""The `emobraid` command. Errors are one line; --debug shows the traceback."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import ValidationError

from emobraid.cli.adding import AddEmotion, add_emotion
from emobraid.cli.data import Doctor, Extract, SampleCorpus, Split, doctor, extract, sample_corpus, split
from emobraid.cli.flags import read_flags
from emobraid.cli.reading import Predict, Timeline, predict, timeline
from emobraid.cli.scoring import Evaluate, evaluate
from emobraid.cli.searching import Search, search
from emobraid.cli.serving import Demo, Serve, demo, serve
from emobraid.cli.training import Train, train
from emobraid.config import explain
from emobraid.emotions import nearest

LONGEST = 1_000  # characters of a message; a compiler under us may say thousands of lines
USER_ERROR, FAILED = 2, 1  # exit codes: the user can mend it; the work itself failed
LATER_COMMANDS = ("export",)  # planned, and not in this version

COMMANDS: dict[str, tuple[type, Callable[[Any], int]]] = {
    "train": (Train, train),
    "evaluate": (Evaluate, evaluate),
    "search": (Search, search),
    "add-emotion": (AddEmotion, add_emotion),
    "predict": (Predict, predict),
    "timeline": (Timeline, timeline),
    "extract": (Extract, extract),
    "demo": (Demo, demo),
    "serve": (Serve, serve),
    "doctor": (Doctor, doctor),
    "sample-corpus": (SampleCorpus, sample_corpus),
    "split": (Split, split),
}


class NotYet(ValueError):
    """A part of the plan that this version does not hold."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in args
    args = [a for a in args if a != "--debug"]
    try:
        return _dispatch(args)
    except KeyboardInterrupt:
        print("emobraid: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if debug:
            raise
        return _tell(error)


def _tell(error: Exception) -> int:
    """One line about what went wrong, and the exit code for it."""
    code = getattr(error, "exit_code", USER_ERROR if isinstance(error, ValueError) else FAILED)
    if isinstance(error, ValidationError):
        message = "; ".join(explain(problem) for problem in error.errors())
    else:
        message = " ".join(str(error).split()) or type(error).__name__
        message = message if len(message) <= LONGEST else f"{message[:LONGEST]} ..."
    known = isinstance(error, ValueError | OSError | ArithmeticError | ImportError) or hasattr(error, "exit_code")
    hint = "" if known else f" ({type(error).__name__}; --debug shows where)"
    print(f"emobraid: {message}{hint}", file=sys.stderr)
    return int(code)


def _dispatch(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help"):
        print(_overview())
        return 0 if args else USER_ERROR
    if args[0] == "--version":
        from emobraid import __version__

        print(__version__)
        return 0
    name = args[0].replace("_", "-")
    if name in LATER_COMMANDS:
        raise NotYet(f"`emobraid {name}` is not in this version; it has {', '.join(COMMANDS)}")
    if name not in COMMANDS:
        raise ValueError(f"unknown command {args[0]!r}{nearest(name, list(COMMANDS))} known: {', '.join(COMMANDS)}")
    spec, run = COMMANDS[name]
    return run(read_flags(spec, args[1:], f"emobraid {name}"))


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}s}  {(spec.__doc__ or '').splitlines()[0]}" for name, (spec, _) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: emobraid COMMAND [OPTIONS]        emobraid COMMAND --help tells all about one",
            "",
            "Reads the emotion a person expresses from any subset of text, voice and face.",
            "",
            *lines,
            "",
            "  --debug shows the traceback of an error; --version the version",
            "",
            "It guesses what is expressed, not what is felt. Do not use it to judge people; inferring emotions from",
            "face or voice at work or in education is prohibited in the EU (AI Act, Art. 5(1)(f)). See the README,",
            "Responsible use.",
        ]
    )
