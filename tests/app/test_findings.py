"""Vulnerabilities of images become presences on machines: from the placement on, once, and closed for a true reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

from exuvia.app.chronicle import Chronicle
from exuvia.app.closings import SETTLE_SECONDS
from exuvia.app.findings import Findings
from exuvia.app.settings import Settings
from exuvia.model import facts
from exuvia.model.facts import Fact, FactKind
from exuvia.model.pods import Owner, Pod
from exuvia.model.specs.rotation import Rotation
from exuvia.observe.reports import report_of
from exuvia.record import recall, standing, tables, versions
from exuvia.record.reading import reading
from tests.app import stage
from tests.app.stage import NOW
from tests.decide.quarantine.world import pod
from tests.evaluate.world import node
from tests.record import world

BORN = NOW - timedelta(hours=1)
PLACED = NOW - timedelta(minutes=50)
OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def raw(
    name: str = "cart-1",
    digest: str = OLD,
    replica_set: str = "cart-1",
    updated: str = "2026-11-25T11:30:00Z",
    **found: float | None,
) -> bytes:
    """A report as trivy-operator writes it; the vulnerabilities with their scores by keyword."""
    labels = {
        "trivy-operator.resource.kind": "ReplicaSet",
        "trivy-operator.resource.name": replica_set,
        "trivy-operator.resource.namespace": "shop",
        "trivy-operator.container.name": "app",
    }
    listed = [
        {
            "vulnerabilityID": id_.replace("_", "-"),
            "resource": "openssl",
            "severity": "HIGH",
            "publishedDate": "2026-03-01T00:00:00Z",
            "fixedVersion": "1.2.3",
            **({} if score is None else {"score": score}),
        }
        for id_, score in found.items()
    ]
    body = {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"report-{name}",
            "creationTimestamp": "2026-11-25T11:00:00Z",
            "labels": labels,
            "ownerReferences": [{"kind": "ReplicaSet", "name": replica_set, "uid": f"uid-{replica_set}"}],
        },
        "report": {"updateTimestamp": updated, "artifact": {"digest": digest}, "vulnerabilities": listed},
    }
    return json.dumps(body).encode()


def running(name: str, digest: str, replica_set: str = "cart-1", machine: str = "w") -> Pod:
    owner = Owner(api_version="apps/v1", kind="ReplicaSet", name=replica_set, uid=f"uid-{replica_set}")
    return replace(
        pod(name, node=machine),
        owner=owner,
        namespace="shop",
        containers=("app",),
        started=PLACED,
        phase="Running",
        image_digests=(f"registry.example/cart@{digest}",),
    )


class Stage:
    """The loop over a view filled by hand; what it tells stands in its ledger at once."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ledger.db"
        self.waiting: list[Fact] = []
        self.told: list[Fact] = []
        self.version = 0
        self.services = stage.services(
            settings=Settings(cluster_name="c"),
            past_known=True,
            ledger_down=lambda: False,
            scribe=SimpleNamespace(note=lambda *some: self.waiting.extend(some), flush=self.flush),
            ledger=SimpleNamespace(place=self.path),
        )
        self.services.chronicle = Chronicle(lambda *some: self.waiting.extend(some), self.services.clock.now)
        self.services.chronicle.load({}, {}, (), {})
        self.restart()
        for name in ("w", "x"):
            machine = node(name, born=BORN)
            self.services.view.nodes.store.put(machine, "1")
            self.services.chronicle.seen(machine)

    async def flush(self) -> bool:
        with world.written(self.path, *self.waiting):
            self.told += self.waiting
            self.waiting.clear()
        return True

    def restart(self) -> None:
        """Another leader: nothing is remembered but what the ledger holds, and no report is read yet."""
        if self.told:
            with reading(self.path) as connection:
                lives, placed = recall.lives(connection, "c"), standing.placements(connection, "c")
            self.services.chronicle.load(lives, placed, (), {})
        self.findings = Findings(self.services)
        self.reports = self.findings._reports
        self.reports.synced = True

    def report(self, body: bytes) -> None:
        self.version += 1
        self.reports.store.put(report_of(body), str(self.version))

    def place(self, *pods: Pod) -> None:
        for one in pods:
            self.version += 1
            self.services.view.pods.store.put(one, str(self.version))
            self.services.chronicle.placed(one, f"uid-{one.node}")

    def remove(self, *pods: Pod) -> None:
        for one in pods:
            self.services.view.pods.store.drop(one.uid)
            self.services.chronicle.unplaced(one.uid)

    async def look(self, after: float = 60) -> list[tuple[str, str, Any, str]]:
        """(machine, vulnerability, end, why) of the presences that it tells so much later."""
        self.services.clock.seconds += after
        before = len(self.told)
        await self.findings.look()
        await self.flush()
        return [
            (one.body["uid"], one.body["vulnerability"], one.body["to"], one.body["closed"])
            for one in self.told[before:]
            if one.kind is FactKind.PRESENCE
        ]

    def presences(self) -> Iterator[Any]:
        table = tables.presences
        with reading(self.path) as connection:
            yield from connection.execute(select(table).where(versions.holds(table)).order_by(table.c.vulnerability))


