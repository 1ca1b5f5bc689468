"""What was known of a machine at a moment: identities, verdicts and the operation under way, by both clocks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from exuvia.model import facts
from exuvia.model.facts import Fact, microseconds
from exuvia.record import appending, importing, knowing, lines, versions, who
from exuvia.record.places import Place
from tests.record import world
from tests.record.conftest import Fresh
from tests.record.world import at

Told = tuple[int, Fact]
"""A fact, and the minute in which it was learnt."""


@contextmanager
def ledger(place: Place, told: list[Told]) -> Iterator[Connection]:
    with world.written(place) as connection:
        writer, head = appending.Writer(cluster="c", epoch=1), appending.Head()
        for minute, fact in told:
            head = appending.add(connection, head, fact, writer, recorded=microseconds(at(minute))) or head
        yield connection


def asked(connection: Connection, minute: float, known: float | None = None) -> knowing.Known:
    until = versions.INSTANT if known is None else microseconds(at(known))
    (bearer,) = who.bore(connection, "name", "a", at(minute), until=until)
    return knowing.known(connection, bearer, at(minute), until=until)


def operation(uid: str, event: str, minute: float, kind: str = "Rotation") -> Fact:
    return world.operation(uid, event, minute, kind=kind)


def test_identities_are_those_of_the_moment(place: Place) -> None:
    born = world.birth("A", 0, name="a", bootID="b1", machineID="m", providerID="p", addresses=["10.0.0.2", "10.0.0.1"])
    told = [
        (0, born),
        (10, facts.identity(uid="A", attribute="bootID", value="b2", former="b1", at=at(5))),
        (20, facts.identity(uid="A", attribute="address", value="", former="10.0.0.2", at=at(15))),
    ]
    first = knowing.Identity(provider_id="p", machine_id="m", boot_id="b1", addresses=("10.0.0.1", "10.0.0.2"))
    with ledger(place, told) as connection:
        assert asked(connection, 4).identity == first
        assert asked(connection, 9, known=9).identity == first, "the reboot was not learnt yet"
        assert asked(connection, 9).identity.boot_id == "b2"
        assert asked(connection, 30).identity.addresses == ("10.0.0.1",)
        assert asked(connection, 14).identity.addresses == ("10.0.0.1", "10.0.0.2")


def test_identities_of_a_corrected_life_are_those_of_the_line_that_holds(place: Place) -> None:
    life = {"type": "instance", "uid": "A", "kind": "Node", "name": "a", "born": at(0).isoformat()}
    told = [
        {**life, "providerID": "wrong", "addresses": ["10.0.0.1"], "recordedAt": at(1).isoformat()},
        {**life, "machineID": "m", "recordedAt": at(2).isoformat()},
    ]
    importing.load(place, lines.read(map(json.dumps, told), recorded=0), cluster="c")
    with world.written(place) as connection:
        assert asked(connection, 5).identity == knowing.Identity(machine_id="m")
        assert asked(connection, 1, known=1).identity == knowing.Identity(provider_id="wrong", addresses=("10.0.0.1",))


def test_a_verdict_holds_until_the_next_is_told(place: Place) -> None:
    told = [
        (0, world.birth("A", name="a")),
        (1, world.verdict("A", "compliant", 1, severity="Low")),
        (5, world.verdict("A", "violating", 5)),
        (6, world.verdict("A", "unknown", 6, policy="desktops")),
        (9, world.verdict("A", "", 9, severity="")),
    ]
    with ledger(place, told) as connection:
        assert asked(connection, 0).verdicts == ()
        violating = knowing.Held(policy="workers", result="violating", severity="High", since=at(5))
        assert asked(connection, 5).verdicts == (violating,)
        assert [one.policy for one in asked(connection, 7).verdicts] == ["desktops", "workers"]
        assert [one.policy for one in asked(connection, 9).verdicts] == ["desktops"], "that policy judged it no more"
        assert [one.result for one in asked(connection, 5, known=5).verdicts] == ["violating"]


def test_an_operation_is_under_way_from_its_start_to_its_end(place: Place) -> None:
    told = [
        (0, world.birth("A", name="a")),
        (1, operation("R1", "opened", 1)),
        (2, operation("R1", "started", 2)),
        (3, operation("Q1", "started", 3, "Quarantine")),
        (9, operation("R1", "ended", 5)),
        (9, operation("Q1", "ended", 9, "Quarantine")),
    ]
    rotating = knowing.UnderWay(uid="R1", kind="Rotation", name="worker-R1", policy="workers", began=at(2))
    with ledger(place, told) as connection:
        assert asked(connection, 1).operation is None
        assert asked(connection, 2).operation == rotating
        frozen = asked(connection, 4).operation
        assert frozen is not None and (frozen.uid, frozen.kind) == ("Q1", "Quarantine")
        assert asked(connection, 9).operation is None
        assert asked(connection, 9, known=9).operation is None
        assert asked(connection, 8, known=8).operation == frozen


def test_what_the_chain_of_another_cluster_says_of_the_machine_counts_too(place: Place) -> None:
    """Also where the entry has the number of another entry about it."""
    with ledger(place, [(0, world.birth("A", name="a")), (1, world.verdict("A", "compliant", 1))]) as connection:
        other, head = appending.Writer(cluster="other", epoch=1), appending.Head()
        for fact in (world.verdict("A", "violating", 2), operation("R1", "started", 2)):
            head = appending.add(connection, head, fact, other, recorded=microseconds(at(9))) or head
        found, earlier = asked(connection, 3), asked(connection, 3, known=8)
        assert [one.result for one in found.verdicts] == ["violating"]
        assert found.operation is not None and found.operation.uid == "R1"
        assert ([one.result for one in earlier.verdicts], earlier.operation) == (["compliant"], None)


minutes = st.integers(0, 12)
POLICIES, RESULTS, OPERATIONS = ("p", "q"), ("violating", "compliant", ""), ("R1", "R2", "Q1")
changes = st.one_of(
    st.builds(
        lambda n, p, r: world.verdict("A", r, n, policy=p),
        minutes,
        st.sampled_from(POLICIES),
        st.sampled_from(RESULTS),
    ),
    st.builds(
        lambda n, u, e: operation(u, e, n, "Quarantine" if u == "Q1" else "Rotation"),
        minutes,
        st.sampled_from(OPERATIONS),
        st.sampled_from(("started", "ended")),
    ),
    st.builds(
        lambda n, v, f: facts.identity(uid="A", attribute="bootID", value=v, former=f, at=at(n)),
        minutes,
        st.sampled_from(("b1", "b2")),
        st.sampled_from(("b0", "b1", "b2")),
    ),
)


@settings(max_examples=40, deadline=None)
@given(
    told=st.lists(st.tuples(st.integers(0, 12), changes), max_size=12),
    when=minutes,
    known=st.one_of(st.none(), minutes),
)
def test_it_is_what_reading_the_chain_says(fresh: Fresh, told: list[Told], when: int, known: int | None) -> None:
    chain = [(0, world.birth("A", 0, name="a", bootID="b0")), *sorted(told, key=lambda one: one[0])]
    with ledger(fresh(), chain) as connection:
        found = asked(connection, when, known)
    heard = [fact for minute, fact in chain if known is None or minute <= known]
    assert [(one.policy, one.result, one.since) for one in found.verdicts] == list(_verdicts(heard, at(when)))
    assert (found.operation and found.operation.uid) == _operation(heard, at(when))
    assert found.identity.boot_id in _boots(heard, at(when))


def _verdicts(heard: list[Fact], when: datetime) -> Iterator[tuple[str, str, datetime]]:
    """Each verdict lasts until the next one of that policy in the chain."""
    for policy in POLICIES:
        said = [one for one in heard if one.kind is facts.FactKind.VERDICT and one.body["policy"] == policy]
        ends = [*(one.at for one in said[1:]), datetime.max.replace(tzinfo=when.tzinfo)]
        lasting = [one for one, ended in zip(said, ends, strict=False) if one.at <= when < ended]
        yield from ((policy, one.body["result"], one.at) for one in lasting[-1:] if one.body["result"])


def _operation(heard: list[Fact], when: datetime) -> str | None:
    """The first entry of each event counts."""
    events: dict[tuple[str, str], tuple[datetime, int]] = {}
    for number, one in enumerate(heard):
        if one.kind is facts.FactKind.OPERATION:
            events.setdefault((one.body["uid"], one.body["event"]), (one.at, number))
    never = (datetime.max.replace(tzinfo=when.tzinfo), 0)
    open_ = [
        (uid == "Q1", *events[uid, "started"], uid)
        for uid in OPERATIONS
        if (uid, "started") in events
        and events[uid, "started"][0] <= when
        and events.get((uid, "ended"), never)[0] > when
    ]
    return max(open_)[-1] if open_ else None


def _boots(heard: list[Fact], when: datetime) -> set[str]:
    """Every boot that was borne then: an entry ends the former one, if it is borne, and begins another."""
    spans: list[list[Any]] = [["b0", at(0), None]]
    for one in heard:
        if one.kind is not facts.FactKind.IDENTITY:
            continue
        value, former = one.body["value"], one.body["former"]
        for span in spans:
            if former != value and span[0] == former and span[2] is None:
                span[2] = max(span[1], one.at)
        if not any(span[0] == value and span[2] is None for span in spans):
            spans.append([value, one.at, None])
    return {value for value, began, ended in spans if began <= when and (ended is None or when < ended)} or {""}
