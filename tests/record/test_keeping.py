"""Pruning, holding, erasing and taking chains elsewhere, on a file and on a real server."""

from __future__ import annotations

import io

import pytest

from exuvia import errors
from exuvia.model.facts import microseconds
from exuvia.record import (
    chain,
    chains,
    comparing,
    departed,
    erasing,
    exporting,
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
        assert [one.alike for one in departed.departed(connection, microseconds(LATER))] == [["V"], ["V"]]


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
    taken = chains.load(target, io.StringIO("\n".join(lines)))
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
