"""The house rules that a machine can check: imports point one way, names are kept, starting is light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import emobraid

PACKAGE = Path(emobraid.__file__).parent
MODULES = {
    ".".join(("emobraid", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

# lowest first: a module may import from its own level and from those before it
LEVELS = (
    ("emotions", "stream", "config", "recipes", "weights", "release"),
    ("layers", "ragged", "encoders", "fusion", "media", "decoding"),
    ("data", "model", "checkpoint"),
    ("prediction", "given", "recognizer"),
    ("training", "evaluation", "dialogue", "timeline", "timeline_files", "timeline_plot"),
    ("study",),
    ("scripting", "predicting", "app", "cli", "__main__"),
)
LEVEL = {name: i for i, names in enumerate(LEVELS) for name in names}
# within a level, the one that must not know the other
STRANGERS = {"evaluation": ("training",), "model": ("data", "checkpoint"), "data": ("model", "checkpoint")}
VAGUE = {"utils", "util", "common", "helpers", "helper", "core", "misc", "tools", "base_utils"}


def part(module):
    """emobraid.data.csv -> data; the package itself -> an empty name."""
    return (*module.split("."), "")[1]


def imported(module):
    """The modules of this package that `module` names in its imports, those inside functions too."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "emobraid")
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            source = ".".join(filter(None, (above, node.module)))
            if source.split(".")[0] == "emobraid":
                # `from emobraid import checkpoint` names a module, `from emobraid.stream import Stream` a class
                inner = [f"{source}.{alias.name}" for alias in node.names]
                yield from (name if name in MODULES else source for name in inner)


def test_the_walk_over_imports_sees_all_kinds():
    assert {"emobraid.model", "emobraid.config"} <= set(imported("emobraid.checkpoint"))
    assert "emobraid.training.run" in imported("emobraid.cli.training")  # inside a function


def test_every_part_has_its_level():
    assert {part(m) for m in MODULES} - {""} <= set(LEVEL)


@pytest.mark.parametrize("module", [m for m in MODULES if m != "emobraid"])
def test_imports_point_one_way(module):
    here = part(module)
    for other in imported(module):
        there = part(other)
        if not there:  # the package itself, which holds the version and names loaded when asked for
            assert here in LEVELS[-1], f"{module} imports the package, which may import {module}"
            continue
        assert LEVEL[there] <= LEVEL[here], f"{module} ({LEVEL[here]}) imports {other} ({LEVEL[there]})"
        assert there not in STRANGERS.get(here, ()), f"{module} imports {other}"


def test_only_evaluation_opens_the_test_split():
    callers = set()
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr == "open_test":
                callers.add(module)
    assert callers == {"emobraid.evaluation.sealed"}


def test_no_file_is_called_by_what_it_is_not():
    for path in PACKAGE.rglob("*"):
        assert path.stem not in VAGUE, path


def test_no_file_grows_past_what_one_can_read():
    long = {m: n for m, p in MODULES.items() if (n := len(p.read_text(encoding="utf-8").splitlines())) > 250}
    assert not long


def test_public_names_are_sorted_there_and_found_where_they_are_said_to_be():
    assert emobraid.__all__ == sorted(set(emobraid.__all__))
    assert sorted(emobraid._HOMES) == emobraid.__all__
    for name in emobraid.__all__:
        thing = getattr(emobraid, name)
        assert thing.__name__ == name
        assert thing.__module__ == f"emobraid.{emobraid._HOMES[name]}"
        assert thing.__doc__, name


def test_public_names_are_the_ones_that_type_checkers_see():
    tree = ast.parse(MODULES["emobraid"].read_text(encoding="utf-8"))
    guarded = next(n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")
    seen = {a.name: n.module for n in guarded.body if isinstance(n, ast.ImportFrom) for a in n.names}
    assert seen == {name: f"emobraid.{home}" for name, home in emobraid._HOMES.items()}


def test_a_name_that_is_not_there_says_which_are():
    with pytest.raises(AttributeError, match="emobraid has no 'Recogniser'; it has Batch, Config, "):
        emobraid.Recogniser  # noqa: B018


@pytest.mark.parametrize("module", [m for m in MODULES if m != "emobraid.__main__"])
def test_every_module_of_the_package_says_what_it_is_for(module):
    source = MODULES[module].read_text(encoding="utf-8")
    assert not source or ast.get_docstring(ast.parse(source)), module


def test_starting_is_light():
    """The command must answer --help at once, and decoder processes start by the dozen: none of them needs torch."""
    heavy = ("torch", "sklearn", "scipy", "cv2", "matplotlib", "accelerate")
    code = (
        f"import sys; import emobraid, emobraid.cli, emobraid.media\nprint(*(m for m in {heavy!r} if m in sys.modules))"
    )
    started = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (started.stdout, started.stderr) == ("\n", "")


def test_nothing_of_ours_is_downloaded_or_reported_anywhere():
    """No network unless asked: no module of the package opens a connection."""
    networked = {"requests", "urllib.request", "http.client", "httpx", "aiohttp", "huggingface_hub", "ftplib", "wandb"}
    for module, path in MODULES.items():
        if module == "emobraid.dialogue.endpoint":  # speaks to the language model that an operator names, and no other
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not networked & {a.name for a in node.names}, module
            # where models lie on this disk is the hub library's to know; the names taken from it open no connection
            if isinstance(node, ast.ImportFrom) and module == "emobraid.encoders.hub":
                local = {"constants", "try_to_load_from_cache"}
                assert node.module != "huggingface_hub" or {a.name for a in node.names} <= local
            elif isinstance(node, ast.ImportFrom):
                assert node.module not in networked, module
