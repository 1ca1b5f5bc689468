"""Back-off, halts and rates: all derived from what is persisted."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from exuvia.decide.backoff import wait_after
from exuvia.model.planning import Start
from exuvia.model.specs.rotation import Rotation
from exuvia.model.specs.security_policy import Action
from tests.decide.planner.world import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    World,
    fleet,
    guard,
    machine,
    quarantine,
    quiet,
    rotation,
    subject,
    violating,
    wish,
)

OLD = machine(0)


def world(*rotations: Rotation) -> World:
    return World([*violating([OLD]), *quiet(fleet(10)[1:])], rotations=list(rotations))


def failed(number: int, at: datetime, reason: str = "DrainTimeout") -> Rotation:
    return rotation(OLD, "Failed", number=number, created=at - MINUTE, finished_at=at, reason=reason)


@pytest.mark.parametrize(
    ("failures", "minutes"), [(0, 0), (1, 10), (2, 20), (3, 40), (6, 320), (7, 360), (8, 360), (500, 360)]
)
def test_the_wait_doubles_up_to_six_hours(failures: int, minutes: int) -> None:
    assert wait_after(failures) == minutes * MINUTE


def test_after_a_failure_the_machine_waits() -> None:
    once = world(failed(1, NOW - 9 * MINUTE))
    found = once.plan().blocked[OLD.uid]
    assert str(found.reason) == "BackingOff" and found.next == NOW + MINUTE and "DrainTimeout" in found.message
    assert world(failed(1, NOW - 10 * MINUTE)).started() == ["worker-0"]
    twice = world(failed(1, NOW - HOUR), failed(2, NOW - 10 * MINUTE))
    assert twice.plan().blocked[OLD.uid].next == NOW + 10 * MINUTE


def test_another_machines_failure_and_an_abort_are_no_failure_of_this_one() -> None:
    aborted = rotation(OLD, "Aborted", created=NOW - HOUR, finished_at=NOW, reason="NoLongerWanted")
    other = rotation(machine(1), "Failed", created=NOW - HOUR, finished_at=NOW, reason="DrainTimeout")
    assert world(aborted, other).started() == ["worker-0"]


def test_a_call_off_holds_the_same_policy_and_rule_for_a_day() -> None:
    off = rotation(OLD, "Aborted", created=NOW - DAY, finished_at=NOW - 23 * HOUR, reason="CalledOff")
    found = world(off).plan().blocked[OLD.uid]
    assert str(found.reason) == "BackingOff" and found.next == NOW + HOUR and "a person" in found.message
    over = rotation(OLD, "Aborted", created=NOW - 2 * DAY, finished_at=NOW - DAY, reason="CalledOff")
    assert world(over).started() == ["worker-0"]
    other_rule = world(off)
    other_rule.subjects[0] = subject(OLD, wish(OLD, rule="image"))
    assert other_rule.started() == ["worker-0"]
    manual = rotation(
        OLD, "Aborted", by_policy=False, created=NOW - DAY, finished_at=NOW - 23 * HOUR, reason="CalledOff"
    )
    assert world(manual).started() == ["worker-0"]


def test_a_return_names_who_and_until_when() -> None:
    release = {"by": "bob", "verdict": "Return"}
    ended = {"finished_at": NOW - HOUR, "reason": "Released", "release_accepted": release}
    there = world()
    there.quarantines = [quarantine(OLD, "Released", created=NOW - DAY, **ended)]
    there.subjects[0] = subject(OLD, Action.QUARANTINE)
    found = there.plan().blocked[OLD.uid]
    assert str(found.reason) == "BackingOff" and "bob" in found.message and found.next == NOW + 23 * HOUR
    ended["release_accepted"] = {"by": "bob", "verdict": "Rotate"}
    there.quarantines = [quarantine(OLD, "Released", created=NOW - DAY, **ended)]
    assert there.started("Quarantine") == ["worker-0"]


def finished(reason: str, ago: timedelta, number: int, phase: str = "Failed", **more: object) -> Rotation:
    gone = machine(100 + number)
    return rotation(gone, phase, created=NOW - DAY, finished_at=NOW - ago, reason=reason, **more)  # type: ignore[arg-type]


BAD = [finished("ReplacementFailed", (3 - n) * HOUR, n) for n in range(3)]


def test_a_pool_is_halted_when_its_last_replacements_all_failed() -> None:
    for reason in ("ReplacementFailed", "NoReplacement"):
        there = world(*(finished(reason, (3 - n) * HOUR, n) for n in range(3)))
        made = there.plan()
        assert [(one.pool, one.failures, one.since) for one in made.halted] == [("workers", 3, NOW - HOUR)]
        assert str(made.blocked[OLD.uid].reason) == "PoolHalted"
    assert world(*BAD[:2]).started() == ["worker-0"]


def test_what_breaks_the_run_and_what_does_not() -> None:
    success = finished("Replaced", timedelta(minutes=90), 8, "Succeeded")
    assert world(*BAD, success).started() == ["worker-0"]
    timeout = finished("DrainTimeout", timedelta(minutes=90), 8)
    assert world(*BAD, timeout).started() == ["worker-0"]
    aborted = finished("NoLongerWanted", timedelta(minutes=90), 8, "Aborted")
    assert not world(*BAD, aborted).started()


def test_max_failed_replacements_is_as_the_latest_had_it() -> None:
    assert not world(finished("NoReplacement", HOUR, 1, failures=1)).started()
    more = [finished("NoReplacement", (5 - n) * HOUR, n, failures=5) for n in range(4)]
    assert world(*more).started() == ["worker-0"]


def test_a_resume_forgets_earlier_failures_of_its_pool_only() -> None:
    there = world(*BAD)
    there.guard = guard(poolResumes=[{"pool": "workers", "by": "alice", "at": NOW - timedelta(minutes=30)}])
    assert there.started() == ["worker-0"]
    there.guard = guard(poolResumes=[{"pool": "workers", "by": "alice", "at": NOW - timedelta(minutes=90)}])
    assert there.started() == ["worker-0"]  # one failure since then
    there.guard = guard(poolResumes=[{"pool": "workers", "by": "alice", "at": NOW - HOUR}])
    assert there.started() == ["worker-0"]  # the last one ended at that very moment
    there.rotations.append(finished("NoReplacement", timedelta(minutes=1), 7, failures=1))
    assert not there.started()
    there.rotations.pop()
    there.guard = guard(poolResumes=[{"pool": "others", "by": "alice", "at": NOW}])
    assert not there.started()


def test_a_halt_holds_its_own_pool_only() -> None:
    there = world(*BAD)
    there.subjects[0] = subject(machine(0, pool="others"), Action.ROTATE)
    assert there.started() == ["worker-0"]


def test_a_restart_does_not_refill_rates() -> None:
    """What was removed is counted from the ledger, what is there from itself, and nothing twice."""
    machines = fleet(10)
    here = rotation(machines[5], "Replacing", created=NOW - 20 * MINUTE)
    there = World(violating(machines[:4]), guard=guard(maxPerHour="4"), rotations=[here])
    there.subjects += quiet(machines[4:])
    assert len(there.started()) == 3
    there.starts = [
        Start(operation=here.uid, kind="Rotation", at=NOW - 20 * MINUTE),
        Start(operation="removed", kind="Rotation", at=NOW - 50 * MINUTE),
        Start(operation="long ago", kind="Rotation", at=NOW - HOUR),
        Start(operation="another kind", kind="Quarantine", at=NOW),
    ]
    made = there.plan()
    assert len(made.openings) == 2
    assert {one.next for one in made.blocked.values()} == {NOW + 10 * MINUTE}


def test_a_start_that_only_the_ledger_knows_of_counts() -> None:
    """A lagging view still shows it as Pending."""
    machines = fleet(10)
    lagging = rotation(machines[5], by_policy=False)
    there = World(violating(machines[:4]), guard=guard(maxPerHour="2"), rotations=[lagging])
    there.subjects += quiet(machines[4:])
    there.starts = [Start(operation=lagging.uid, kind="Rotation", at=NOW)]
    assert there.started() == ["worker-5"]


def test_a_rate_that_was_lowered_is_free_again_when_enough_starts_are_an_hour_old() -> None:
    there = world()
    there.guard = guard(maxPerHour="2")
    there.starts = [
        Start(operation=f"removed {ago}", kind="Rotation", at=NOW - ago * MINUTE) for ago in (50, 40, 30, 20)
    ]
    assert there.plan().blocked[OLD.uid].next == NOW + 30 * MINUTE
    there.now = NOW + 30 * MINUTE
    assert there.started() == ["worker-0"]


def test_a_rate_of_zero_allows_nothing_for_ever() -> None:
    there = world()
    there.guard = guard(maxPerHour="0")
    found = there.plan().blocked[OLD.uid]
    assert str(found.reason) == "RateLimited" and found.next is None


def test_heirs_are_no_starts() -> None:
    machines = fleet(10)
    there = World(
        violating(machines[:1], Action.QUARANTINE), guard=guard(quarantine={"maxAtOnce": "9", "maxPerHour": "1"})
    )
    there.subjects += quiet(machines[1:])
    heir = quarantine(machines[5], "Collecting", created=NOW - MINUTE, spec={"inheritedFrom": "former"})
    there.quarantines = [heir]
    assert there.started("Quarantine") == ["worker-0"]
    there.quarantines = [quarantine(machines[5], "Collecting", created=NOW - MINUTE)]
    assert str(there.plan().blocked[OLD.uid].reason) == "RateLimited"
