"""The simulated fleet on the real control plane: machines, pods, logs, drains, and trouble on request."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import pytest

from exuvia import ports
from exuvia.localcluster import fleet
from exuvia.model import resources
from tests.cluster import Cluster, until

pytestmark = pytest.mark.cluster


def _ready(node: ports.Body) -> str:
    conditions = node["status"]["conditions"]
    return next((one["status"] for one in conditions if one["type"] == "Ready"), "absent")


async def _readiness(cluster: Cluster, name: str) -> str:
    return _ready(await cluster.get(resources.NODES, name))


async def _untainted(cluster: Cluster, name: str) -> bool:
    node = await cluster.get(resources.NODES, name)
    return not node["spec"].get("taints")


async def test_a_machine_is_ready_with_one_post_and_its_taint_is_taken_off(cluster: Cluster) -> None:
    (node,) = await cluster.nodes(1, zones=("z1",))
    name = node["metadata"]["name"]

    assert _ready(node) == "True"
    assert node["spec"]["providerID"] == f"simulated://{cluster.pool}/{name}"
    assert node["metadata"]["labels"]["topology.kubernetes.io/zone"] == "z1"
    await until(lambda: _untainted(cluster, name), what="the not-ready taint to be taken off")


async def test_a_machine_boots_after_its_delay(cluster: Cluster) -> None:
    began = time.monotonic()
    (node,) = await cluster.nodes(1, ready=False, kubelet_port=0, annotations={fleet.BOOT: "1500ms"})
    name = node["metadata"]["name"]

    await until(lambda: _is(cluster, name, "True"), what="the machine to boot")
    assert time.monotonic() - began >= 1.5
    booted = await cluster.get(resources.NODES, name)
    assert booted["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"] == cluster.plane.kubelet_port


async def _is(cluster: Cluster, name: str, readiness: str) -> bool:
    return await _readiness(cluster, name) == readiness


async def test_a_machine_is_not_ready_for_as_long_as_it_is_asked_to(cluster: Cluster) -> None:
    (node,) = await cluster.nodes(1)
    name = node["metadata"]["name"]

    await _annotate(cluster, name, "yes")
    await until(lambda: _is(cluster, name, "False"), what="the machine to fall ill")
    await _annotate(cluster, name, None)
    await until(lambda: _is(cluster, name, "True"), what="the machine to recover")


async def _annotate(cluster: Cluster, name: str, value: str | None) -> None:
    patch = {"metadata": {"annotations": {fleet.NOT_READY: value}}}
    await cluster.client.merge_patch(resources.NODES, name, patch)


async def test_a_machine_that_must_not_boot_never_does(cluster: Cluster) -> None:
    (node,) = await cluster.nodes(1, ready=False, annotations={fleet.NOT_READY: "yes"})

    await asyncio.sleep(1)

    assert await _readiness(cluster, node["metadata"]["name"]) != "True"


async def test_pods_run_and_complete_on_request(cluster: Cluster) -> None:
    (node,) = await cluster.nodes(1)
    name = node["metadata"]["name"]
    (pod,) = await cluster.pods(1, node_name=name, annotations={fleet.COMPLETE_AFTER: "300ms"}, restartPolicy="Never")

    assert pod["status"]["containerStatuses"][0]["imageID"]
    assert pod["status"]["podIP"]

    async def complete() -> bool:
        found = await cluster.get(resources.PODS, pod["metadata"]["name"], namespace=cluster.namespace)
        return bool(found["status"]["phase"] == "Succeeded")

    await until(complete, what="the pod to complete")


async def _delete(cluster: Cluster, pod: ports.Body) -> None:
    meta = pod["metadata"]
    await cluster.client.delete(resources.PODS, meta["name"], namespace=meta["namespace"], uid=meta["uid"])


async def _there(cluster: Cluster) -> list[str]:
    return sorted(one["metadata"]["name"] for one in await cluster.list(resources.PODS, namespace=cluster.namespace))


async def test_deletion_is_quick_slow_or_never_as_the_pod_asks(cluster: Cluster) -> None:
    (node,) = await cluster.nodes(1)
    name = node["metadata"]["name"]
    delays = {"quick": {}, "slow": {fleet.DELETION_DELAY: "3s"}, "stuck": {fleet.DELETION_DELAY: "never"}}
    pods = [
        (await cluster.pods(1, node_name=name, name=pod, annotations=annotations))[0]
        for pod, annotations in delays.items()
    ]

    await asyncio.gather(*(_delete(cluster, one) for one in pods))

    async def left() -> bool:
        seen.append(await _there(cluster))
        return seen[-1] == ["stuck-0"]

    seen: list[list[str]] = []
    await until(left, what="the slow pod to go")
    assert ["slow-0", "stuck-0"] in seen, "the quick one went first"
    await asyncio.sleep(0.5)
    assert await _there(cluster) == ["stuck-0"]
    free = {"metadata": {"annotations": {fleet.DELETION_DELAY: None}}}
    await cluster.client.merge_patch(resources.PODS, "stuck-0", free, namespace=cluster.namespace)
    await until(lambda: _none_there(cluster), what="the stuck pod to go once it may")


async def _none_there(cluster: Cluster) -> bool:
    return not await _there(cluster)


async def test_logs_of_a_simulated_pod_go_the_whole_way(cluster: Cluster) -> None:
    (node,) = await cluster.nodes(1)
    await cluster.pods(1, node_name=node["metadata"]["name"])

    lines = await asyncio.to_thread(cluster.plane.kubectl, "logs", "pod-0", "-n", cluster.namespace)

    assert lines.splitlines()[:2] == ["simulated log line 0", "simulated log line 1"]


async def test_kubectl_drain_empties_a_machine_under_a_budget(cluster: Cluster) -> None:
    nodes = [one["metadata"]["name"] for one in await cluster.nodes(2)]
    selector = {"exuvia.dev/pool": cluster.pool}
    app = fleet.deployment("web", cluster.namespace, 2, nodeSelector=selector)
    await fleet.create_all(cluster.client, fleet.DEPLOYMENTS, [app])
    budget = fleet.disruption_budget("web", cluster.namespace, "web", minAvailable=1)
    await fleet.create_all(cluster.client, resources.POD_DISRUPTION_BUDGETS, [budget])
    await until(lambda: _allowed(cluster, 1), what="the budget to see two healthy pods")

    arguments = ("drain", nodes[0], "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=30s")
    await asyncio.to_thread(cluster.plane.kubectl, *arguments)

    pods = await cluster.list(resources.PODS, namespace=cluster.namespace)
    assert {one["spec"].get("nodeName", "") for one in pods} <= {nodes[1], ""}


async def _allowed(cluster: Cluster, count: int) -> bool:
    found = await cluster.get(resources.POD_DISRUPTION_BUDGETS, "web", namespace=cluster.namespace)
    return int(found.get("status", {}).get("disruptionsAllowed", 0)) == count


async def test_three_hundred_machines_take_seconds(cluster: Cluster) -> None:
    before = datetime.now(UTC)

    nodes = await cluster.nodes(300, zones=("a", "b", "c"))

    assert len({one["metadata"]["uid"] for one in nodes}) == 300
    assert (datetime.now(UTC) - before).total_seconds() < 30
