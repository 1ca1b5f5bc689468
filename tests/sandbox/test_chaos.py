"""Crashes, lost answers, throttling and a cloud in trouble, in any order: once they stop, the end is the same."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exuvia import errors
from exuvia.model import resources
from exuvia.model.facts import LedgerState
from exuvia.sandbox import replies
from exuvia.sandbox.faults import Crash, Fuse, Trouble
from exuvia.sandbox.provider import Fault
from tests.sandbox import test_whole_quarantine as held
from tests.sandbox import test_whole_rotation as rotated
from tests.sandbox.driver import Process, Scene

VERBS = ("get", "list", "patch", "create", "evict")
ERRORS = (
    replies.throttled(2),
    replies.unreachable("it"),
    errors.ServerTrouble("etcdserver: request timed out", status=500),
    replies.changed_meanwhile(resources.NODES, "old"),
)
CLOUD = st.sampled_from([Fault.NO_ANSWER, Fault.LOST_ANSWER])


@dataclass(frozen=True, kw_only=True)
class Chaos:
    """What goes wrong in one run."""

    crashes: list[int]
    troubles: list[tuple[str, int, int, int, bool]]  # verb, which error, calls to skip, calls to meet, lost
    cloud: list[Fault]
    ledger_down: bool

    def meet(self, process: Process) -> None:
        """Set up the troubles of the API server."""
        process.cluster.troubles = [
            Trouble(error=ERRORS[which], verb=verb, skip=skip, times=times, lost=lost)
            for verb, which, skip, times, lost in self.troubles
        ]


CHAOS = st.builds(
    Chaos,
    crashes=st.lists(st.integers(1, 12), max_size=3),
    troubles=st.lists(
        st.tuples(
            st.sampled_from(VERBS),
            st.integers(0, len(ERRORS) - 1),
            st.integers(0, 15),
            st.integers(1, 3),
            st.booleans(),
        ),
        max_size=4,
    ),
    cloud=st.lists(CLOUD, max_size=2),
    ledger_down=st.booleans(),
)


async def live_through(made: Scene, kind: str, chaos: Chaos) -> None:
    """One process after the other; the last one meets no trouble any more."""
    made.cloud.faults = list(chaos.cloud)
    if chaos.ledger_down:
        made.ledger.switch(LedgerState.DOWN, "no room left")
    for epoch, crash_after in enumerate(chaos.crashes, start=1):
        process = Process(made, epoch, Fuse(after=crash_after))
        chaos.meet(process)
        try:
            await process.run(kind, limit=timedelta(minutes=2))
        except (Crash, AssertionError):
            made.world.pass_time(timedelta(seconds=40), step=timedelta(seconds=5))
    made.ledger.switch(LedgerState.FINE)
    process = Process(made, len(chaos.crashes) + 1)
    chaos.meet(process)
    await process.run(kind)


async def rotation_survives(chaos: Chaos) -> None:
    with tempfile.TemporaryDirectory() as folder:
        calm = rotated.scene(Path(folder))
        await Process(calm, 1).run("Rotation")
        made = rotated.scene(Path(folder))

        await live_through(made, "Rotation", chaos)

    assert without_names(rotated.end(made)) == without_names(rotated.end(calm))
    rotated.promises(made)


async def quarantine_survives(chaos: Chaos) -> None:
    with tempfile.TemporaryDirectory() as folder:
        calm = held.scene(Path(folder) / "calm")
        await Process(calm, 1).run("Quarantine")
        made = held.scene(Path(folder) / "chaos")

        await live_through(made, "Quarantine", chaos)

    assert held.seen(made) == held.seen(calm)


def without_names(end: dict[str, Any]) -> dict[str, Any]:
    """The pods' machine has the same name in every run; launches are counted."""
    return {key: value for key, value in end.items() if key != "reason"}


SHORT = settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


@SHORT
@given(chaos=CHAOS)
async def test_a_rotation_lives_through_chaos(chaos: Chaos) -> None:
    await rotation_survives(chaos)


@SHORT
@given(chaos=CHAOS)
async def test_a_quarantine_lives_through_chaos(chaos: Chaos) -> None:
    await quarantine_survives(chaos)


@pytest.mark.slow
@LONG
@given(chaos=CHAOS)
async def test_a_rotation_lives_through_much_chaos(chaos: Chaos) -> None:
    await rotation_survives(chaos)


@pytest.mark.slow
@LONG
@given(chaos=CHAOS)
async def test_a_quarantine_lives_through_much_chaos(chaos: Chaos) -> None:
    await quarantine_survives(chaos)
