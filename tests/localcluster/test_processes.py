"""Child processes: stopped by pid and seen gone, never mistaken for another, never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from exuvia.localcluster import processes
from exuvia.localcluster.processes import Identity, Spec

_STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
_PARENT = """
import sys, time
from pathlib import Path
from exuvia.localcluster.processes import Spec, start
child = start(Spec(name="child", command=("sleep", "600"), log=Path(sys.argv[1])), detached=sys.argv[2] == "yes")
print(child.pid, child.started, flush=True)
time.sleep(600)
"""


def _start(tmp_path: Path, *command: str) -> Identity:
    return processes.start(Spec(name="one", command=command, log=tmp_path / "logs" / "one.log"))


def test_a_child_is_stopped_and_seen_gone(tmp_path: Path) -> None:
    child = _start(tmp_path, "sleep", "600")
    assert child.alive()

    assert processes.stop([child]) == []

    assert not child.alive()
    assert processes.stop([child]) == [], "stopped already is fine"


def test_one_that_does_not_listen_is_killed_and_named(tmp_path: Path) -> None:
    child = _start(tmp_path, "sh", "-c", _STUBBORN)
    log = tmp_path / "logs" / "one.log"
    while not log.read_text(encoding="utf-8"):
        time.sleep(0.01)

    assert processes.stop([child], patience=0.3) == ["one"]
    assert not child.alive()


def test_another_process_of_the_same_pid_is_left_alone(tmp_path: Path) -> None:
    child = _start(tmp_path, "sleep", "600")
    earlier = Identity(name="one", pid=child.pid, started=child.started - 1)

    assert not earlier.alive()
    processes.stop([earlier], patience=0)

    assert child.alive()
    processes.stop([child])


def _child_of_a_killed_parent(tmp_path: Path, *, detached: bool) -> Identity:
    command = [sys.executable, "-c", _PARENT, str(tmp_path / "log"), "yes" if detached else "no"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, started = parent.stdout.readline().split()
        os.kill(parent.pid, signal.SIGKILL)
    return Identity(name="child", pid=int(pid), started=int(started))


def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    child = _child_of_a_killed_parent(tmp_path, detached=False)

    deadline = time.monotonic() + 5
    while child.alive():
        assert time.monotonic() < deadline, "the child outlives its parent"
        time.sleep(0.02)


def test_a_detached_child_lives_on_and_is_found_again_by_its_identity(tmp_path: Path) -> None:
    child = _child_of_a_killed_parent(tmp_path, detached=True)

    time.sleep(0.2)
    assert child.alive()
    processes.stop([child])
    assert not child.alive()


def test_a_child_outlives_the_thread_that_asked_for_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(max_workers=1) as passing:
        child = passing.submit(_start, tmp_path, "sleep", "600").result()

    time.sleep(0.2)
    assert child.alive()
    processes.stop([child])
