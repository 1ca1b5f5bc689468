"""What a person can accept as lost is what is noted outside of the ledger, and nothing that is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from exuvia import errors
from exuvia.app import losses
from exuvia.model import marks, resources
from tests import virtual
from tests.app.stage import NOW, Objects

BROKEN, ONE, TWO, THREE, FOUR = (f"{digit}" * 64 for digit in "01234")


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


def lease(said: str, holder: str = "pod-1", of: str = "3 berlin", renewed: datetime = NOW) -> Any:
    return {
        "metadata": {"name": marks.LEASE, "annotations": {losses.KEY: said, **({losses.OF: of} if of else {})}},
        "spec": {
            "holderIdentity": holder,
            "leaseTransitions": 3,
            "leaseDurationSeconds": 15,
            "renewTime": renewed.isoformat(),
        },
    }


async def outside(server: Any, name: str = marks.LEASE) -> losses.Outside:
    return await losses.noted(server, "exuvia-system", name, lambda: NOW)


async def found(server: Any, name: str = marks.LEASE) -> set[tuple[int, str]]:
    return {(one.seq, one.hash) for one in (await outside(server, name)).noted}


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
    assert (4, FOUR) in await found(server), "the next leader looks for it"


async def test_a_lease_of_another_name_is_asked_where_it_is_named() -> None:
    server = Server()
    server.kept["other"] = lease(f"4:{FOUR}")
    assert await found(server) == set()
    assert await found(server, "other") == {(4, FOUR)}


async def test_whose_chain_an_entry_is_in_is_said_by_who_noted_it() -> None:
    server = Server(operation(resources.ROTATIONS, "Draining", 2, TWO))
    server.put(marks.LEDGER_HEAD, data={"seq": "1", "hash": ONE, "cluster": "paris"})
    server.kept[marks.LEASE] = lease(f"4:{FOUR}")
    said = {one.seq: one.cluster for one in (await outside(server)).noted}
    assert said == {1: "paris", 2: "berlin", 4: "berlin"}
    server.put(marks.LEDGER_HEAD, data={"seq": "1", "hash": ONE})
    server.kept[marks.LEASE] = lease(f"4:{FOUR}", of="")
    assert {one.cluster for one in (await outside(server)).noted} == {None}, "of a former version"


@pytest.mark.parametrize(
    ("holder", "of", "counts"), [("pod-1", "3 ", True), ("pod-1", "2 ", False), ("", "3 ", False), ("pod-1", "", True)]
)
def test_that_the_chain_is_broken_counts_only_of_who_leads_now(holder: str, of: str, counts: bool) -> None:
    """Whoever leads next finds out for itself whether it still is."""
    server = Server()
    server.kept[marks.LEASE] = lease(f"2:{BROKEN} 4:{FOUR}", holder=holder, of=of)
    assert virtual.run(found(server)) == {(4, FOUR)} | ({(2, BROKEN)} if counts else set())


class Leading(Server):
    """A leader that renews its Lease every two seconds, and notices a loss after some."""

    def __init__(self, notices: float, said: str, dies: float = 1e9) -> None:
        super().__init__()
        self.put(marks.LEDGER_HEAD, data={"seq": "1", "hash": ONE})
        self._notices, self._said, self._dies = notices, said, dies

    async def get(self, resource: Any, name: str, *, namespace: str = "") -> Any:
        if resource is not resources.LEASES:
            return await super().get(resource, name, namespace=namespace)
        last = min(asyncio.get_running_loop().time(), self._dies) // 2 * 2
        return lease(self._said if last >= self._notices else "", renewed=NOW + timedelta(seconds=last))


@pytest.mark.parametrize(
    ("server", "entries", "silent", "seconds"),
    [
        (Leading(0, f"2:{TWO}"), {(1, ONE), (2, TWO)}, "", 0),
        (Leading(3, f"2:{TWO}"), {(1, ONE), (2, TWO)}, "", 4),
        (Leading(0, f"2:{BROKEN}"), {(1, ONE), (2, BROKEN)}, "", 6),
        (Leading(60, f"2:{TWO}"), {(1, ONE)}, "pod-1", 6),
        (Leading(60, f"2:{TWO}", dies=2), {(1, ONE)}, "pod-1", 20),
    ],
    ids=["said", "said-soon", "may-miss-more", "misses-nothing", "dies"],
)
def test_a_leader_is_given_the_time_to_notice_so_that_one_acceptance_is_enough(
    server: Server, entries: set[tuple[int, str]], silent: str, seconds: float
) -> None:
    async def story() -> tuple[losses.Outside, float]:
        return await outside(server), asyncio.get_running_loop().time()

    said, took = virtual.run(story())
    assert {(one.seq, one.hash) for one in said.noted} == entries
    assert (said.silent, took) == (silent, seconds)


async def test_what_is_noted_is_forgotten_with_an_uninstall() -> None:
    server, patched = Server(), list[Any]()

    async def patch(resource: Any, name: str, body: Any, *, namespace: str = "") -> None:
        patched.append((resource, name, body["metadata"]["annotations"], namespace))

    server.merge_patch = patch  # type: ignore[method-assign, assignment]
    await losses.forget(server, "exuvia-system", "other")
    server.kept["other"] = lease("")
    await losses.forget(server, "exuvia-system", "other")
    assert patched == []
    server.kept["other"] = lease(f"4:{FOUR}")
    await losses.forget(server, "exuvia-system", "other")
    annotations = {losses.KEY: None, losses.OF: None}
    assert patched == [(resources.LEASES, "other", annotations, "exuvia-system")]


async def test_what_cannot_be_known_cannot_be_accepted() -> None:
    server = Server()
    server.put(marks.LEDGER_HEAD, data={"seq": "x"})
    with pytest.raises(errors.InvalidObject):
        await found(server)
    for odd in ("4", f"4:{'x' * 64}", f"-4:{FOUR}"):
        server = Server()
        server.kept[marks.LEASE] = lease(odd)
        with pytest.raises(errors.InvalidObject, match="what is no entry: "):
            await found(server)
    server = Server()
    server.trouble = errors.Unreachable("no route")
    with pytest.raises(errors.ClusterError):
        await found(server)


@pytest.mark.parametrize("epoch", ["³", "9" * 5000, "-1", "x", ""])
async def test_an_epoch_that_is_none_says_not_whose_the_note_is(epoch: str) -> None:
    server = Server()
    server.kept[marks.LEASE] = lease(f"4:{FOUR}", of=f"{epoch} paris")
    said = await losses.read(server, "exuvia-system", marks.LEASE)
    assert (said.epoch, said.cluster, len(said.missing)) == (None, None, 1)


async def test_a_leader_notes_what_it_misses_and_that_it_is_nothing_any_more() -> None:
    notes: dict[str, str] = {}
    server = Server()
    for missing in ((f"4:{FOUR}", f"5:{FOUR}"), ()):
        losses.tell(notes, missing, epoch=3, cluster="the one in Berlin")
        assert notes == {losses.KEY: " ".join(missing), losses.OF: "3 the one in Berlin"}
        server.kept[marks.LEASE] = lease(notes[losses.KEY], of=notes[losses.OF])
        said = await losses.read(server, "exuvia-system", marks.LEASE)
        assert (said.epoch, said.cluster) == (3, "the one in Berlin")
        assert [f"{one.seq}:{one.hash}" for one in said.missing] == list(missing)
