"""Which version this is, installed or run from a clone."""

import tomllib
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path


def version() -> str:
    """The installed version; of a clone that was not installed the one in its pyproject.toml."""
    try:
        return installed("emobraid")
    except PackageNotFoundError:
        project = Path(__file__).resolve().parents[2] / "pyproject.toml"
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"]) + "+source"
