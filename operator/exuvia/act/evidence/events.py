"""Events about machines and their pods. The API server keeps no index of them: each list reads all there are, so those
who ask at the same moment share one list (with two hundred suspicious machines at once: a few lists, not thousands).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from exuvia import ports
from exuvia.kube.sharing import SharedRead, SharedReads
from exuvia.model import resources

_TOGETHER = 4

Body = dict[str, Any]


class EventLists:
    """Lists of Events of one cluster. Every answer is of a list that began after the question."""

    def __init__(self, cluster: ports.Cluster) -> None:
        self._cluster = cluster
        self._asking: dict[str, int] = {}
        self._of_nodes: SharedRead[dict[str, list[Body]]] = SharedRead(self._list_of_nodes)
        self._of_pods: SharedReads[dict[str, list[Body]]] = SharedReads(self._list_of_pods)

    async def of_node(self, name: str) -> list[Body]:
        """Those about the Node of that name."""
        self._asking[name] = self._asking.get(name, 0) + 1
        try:
            return (await self._of_nodes.ask()).get(name, [])
        finally:
            self._asking[name] -= 1
            if not self._asking[name]:
                del self._asking[name]

    async def of_pods(self, pods: Iterable[tuple[str, str]]) -> list[Body]:
        """Those about these pods, each given by namespace and UID; a namespace is listed once."""
        uids: dict[str, list[str]] = {}
        for namespace, uid in pods:
            uids.setdefault(namespace, []).append(uid)
        gate = asyncio.Semaphore(_TOGETHER)

        async def of(namespace: str) -> list[Body]:
            async with gate:
                listed = await self._of_pods.ask(namespace)
            return [one for uid in uids[namespace] for one in listed.get(uid, ())]

        return [one for some in await asyncio.gather(*map(of, sorted(uids))) for one in some]

    async def _list_of_nodes(self) -> dict[str, list[Body]]:
        """For one who asks alone the server picks them out; for several all are fetched, and picked out here."""
        names, fields = set(self._asking), "involvedObject.kind=Node"
        if len(names) == 1:
            fields += f",involvedObject.name={next(iter(names))}"
        found: dict[str, list[Body]] = {}
        async for page in self._cluster.pages(resources.CORE_EVENTS, field_selector=fields):
            for one in page:
                name = one.get("involvedObject", {}).get("name", "")
                if name in names:
                    found.setdefault(name, []).append(one)
        return found

    async def _list_of_pods(self, namespace: str) -> dict[str, list[Body]]:
        found: dict[str, list[Body]] = {}
        fields = "involvedObject.kind=Pod"
        async for page in self._cluster.pages(resources.CORE_EVENTS, namespace=namespace, field_selector=fields):
            for one in page:
                found.setdefault(one.get("involvedObject", {}).get("uid", ""), []).append(one)
        return found
