"""PodLogs: the current and the previous log of every container of the machine, as far back as `since`.

A log that does not exist (the container has not started, there was no earlier one, the pod is gone) is `unsupported`
and hinders nothing. A log that exists and cannot be read is `failed`, and is tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from exuvia import errors
from exuvia.act.evidence import api_objects
from exuvia.act.evidence.collector import Task, reason_of
from exuvia.model import resources
from exuvia.model.cards import Card
from exuvia.model.evidence import ItemResult
from exuvia.model.permissions import Duty, Permission

_TOGETHER = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerLog:
    """One log to read. `absent`: why there can be none, or ""."""

    namespace: str
    pod: str
    container: str
    previous: bool = False
    absent: str = ""

    @property
    def subject(self) -> str:
        """For the manifest."""
        return f"{self.namespace}/{self.pod}/{self.container}" + (" previous" if self.previous else "")

    @property
    def parts(self) -> tuple[str, ...]:
        """Where it lies."""
        return ("logs", self.namespace, self.pod, f"{self.container}{'.previous' if self.previous else ''}.log")


class PodLogs:
    """The collector."""

    card = Card(
        name="PodLogs",
        description="Current and previous logs of every container on the machine, 10 MiB each and 200 MiB a machine; "
        "what was cut is marked truncated.",
        parameters=(("since", "how far back logs are kept, a duration; 24h by default"),),
        permissions=(
            Permission(duty=Duty.QUARANTINE, resource="nodes", verbs=("get",)),
            Permission(duty=Duty.QUARANTINE, resource="pods", verbs=("list",)),
            Permission(duty=Duty.QUARANTINE, resource="pods/log", verbs=("get",)),
        ),
        example="collectors: [{name: logs, type: PodLogs, podLogs: {since: 24h}}]",
    )

    async def collect(self, task: Task) -> None:
        """A file for each log, a few at a time."""
        if not await _still_there(task):
            task.room.without_file(task.name, "logs", ItemResult.FAILED, "the machine is gone")
            return
        gate = asyncio.Semaphore(_TOGETHER)
        pods = await api_objects.pods_of(task.cluster, task.order)
        wanted = [log for pod in pods for log in logs_of(pod) if not task.room.has(task.name, log.subject)]

        async def one(log: ContainerLog) -> None:
            async with gate:
                await _keep(task, log)

        async with asyncio.TaskGroup() as group:
            for log in wanted:
                group.create_task(one(log))


def logs_of(pod: Mapping[str, Any]) -> Iterator[ContainerLog]:
    """The logs that a pod has or may have, in the order of its containers."""
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    states = _states(pod.get("status") or {})
    for container in _containers(pod.get("spec") or {}):
        state = states.get(container, {})
        yield ContainerLog(namespace=namespace, pod=name, container=container, absent=_absent(state))
        if state.get("restartCount") or "terminated" in (state.get("lastState") or {}):
            yield ContainerLog(namespace=namespace, pod=name, container=container, previous=True)


def _containers(spec: Mapping[str, Any]) -> Iterator[str]:
    for key in ("initContainers", "containers", "ephemeralContainers"):
        for one in spec.get(key) or ():
            yield one["name"]


def _states(status: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    keys = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
    return {one["name"]: one for key in keys for one in status.get(key) or ()}


def _absent(state: Mapping[str, Any]) -> str:
    waiting = "waiting" in (state.get("state") or {})
    ran = state.get("restartCount") or "terminated" in (state.get("lastState") or {})
    return "the container has not started" if waiting and not ran else ""


async def _still_there(task: Task) -> bool:
    body = await task.cluster.get(resources.NODES, task.order.instance.name)
    return body is not None and body.get("metadata", {}).get("uid") == task.order.instance.uid


async def _keep(task: Task, log: ContainerLog) -> None:
    if log.absent:
        task.room.without_file(task.name, log.subject, ItemResult.UNSUPPORTED, log.absent)
        return
    limit = task.order.container_limit
    chunks = task.cluster.logs(
        log.namespace,
        log.pod,
        log.container,
        previous=log.previous,
        since=task.wanted.since,
        limit_bytes=limit + 1,
    )
    try:
        await task.room.stream(task.name, log.subject, log.parts, chunks, limit)
    except errors.NotFound:
        message = "the pod was gone before its log could be read"
        task.room.without_file(task.name, log.subject, ItemResult.UNSUPPORTED, message)
    except errors.Refused as trouble:
        task.room.without_file(task.name, log.subject, ItemResult.UNSUPPORTED, reason_of(trouble))
    except errors.ClusterError as trouble:
        task.room.without_file(task.name, log.subject, ItemResult.FAILED, reason_of(trouble))
