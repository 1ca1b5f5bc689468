"""What a person can accept as lost is what is noted outside of the ledger, and nothing that is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from exuvia import errors
from exuvia.app import losses
from exuvia.model import marks, resources
from exuvia.model.facts import LedgerHealth, LedgerState
from exuvia.record.trust import Noted
from tests.app.stage import Objects

ONE, TWO, THREE, FOUR = (f"{digit}" * 64 for digit in "1234")


class Server(Objects):
    """Some objects, and lists of operations."""

    def __init__(self, *operations: Any) -> None:
        super().__init__()
        self.operations = operations

    async def pages(self, kind: Any) -> AsyncIterator[list[Any]]:
        if self.trouble is not None:
            raise self.trouble
        yield [one for one in self.operations if one["kind"] == kind.kind]

    def put(self, name: str, **body: Any) -> None:
        self.kept[name] = {"metadata": {"name": name}, **body}


def operation(kind: Any, phase: str, seq: int, hash_: str) -> Any:
    meta = {"name": "x", "uid": "x", "creationTimestamp": "2026-11-25T11:00:00Z"}
    spec = {"instance": {"kind": "Node", "name": "w", "uid": "w"}}
    status = {"phase": phase, "ledger": {"seq": seq, "hash": hash_}}
    return {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": meta, "spec": spec, "status": status}


def lease(said: str, holder: str = "pod-1") -> Any:
    return {
        "metadata": {"name": marks.LEASE, "annotations": {losses.KEY: said}},
        "spec": {"holderIdentity": holder, "leaseTransitions": 3},
    }


async def found(server: Any) -> set[tuple[int, str]]:
    return {(one.seq, one.hash) for one in await losses.noted(server, "exuvia-system")}


async def test_heads_open_operations_and_the_leader_say_what_must_be_there() -> None:
    server = Server(
        operation(resources.ROTATIONS, "Draining", 2, TWO),
        operation(resources.ROTATIONS, "Succeeded", 9, TWO),
        operation(resources.QUARANTINES, "Held", 3, THREE),
    )
    assert await found(server) == {(2, TWO), (3, THREE)}
    server.put(marks.LEDGER_HEAD, data={"seq": "1", "hash": ONE})
    server.kept[marks.LEASE] = lease(f"4:{FOUR} 5:{FOUR}")
    assert await found(server) == {(1, ONE), (2, TWO), (3, THREE), (4, FOUR), (5, FOUR)}
    server.kept[marks.LEASE] = lease(f"4:{FOUR}", holder="")
    assert (4, FOUR) not in await found(server), "nobody has the ledger open"


async def test_what_cannot_be_known_cannot_be_accepted() -> None:
    server = Server()
    server.put(marks.LEDGER_HEAD, data={"seq": "x"})
    with pytest.raises(errors.InvalidObject):
        await found(server)
    server = Server()
    server.kept[marks.LEASE] = lease("4")
    with pytest.raises(errors.InvalidObject, match="what is no entry: 4"):
        await found(server)
    server = Server()
    server.trouble = errors.Unreachable("no route")
    with pytest.raises(errors.ClusterError):
        await found(server)


def test_a_leader_notes_what_it_misses_and_takes_it_back() -> None:
    notes: dict[str, str] = {}
    fine = LedgerHealth(state=LedgerState.FINE)
    losses.tell(notes, fine)
    assert notes == {}
    losses.tell(notes, LedgerHealth(state=LedgerState.NOT_TRUSTED, missing=(f"4:{FOUR}", f"5:{FOUR}")))
    assert notes == {losses.KEY: f"4:{FOUR} 5:{FOUR}"}
    assert list(losses._parsed(notes[losses.KEY])) == [Noted(seq=4, hash=FOUR), Noted(seq=5, hash=FOUR)]
    losses.tell(notes, fine)
    assert notes == {losses.KEY: ""}
