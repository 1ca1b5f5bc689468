"""The simulated cloud as a process: its HTTP API, its idempotency over kill -9, and its trouble on request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from exuvia import errors, ports
from exuvia.act.providers.simulated import Simulated
from exuvia.localcluster.cloud import identity, starting
from exuvia.localcluster.controlplane import ControlPlane
from exuvia.model import resources
from exuvia.model.instances import Reference
from exuvia.ports import MachineState
from tests.cluster import Cluster, until

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of that cloud: another one may still run beside the same control plane, with a book of its own."""
    return tmp_path_factory.mktemp("cloud") / "cloud.json"


@pytest.fixture(scope="module")
def url(plane: ControlPlane, book: Path) -> Iterator[str]:
    """The URL of a simulated cloud that runs for these tests."""
    yield starting.start(plane, state=book)
    plane.stop_process(starting.NAME)


@dataclass(frozen=True)
class Caller:
    """One caller of the cloud's API, for the pool of this test."""

    session: aiohttp.ClientSession
    cluster: Cluster
    url: str

    async def call(self, verb: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        address = f"{self.url}/v1{path.format(pool=self.cluster.pool)}"
        async with self.session.request(verb, address, json=body) as answer:
            return answer.status, await answer.json()

    async def launch(self, key: str, **more: str) -> tuple[int, dict[str, Any]]:
        return await self.call("POST", "/pools/{pool}/machines", {"key": key, **more})

    async def node(self, machine: dict[str, Any]) -> ports.Body | None:
        return await self.cluster.client.get(resources.NODES, machine["nodeName"])

    async def until_ready(self, machine: dict[str, Any]) -> ports.Body:
        async def look() -> ports.Body | None:
            node = await self.node(machine)
            return node if node is not None and _ready(node) else None

        found = await until(look, what=f"{machine['nodeName']} to be Ready")
        assert found is not None
        return found

    async def until_state(self, key: str, state: str) -> dict[str, Any]:
        async def look() -> dict[str, Any] | None:
            _, answer = await self.call("GET", f"/pools/{{pool}}/requests/{key}")
            return answer if answer["state"] == state else None

        found = await until(look, what=f"{key} to be {state}")
        assert found is not None
        return found


def _ready(node: ports.Body) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"]["conditions"])


@pytest.fixture
async def caller(url: str, cluster: Cluster) -> AsyncIterator[Caller]:
    """A caller whose pool is defined, empty, and emptied again afterwards."""
    async with aiohttp.ClientSession() as session:
        made = Caller(session, cluster, url)
        await made.call("PUT", "/pools/{pool}", {"zones": ["a", "b"], "labels": {"team": "x"}})
        yield made
        await made.call("PUT", "/pools/{pool}", {"size": 0})
        _, found = await made.call("GET", "/pools/{pool}/machines")
        for machine in found["machines"]:
            await made.call("DELETE", f"/machines?providerID={machine['providerID']}")


async def test_a_launched_machine_becomes_a_ready_node_and_a_key_launches_once(caller: Caller) -> None:
    status, machine = await caller.launch("uid-1", zone="b")
    again, same = await caller.launch("uid-1", zone="b")

    assert (status, again) == (201, 200)
    assert same["providerID"] == machine["providerID"]
    node = await caller.until_ready(machine)
    assert (
        node["spec"]["providerID"]
        == machine["providerID"]
        == f"simulated://{caller.cluster.pool}/{machine['requestID']}"
    )
    assert node["metadata"]["labels"]["topology.kubernetes.io/zone"] == "b"
    assert node["metadata"]["labels"]["team"] == "x"
    _, found = await caller.call("GET", "/pools/{pool}/machines")
    assert [one["state"] for one in found["machines"]] == ["Running"]


async def test_a_terminated_machine_takes_its_node_along_and_may_be_terminated_again(caller: Caller) -> None:
    _, machine = await caller.launch("uid-1")
    await caller.until_ready(machine)

    first, _ = await caller.call("DELETE", f"/machines?providerID={machine['providerID']}")
    await caller.until_state("uid-1", "Gone")
    second, answer = await caller.call("DELETE", f"/machines?providerID={machine['providerID']}")

    assert (first, second, answer["state"]) == (200, 200, "Gone")
    assert await caller.node(machine) is None
    assert (await caller.launch("uid-1"))[1]["state"] == "Gone", "a key never launches twice"


async def test_strangers_are_refused(caller: Caller) -> None:
    assert (await caller.call("DELETE", "/machines?providerID=simulated://{pool}/none"))[0] == 404
    assert (await caller.call("DELETE", "/machines?providerID=aws:///a/i-1"))[0] == 404
    assert await caller.call("GET", "/pools/{pool}/requests/none") == (
        404,
        {"state": "Unknown", "message": "nothing was asked for with the key none"},
    )
    status, answer = await caller.call("POST", "/pools/nowhere/machines", {"key": "k"})
    assert (status, answer["message"]) == (404, "there is no pool nowhere; define it by PUT /v1/pools/nowhere")


@pytest.mark.parametrize(
    ("verb", "path", "body", "words"),
    [
        ("PUT", "/pools/{pool}", {"sise": 3}, "unknown field `sise`"),
        ("PUT", "/pools/{pool}", {"size": "three"}, "Expected `int`"),
        ("PUT", "/pools/Pool_1", {}, "cannot be the name of a pool"),
        ("POST", "/pools/{pool}/machines", {"key": ""}, "`key` must be a text"),
        ("POST", "/pools/{pool}/machines", {"key": "k", "zone": "q"}, "has no zone q; it has a, b"),
        ("POST", "/pools/{pool}/machines", [], "must be a JSON object"),
        ("POST", "/pools/{pool}/faults", {"capacity": 0.5}, "Expected `int`"),
        ("DELETE", "/machines", None, "must name the machine"),
    ],
)
async def test_wrong_questions_are_answered_in_words(
    caller: Caller, verb: str, path: str, body: object, words: str
) -> None:
    status, answer = await caller.call(verb, path, body)

    assert status == 400
    assert words in answer["message"]


async def test_a_group_is_filled_to_its_size_over_its_zones(caller: Caller) -> None:
    await caller.call("PATCH", "/pools/{pool}", {"size": 4})

    _, found = await caller.call("GET", "/pools/{pool}/machines")

    assert sorted(one["zone"] for one in found["machines"]) == ["a", "a", "b", "b"]
    await asyncio.gather(*(caller.until_ready(one) for one in found["machines"]))


async def test_a_group_that_refills_replaces_what_somebody_deleted(caller: Caller) -> None:
    await caller.call("PATCH", "/pools/{pool}", {"size": 1, "refill": True})
    _, found = await caller.call("GET", "/pools/{pool}/machines")
    node = await caller.until_ready(found["machines"][0])

    await caller.cluster.client.delete(resources.NODES, node["metadata"]["name"], uid=node["metadata"]["uid"])

    refilled = await caller.until_state("size-1", "Running")
    assert refilled["nodeName"] != node["metadata"]["name"]
    assert (await caller.until_state("size-0", "Gone"))["message"] == "its Node was deleted"


async def test_without_capacity_a_key_fails_for_good_and_another_may_succeed(caller: Caller) -> None:
    await caller.call("POST", "/pools/{pool}/faults", {"capacity": 1})

    failed, answer = await caller.launch("first")
    again, _ = await caller.launch("first")
    other, _ = await caller.launch("second")

    assert (failed, again, other) == (409, 409, 201)
    assert (answer["state"], answer["message"]) == ("Failed", "the zone has no capacity")


async def test_a_full_group_has_no_capacity(caller: Caller) -> None:
    await caller.call("PATCH", "/pools/{pool}", {"maxSize": 1})

    assert [(await caller.launch(key))[0] for key in ("one", "two")] == [201, 409]


async def test_an_unavailable_cloud_says_so_and_a_lost_answer_was_done_nevertheless(caller: Caller) -> None:
    await caller.call("POST", "/pools/{pool}/faults", {"unavailable": 1, "loseAnswer": 1})

    refused, _ = await caller.launch("key")
    lost, _ = await caller.launch("key")
    known, machine = await caller.launch("key")

    assert (refused, lost, known) == (503, 503, 200)
    await caller.until_ready(machine)


async def test_machines_that_never_arrive_or_are_never_ready(caller: Caller) -> None:
    await caller.call("POST", "/pools/{pool}/faults", {"neverArrive": 1})
    _, absent = await caller.launch("absent")
    await caller.call("POST", "/pools/{pool}/faults", {"neverReady": 1})
    _, ill = await caller.launch("ill")

    await caller.until_state("ill", "Running")
    await asyncio.sleep(1)

    assert (await caller.call("GET", "/pools/{pool}/requests/absent"))[1]["state"] == "Launching"
    assert await caller.node(absent) is None
    node = await caller.node(ill)
    assert node is not None
    assert not _ready(node)
    _, gone = await caller.call("DELETE", f"/machines?providerID={absent['providerID']}")
    assert gone["state"] == "Gone"


async def test_a_machine_may_come_with_the_old_image(caller: Caller) -> None:
    await caller.call("PATCH", "/pools/{pool}", {"image": {"kubelet": "v1.35.0"}})
    await caller.call("PATCH", "/pools/{pool}", {"image": {"kubelet": "v1.36.3"}})
    await caller.call("POST", "/pools/{pool}/faults", {"oldImage": 1})

    machines = [(await caller.launch(key))[1] for key in ("old", "new")]
    nodes = [await caller.until_ready(one) for one in machines]

    assert [one["status"]["nodeInfo"]["kubeletVersion"] for one in nodes] == ["v1.35.0", "v1.36.3"]


async def test_machines_vanish_by_themselves_or_at_once(caller: Caller) -> None:
    await caller.call("POST", "/pools/{pool}/faults", {"vanish": 1, "vanishSeconds": 1})
    _, brief = await caller.launch("brief")
    _, stable = await caller.launch("stable")
    await caller.until_ready(stable)

    assert (await caller.until_state("brief", "Gone"))["message"] == "the machine was lost"
    await caller.call("POST", f"/machines/vanish?providerID={stable['providerID']}")
    await caller.until_state("stable", "Gone")
    assert [await caller.node(one) for one in (brief, stable)] == [None, None]


async def test_delays_are_kept(caller: Caller) -> None:
    await caller.call("PATCH", "/pools/{pool}", {"launchSeconds": 1, "bootSeconds": 1})
    began = asyncio.get_running_loop().time()

    _, machine = await caller.launch("slow")
    assert machine["state"] == "Launching"
    await caller.until_ready(machine)

    assert asyncio.get_running_loop().time() - began >= 2


async def test_a_node_with_its_provider_id_is_its_machine_whoever_created_it(caller: Caller) -> None:
    (node,) = await caller.cluster.nodes(1)

    status, answer = await caller.call("DELETE", f"/machines?providerID={node['spec']['providerID']}")

    assert (status, answer["state"]) == (200, "Running")
    await until(lambda: _gone(caller, node), what="the adopted machine to go")


async def _gone(caller: Caller, node: ports.Body) -> bool:
    return await caller.cluster.client.get(resources.NODES, node["metadata"]["name"]) is None


async def test_killed_at_any_moment_it_launches_nothing_twice_and_forgets_nothing(
    caller: Caller, plane: ControlPlane, book: Path
) -> None:
    port = int(caller.url.rpartition(":")[2])
    first = await asyncio.gather(*(caller.launch(f"key-{index}") for index in range(20)))

    await asyncio.to_thread(plane.stop_process, starting.NAME, kill=True)
    await asyncio.to_thread(starting.start, plane, port=port, state=book)
    second = await asyncio.gather(*(caller.launch(f"key-{index}") for index in range(20)))

    assert {status for status, _ in first} == {201}
    assert {status for status, _ in second} == {200}
    assert [one["providerID"] for _, one in first] == [one["providerID"] for _, one in second]
    await asyncio.gather(*(caller.until_ready(one) for _, one in second))
    selector = f"exuvia.dev/pool={caller.cluster.pool}"
    assert len(await caller.cluster.list(resources.NODES, label_selector=selector)) == 20


async def test_its_service_account_has_rights_on_nodes_alone(url: str, plane: ControlPlane) -> None:
    kubeconfig = plane.service_account_kubeconfig(identity.NAMESPACE, identity.NAME)

    def may(verb: str, what: str) -> bool:
        return plane.kubectl_run("auth", "can-i", verb, what, "-A", kubeconfig=kubeconfig).stdout.strip() == "yes"

    assert all(may(verb, "nodes") for verb in ("get", "list", "create", "delete"))
    wanted = [("patch", "nodes"), ("delete", "pods"), ("get", "secrets"), ("create", "pods"), ("delete", "leases")]
    assert not any(may(verb, what) for verb, what in wanted)


def _reference(node: ports.Body) -> Reference:
    meta = node["metadata"]
    return Reference(name=meta["name"], uid=meta["uid"], provider_id=node["spec"]["providerID"])


async def test_the_provider_and_the_cloud_understand_each_other(caller: Caller) -> None:
    provider, pool = Simulated(caller.url), caller.cluster.pool
    like = Reference(name="any", uid="uid")
    try:
        unknown = await provider.find(pool=pool, key="uid-1")
        asked = await provider.request(pool=pool, key="uid-1", like=like)
        node = await caller.until_ready({"nodeName": asked.node_name})
        found = await provider.find(pool=pool, key="uid-1")
        await provider.remove(pool=pool, instance=_reference(node))
        await caller.until_state("uid-1", "Gone")
        gone = await provider.find(pool=pool, key="uid-1")
        await caller.call("POST", "/pools/{pool}/faults", {"capacity": 1})
        with pytest.raises(errors.ProviderError, match="no capacity") as refused:
            await provider.request(pool=pool, key="uid-2", like=like)
    finally:
        await provider.close()

    states = [one.state for one in (unknown, asked, found, gone)]
    assert states == [MachineState.UNKNOWN, MachineState.LAUNCHING, MachineState.RUNNING, MachineState.GONE]
    assert found.provider_id == node["spec"]["providerID"]
    assert refused.value.definite
