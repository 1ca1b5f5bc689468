"""Leaving while a machine is held: what was let go stays let go, is deletable, and nothing comes back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exuvia.model import marks, resources
from exuvia.model.resources import Resource
from exuvia.model.specs.quarantine import Quarantine
from tests.e2e.operated import Operated, exuvia, guard, policy, settle
from tests.e2e.test_quarantine import RULE, SUSPICIOUS, frozen

pytestmark = [pytest.mark.cluster, pytest.mark.proof]

CRDS = Path(__file__).parents[2] / "crds"


async def held(world: Operated, count: int) -> list[Quarantine]:
    """Machines that the running operator holds, of twice as many."""
    names = [one["metadata"]["name"] for one in (await world.cluster.nodes(2 * count))[:count]]
    world.apply(guard(), policy("leaving", world.cluster.pool, RULE))
    await world.start()
    world.plane.kubectl("label", "node", *names, f"{SUSPICIOUS}=true")
    return [await frozen(world, name, seconds=60) for name in names]


async def finalizers(world: Operated) -> list[str]:
    """Those of all Quarantines."""
    return [name for one in await world.quarantines() for name in one.metadata.finalizers]


@contextmanager
def without(world: Operated, *kinds: Resource) -> Iterator[None]:
    """Delete kinds as `kubectl delete -k deploy/` does; at the end they are there again, for the tests that follow."""
    names = [kind.full_name for kind in kinds]
    try:
        world.plane.kubectl("delete", "crd", *names, "--wait", "--timeout=30s")
        yield
    finally:
        for name in names:  # one that hangs is freed first
            world.plane.kubectl_run("patch", "crd", name, "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
        world.plane.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(CRDS))
        world.plane.kubectl("wait", "--for=condition=Established", "crd", *names, "--timeout=30s")


async def test_everything_goes_at_once_after_an_uninstall_while_the_operator_still_runs(world: Operated) -> None:
    """The FleetGuard goes first, and with it what was asked for; one Quarantine by hand, the other with its kind."""
    first, _ = await held(world, 2)
    done = exuvia(world, "uninstall", "--discard-history")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Quarantine {first.name} may be deleted: our finalizer is off" in done.stdout
    since = world.audit_position()

    world.plane.kubectl("delete", "fleetguards.exuvia.dev", "default", "--wait", "--timeout=10s")
    await settle(4)
    assert await finalizers(world) == []
    world.plane.kubectl("delete", "exq", first.name, "--wait", "--timeout=10s")
    with without(world, resources.QUARANTINES, resources.ROTATIONS):
        written = {one["objectRef"]["resource"] for one in world.audit(since=since)}
        assert not written & {"quarantines", "configmaps", "nodes"}
        world.stop()


async def test_an_uninstall_by_force_is_not_undone_by_an_operator_that_starts_later(world: Operated) -> None:
    """It reads what was asked for, puts no mark back, and lets go; and force works with a kind that is gone already."""
    (quarantine,) = await held(world, 1)
    name = quarantine.spec.instance.name
    world.stop()
    done = exuvia(world, "uninstall", "--force", "--discard-history", "--release-quarantines")
    assert done.returncode == 0, done.stdout + done.stderr
    asked = (await world.cluster.get(resources.FLEET_GUARDS, "default"))["spec"]["uninstall"]
    assert asked["releaseQuarantines"] is True

    world.plane.kubectl("label", "node", name, f"{SUSPICIOUS}-")
    since = world.audit_position()
    await world.start()
    await settle(5)
    assert await finalizers(world) == []
    assert "nodes" not in {one["objectRef"]["resource"] for one in world.audit(since=since)}
    node = await world.node(name)
    assert node is not None and not node["spec"].get("unschedulable")
    assert marks.QUARANTINED_TAINT not in {one["key"] for one in node["spec"].get("taints") or ()}
    world.stop()

    with without(world, resources.ROTATIONS):
        again = exuvia(world, "uninstall", "--force", "--discard-history")
        assert again.returncode == 0, again.stdout + again.stderr
        assert again.stdout.startswith("This cluster does not know rotations.exuvia.dev any more")
    world.plane.kubectl("delete", "exq", quarantine.name, "--wait", "--timeout=10s")
