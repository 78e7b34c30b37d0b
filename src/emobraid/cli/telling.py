"""Commands as they are printed: whoever copies one can paste it."""

import shlex
import sys
from pathlib import Path

#: scripts of a clone that stand for a command, where the command itself may not be installed
SCRIPTS = {"train": "train_advanced.py", "evaluate": "evaluate_model.py"}


def command(name: str, *args: object) -> str:
    """`emobraid NAME ...` with every argument quoted that needs it; begun by a script, its sister script."""
    started = Path(sys.argv[0])
    if started.name in SCRIPTS.values() and name in SCRIPTS:
        return shlex.join(["python", str(started.with_name(SCRIPTS[name])), *map(str, args)])
    return shlex.join(["emobraid", name, *map(str, args)])


def quoted(path: object) -> str:
    return shlex.quote(str(path))
