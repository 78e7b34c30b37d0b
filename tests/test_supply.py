"""What is installed is what was locked, and on what terms is written down."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HASHED = ROOT / "requirements-hashed.txt"


def locked(path: Path) -> set[str]:
    return {line.split(" ")[0].split("#")[0].strip().lower() for line in path.read_text().splitlines() if "==" in line}


def test_every_locked_package_has_hashes_and_they_are_of_the_same_versions():
    assert {n.replace("_", "-") for n in locked(HASHED)} == {
        n.replace("_", "-") for n in locked(ROOT / "requirements.txt")
    }
    for entry in re.split(r"\n(?=\S)", HASHED.read_text().strip()):
        assert re.fullmatch(r"[\w.-]+==\S+( \\\n +--hash=sha256:[0-9a-f]{64})+", entry), entry


def test_the_image_takes_only_what_was_locked():
    steps = [
        line for line in (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines() if "pip install" in line
    ]
    assert all("--no-deps" in step for step in steps)
    assert any("--require-hashes -r requirements-hashed.txt" in step for step in steps)
    assert "!requirements-hashed.txt" in (ROOT / ".dockerignore").read_text().split()


def test_the_table_of_licences_is_of_the_locked_packages():
    table = (ROOT / "docs" / "licences.md").read_text()
    rows = {f"{m[1]}=={m[2]}".lower() for m in re.finditer(r"^\| (\S+) \| (\S+) \|", table, re.MULTILINE)}
    assert rows - {"package==version", "---==---"} == locked(ROOT / "requirements.txt")
    assert re.search(r"^\| av .*COPYLEFT.*libx264.*libx265", table, re.MULTILINE)
    assert re.search(r"^\| soxr .*LGPL", table, re.MULTILINE)


@pytest.mark.slow
def test_an_audit_that_reaches_no_database_passes_with_a_word(tmp_path):
    """pip has no index here, so pip-audit cannot be had."""
    nowhere = {"PIP_INDEX_URL": f"file://{tmp_path}", "PIP_CONFIG_FILE": "/dev/null", "PATH": "/usr/bin:/bin"}
    told = subprocess.run(
        [sys.executable, ROOT / ".ci" / "audit"], capture_output=True, text=True, env=nowhere, check=False
    )
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("audit: skipped, ")
