"""Recipes: settings as TOML files, those in this folder and a user's own."""

import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any


def read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such recipe; shipped ones: {', '.join(recipes())}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path}: not a readable TOML file: {error}") from None


def recipes() -> list[str]:
    """Names of the recipes that ship in the package."""
    folder = resources.files("emobraid") / "recipes"
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))


def layered(recipes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Recipes laid over each other: of two that set the same, the later one holds."""
    tree: dict[str, dict[str, Any]] = {}
    for recipe in recipes:
        for section, settings in recipe.items():
            tree.setdefault(section, {}).update(settings)
    return tree


def load_recipe(name: str) -> dict[str, Any]:
    """A recipe's settings: the name of one that ships, or the path of a TOML file."""
    if name in recipes():
        return tomllib.loads((resources.files("emobraid") / "recipes" / f"{name}.toml").read_text(encoding="utf-8"))
    return read_toml(Path(name))
