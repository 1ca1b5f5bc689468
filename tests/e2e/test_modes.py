"""What exuvia does not do: in Audit, when it is absent, with a policy that cannot be used, after it was uninstalled."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from exuvia.model import marks, resources
from exuvia.model.specs.rotation import RotationPhase
from exuvia.model.specs.security_policy import SecurityPolicy
from tests.cluster import Cluster, until
from tests.e2e.operated import Operated, by_hand, entries, exuvia, guard, held_for, operated, policy, settle
from tests.e2e.test_quarantine import RULE, SUSPICIOUS, frozen, release
from tests.e2e.test_rotation import EVICT, FIRST, OLD, OLD_IMAGE, define, one_rotation

pytestmark = [pytest.mark.cluster, pytest.mark.proof]

DELETED = {"provider": "NodeDelete", "strategy": "DrainFirst"}
OWN = {("securitypolicies", "status"), ("fleetguards", "status"), ("leases", ""), ("events", ""), ("configmaps", "")}
"""What an operator writes that changes nothing: how things stand, who leads, and where the ledger ends."""


async def stored(world: Operated, name: str) -> SecurityPolicy:
    """A policy as the server holds it."""
    return SecurityPolicy.parse(await world.cluster.get(resources.SECURITY_POLICIES, name))


async def test_audit_writes_nothing_but_its_own(world: Operated) -> None:
    """Verdicts, counts and what it would do; no operation, and no write to a Node or pod."""
    await world.cluster.nodes(2, image=OLD_IMAGE)
    await world.cluster.nodes(1)
    since = world.audit_position()
    world.apply(guard(), policy("audit", world.cluster.pool, OLD, mode="Audit"))
    await world.start()

    async def judged() -> bool:
        found = (await stored(world, "audit")).status
        return found.instances is not None and found.instances.violating == 2

    await until(judged, what="the policy's counts")
    await settle(3)
    status = (await stored(world, "audit")).status
    assert status.actions is not None
    assert status.actions.would_rotate == 2
    assert {one.type: one.status for one in status.conditions} == {
        "Ready": "True",
        "Compliant": "False",
        "Reconciling": "False",
        "Stalled": "False",
    }
    touched = {
        (one["objectRef"]["resource"], one["objectRef"].get("subresource", "")) for one in world.audit(since=since)
    }
    assert touched <= OWN


async def test_nodes_delete_at_once_when_the_operator_is_absent(world: Operated) -> None:
    """No finalizer of ours is on Nodes or pods, also in the middle of a rotation."""
    await define(world)
    (old,) = await world.cluster.nodes(1, image=OLD_IMAGE)
    name = old["metadata"]["name"]
    await world.cluster.pods(1, node_name=name, annotations={marks.DO_NOT_DISRUPT: "false"}, grace_seconds=1)
    world.apply(guard(), policy("absent", world.cluster.pool, OLD, rotation={**FIRST, "soakTime": "1h"}))
    replica = await world.start()
    await one_rotation(world, RotationPhase.REPLACING)
    replica.kill()

    node = await world.node(name)
    assert node is not None
    assert not node["metadata"].get("finalizers")
    world.plane.kubectl("delete", "pod", "pod-0", "-n", world.cluster.namespace, "--wait", "--timeout=10s")
    world.plane.kubectl("delete", "node", name, "--wait", "--timeout=10s")
    assert await world.node(name) is None


def _expression(text: str) -> dict[str, Any]:
    return {"name": "cel", "type": "Expression", "expression": {"expression": text}}


async def test_a_broken_policy_is_named_and_the_others_keep_working(world: Operated) -> None:
    """A wrong field is refused by the server; cron, zone and CEL by Ready=False with the place; the others work on."""
    await world.cluster.nodes(1, image=OLD_IMAGE)
    pool = world.cluster.pool
    window = {"windows": {"allow": [{"schedule": "61 25 * * *", "duration": "1h"}]}}
    zone = {"windows": {"allow": [{"schedule": "0 22 * * *", "duration": "1h", "timeZone": "Mars/Olympus"}]}}
    broken = {
        "cron": (policy("cron", pool, OLD, mode="Audit", disruption=window), "spec.disruption.windows.allow[0]"),
        "zone": (policy("zone", pool, OLD, mode="Audit", disruption=zone), "Mars/Olympus"),
        "cel": (policy("cel", pool, _expression("object.metadata.name + 1"), mode="Audit"), "spec.rules[0].expression"),
        "later": (
            policy(
                "later", pool, {"name": "bench", "type": "Reports", "reports": {"source": "kube-bench"}}, mode="Audit"
            ),
            "spec.rules[0].type",
        ),
    }
    wrong = policy("wrong", pool, OLD, mod="Audit")
    refused = world.plane.kubectl_run("apply", "-f", "-", stdin=json.dumps(wrong))
    assert refused.returncode != 0
    assert "mod" in refused.stderr
    world.apply(guard(), policy("good", pool, OLD, mode="Audit"), *(one for one, _ in broken.values()))
    await world.start()

    async def judged() -> bool:
        found = (await stored(world, "good")).status
        return found.instances is not None and found.instances.violating == 1

    await until(judged, what="the good policy's counts")
    for name, (_, place) in broken.items():
        ready = await until(lambda name=name: _ready(world, name), what=f"{name} to be judged")
        assert ready["status"] == "False"
        assert ready["reason"] == ("NotSupported" if name == "later" else "InvalidSpec")
        assert place in ready["message"]


async def _ready(world: Operated, name: str) -> dict[str, Any]:
    found = (await stored(world, name)).status.conditions
    return next((one.wire() for one in found if one.type == "Ready"), {})


async def test_uninstall_leaves_nothing(world: Operated) -> None:
    """Open rotations are undone, finalizers come off, everything deletes at once, nodes bear no mark."""
    await define(world)
    (old,) = await world.cluster.nodes(1, image=OLD_IMAGE)
    name = old["metadata"]["name"]
    await world.cluster.pods(1, node_name=name, annotations={marks.DO_NOT_DISRUPT: "true"})
    world.apply(guard(), policy("uninstall", world.cluster.pool, OLD, rotation=FIRST, drain=EVICT))
    await world.start()
    world.plane.kubectl("annotate", "pod", "pod-0", "-n", world.cluster.namespace, f"{marks.DO_NOT_DISRUPT}-")
    await one_rotation(world, RotationPhase.REPLACING)

    done = subprocess.run(
        [sys.executable, "-m", "exuvia.cli.main", "uninstall", "--discard-history"],
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
        env={"KUBECONFIG": str(world.plane.kubeconfig), "PATH": "/usr/bin:/bin"},
    )

    assert done.returncode == 0, done.stdout + done.stderr
    world.stop()
    for kind in ("rotations", "quarantines", "securitypolicies", "fleetguards"):
        world.plane.kubectl("delete", f"{kind}.exuvia.dev", "--all", "--wait", "--timeout=15s")
    node = await world.node(name)
    assert node is not None
    assert not node["spec"].get("unschedulable")
    left = {
        key for key in (*node["metadata"]["labels"], *node["metadata"]["annotations"]) if key.startswith("exuvia.dev/")
    }
    assert left <= {marks.POOL_LABEL}
    assert not [one for one in node["spec"].get("taints", ()) if one["key"].startswith("exuvia.dev/")]


async def test_an_uninstall_holds_a_restarted_operator_until_it_is_taken_back(world: Operated) -> None:
    """It starts nothing and says why with the way back; `exuvia resume` is that way."""
    await define(world)
    (old,) = await world.cluster.nodes(1, image=OLD_IMAGE)
    world.apply(guard())
    await world.start()
    done = exuvia(world, "uninstall", "--discard-history")
    assert (done.returncode, done.stdout.count("\n")) == (0, 3), done.stdout
    assert done.stdout.endswith(
        "Done: everything of exuvia may be deleted now. Go on with `kubectl delete -k deploy/`.\n"
    )
    world.stop()

    await world.start()
    world.apply(policy("again", world.cluster.pool, OLD, rotation=FIRST))
    assert "`exuvia resume` takes that back" in await held_for(world, "again", "Uninstalled")
    refused = exuvia(world, "rotate", old["metadata"]["name"])
    assert refused.returncode == 2
    assert "Take that back by `exuvia resume`" in refused.stderr
    assert exuvia(world, "resume").stdout == "the uninstall is taken back: what waits may start again\n"
    await one_rotation(world, RotationPhase.REPLACING)


async def test_read_only_acts_on_no_policy(world: Operated) -> None:
    """`--read-only` judges a policy in Enforce as one in Audit, and leaves a Rotation that a person made alone."""
    nodes = await world.cluster.nodes(2, image=OLD_IMAGE)
    since = world.audit_position()
    world.apply(guard(), policy("readonly", world.cluster.pool, OLD))
    await world.start("--read-only")
    world.apply(by_hand("Rotation", nodes[0]))

    async def judged() -> bool:
        found = (await stored(world, "readonly")).status
        return found.actions is not None and found.actions.would_rotate == 2

    await until(judged, what="the policy's counts")
    refused = exuvia(world, "quarantine", nodes[1]["metadata"]["name"])
    assert refused.returncode == 2
    assert "The operator only watches (--read-only)" in refused.stderr
    status = exuvia(world, "status")
    assert (status.returncode, status.stdout.startswith("The operator only watches (--read-only)")) == (1, True)
    said = exuvia(world, "explain", nodes[1]["metadata"]["name"]).stdout
    assert "starts with the next sweep" not in said
    assert "--read-only" in said.splitlines()[1]
    await settle(3)
    written = {
        (one["objectRef"]["resource"], one["objectRef"].get("subresource", "")) for one in world.audit(since=since)
    }
    assert written <= {*OWN, ("rotations", "status")}, "what waits says for what, and nothing more"


async def test_an_installation_that_only_quarantines_starts_no_rotation(cluster: Cluster, tmp_path: Path) -> None:
    """Else the machine would be cordoned and drained, and could not be removed. A release by one waits, and says so."""
    async with operated(cluster, tmp_path, unbound="exuvia-rotate") as world:
        old, asked = await world.cluster.nodes(2, image=OLD_IMAGE)
        (suspect,) = await world.cluster.nodes(1)
        world.apply(guard(), policy("quarantines", world.cluster.pool, OLD, RULE, rotation=DELETED))
        replica = await world.start()
        world.apply(by_hand("Rotation", asked))
        world.plane.kubectl("label", "node", suspect["metadata"]["name"], f"{SUSPICIOUS}=true")
        held = await frozen(world, suspect["metadata"]["name"])
        release(world, held, "Rotate")

        async def forbidden() -> bool:
            found = (await world.quarantines())[0].status.blocked
            return found is not None and found.reason == "Forbidden" and "rotations" in found.message

        async def refused() -> bool:
            return replica.log.read_text(encoding="utf-8").count("is not started (Forbidden)") == 2

        await until(forbidden, what="the release to say what exuvia may not")
        await until(refused, what="the operator to say that it may start neither")
        (rotation,) = await world.rotations()
        assert (rotation.status.phase, rotation.status.started_at) == ("Pending", None)
        for one in (old, asked):
            node = await world.node(one["metadata"]["name"])
            assert node is not None and not node["spec"].get("unschedulable")


async def test_an_installation_that_only_rotates_starts_no_quarantine(cluster: Cluster, tmp_path: Path) -> None:
    """Else the machine would be cordoned, and neither cut off nor its evidence kept. No look floods the ledger."""
    async with operated(cluster, tmp_path, unbound="exuvia-quarantine") as world:
        (node,) = await world.cluster.nodes(1)
        name = node["metadata"]["name"]
        world.apply(guard(quarantine={"maxAtOnce": "3", "maxPerHour": "10"}))
        replica = await world.start()
        world.apply(by_hand("Quarantine", node))

        async def said() -> bool:
            return "is not started (Forbidden)" in replica.log.read_text(encoding="utf-8")

        await until(said, what="the operator to say that it may not")
        for _ in range(4):
            await world.cluster.nodes(1)
            await settle(1)
        (held,) = await world.quarantines()
        assert (held.status.phase, held.status.started_at) == ("Pending", None)
        marked = await world.node(name)
        assert marked is not None
        assert not marked["spec"].get("unschedulable")
        starts = [one for one in entries(world.ledger) if one.get("operation") == held.uid and "step" in one]
        assert len(starts) <= 1
