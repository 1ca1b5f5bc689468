"""A pool that is edited while machines hold its seats and wait: none is held twice, leaked, or beyond the number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.decide.seats import recall
from exuvia.model.facts import microseconds
from exuvia.model.seats import Ending, Exhaustion, Granted, Queued, Returned, SeatChange, Seats
from exuvia.model.specs.license_pool import LicensePool
from tests.decide.seats.test_stepping import (
    KIOSKS,
    LISTENING,
    MINUTE,
    T0,
    World,
    machine,
    pool,
    ready,
    returned,
    silent,
)

FAVOURED = {"name": "kiosks", "selector": {"matchLabels": {"kiosk": "true"}}, "persistent": True, "priority": 1000}


def edit(world: World, **spec: Any) -> None:
    world.pool = pool(status=world.pool.status.wire(), **spec)


def test_a_waiting_machine_takes_its_place_by_the_class_that_it_has_now() -> None:
    world = World(seats=1)
    world.instances = [machine("a", 0), machine("b", 1), machine("k", 2, kiosk="true")]
    world.look(3)
    assert world.waiting == ["b", "k"]
    edit(world, seats=1, classes=[FAVOURED])
    world.end("a")
    world.look(4)
    assert (world.holders, world.waiting) == (["k"], ["b"])
    world.restart(5)
    edit(world, seats=1, classes=[{**FAVOURED, "priority": 0}])
    world.instances.append(machine("c", 5))
    world.end("k")
    world.look(6)
    assert (world.holders, world.waiting) == (["b"], ["c"])


def test_a_holder_may_lose_its_seat_once_its_class_says_so() -> None:
    world = World(seats=1, exhaustion="ReclaimOldest")
    world.instances = [machine("k", 0, kiosk="true"), machine("b", 1)]
    world.look(2)
    assert (world.holders, world.waiting) == (["k"], ["b"])
    edit(world, seats=1, exhaustion="ReclaimOldest", classes=[KIOSKS])
    world.instances.append(machine("c", 3))
    done = world.look(4)
    assert returned(done.told) == [("k", "reclaimed")]
    assert (world.holders, world.waiting) == (["c"], ["b", "k"])


def test_a_pool_with_more_leases_than_seats_reclaims_none_for_a_newcomer() -> None:
    world = World(seats=3, exhaustion="ReclaimOldest", classes=[KIOSKS])
    world.instances = [machine(uid, 0, kiosk="true") for uid in "abc"]
    world.look(1)
    edit(world, seats=1, exhaustion="ReclaimOldest", classes=[KIOSKS])
    world.instances.append(machine("d", 2))
    assert returned(world.look(3).told) == []
    assert (world.holders, world.waiting) == (["a", "b", "c"], ["d"])


def test_grace_is_that_of_today_also_for_who_died_before() -> None:
    world = World(seats=1, grace="720h")
    world.instances = [machine("a", 0)]
    world.look(1)
    world.end("a")
    world.deaths = {"a": T0 + 2 * MINUTE}
    world.look(2)
    assert world.holders == ["a"]
    edit(world, seats=1, grace="10m")
    (ending,) = world.look(3).told
    assert isinstance(ending, Ending)
    assert (ending.at, ending.due) == (microseconds(T0 + 2 * MINUTE), microseconds(T0 + 12 * MINUTE))
    assert world.look(4).told == ()
    world.restart(5)
    assert world.look(6).told == ()
    assert returned(world.look(12).told) == [("a", "death")]


def test_grace_that_grows_keeps_a_seat_for_longer_and_without_it_it_is_back_at_once() -> None:
    for grace, back in (("30m", False), ("0s", True)):
        world = World(seats=1, grace="10m")
        world.instances = [machine("a", 0)]
        world.look(1)
        world.end("a")
        world.look(2)
        edit(world, seats=1, grace=grace)
        assert bool(returned(world.look(13 if not back else 3).told)) is back


# --- what never happens, whatever is edited ---------------------------------------------------------------------------

UIDS = "abcdefg"
SPECS = st.fixed_dictionaries(
    {
        "seats": st.integers(0, 4),
        "exhaustion": st.sampled_from([str(one) for one in Exhaustion]),
        "grace": st.sampled_from(["0s", "2m", "10m"]),
        "quarantined": st.sampled_from(["Keep", "ForensicSeat", "Release"]),
        "classes": st.sampled_from([(), (KIOSKS,), (FAVOURED,)]),
        "target": st.sampled_from(
            [
                {"selector": {}},
                {"selector": {"matchLabels": {"kiosk": "true"}}},
                {"selector": {"matchLabels": {"x": "y"}}},
            ]
        ),
    },
    optional={"agent": st.just(LISTENING["agent"]), "claim": st.just("AtBirth")},
)
LIVES = st.tuples(st.sampled_from(["born", "died", "frozen", "thawed", "ready", "silent"]), st.sampled_from(UIDS))
STEPS = st.one_of(
    st.tuples(st.just("edit"), SPECS), LIVES, LIVES, LIVES, st.sampled_from([("restart", ""), ("crash", "")])
)


@dataclass
class Run:
    """A world in which things happen, and whose ledger is walked."""

    world: World
    minute: float = 0
    generation: int = 0

    def do(self, what: str, whom: Any) -> None:
        """One thing, and a look at it."""
        world = self.world
        match what:
            case "edit":
                world.pool = _edited(world.pool, whom)
            case "born" if not any(one.uid.startswith(whom) for one in world.instances):
                self.generation += 1
                labels = {"kiosk": "true"} if whom in "ab" else {}
                world.instances.append(machine(f"{whom}{self.generation}", self.minute, **labels))
            case "died":
                gone = [one.uid for one in world.instances if one.uid.startswith(whom)]
                for uid in gone:
                    world.end(uid)
                    world.deaths[uid] = T0 + self.minute * MINUTE
            case "frozen" | "thawed":
                them = {one.uid for one in world.instances if one.uid.startswith(whom)}
                world.quarantined = world.quarantined | them if what == "frozen" else world.quarantined - them
            case "ready" | "silent":
                sign = ready(self.minute) if what == "ready" else silent(self.minute)
                found = {one.uid: sign for one in world.instances if one.uid.startswith(whom)}
                world.agents = {**(world.agents or {}), **found}
            case "restart":
                world.restart(self.minute)
            case "crash":
                world.ask(self.minute)
                world.restart(self.minute)
        self.look()

    def look(self) -> None:
        """A look; never more is given than there is."""
        self.minute += 1
        before = len(self.world.seats.leases)
        done = self.world.look(self.minute)
        _check(done.told, before, self.world.pool)


def _edited(former: LicensePool, spec: dict[str, Any]) -> LicensePool:
    made = pool(**spec)
    return made.model_copy(update={"status": former.status})


def _check(told: Sequence[SeatChange], held: int, of: LicensePool) -> None:
    for change in told:
        if isinstance(change, Returned):
            held -= 1
        elif isinstance(change, Granted):
            beyond = held >= of.spec.seats
            assert change.over == beyond
            assert not beyond or of.spec.exhaustion is Exhaustion.OVERCOMMIT
            held += 1


def _walked(told: Sequence[SeatChange]) -> dict[str, Granted]:
    """Who holds a seat by the ledger; nobody ever held two."""
    held: dict[str, Granted] = {}
    for change in told:
        match change:
            case Granted(lease=lease):
                assert lease.uid not in held
                held[lease.uid] = change
            case Returned(lease=lease):
                assert held.pop(lease.uid).lease.order == lease.order
            case Queued(place=place):
                assert place.uid not in held
            case _:
                continue
    return held


@settings(max_examples=300)
@given(st.lists(STEPS, max_size=40))
def test_over_any_edits_no_seat_is_held_twice_none_given_beyond_the_number_and_none_leaked(steps: list[Any]) -> None:
    run = Run(World(seats=2))
    for what, whom in steps:
        run.do(what, whom)
    world = run.world
    assert set(_walked(world.ledger)) == set(world.holders)
    living = {one.uid for one in world.instances}
    for lease in world.seats.leases:
        assert lease.uid in living or lease.due is not None, "a dead one keeps its seat for its grace only"
    assert set(world.waiting) <= living
    assert not world.waiting or len(world.holders) >= world.pool.spec.seats
    world.instances, world.quarantined = [], frozenset()
    run.look()
    run.minute += 60
    run.look()
    assert (world.holders, world.waiting, _walked(world.ledger)) == ([], [], {})


@settings(max_examples=200)
@given(st.lists(STEPS, max_size=30))
def test_after_any_edits_the_ledger_says_who_holds_and_who_waits(steps: list[Any]) -> None:
    """But for classes, which are read from the machines at each look."""
    run = Run(World(seats=2))
    for what, whom in steps:
        run.do(what, whom)
    at = microseconds(T0 + timedelta(minutes=run.minute))
    told, kept = recall(run.world.ledger, at=at), run.world.seats
    assert _said(told, at) == _said(kept, at)


def _said(seats: Seats, at: int) -> tuple[Any, ...]:
    leases = [replace(one, holder=replace(one.holder, persistent=True, priority=0), heard=at) for one in seats.leases]
    waiting = sorted((one.uid, one.since, one.order) for one in seats.waiting)
    return leases, waiting, sorted(one.uid for one in seats.denied), seats.lapsed, seats.order
