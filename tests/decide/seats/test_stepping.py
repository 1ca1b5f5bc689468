"""One look at a pool: the world in, seats out; through crashes before anything was entered, and after half of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.decide.seats import recall, step
from exuvia.model.facts import microseconds
from exuvia.model.instances import Instance
from exuvia.model.reasons import EventReason
from exuvia.model.seat_views import AgentSign, PoolStep, PoolView
from exuvia.model.seats import Exhaustion, Granted, Queued, Returned, SeatChange, Seats
from exuvia.model.specs.license_pool import LicensePool

T0 = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
KIOSKS = {"name": "kiosks", "selector": {"matchLabels": {"kiosk": "true"}}, "persistent": False, "priority": 0}
LISTENING = {"agent": {"daemonSet": "security/antivirus"}, "heartbeatTimeout": "5m"}


def pool(*, seats: int = 2, status: Mapping[str, Any] | None = None, **spec: Any) -> LicensePool:
    target = {"selector": {"matchLabels": {"desktop": "true"}}}
    body = {"metadata": {"name": "antivirus"}, "spec": {"seats": seats, "target": target, **spec}}
    return LicensePool.parse(body | ({"status": status} if status else {}))


def machine(uid: str, minute: float = 0, **labels: str) -> Instance:
    return Instance(name=f"n-{uid}", uid=uid, born=T0 + minute * MINUTE, labels={"desktop": "true", **labels})


def ready(minute: float = 0, started: float | None = None) -> AgentSign:
    began = minute if started is None else started
    return AgentSign(ready=True, since=T0 + minute * MINUTE, started=T0 + began * MINUTE)


def silent(minute: float) -> AgentSign:
    return AgentSign(ready=False, since=T0 + minute * MINUTE, started=T0)


class World:
    """A pool, what lives, and the ledger. Looks one after the other."""

    def __init__(self, **spec: Any) -> None:
        self.pool = pool(**spec)
        self.seats = Seats()
        self.ledger: list[SeatChange] = []
        self.instances: list[Instance] = []
        self.agents: dict[str, AgentSign] | None = None
        self.quarantined: frozenset[str] = frozenset()
        self.deaths: dict[str, datetime] = {}

    def look(self, minute: float) -> PoolStep:
        """Look, enter what changed, keep the state."""
        done = self.ask(minute)
        self.ledger += done.told
        self.seats = done.seats
        body = {"status": {"seats": done.counts.wire(), "highWater": done.high_water.wire()}}
        spec = self.pool.spec.wire()
        self.pool = LicensePool.parse({"metadata": {"name": "antivirus"}, "spec": spec, **body})
        return done

    def ask(self, minute: float) -> PoolStep:
        """Look, and then crash."""
        view = PoolView(
            pool=self.pool,
            seats=self.seats,
            instances=tuple(self.instances),
            agents=self.agents,
            quarantined=self.quarantined,
            deaths=self.deaths,
        )
        return step(view, T0 + minute * MINUTE)

    def restart(self, minute: float) -> None:
        """Nothing is left but the ledger."""
        self.seats = recall(self.ledger, at=microseconds(T0 + minute * MINUTE))

    def end(self, uid: str) -> None:
        self.instances = [one for one in self.instances if one.uid != uid]

    @property
    def holders(self) -> list[str]:
        return [one.uid for one in self.seats.leases]

    @property
    def waiting(self) -> list[str]:
        return [one.uid for one in self.seats.waiting]


def returned(told: Sequence[SeatChange]) -> list[tuple[str, str]]:
    return [(one.lease.uid, str(one.cause)) for one in told if isinstance(one, Returned)]


def test_seats_go_by_birth_and_what_is_not_selected_gets_none() -> None:
    world = World(seats=2)
    other = Instance(name="n-x", uid="x", born=T0, labels={})
    world.instances = [machine("c", 3), machine("b", 2), machine("a", 1), other]
    done = world.look(5)
    assert (world.holders, world.waiting) == (["a", "b"], ["c"])
    assert done.counts.wire() == {"total": 2, "used": 2, "free": 0, "queued": 1, "overcommitted": 0, "ghosts": 0}
    assert (done.exhausted, done.unmet, done.next) == (True, 1, None)


def test_a_death_gives_the_seat_to_the_first_who_waits_in_the_same_look() -> None:
    world = World(seats=1)
    world.instances = [machine("a", 0), machine("b", 1), machine("c", 2)]
    world.look(3)
    world.end("a")
    world.deaths = {"a": T0 + 4 * MINUTE}
    done = world.look(4.01)
    assert returned(done.told) == [("a", "death")]
    (back,) = [one for one in done.told if isinstance(one, Returned)]
    assert back.at - (back.died or 0) == 600_000
    assert world.holders == ["b"]


def test_a_lost_delete_is_found_by_looking() -> None:
    world = World(seats=1)
    world.instances = [machine("a")]
    world.look(1)
    world.end("a")
    assert returned(world.look(2).told) == [("a", "reconcile")]


def test_grace_counts_from_the_death_and_says_when_to_look_again() -> None:
    world = World(seats=1, grace="10m")
    world.instances = [machine("a")]
    world.look(1)
    world.end("a")
    world.deaths = {"a": T0 + 2 * MINUTE}
    assert world.look(5).next == T0 + 12 * MINUTE
    assert world.holders == ["a"]
    world.restart(6)
    assert returned(world.look(12).told) == [("a", "death")]


def test_a_reboot_inside_grace_keeps_the_seat() -> None:
    world = World(seats=1, grace="10m")
    world.instances = [machine("a")]
    world.look(1)
    world.end("a")
    world.look(2)
    world.instances = [machine("a"), machine("b", 3)]
    world.look(4)
    assert (world.holders, world.waiting) == (["a"], ["b"])
    assert world.look(30).told == ()


def test_the_same_name_with_a_new_uid_is_a_new_seat() -> None:
    world = World(seats=2, grace="10m")
    world.instances = [machine("old")]
    world.look(1)
    world.instances = [Instance(name="n-old", uid="new", born=T0 + MINUTE, labels={"desktop": "true"})]
    world.look(2)
    assert world.holders == ["old", "new"]


def test_a_class_waits_behind_the_others_and_is_reclaimed() -> None:
    world = World(seats=1, classes=[KIOSKS], exhaustion="ReclaimOldest")
    world.instances = [machine("kiosk", 0, kiosk="true")]
    world.look(1)
    world.instances.append(machine("desk", 2))
    assert returned(world.look(2).told) == [("kiosk", "reclaimed")]
    assert (world.holders, world.waiting) == (["desk"], ["kiosk"])
    world.instances.append(machine("second", 3))
    world.look(3)
    assert world.waiting == ["second", "kiosk"]


def test_claimed_by_readiness_of_the_agent() -> None:
    world = World(seats=1, claim="AgentReady", **LISTENING)
    world.instances = [machine("a"), machine("b")]
    world.look(1)
    assert world.holders == []
    world.agents = {"a": silent(0), "b": ready(2)}
    world.look(3)
    assert world.holders == ["b"]
    world.agents = {"a": ready(4), "b": ready(2)}
    world.look(5)
    assert world.waiting == ["a"]


def test_silence_of_the_agent_ends_the_lease_and_only_a_new_start_asks_again() -> None:
    world = World(seats=1, **LISTENING)
    world.instances = [machine("a")]
    world.agents = {"a": ready()}
    world.look(60)
    world.agents = {"a": silent(61)}
    assert world.look(65).next == T0 + 66 * MINUTE
    assert returned(world.look(66).told) == [("a", "expiry")]
    world.agents = {"a": ready(70, started=0)}
    done = world.look(71)
    assert (world.holders, done.counts.ghosts, done.unmet) == ([], 1, 1)
    assert "not seated for that" in done.notes[0][1].text
    assert world.look(72).told == ()
    world.agents = {"a": ready(75)}
    done = world.look(76)
    assert (world.holders, done.counts.ghosts) == (["a"], 0)


def test_an_agent_that_started_in_the_second_of_the_expiry_started_anew() -> None:
    """The API server tells when it started in whole seconds."""
    world = World(seats=1, **LISTENING)
    world.instances = [machine("a")]
    world.agents = {}
    world.look(1)
    world.look(6 + 0.8 / 60)
    world.agents = {"a": ready(6)}
    world.look(6.1)
    assert (world.holders, world.seats.ghosts) == (["a"], frozenset())


def test_a_ghost_whose_agent_is_gone_is_none_any_more() -> None:
    world = World(seats=1, **LISTENING)
    world.instances = [machine("a")]
    world.agents = {"a": ready()}
    world.look(1)
    world.end("a")
    world.look(2)
    assert world.look(3).counts.ghosts == 1
    world.agents = {}
    assert world.look(4).counts.ghosts == 0


def test_agents_that_cannot_be_known_expire_nothing() -> None:
    world = World(seats=1, **LISTENING)
    world.instances = [machine("a")]
    world.agents = {"a": ready()}
    world.look(1)
    world.agents = None
    assert world.look(600).told == ()


def test_an_agent_that_never_came_up_loses_its_seat() -> None:
    world = World(seats=1, **LISTENING)
    world.instances = [machine("a")]
    world.agents = {}
    world.look(1)
    assert returned(world.look(6).told) == [("a", "expiry")]


def test_a_restart_counts_silence_anew() -> None:
    world = World(seats=1, **LISTENING)
    world.instances = [machine("a")]
    world.agents = {}
    world.look(1)
    world.restart(10)
    assert world.look(10).told == ()
    assert returned(world.look(15).told) == [("a", "expiry")]


def test_a_quarantined_one_releases_its_seat_and_asks_anew_at_the_end_of_the_queue() -> None:
    world = World(seats=1, quarantined="Release")
    world.instances = [machine("a"), machine("b", 1), machine("c", 2)]
    world.look(3)
    world.quarantined = frozenset({"a"})
    assert returned(world.look(4).told) == [("a", "release")]
    assert (world.holders, world.waiting) == (["b"], ["c"])
    world.restart(5)
    assert world.look(5).told == ()
    world.quarantined = frozenset()
    world.look(6)
    assert world.waiting == ["c", "a"]


def test_the_high_water_is_of_this_month_and_stands_when_nothing_is_higher() -> None:
    world = World(seats=1)
    world.instances = [machine("a"), machine("b")]
    peak = world.look(1).high_water
    assert (peak.used, peak.demanded, peak.at) == (1, 2, T0 + MINUTE)
    world.end("a")
    world.end("b")
    assert world.look(2).high_water == peak
    december = 60 * 24 * 7
    later = world.look(december).high_water
    assert (later.used, later.demanded) == (0, 0)


def test_events_say_what_and_why_and_hold_no_numbers() -> None:
    world = World(seats=1)
    world.instances = [machine("a"), machine("b", 1)]
    done = world.look(1)
    assert [(uid, one.reason) for uid, one in done.notes] == [
        ("a", EventReason.SEAT_GRANTED),
        ("", EventReason.LICENSE_POOL_EXHAUSTED),
    ]
    world.end("a")
    done = world.look(2)
    assert [(uid, one.reason) for uid, one in done.notes] == [
        ("a", EventReason.SEAT_RECLAIMED),
        ("b", EventReason.SEAT_GRANTED),
    ]
    assert not any(letter.isdigit() for _, one in done.notes for letter in one.text)


@pytest.mark.parametrize("exhaustion", list(Exhaustion))
def test_looking_again_at_the_same_world_adds_nothing(exhaustion: Exhaustion) -> None:
    world = World(seats=2, exhaustion=exhaustion, classes=[KIOSKS])
    world.instances = [machine(uid, minute, kiosk=str(minute % 2 == 0).lower()) for minute, uid in enumerate("abcde")]
    world.look(6)
    assert world.look(6).told == ()
    world.restart(7)
    assert world.look(7).told == ()


# --- crashes ----------------------------------------------------------------------------------------------------------

MOVES = st.lists(
    st.tuples(
        st.sampled_from(["birth", "death", "silent", "known death", "freeze", "thaw", "agent", "nothing"]),
        st.integers(0, 5),
        st.sampled_from(["entered", "lost", "half", "restart"]),
    ),
    max_size=25,
)


@settings(max_examples=300, deadline=None)
@given(
    MOVES,
    st.integers(0, 3),
    st.sampled_from(list(Exhaustion)),
    st.sampled_from(["Keep", "ForensicSeat", "Release"]),
    st.sampled_from(["0s", "3m"]),
)
def test_crashes_never_seat_too_many_or_one_twice(
    moves: list[tuple[str, int, str]], seats: int, exhaustion: Exhaustion, quarantined: str, grace: str
) -> None:
    world = World(
        seats=seats, exhaustion=exhaustion, quarantined=quarantined, grace=grace, classes=[KIOSKS], **LISTENING
    )
    world.agents = {}
    for minute, (move, which, fate) in enumerate(moves):
        _move(world, move, which, minute)
        _fate(world, fate, minute)
    _audit(world, seats, exhaustion)
    world.restart(100)
    world.look(100)
    world.look(100)
    _audit(world, seats, exhaustion)
    assert world.look(100).told == ()
    assert not world.waiting or len(world.holders) >= seats


def _move(world: World, move: str, which: int, minute: int) -> None:
    living = [one.uid for one in world.instances]
    chosen = living[which % len(living)] if living else ""
    agents = world.agents if world.agents is not None else {}
    match move:
        case "birth":
            world.instances.append(machine(f"{minute:02}", minute, kiosk=str(which % 2 == 0).lower()))
            agents[f"{minute:02}"] = ready(minute)
        case "death" | "known death":
            world.end(chosen)
            if move == "known death":
                world.deaths[chosen] = T0 + minute * MINUTE
        case "silent" if chosen:
            agents[chosen] = silent(minute)
        case "agent" if chosen:
            agents[chosen] = ready(minute)
        case "freeze" if chosen:
            world.quarantined |= {chosen}
        case "thaw":
            world.quarantined -= {chosen}
        case _:
            return


def _fate(world: World, fate: str, minute: int) -> None:
    match fate:
        case "entered":
            world.look(minute)
        case "lost":
            world.ask(minute)
            world.restart(minute)
        case "half":
            told = world.ask(minute).told
            world.ledger += told[: len(told) // 2]
            world.restart(minute)
        case _:
            world.restart(minute)


def _audit(world: World, seats: int, exhaustion: Exhaustion) -> None:
    """What the ledger says, from its first entry to its last."""
    held: set[str] = set()
    for change in world.ledger:
        if isinstance(change, Granted):
            assert change.lease.uid not in held
            held.add(change.lease.uid)
            assert len(held) <= seats or (exhaustion is Exhaustion.OVERCOMMIT and change.over)
        elif isinstance(change, Returned):
            held.remove(change.lease.uid)
        elif isinstance(change, Queued):
            assert change.place.uid not in held
