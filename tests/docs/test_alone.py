"""The repository speaks of itself alone: no path of somebody's machine, no address of a package registry."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

MACHINES = re.compile(r"(?<![\w./~-])/(?:root|work|home/\w+|Users/\w+)(?:/|\b)")
REGISTRIES = re.compile(
    r"pypi\.org|pythonhosted\.org|(?:proxy|sum)\.golang\.org|registry\.npmjs|(?:ghcr|gcr|quay|docker)\.io|registry\.k8s\.io"
)
INDEXES = re.compile(r"(?<!no-emit-)index-url|extra-index|trusted-host")


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name) != Path(__file__)]


def test_there_is_a_repository_to_look_at() -> None:
    assert len(_tracked()) > 300


@pytest.mark.parametrize("pattern", [MACHINES, REGISTRIES, INDEXES], ids=["machines", "registries", "indexes"])
def test_nothing_of_it_is_said(pattern: re.Pattern[str]) -> None:
    said = []
    for path in _tracked():
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        said += [f"{path.relative_to(ROOT)}: {found.group()}" for found in pattern.finditer(text)]
    assert said == []


@pytest.mark.parametrize(
    ("pattern", "text"), [(MACHINES, "cd /root/x"), (REGISTRIES, "ghcr.io/a"), (INDEXES, "--index-url x")]
)
def test_it_would_be_found(pattern: re.Pattern[str], text: str) -> None:
    assert pattern.search(text)
    assert not pattern.search("uv pip compile --no-emit-index-url, ../work/x, registry.example.com/exuvia")
