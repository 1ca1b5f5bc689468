"""The image: what the Dockerfile promises, and that the wheel it installs is whole."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.deploy.calling import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
STAGES = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]


def test_every_stage_is_the_plain_official_image() -> None:
    assert re.search(r"^ARG PYTHON=python:3\.\d+-slim$", DOCKERFILE, re.MULTILINE)
    assert [stage.split()[0] for stage in STAGES] == ["${PYTHON}"] * 3


def test_every_package_is_pinned_and_hashed() -> None:
    installs = [line for line in DOCKERFILE.splitlines() if "pip install" in line or "pip wheel" in line]
    assert len(installs) == 4
    assert all("--require-hashes" in line or "--no-deps" in line for line in installs)


def test_the_image_runs_as_a_numeric_user_and_holds_no_source() -> None:
    last = STAGES[-1]
    (user,) = re.findall(r"^USER (\d+):\d+$", last, re.MULTILINE)
    pod = next(
        one["spec"]["template"]["spec"]
        for one in yaml.safe_load_all((ROOT / "deploy/base/deployment.yaml").read_text("utf-8"))
        if one["kind"] == "Deployment"
    )
    assert int(user) == pod["securityContext"]["runAsUser"] > 0
    assert re.findall(r"^COPY (.*)$", last, re.MULTILINE) == ["--from=packages /opt/exuvia /opt/exuvia"]
    assert "pip" not in last.replace("description", "")


def test_what_is_copied_is_let_through_and_nothing_else_is() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    through = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        word.removeprefix("./")
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
        for word in line.split()[:-1]
    }
    assert lines[1] == "*" and copied == through


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as the image builds it: without isolation, from what is installed."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-q"]
    done = subprocess.run(
        [*command, "--wheel-dir", str(folder), str(ROOT)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("exuvia-*.whl")
    return built


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith("exuvia/")}
    source = ROOT / "operator"
    files = {one for one in (source / "exuvia").rglob("*") if one.is_file() and "__pycache__" not in one.parts}
    assert held == {one.relative_to(source).as_posix() for one in files}


def test_the_wheel_brings_the_commands(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (one for one in archive.namelist() if one.endswith("entry_points.txt"))
        points = archive.read(name).decode()
    assert "exuvia = exuvia.cli.main:main" in points and "kubectl-exuvia = exuvia.cli.main:main" in points
