"""What rules are told of licence seats: by the last look, of whom it changed, and never a guess."""

from __future__ import annotations

from datetime import timedelta

import pytest

from exuvia import errors
from exuvia.app.learning import NOT_LOOKED
from exuvia.model.learnt import SeatState
from exuvia.model.specs.license_pool import LicensePool
from exuvia.model.specs.security_policy import RuleType
from exuvia.observe.ours import Unparsable
from tests.app.test_seating import World, machine, pool
from tests.evaluate.world import policy, rule


class Asked(World):
    """The same, with a policy that asks for a seat of the pool."""

    def begin(self) -> None:
        super().begin()
        self.services.policies.refresh([policy(rule(RuleType.LICENSE_SEAT, {"pool": "antivirus"}))])

    def concerned(self) -> set[str]:
        """Machines to be judged anew, and whether the sweep was woken for them."""
        found: set[str] = self.services.learnings.take(self.services.policies)
        assert self.view.wake.is_set() or not found
        self.view.wake.clear()
        return found

    def state(self, uid: str) -> SeatState:
        return self.sign(uid)[0]

    def sign(self, uid: str, pool: str = "antivirus") -> tuple[SeatState, str]:
        found = self.services.learnings.seat_of(pool, uid)
        return found.state, found.message

    def die(self, uid: str) -> None:
        store = self.view.nodes.store
        former = store.get(uid)
        store.drop(uid)
        self.seating.deaths.noticed(former, None)


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch, machine("a"), machine("b", 1), machine("c", 2))


async def test_before_the_first_look_it_is_only_not_known_yet(world: Asked) -> None:
    assert world.services.learnings.seat_of("antivirus", "a") == NOT_LOOKED
    await world.look()
    assert world.concerned() == {"a", "b", "c"}
    assert [world.state(one) for one in "abc"] == [SeatState.HELD, SeatState.WAITING, SeatState.WAITING]


async def test_who_waits_says_since_when(world: Asked) -> None:
    await world.look()
    found = world.services.learnings.seat_of("antivirus", "b")
    assert (found.state, found.since) == (SeatState.WAITING, machine("b", 1).born), "since it was born"


async def test_only_the_machines_concerned_are_judged_anew(world: Asked) -> None:
    await world.look()
    world.concerned()
    await world.look()
    assert world.concerned() == set()
    world.die("a")
    await world.look()
    assert world.concerned() == {"a", "b"}
    assert [world.state(one) for one in "bc"] == [SeatState.HELD, SeatState.WAITING]


async def test_a_newborn_is_not_known_until_it_was_looked_at(world: Asked) -> None:
    await world.look()
    world.concerned()
    world.view.nodes.store.put(machine("d", 3), "9")
    assert world.services.learnings.seat_of("antivirus", "d").awaited
    await world.look()
    assert world.concerned() == {"d"} and world.state("d") is SeatState.WAITING


async def test_who_was_refused_and_who_is_not_selected_hold_none(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Asked(monkeypatch, machine("a"), machine("b", 1), exhaustion="Deny")
    await world.look()
    assert [world.state(one) for one in "ab"] == [SeatState.HELD, SeatState.DENIED]
    world = Asked(monkeypatch, machine("a"), target={"selector": {"matchLabels": {"desktop": "true"}}})
    await world.look()
    state, message = world.sign("a")
    assert state is SeatState.NONE and "does not select it" in message


async def test_a_pool_that_is_not_there_is_named(world: Asked) -> None:
    assert world.sign("a", "vpn") == (SeatState.UNKNOWN, NOT_LOOKED.message), "pools were not listed yet"
    world.seating._pools.synced = True
    assert world.sign("a", "vpn") == (SeatState.UNKNOWN, "there is no LicensePool vpn")


async def test_a_pool_that_goes_takes_what_is_known_with_it(world: Asked) -> None:
    await world.look()
    world.concerned()
    world.seating._pools.synced = True
    world.seating._pools.store.drop("pool-uid")
    await world.seating.look(())
    assert world.concerned() == {"a", "b", "c"}
    assert world.sign("a") == (SeatState.UNKNOWN, "there is no LicensePool antivirus")
    assert world.seating.holders("antivirus") is None


async def test_a_pool_that_is_not_served_any_more_says_why(world: Asked) -> None:
    await world.look()
    world.concerned()
    served = world.pool
    world.pool = LicensePool.parse(
        {
            "metadata": {"name": "antivirus", "uid": "pool-uid", "resourceVersion": "2", "generation": 2},
            "spec": {**pool().spec.wire(), "target": {"kind": "VirtualMachineInstance", "selector": {}}},
        }
    )
    await world.look()
    assert world.concerned() == {"a", "b", "c"}
    state, message = world.sign("a")
    assert state is SeatState.UNKNOWN and "VirtualMachineInstance is not served yet" in message
    await world.look()
    assert world.concerned() == set(), "that is said once"
    world.pool = served
    await world.look()
    assert world.concerned() == {"a", "b", "c"} and world.state("a") is SeatState.HELD


async def test_an_unreadable_pool_is_not_known(world: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.look()

    async def said(_: object) -> None:
        return None

    monkeypatch.setattr(world.seating._statuses, "unreadable", said)
    broken = Unparsable(name="antivirus", uid="pool-uid", resource_version="2", problem="no seats", body={})
    await world.seating.look((broken,))
    assert world.sign("a") == (SeatState.UNKNOWN, "LicensePool antivirus cannot be read; its status says why")


async def test_trouble_with_the_ledger_makes_seats_unknown_until_they_are_read_anew(world: Asked) -> None:
    await world.look()
    world.concerned()
    world.view.nodes.store.put(machine("d", 3), "9")
    world.ledger.trouble = errors.LedgerDown("the disk is full")
    await world.look()
    assert world.concerned() >= {"a", "b", "c"}
    state, message = world.sign("a")
    assert state is SeatState.UNKNOWN and "the disk is full" in message
    world.ledger.trouble = None
    await world.look()
    assert world.concerned() == {"a", "b", "c", "d"} and world.state("a") is SeatState.HELD


async def test_while_the_ledger_is_down_nothing_is_known(world: Asked) -> None:
    await world.look()
    world.concerned()
    world.down = True
    await world.look()
    assert world.concerned() == {"a", "b", "c"}
    assert world.state("a") is SeatState.UNKNOWN
    await world.look()
    assert world.concerned() == set(), "that is said once"
    world.down = False
    await world.look()
    assert world.concerned() == {"a", "b", "c"} and world.state("a") is SeatState.HELD


async def test_nobody_is_judged_anew_where_no_rule_asks(world: Asked) -> None:
    asks_for_another = policy(rule(RuleType.LICENSE_SEAT, {"pool": "vpn"}), generation=2)
    world.services.policies.refresh([asks_for_another])
    world.view.wake.clear()
    await world.look()
    assert world.concerned() == set() and not world.view.wake.is_set()


async def test_a_dead_machine_in_its_grace_is_no_holder(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Asked(monkeypatch, machine("a"), machine("b", 1), grace="10m")
    await world.look()
    world.die("a")
    await world.look()
    assert world.state("a") is not SeatState.HELD and world.state("b") is SeatState.WAITING
    await world.look(timedelta(minutes=11).total_seconds())
    assert world.state("b") is SeatState.HELD