@pytest.fixture
def at_work(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


async def test_a_finding_is_a_presence_since_the_placement_on_each_machine_that_runs_the_image(at_work: Stage) -> None:
    at_work.place(running("cart-a", OLD), running("cart-b", OLD, machine="x"), running("other", NEW, "other-1"))
    at_work.report(raw(CVE_1=9.8, CVE_2=None))
    found = await at_work.look()
    assert sorted(found) == [
        ("uid-w", "CVE-1", None, ""),
        ("uid-w", "CVE-2", None, ""),
        ("uid-x", "CVE-1", None, ""),
        ("uid-x", "CVE-2", None, ""),
    ]
    assert {one.began for one in at_work.presences()} == {facts.microseconds(PLACED)}
    assert await at_work.look() == []


async def test_a_pod_that_comes_later_brings_what_is_known_of_its_image(at_work: Stage) -> None:
    at_work.report(raw(CVE_1=9.8))
    assert await at_work.look() == []
    bound = replace(running("cart-a", OLD), image_digests=())
    at_work.place(bound)
    assert await at_work.look() == []
    at_work.place(running("cart-a", OLD))
    assert await at_work.look() == [("uid-w", "CVE-1", None, "")]


async def test_nothing_is_told_twice_after_a_restart(at_work: Stage) -> None:
    at_work.place(running("cart-a", OLD))
    at_work.report(raw(CVE_1=9.8))
    await at_work.look()
    entries = len(at_work.told)
    at_work.restart()
    at_work.report(raw(CVE_1=9.8))
    assert await at_work.look() == []
    assert len(at_work.told) == entries


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_report_that_is_deleted_is_no_fix(at_work: Stage, restarted: bool) -> None:
    at_work.place(running("cart-a", OLD))
    at_work.report(raw(CVE_1=9.8))
    await at_work.look()
    if restarted:
        at_work.restart()
    else:
        at_work.reports.store.drop("report-cart-1")
    assert await at_work.look() == []
    at_work.place(running("cart-b", OLD, machine="x"))
    assert await at_work.look() == ([] if restarted else [("uid-x", "CVE-1", None, "")])


async def test_a_newer_report_of_the_same_image_without_it_is_a_fix_at_its_moment(at_work: Stage) -> None:
    at_work.place(running("cart-a", OLD))
    at_work.report(raw(CVE_1=9.8, CVE_2=5.0))
    await at_work.look()
    at_work.report(raw(updated="2026-11-25T11:00:00Z", name="older"))
    assert await at_work.look() == []
    at_work.report(raw(updated="2026-11-25T11:50:00Z", CVE_2=5.0))
    assert await at_work.look() == [("uid-w", "CVE-1", "2026-11-25T11:50:00.000000Z", "patched")]


async def test_an_image_that_left_is_patched_once_another_version_without_it_took_its_place(at_work: Stage) -> None:
    old, new = running("cart-a", OLD), running("cart-c", NEW, "cart-2", "x")
    at_work.place(old, running("cart-b", OLD, machine="x"))
    at_work.report(raw(CVE_1=9.8, CVE_2=5.0))
    await at_work.look()
    at_work.place(new)
    at_work.report(raw("cart-2", NEW, "cart-2", CVE_2=5.0))
    await at_work.look()
    at_work.remove(old)
    left = facts.text(at_work.services.clock.now())
    assert await at_work.look() == [("uid-w", "CVE-1", left, "unknown"), ("uid-w", "CVE-2", left, "unknown")]
    at_work.remove(running("cart-b", OLD, machine="x"))
    found = await at_work.look(after=SETTLE_SECONDS)
    assert ("uid-w", "CVE-1", left, "unknown") not in found
    found += await at_work.look(after=SETTLE_SECONDS)
    assert ("uid-w", "CVE-1", left, "patched") in found
    assert [one for one in found if one[:2] == ("uid-w", "CVE-2")] == []
    assert [one[3] for one in found if one[:2] == ("uid-x", "CVE-1")] == ["patched"]
    assert [one for one in found if one[:2] == ("uid-x", "CVE-2")] == []  # the new version has it too


async def test_what_leaves_while_the_machine_is_rotated_was_rotated_and_else_nobody_knows(at_work: Stage) -> None:
    at_work.place(running("cart-a", OLD), running("cart-b", OLD, machine="x"))
    at_work.report(raw(CVE_1=9.8))
    await at_work.look()
    meta = {"name": "r-1", "uid": "r-1", "creationTimestamp": "2026-11-25T11:00:00Z"}
    spec = {"instance": {"kind": "Node", "name": "w", "uid": "uid-w"}}
    rotation = Rotation.parse({"metadata": meta, "spec": spec, "status": {"phase": "Draining"}})
    at_work.services.view.rotations.store.put(rotation, "1")
    at_work.remove(running("cart-a", OLD), running("cart-b", OLD, machine="x"))
    found = {one[0]: one[3] for one in await at_work.look()}
    assert found == {"uid-w": "rotated", "uid-x": "unknown"}


async def test_an_image_that_left_while_nobody_led_ends_when_its_pod_did(at_work: Stage) -> None:
    gone = running("cart-a", OLD)
    at_work.place(gone)
    at_work.report(raw(CVE_1=9.8))
    await at_work.look()
    at_work.remove(gone)
    left = facts.text(at_work.services.clock.now())
    await at_work.flush()
    at_work.services.clock.seconds += 3600
    at_work.restart()
    assert await at_work.look() == [("uid-w", "CVE-1", left, "unknown")]


async def test_a_report_without_a_digest_is_joined_by_its_owner_and_container(at_work: Stage) -> None:
    at_work.place(running("cart-a", OLD), running("other", OLD, "other-1", "x"))
    at_work.report(raw(digest="", CVE_1=9.8))
    assert await at_work.look() == [("uid-w", "CVE-1", None, "")]


async def test_presences_that_were_imported_from_elsewhere_are_left_alone(at_work: Stage) -> None:
    at_work.place(running("cart-a", OLD))
    theirs = facts.presence(uid="uid-w", vulnerability="CVE-9", began=PLACED)
    at_work.services.scribe.note(theirs)
    await at_work.flush()
    at_work.restart()
    at_work.report(raw(CVE_1=9.8))
    assert await at_work.look() == [("uid-w", "CVE-1", None, "")]


async def test_a_score_is_told_when_it_is_new_or_changed_and_of_several_the_highest(at_work: Stage) -> None:
    at_work.report(raw(CVE_1=7.5, CVE_2=None))
    at_work.report(raw("cart-2", NEW, CVE_1=9.8))
    await at_work.look()
    at_work.restart()
    at_work.report(raw(CVE_1=7.5))
    at_work.report(raw("cart-2", NEW, CVE_1=9.8))
    await at_work.look()
    (told,) = [one for one in at_work.told if one.kind is FactKind.SCORE]
    body = {"source": "trivy", "basis": "intrinsic", "value": "9.8", "validFrom": "2026-03-01T00:00:00.000000Z"}
    assert body.items() <= told.body.items()
    at_work.report(raw("cart-2", NEW, updated="2026-11-25T11:50:00Z", CVE_1=6.0))
    await at_work.look()
    values = [one.body["value"] for one in at_work.told if one.kind is FactKind.SCORE]
    assert values == ["9.8", "7.5"]


def test_a_report_is_kept_as_a_few_facts_of_each_vulnerability() -> None:
    found = report_of(raw(CVE_1=9.8, CVE_2=None))
    assert (found.namespace, found.owner_name, found.container, found.digest) == ("shop", "cart-1", "app", OLD)
    assert [(one.id, one.severity, one.score, one.fixed) for one in found.found] == [
        ("CVE-1", "HIGH", "9.8", "1.2.3"),
        ("CVE-2", "HIGH", "", "1.2.3"),
    ]
    assert found.found[0].published == datetime.fromisoformat("2026-03-01T00:00:00Z")
    assert report_of(raw("other", NEW, CVE_1=9.8)).found[0] is found.found[0]
