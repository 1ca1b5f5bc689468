"""Finding promtool: on the PATH, in the cache, or out of Debian's package `prometheus` (unpacked, not installed).

`python -m tests.deploy.promtool` fetches it, as `make tools` does; no root is needed, and no service is started.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from exuvia.localcluster.binaries import cache_root

WAYS_OUT = (
    "promtool is missing, and the alerts can only be tested with it. Ways out: `make tools` on Debian or Ubuntu "
    "(it unpacks the package `prometheus` into the cache), or put promtool of any Prometheus from 2.42 on the PATH."
)


class Missing(Exception):
    """There is none and none could be fetched; the text names the ways out."""


def find() -> Path:
    """promtool, fetched once where apt can do it. Raises `Missing`."""
    found = shutil.which("promtool")
    if found:
        return Path(found)
    kept = cache_root() / "tools" / "promtool"
    if not kept.exists():
        fetch(kept)
    return kept


def fetch(kept: Path) -> None:
    """Put it into the cache. Raises `Missing` with the last words of what failed."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise Missing(WAYS_OUT)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as work:
        if not _downloaded(work) and os.geteuid() == 0:
            _run(["apt-get", "update", "-qq"], work)
        if not _downloaded(work):
            raise Missing(WAYS_OUT)
        (package,) = Path(work).glob("prometheus_*.deb")
        _run(["dpkg-deb", "--extract", str(package), "unpacked"], work)
        (Path(work) / "unpacked/usr/bin/promtool").replace(kept)


def _downloaded(work: str) -> bool:
    """`apt-get download` puts the package into the folder; it needs lists, but no root."""
    if not any(Path(work).glob("prometheus_*.deb")):
        _run(["apt-get", "download", "-qq", "prometheus"], work)
    return any(Path(work).glob("prometheus_*.deb"))


def _run(command: list[str], folder: str) -> None:
    subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=240)


if __name__ == "__main__":
    try:
        print(find())
    except Missing as trouble:
        sys.exit(f"error: {trouble}")
