"""`exuvia uninstall --force` among ruins: kinds that are gone, or going, and a FleetGuard that cannot be written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner

from exuvia import errors, ports
from exuvia.app import losses
from exuvia.cli import uninstall
from exuvia.model import marks, resources
from exuvia.model.resources import Resource

FORCE = uninstall.Orders(release_quarantines=False, discard_history=True, timeout=uninstall.PERIOD)


def operation(kind: str, **status: Any) -> ports.Body:
    meta = {"name": "w-1", "uid": f"uid-{kind}", "resourceVersion": "1", "finalizers": [marks.FINALIZER]}
    spec = {"instance": {"kind": "Node", "name": "w", "uid": "node-w"}}
    return {"kind": kind, "metadata": meta, "spec": spec, "status": status}


class Ruins:
    """A cluster of which some kinds are gone; a write of the FleetGuard may be refused."""

    def __init__(self, *gone: Resource, refuses: errors.ClusterError | None = None, **bodies: ports.Body) -> None:
        self._gone = gone
        self._refuses = refuses
        self.bodies = bodies
        self.uninstalls: list[Any] = []

    def _known(self, kind: Resource) -> None:
        if kind in self._gone:
            raise errors.NotFound("the server could not find the requested resource")

    async def pages(self, kind: Resource, **_: str) -> AsyncIterator[list[ports.Body]]:
        self._known(kind)
        yield [self.bodies[kind.plural]] if kind.plural in self.bodies else []

    async def get(self, kind: Resource, name: str, **_: str) -> ports.Body | None:
        return None if kind in self._gone else self.bodies.get(kind.plural)

    async def create(self, kind: Resource, body: ports.Body, **_: str) -> ports.Body:
        if kind == resources.SELF_SUBJECT_REVIEWS:
            return {"status": {"userInfo": {"username": "alice"}}}
        self._known(kind)
        if self._refuses is not None:
            raise self._refuses
        self.uninstalls.append(body["spec"]["uninstall"])
        return body

    async def merge_patch(self, kind: Resource, name: str, body: Any, **_: str) -> ports.Body:
        self._known(kind)
        self.bodies[kind.plural]["metadata"]["finalizers"] = body["metadata"]["finalizers"] or []
        return self.bodies[kind.plural]


async def by_force(
    cluster: Ruins, *, dry_run: bool = False, force: bool = True, orders: uninstall.Orders = FORCE
) -> bool:
    return await uninstall._work(orders, dry_run=dry_run, force=force)(cluster)  # type: ignore[arg-type]


async def test_a_kind_that_is_gone_does_not_hold_what_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    held = operation("Quarantine", phase="Held")
    cluster = Ruins(resources.ROTATIONS, quarantines=held)
    assert await by_force(cluster)
    assert held["metadata"]["finalizers"] == []
    assert cluster.uninstalls[0]["by"] == "alice" and cluster.uninstalls[0]["discardHistory"] is True
    said = capsys.readouterr().out
    assert said.startswith("This cluster does not know rotations.exuvia.dev any more: nothing of that is left.\n")
    assert "\nDone: everything of exuvia may be deleted now." in said


@pytest.mark.parametrize(
    ("gone", "refuses"),
    [
        ((resources.FLEET_GUARDS,), None),
        ((), errors.ClusterError("create not allowed while custom resource definition is terminating", status=405)),
    ],
)
async def test_a_fleet_guard_whose_kind_is_going_is_no_trouble(
    gone: tuple[Resource, ...], refuses: errors.ClusterError | None
) -> None:
    """No operator starts anything without it."""
    held = operation("Quarantine", phase="Held")
    assert await by_force(Ruins(*gone, refuses=refuses, quarantines=held))
    assert held["metadata"]["finalizers"] == []


async def test_a_fleet_guard_that_may_not_be_written_is_said_and_finalizers_come_off_all_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    held = operation("Quarantine", phase="Held")
    assert not await by_force(Ruins(refuses=errors.Forbidden("no right to create fleetguards"), quarantines=held))
    assert held["metadata"]["finalizers"] == []
    assert "an operator that is started again would go on" in capsys.readouterr().out


async def test_without_any_kind_of_ours_there_is_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert await by_force(Ruins(resources.ROTATIONS, resources.QUARANTINES), dry_run=True)
    assert "No operation is open, and no finalizer of exuvia is left." in capsys.readouterr().out


async def test_without_force_a_kind_that_is_gone_names_the_way_out() -> None:
    with pytest.raises(errors.NotFound, match=r"does not know rotations\.exuvia\.dev\. Where it was .* give --force"):
        await by_force(Ruins(resources.ROTATIONS), force=False)


class Leased(Ruins):
    """The operator was started with `--lease-name other`; it noted there what is missing in its ledger."""

    def __init__(self, holder: str = "") -> None:
        super().__init__(resources.ROTATIONS, resources.QUARANTINES)
        self.notes: dict[str, Any] = {losses.KEY: f"4:{'ab' * 32}", losses.OF: "3 "}
        self._spec = {"holderIdentity": holder, "renewTime": datetime.now(UTC).isoformat()}

    async def get(self, kind: Resource, name: str, **_: str) -> ports.Body | None:
        there = (kind, name) == (resources.LEASES, "other")
        return {"metadata": {"annotations": self.notes}, "spec": self._spec} if there else None

    async def merge_patch(self, kind: Resource, name: str, body: Any, **_: str) -> ports.Body:
        assert (kind, name) == (resources.LEASES, "other")
        self.notes |= body["metadata"]["annotations"]
        return {}


async def test_what_a_lease_of_another_name_says_is_forgotten_where_it_is_named() -> None:
    cluster = Leased()
    assert await by_force(cluster) and cluster.notes[losses.KEY]
    assert await by_force(cluster, orders=replace(FORCE, lease="other"))
    assert cluster.notes == {losses.KEY: None, losses.OF: None}


async def test_an_operator_with_a_lease_of_another_name_is_no_ruin_where_it_is_named() -> None:
    with pytest.raises(errors.SettingsError, match="An operator works: pod-1 leads"):
        await by_force(Leased("pod-1"), orders=replace(FORCE, lease="other"))


def test_the_name_of_the_lease_is_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[uninstall.Orders] = []
    monkeypatch.setattr(uninstall, "_work", lambda orders, **_: given.append(orders))
    monkeypatch.setattr(uninstall.cluster, "run", lambda *_: True)
    for arguments in ((), ("--lease-name", "other")):
        assert CliRunner().invoke(uninstall.uninstall, arguments).exit_code == 0
    assert [one.lease for one in given] == [marks.LEASE, "other"]
