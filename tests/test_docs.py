"""What the documents say is so: commands parse, files exist, the sentence on responsible use is where people look."""

import re
from pathlib import Path

import pytest

from emobraid import cli
from emobraid.cli.flags import flag_names
from emobraid.config import MODALITIES, ModelConfig
from emobraid.fusion import FUSIONS
from emobraid.recipes import recipes
from emobraid.training.card import RESPONSIBLE_USE

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = {d.relative_to(ROOT).as_posix(): d.read_text(encoding="utf-8") for d in DOCUMENTS}


@pytest.mark.parametrize("document", TEXT)
def test_every_flag_that_a_document_names_exists(document: str) -> None:
    known = {n for spec, _ in cli.COMMANDS.values() for n in flag_names(spec)} | {"help", "debug", "version"}
    # flags of other programs in the documents
    known |= {"no-deps", "profile", "seeds", "kills", "fusions", "folds", "depth", "models", "rounds"}
    known |= {"people", "seconds", "sizes", "test", "fusion", "frames", "precision"}
    known |= {"stills", "pictures", "rows", "comments"}
    known |= {"data", "start", "out", "output", "vectors_only", "patterns"}
    known |= {"clients", "seconds", "minutes", "nproc_per_node", "text_floor"}
    named = set(re.findall(r"(?<![\w-])--([a-z][\w-]*)", TEXT[document]))
    assert named <= known, f"unknown flags: {named - known}"


@pytest.mark.parametrize("document", TEXT)
def test_every_link_to_a_file_leads_somewhere(document: str) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", TEXT[document])
    missing = [link for link in links if not (ROOT / document).parent.joinpath(link).exists()]
    assert not missing


def test_the_file_tree_of_the_readme_names_files_that_exist() -> None:
    tree = TEXT["README.md"].split("## Files")[1].split("```")[1]
    top, package = tree.split("src/emobraid/\n")

    def first_column(lines: list[str]) -> list[str]:
        return [word for line in lines for word in re.split(r" {2,}", line.strip())[0].split()]

    names = first_column(top.splitlines())
    names += [f"src/emobraid/{n}" for n in first_column([x for x in package.splitlines() if x.startswith("  ")])]
    assert len(names) > 20
    assert [n for n in names if not (ROOT / n).exists()] == []


def test_the_readme_names_every_fusion_and_recipe() -> None:
    assert all(name in TEXT["README.md"] for name in FUSIONS)
    assert all(f"`{name}`" in TEXT["docs/fusions.md"] for name in FUSIONS)
    assert all(f"`{name}`" in TEXT["README.md"] or f"--config {name}" in TEXT["README.md"] for name in recipes())


@pytest.mark.parametrize("sentence", ["Art. 5(1)(f)", "does not know what anybody feels", "hiring"])
def test_responsible_use_is_said_where_people_look(sentence: str) -> None:
    assert sentence in TEXT["README.md"]
    assert sentence in RESPONSIBLE_USE


def test_the_command_line_says_what_it_must_not_be_used_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    assert "Art. 5(1)(f)" in capsys.readouterr().out


def test_the_limits_in_the_documents_are_the_ones_in_force() -> None:
    from emobraid.data.csv import TEXT_LIMIT
    from emobraid.media import Limits

    limits = Limits()
    table = TEXT["docs/data.md"]
    for shown in (
        f"| {limits.seconds:.0f} s |",
        f"| {limits.pixels // 1_000_000} megapixels |",
        f"| {limits.deadline:.0f} s |",
        f"| {limits.memory >> 30} GB |",
        f"at most {limits.children} |",
        f"| {TEXT_LIMIT:,} |",
        f"| {ModelConfig().video_max_frames} |",
    ):
        assert shown in table
    assert set(MODALITIES) == {*ModelConfig().modalities, "motion"}
