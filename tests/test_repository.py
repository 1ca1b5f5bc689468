"""Guards of the tree itself: what would break quietly, or what a newcomer relies on."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock")


def test_the_source_root_never_becomes_a_package() -> None:
    """`operator` is a module of the standard library: an __init__.py there would shadow it for every `python -m`."""
    assert not (ROOT / "operator" / "__init__.py").exists()
    code = "import operator; assert operator.eq(1, 1)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_nothing_else_lives_directly_under_the_source_root() -> None:
    """That folder is on the import path."""
    assert {one.name for one in (ROOT / "operator").iterdir() if one.name != "__pycache__"} == {"exuvia"}


@pytest.mark.parametrize("name", LOCKS)
def test_the_lock_pins_and_hashes_and_names_no_registry(name: str) -> None:
    """Every package by version and hash; where it comes from is the installer's business."""
    text = (ROOT / name).read_text(encoding="utf-8")
    pinned = re.findall(r"^([a-z0-9][^\s=]*)==\S+", text, flags=re.MULTILINE)
    assert len(pinned) > 20
    assert "://" not in text
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)
    assert [one.splitlines()[0] for one in blocks if "==" in one and "--hash=sha256:" not in one] == []


def test_the_lock_holds_what_the_project_asks_for() -> None:
    """A dependency that was added without `make lock` fails here, and not on a fresh machine."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {_name(one) for one in project["dependencies"]}
    assert {"kopf", "kubernetes", "prometheus-client"} <= wanted
    locked = {
        _name(line) for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines() if "==" in line
    }
    assert wanted <= locked
    developers = {_name(one) for one in project["optional-dependencies"]["dev"]}
    both = {
        _name(line)
        for line in (ROOT / "requirements-dev.lock").read_text(encoding="utf-8").splitlines()
        if "==" in line
    }
    assert wanted | developers <= both


def test_the_contracts_of_the_house_are_there_by_name() -> None:
    """import-linter checks them; this says that nobody took one out."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    names = " | ".join(one["name"] for one in contracts)
    for words in (
        "floors of the house",
        "Only app speaks kopf",
        "Only kube speaks kubernetes",
        "thinking rooms are pure",
    ):
        assert words in names


def _name(requirement: str) -> str:
    return re.split(r"[\s\[=<>~;!]", requirement.strip(), maxsplit=1)[0].lower().replace("_", "-")
