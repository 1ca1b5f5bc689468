"""Which volumes are attached to a machine, and whose they are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from exuvia import errors, ports
from exuvia.model import resources
from exuvia.model.pods import AttachedVolume
from exuvia.observe import fresh, pods


def attachment(node: str, volume: str | None, *, attached: bool = True) -> dict[str, Any]:
    source = {"persistentVolumeName": volume} if volume else {"inlineVolumeSpec": {}}
    return {"spec": {"nodeName": node, "source": source}, "status": {"attached": attached}}


class Storage:
    """Two pages of VolumeAttachments, and volumes of which one may not be read."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def pages(self, resource: resources.Resource, **_: Any) -> AsyncIterator[list[dict[str, Any]]]:
        assert resource is resources.VOLUME_ATTACHMENTS
        yield [attachment("worker-1", "pv-3"), attachment("worker-2", "pv-9"), attachment("worker-1", None)]
        yield [
            attachment("worker-1", "pv-1"),
            attachment("worker-1", "pv-2"),
            attachment("worker-1", "x", attached=False),
        ]

    async def get(self, resource: resources.Resource, name: str, **_: Any) -> dict[str, Any] | None:
        assert resource is resources.PERSISTENT_VOLUMES
        self.asked.append(name)
        if name == "pv-2":
            raise errors.Forbidden("no")
        return {"spec": {"claimRef": {"namespace": "shop", "name": "data"}}} if name == "pv-1" else None


async def test_attached_volumes_are_named() -> None:
    storage = Storage()
    found = await fresh.read_volumes(cast(ports.Cluster, storage), "worker-1")
    assert found == tuple(AttachedVolume(name=name) for name in ("?", "pv-1", "pv-2", "pv-3"))
    assert not storage.asked, "what nobody needs is not read"


async def test_each_says_whose_it_is_where_that_can_be_known() -> None:
    found = await fresh.read_volumes(cast(ports.Cluster, Storage()), "worker-1", with_claims=True)
    assert {one.name: one.claim for one in found} == {"?": "", "pv-1": "shop/data", "pv-2": "", "pv-3": ""}


@pytest.mark.parametrize(
    ("volume", "claims"),
    [
        ({"name": "v", "persistentVolumeClaim": {"claimName": "data"}}, {"shop/data"}),
        ({"name": "scratch", "ephemeral": {"volumeClaimTemplate": {}}}, {"shop/web-scratch"}),
        ({"name": "v", "emptyDir": {}}, set()),
    ],
)
def test_a_pod_knows_its_claims(volume: dict[str, Any], claims: set[str]) -> None:
    metadata = {"name": "web", "namespace": "shop", "uid": "u", "creationTimestamp": "2026-11-25T12:00:00Z"}
    pod = pods.from_body({"metadata": metadata, "spec": {"volumes": [volume]}})
    assert pod.claim_keys == claims
