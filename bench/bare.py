"""The bare loop: what a reaction costs at least. A process of its own that watches Nodes and, when the bad condition
appears, makes as many sequential writes as the operator does before its cordon, and cordons.

It judges nothing, records nothing, reads nothing first, knows no budget and no other operation: the difference to it is
the price of all that.
"""

from __future__ import annotations

import argparse
import asyncio
from datetime import UTC, datetime
from typing import Any

from bench import watching
from exuvia import errors
from exuvia.kube.client import Client
from exuvia.model import marks, resources

KINDS = {one.kind: one for one in (resources.ROTATIONS, resources.QUARANTINES)}
PHASES = {"Rotation": "Cordoned", "Quarantine": "Isolating"}
STARTED = "watching"


class Loop:
    """Watches and patches."""

    def __init__(self, client: Client, kind: str, writes: int) -> None:
        self._client = client
        self._resource = KINDS[kind]
        self._writes = writes
        self._seen: set[str] = set()
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """For as long as the watch lasts."""
        print(STARTED, flush=True)
        async for node in watching.events(self._client):
            if node.has_fact and not node.spec.unschedulable and node.metadata.uid not in self._seen:
                self._seen.add(node.metadata.uid)
                task = asyncio.create_task(self._react(node))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    async def _react(self, node: watching.Node) -> None:
        made = await self._client.create(self._resource, self._operation(node))
        for number in range(1, self._writes):
            status = self._status(number)
            meta = {"uid": made["metadata"]["uid"], "resourceVersion": made["metadata"]["resourceVersion"]}
            body = {"metadata": meta, "status": status}
            made = await self._client.merge_patch(self._resource, meta_name(made), body, subresource="status")
        await self._cordon(node.metadata.name, node.metadata.resourceVersion)

    async def _cordon(self, name: str, version: str) -> None:
        taint = {"key": marks.QUARANTINED_TAINT, "value": "", "effect": "NoSchedule"}
        meta = {"resourceVersion": version, "labels": {marks.STATE_LABEL: "quarantined"}}
        body = {"metadata": meta, "spec": {"unschedulable": True, "taints": [taint]}}
        try:
            await self._client.merge_patch(resources.NODES, name, body)
        except errors.Conflict:  # a heartbeat came between
            current = await self._client.get(resources.NODES, name)
            if current is not None:
                await self._cordon(name, current["metadata"]["resourceVersion"])

    def _operation(self, node: watching.Node) -> dict[str, Any]:
        name = f"{node.metadata.name}-{node.metadata.uid[:8]}-1"
        instance = {"kind": "Node", "name": node.metadata.name, "uid": node.metadata.uid}
        return {
            "apiVersion": self._resource.api_version,
            "kind": self._resource.kind,
            "metadata": {"name": name, "finalizers": [marks.FINALIZER]},
            "spec": {
                "instance": instance | {"providerID": node.spec.providerID},
                "requestedBy": marks.SERVICE_ACCOUNT_USER,
                "reason": f"{watching.FACT} is True",
            },
        }

    def _status(self, number: int) -> dict[str, Any]:
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        steps = [{"name": f"Step{one}", "startedAt": stamp} for one in range(1, number + 1)]
        return {"phase": PHASES[self._resource.kind], "epoch": 1, "startedAt": stamp, "steps": steps}


def meta_name(body: dict[str, Any]) -> str:
    """The name of an object."""
    return str(body["metadata"]["name"])


async def _main(kubeconfig: str, kind: str, writes: int) -> None:
    async with await Client.connect(kubeconfig, timeout=watching.PATIENT) as client:
        await Loop(client, kind, writes).run()


def main() -> None:
    """`python -m bench.bare`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--kind", required=True, choices=sorted(KINDS))
    parser.add_argument("--writes", required=True, type=int, help="of the operation, before the cordon")
    given = parser.parse_args()
    asyncio.run(_main(given.kubeconfig, given.kind, given.writes))


if __name__ == "__main__":
    main()
