"""The same on a real API server: what is there is listed, what happens arrives, what is gone is noticed."""

from __future__ import annotations

import pytest

from exuvia.app.clock import SystemClock
from exuvia.model import resources
from exuvia.observe import leases
from exuvia.observe.cluster_view import ClusterView
from tests.cluster import Cluster, until


@pytest.mark.cluster
async def test_the_view_follows_a_real_api_server(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exuvia.observe.reflector.PAGE", 2)
    made = await cluster.nodes(3, zones=("a", "b"))
    await cluster.pods(2, node_name=made[0]["metadata"]["name"])
    view = ClusterView(cluster.client, SystemClock())
    view.start()
    try:
        await until(lambda: not view.view().missing, what="everything to be listed")
        mine = [one for one in view.nodes.store if one.pool == cluster.pool]
        assert {one.name for one in mine} == {one["metadata"]["name"] for one in made}
        assert {one.zone for one in mine} == {"a", "b"}
        assert all(one.versions.kubelet and one.uid and one.born for one in mine)
        assert {one.namespace for one in view.pods_on(mine[0].name)} <= {cluster.namespace}
        first = view.nodes.store.get(made[0]["metadata"]["uid"])
        assert first is not None

        patch = {"metadata": {"uid": first.uid}, "spec": {"unschedulable": True}}
        answer = await cluster.client.merge_patch(resources.NODES, first.name, patch)
        view.overlay(resources.NODES, answer)
        now = view.nodes.store.get(first.uid)
        assert now is not None and now.unschedulable

        last = made[2]["metadata"]
        await cluster.client.delete(resources.NODES, last["name"], uid=last["uid"])
        await until(lambda: view.nodes.store.get(last["uid"]) is None, what="the death of a node")
        assert last["uid"] in view.nodes.store.take_gone()
        expired, total = await leases.expired_share(cluster.client, SystemClock().now())
        assert 0 <= expired <= total
    finally:
        await view.stop()
