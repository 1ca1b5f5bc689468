"""A ledger that cannot follow ties exuvia to its machine; what cannot be known counts as tied."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from exuvia import errors
from exuvia.app import place
from exuvia.app.settings import Settings
from exuvia.model.resources import Resource
from tests import virtual

INSIDE = Settings(pod_name="exuvia-0", pod_namespace="exuvia-system")


def pod(volume: dict[str, Any] | None, mount: str = "/var/lib/exuvia") -> dict[str, Any]:
    mounts = [{"name": "root", "mountPath": "/var"}, {"name": "state", "mountPath": mount}] if volume else []
    volumes = [{"name": "root", "secret": {}}, {"name": "state", **(volume or {})}] if volume else []
    return {"spec": {"containers": [{"volumeMounts": mounts}], "volumes": volumes}}


class Cluster:
    """The objects by kind; `trouble` instead of an answer, where a kind is named."""

    def __init__(self, trouble: str = "", **objects: dict[str, Any]) -> None:
        self.objects = objects
        self.trouble = trouble

    async def get(self, resource: Resource, name: str, *, namespace: str = "") -> Any:
        if resource.kind == self.trouble:
            raise errors.Forbidden(f"{resource.plural} may not be read")
        return self.objects.get(resource.kind)


def found(cluster: Cluster, settings: Settings = INSIDE) -> str:
    return virtual.run(place.pinned(cluster, settings))  # type: ignore[arg-type]


def claimed(**spec: Any) -> Cluster:
    volume = pod({"persistentVolumeClaim": {"claimName": "exuvia"}})
    claim = {"spec": {"volumeName": "pv-1"}}
    return Cluster(Pod=volume, PersistentVolumeClaim=claim, PersistentVolume={"spec": spec})


@pytest.mark.parametrize("kind", ["hostPath", "emptyDir"])
def test_volumes_of_the_machine_tie(kind: str) -> None:
    assert kind in found(Cluster(Pod=pod({kind: {}})))


def test_no_volume_at_all_ties() -> None:
    assert "file system" in found(Cluster(Pod=pod(None)))


def test_a_ledger_on_a_server_ties_to_nothing() -> None:
    """Nothing is asked of the cluster, which would say that the pod has no volume at all."""
    assert found(Cluster(Pod=pod(None)), replace(INSIDE, ledger="postgresql://exuvia@db/exuvia")) == ""


HOST = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["n1"]}
ZONE = {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["a"]}


def affinity(expression: dict[str, Any]) -> dict[str, Any]:
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}


@pytest.mark.parametrize(
    ("spec", "ties"),
    [
        ({"local": {"path": "/x"}}, True),
        ({"hostPath": {"path": "/x"}}, True),
        ({"csi": {}, "nodeAffinity": affinity(HOST)}, True),
        ({"csi": {}, "nodeAffinity": affinity(ZONE)}, False),
        ({"csi": {}}, False),
    ],
)
def test_a_claimed_volume_ties_where_it_lives_on_one_machine(spec: dict[str, Any], ties: bool) -> None:
    assert ("pv-1" in found(claimed(**spec))) is ties


def test_what_may_not_be_read_counts_as_tied_and_outside_of_the_cluster_nothing_ties() -> None:
    cluster = claimed(csi={})
    cluster.trouble = "PersistentVolume"
    assert "nothing is known" in found(cluster)
    assert found(cluster, Settings()) == ""
    assert found(cluster, Settings(pinned="a local disk")) == "a local disk"
