"""What the kernel says of a process: memory and processor time."""

from __future__ import annotations

import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """A process and all its descendants (expressions are evaluated in children)."""
    found = [pid]
    for parent in found:
        for path in Path(f"/proc/{parent}/task").glob("*/children"):
            found += [int(one) for one in path.read_text(encoding="ascii").split()]
    return found


def rss_mb(pid: int) -> float:
    """Resident memory of the family, in MB (10^6 bytes)."""
    return sum(_rss_kb(one) for one in family(pid)) * 1024 / 1e6


def cpu_seconds(pid: int) -> float:
    """Processor time of the family so far, user and system."""
    return sum(_ticks(one) for one in family(pid)) / _TICK


def _rss_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
