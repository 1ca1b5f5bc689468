"""Pruning, holding, erasing and taking chains elsewhere, on a file and on a real server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection

from exuvia import errors
from exuvia.model.facts import microseconds
from exuvia.model.told import Numbers
from exuvia.record import (
    chain,
    chains,
    comparing,
    departed,
    erasing,
    exporting,
    forgetting,
    holds,
    importing,
    personal,
    queries,
    removal,
    who,
)
from exuvia.record.places import Place, Server
from exuvia.record.reading import reading
from tests.record.conftest import Fresh, Owner
from tests.record.test_importing import parsed
from tests.record.test_pruning import CUT, LATER, life
from tests.record.world import at


def prune(place: Place, minutes: float = CUT) -> removal.Pruned:
    return removal.prune(place, cut=at(minutes), keep="400d", by="alice", at=LATER, cluster="c")


def verified(place: Place) -> chain.Verified:
    with reading(place) as connection:
        assert list(comparing.differences(connection)) == []
        return chain.verify(queries.links(connection, "c"))


def users(place: Place, name: str, minutes: float) -> list[str]:
    with reading(place) as connection:
        return [one.user for found in who.bore(connection, "name", name, at(minutes)) for one in found.sessions]


@pytest.fixture
def told(place: Place) -> Place:
    importing.load(place, parsed(*life("A", 0, 50), *life("B", 60, None), *life("C", 0, 70)), cluster="c")
    return place


def test_pruned_twice_it_verifies_and_says_what_it_said(told: Place, owner: Owner) -> None:
    mine = owner(told)
    assert prune(mine).entries == 5
    importing.load(told, parsed(*life("D", 80, None)), cluster="c")
    assert prune(mine, 200).entries == 5
    found = verified(told)
    assert (found.first_bad, found.pruned, found.entries) == (None, 10, 22)
    assert (users(told, "a", 10), users(told, "c", 10), users(told, "b", 65)) == ([], [], ["user-B"])
    with reading(told) as connection:
        running, frozen = departed.departed(connection, microseconds(LATER), Numbers())
    assert running.gone is not None and frozen.gone is not None
    assert (running.vulnerabilities, list(running.gone.what), list(running.gone.machines)) == (("V",), [0], [2])
    assert (list(frozen.gone.what), frozen.machines) == ([], 0)


def test_a_hold_keeps_and_lets_go(told: Place, owner: Owner) -> None:
    with reading(told) as connection:
        subject = personal.known(connection, "user-A")
    holds.add(told, holds.Hold(name="h", by="x", reason="r", subject=subject), at=at(90), cluster="c")
    assert prune(owner(told)).entries == 5, "another one goes"
    with pytest.raises(errors.InvalidObject, match="held is h"):
        erasing.erase(owner(told), "user-A", by="x", reason="r", at=LATER, cluster="c")
    holds.release(told, "h", by="x", reason="r", at=at(95), cluster="c")
    erasing.erase(owner(told), "user-A", by="x", reason="r", at=LATER, cluster="c")
    assert users(told, "a", 10) == ["erased"]
    assert verified(told).first_bad is None


def test_a_chain_goes_elsewhere_as_it_is(told: Place, owner: Owner, fresh: Fresh) -> None:
    prune(owner(told))
    with reading(told) as connection:
        lines = list(exporting.lines(connection, "c"))
    target = fresh()
    taken = chains.load(target, lines)
    assert (taken.cluster, taken.entered) == ("c", 11)
    assert verified(target).pruned == 5
    with reading(target) as connection:
        assert list(exporting.lines(connection, "c")) == lines
    assert users(target, "b", 65) == ["sealed"]


def test_who_may_only_add_takes_nothing_out(told: Place, owner: Owner) -> None:
    if not isinstance(told, Server):
        assert owner(told) == told, "of a file whoever may write it is the owner"
        return
    for take in (
        lambda: prune(told),
        lambda: erasing.erase(told, "user-A", by="x", reason="r", at=LATER, cluster="c"),
    ):
        with pytest.raises(errors.LedgerDown, match="The role may not take anything out of the ledger"):
            take()
    assert verified(told).entries == 15
    assert users(told, "a", 10) == ["user-A"]


def test_the_key_to_a_name_goes_with_the_last_that_is_known_of_the_person(told: Place, owner: Owner) -> None:
    """user-A was on A alone; user-C is on C, and on a machine that lives; user-H is under a hold."""
    importing.load(told, parsed(*life("H", 0, 50)), cluster="c")
    later = {"type": "session", "uid": "B", "user": "user-C", "from": "2026-01-01T02:00:00Z"}
    dead = {**later, "user": "user-D", "to": "2026-01-01T01:00:00Z"}
    importing.load(told, parsed(json.dumps(later), json.dumps(dead)), cluster="other")
    with reading(told) as connection:
        held = personal.known(connection, "user-H")
    holds.add(told, holds.Hold(name="h", by="x", reason="r", subject=held), at=at(90), cluster="c")
    done = prune(owner(told))
    assert (done.entries, done.names) == (10, 1)
    with reading(told) as connection:
        known = {name for name in "ABCDH" if personal.known(connection, f"user-{name}")}
    assert known == set("BCDH")
    assert sorted(users(told, "b", 130)) == ["user-B", "user-C"]
    assert verified(told).first_bad is None


def test_a_name_that_is_sealed_while_others_are_forgotten_keeps_its_key(
    told: Place, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer of another cluster has the key already, and its entry not yet."""
    waits, again = threading.Event(), threading.Event()
    named = forgetting._named

    def paused(connection: Connection) -> Iterator[str]:
        again.set()
        assert not waits.wait(0.5), "nobody writes meanwhile"
        return named(connection)

    monkeypatch.setattr(forgetting, "_named", paused)
    line = {"type": "session", "uid": "B", "user": "user-A", "from": "2026-01-01T01:10:00Z"}

    def write() -> None:
        assert again.wait(20)
        importing.load(told, parsed(json.dumps(line)), cluster="d")
        waits.set()

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        assert prune(owner(told)).names == 1
        writer.result(20)
    assert sorted(users(told, "b", 80)) == ["user-A", "user-B"]
