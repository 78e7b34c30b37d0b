"""The flags of a command: over its recipe, over the defaults; one line for what is not understood."""

import contextlib
import io
import re
from collections.abc import Iterable
from dataclasses import MISSING, fields
from typing import Any

import tyro

from emobraid.config import SECTIONS, parse
from emobraid.emotions import nearest
from emobraid.recipes import layered, load_recipe

#: modes that are a recipe on top of the settings
REGIMES = ("contrastive", "distillation", "few_shot", "robust")


def read_flags(spec: type, args: list[str], prog: str) -> Any:
    """Flags over the recipe over the defaults; ValueError in one line for anything tyro would refuse."""
    demanding = any(f.default is MISSING and f.default_factory is MISSING for f in fields(spec))
    default = tyro.MISSING_NONPROP if demanding else spec()
    asked: set[str] = set()
    if "config" in spec.__dataclass_fields__ and (named := _recipes(args)):  # type: ignore[attr-defined]
        tree = layered(load_recipe(name) for name in named)
        config = parse(tree, " over ".join(reversed(named)))
        asked = {name for settings in tree.values() for name in settings}
        sections = {n: getattr(config, n) for n in SECTIONS if n in spec.__dataclass_fields__}  # type: ignore[attr-defined]
        default = spec(**sections)
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            parsed, unknown = tyro.cli(
                spec,
                prog=prog,
                args=args,
                default=default,
                return_unknown_args=True,
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise ValueError(first_panel(told.getvalue()) or "the command line was not understood") from None
    if unknown:
        flags = [f"--{name}" for name in flag_names(spec)]
        typed = unknown[0].partition("=")[0]
        raise ValueError(f"unknown option {typed!r}{nearest('--' + typed.lstrip('-').replace('-', '_'), flags)}")
    object.__setattr__(parsed, "given", frozenset(asked) | written(args))
    return parsed


def written(args: Iterable[str]) -> frozenset[str]:
    """The names of all flags on a command line, as settings are called: no_cache and cache for --no-cache."""
    names = {a[2:].partition("=")[0].replace("-", "_") for a in args if a.startswith("--")}
    return frozenset(names | {name.removeprefix("no_") for name in names})


def _recipes(args: list[str]) -> list[str]:
    """The recipes that these flags name, in the order in which they are laid over each other: --config, then --mode."""
    recipe, mode = _given(args, "config"), _given(args, "mode")
    return [*([recipe] if recipe else []), *([mode] if mode in REGIMES else [])]


def _given(args: list[str], name: str) -> str | None:
    for i, arg in enumerate(args):
        if arg == f"--{name}" and i + 1 < len(args):
            return args[i + 1]
        if arg.startswith(f"--{name}="):
            return arg.partition("=")[2]
    return None


def flag_names(spec: type) -> list[str]:
    """All flags of a command, without dashes; what is on by default is switched off as no_NAME."""
    names: list[str] = []
    for name, about in spec.__dataclass_fields__.items():  # type: ignore[attr-defined]
        if name in (*SECTIONS, "server", "study"):
            names += flag_names(about.default_factory)
        else:
            names.append(f"no_{name}" if about.default is True else name)
    return names


def first_panel(text: str) -> str:
    """What a boxed error says before its first rule, as one line."""
    said = []
    for line in text.splitlines()[1:]:  # the first is a title
        inner = line.strip("│╭╮╰╯ ")
        if not set(inner) <= set("─-"):
            said.append(inner)
        elif said:  # without a box, on a terminal that knows ASCII only, a rule comes below the title as well
            break
    message = " ".join(said)
    # a setting that failed its check comes wrapped in the checker's own words
    wrapped = re.search(r"validation errors? for \w+ (?:Value error, )?(.+?) \[type=", message)
    return wrapped[1] if wrapped else message
