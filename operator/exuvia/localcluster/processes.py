"""Child processes that never outlive their parent, stopped by pid and seen gone.

Each child asks the kernel to be killed when its parent dies (PR_SET_PDEATHSIG), so that `kill -9` of a test run or of
the demo leaves nothing. Detached ones (`exuvia dev up`) do not; they are found again by pid and start time.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
# The kernel kills children when the *thread* that started them ends: this one lives as long as the process.
_STARTER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="starter")
_CHILDREN: dict[Identity, subprocess.Popen[bytes]] = {}  # ours that were not seen ended yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What to start. Output goes to `log`."""

    name: str
    command: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A process that cannot be mistaken for a later one with the same pid: `started` is its start tick since boot."""

    name: str
    pid: int
    started: int

    def alive(self) -> bool:
        """Whether exactly that process runs (a zombie does not)."""
        return _start_tick(self.pid) == self.started


def start(spec: Spec, *, detached: bool = False) -> Identity:
    """Start a child in a session of its own. Not detached: the kernel kills it when this process ends."""
    return _STARTER.submit(_start, spec, detached).result()


def _start(spec: Spec, detached: bool) -> Identity:
    spec.log.parent.mkdir(parents=True, exist_ok=True)
    parent = os.getpid()
    with spec.log.open("ab") as log:
        child = subprocess.Popen(
            spec.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(spec.environment) if spec.environment is not None else None,
            start_new_session=True,
            preexec_fn=None if detached else lambda: _die_with(parent),
        )
    tick = _start_tick(child.pid)
    identity = Identity(name=spec.name, pid=child.pid, started=tick if tick is not None else -1)
    _CHILDREN[identity] = child
    return identity


def stop(identities: Sequence[Identity], *, patience: float = 15.0) -> list[str]:
    """TERM, wait, then KILL; with a patience of 0 KILL at once. Returns the names of those that were killed."""
    for one in identities if patience else ():
        _send(one, signal.SIGTERM)
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and any(one.alive() for one in identities):
        time.sleep(0.05)
    stubborn = [one for one in identities if one.alive()]
    for one in stubborn:
        _send(one, signal.SIGKILL)
    while any(one.alive() for one in identities):
        time.sleep(0.02)
    _reap(identities)
    return [one.name for one in stubborn]


def _die_with(parent: int) -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died between fork and prctl
        os._exit(1)


def _send(one: Identity, what: signal.Signals) -> None:
    if one.alive():
        try:
            os.kill(one.pid, what)
        except ProcessLookupError:
            pass


def _reap(identities: Sequence[Identity]) -> None:
    """Collect our own ended children. The first thread of a process may end before its others: wait for those."""
    for one in identities:
        child = _CHILDREN.pop(one, None)
        if child is not None:
            child.wait(timeout=10)


def _start_tick(pid: int) -> int | None:
    """Field 22 of /proc/PID/stat, or None when it does not run."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])
