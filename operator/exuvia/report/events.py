"""Events (events.k8s.io/v1) with series: a repeat folds into one object, written at most every 5 minutes.

The name is made from what the Event says, so that a restarted operator goes on with the series it finds. Events are
best effort: they never hold up an action, and a failure to write one is logged once.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from exuvia import errors, ports
from exuvia.model import resources
from exuvia.model.reasons import EventReason

log = logging.getLogger(__name__)

SERIES_PERIOD = timedelta(minutes=5)
REMEMBERED = 4096
QUEUED = 2048
CONTROLLER = "exuvia.dev/operator"
NOTE_BYTES = 1024
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectReference:
    """What an Event is about, or related to. Cluster-scoped objects' Events live in namespace `default`."""

    api_version: str
    kind: str
    name: str
    uid: str
    namespace: str = ""

    def body(self) -> dict[str, str]:
        """As JSON of the API."""
        said = {"apiVersion": self.api_version, "kind": self.kind, "name": self.name, "uid": self.uid}
        return said | ({"namespace": self.namespace} if self.namespace else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing to say. The note holds no changing numbers or times, so that repeats fold into one series."""

    regarding: ObjectReference
    reason: EventReason
    note: str
    related: ObjectReference | None = None
    warning: bool = False

    def key(self) -> str:
        """16 hex digits that are the same for the same saying about the same object."""
        related = self.related.uid if self.related else ""
        text = "\0".join((self.regarding.uid, self.reason, self.note, related))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class Recorder:
    """Takes Events at once and writes them in the background while we lead."""

    def __init__(self, cluster: ports.Cluster, clock: ports.Clock, instance: str) -> None:
        self._cluster = cluster
        self._clock = clock
        self._instance = instance[:128]
        self._queue: asyncio.Queue[Event] = asyncio.Queue(QUEUED)
        self._written: OrderedDict[str, float] = OrderedDict()
        self._trouble = ""
        self.dropped = 0

    def say(self, event: Event) -> None:
        """Queue it, unless the same was written within the series period or the queue is full (then it is counted)."""
        key, now = event.key(), self._clock.monotonic()
        last = self._written.get(key)
        if last is not None and now - last < SERIES_PERIOD.total_seconds():
            return
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            self.dropped += 1
            return
        self._written[key] = now
        self._written.move_to_end(key)
        while len(self._written) > REMEMBERED:
            self._written.popitem(last=False)

    async def run(self) -> None:
        """Write what is queued, for ever."""
        while True:
            event = await self._queue.get()
            try:
                await self._write(event)
                self._trouble = ""
            except errors.Fenced:
                continue
            except errors.ExuviaError as trouble:
                if str(trouble) != self._trouble:
                    self._trouble = str(trouble)
                    log.warning("event %s not written: %s", event.reason, trouble)
            finally:
                self._queue.task_done()

    async def flush(self, timeout: float = 2.0) -> None:
        """Wait until what is queued was written, at most so many seconds."""
        try:
            await asyncio.wait_for(self._queue.join(), timeout)
        except TimeoutError:
            log.warning("events were left unwritten", extra={"count": self._queue.qsize()})

    async def _write(self, event: Event) -> None:
        namespace = event.regarding.namespace or "default"
        name = f"{event.regarding.name[:200].rstrip('-.')}.{event.key()}"
        try:
            await self._cluster.create(resources.EVENTS, self._body(event, name, namespace), namespace=namespace)
        except errors.AlreadyExists:
            await self._count(name, namespace)

    async def _count(self, name: str, namespace: str) -> None:
        found = await self._cluster.get(resources.EVENTS, name, namespace=namespace)
        if found is None or self._clock.now() - _last_said(found) < SERIES_PERIOD:
            return
        count = int((found.get("series") or {}).get("count") or 1) + 1
        series = {"count": count, "lastObservedTime": _micro(self._clock.now())}
        body = {"metadata": {"resourceVersion": found["metadata"]["resourceVersion"]}, "series": series}
        await self._cluster.merge_patch(resources.EVENTS, name, body, namespace=namespace)

    def _body(self, event: Event, name: str, namespace: str) -> dict[str, Any]:
        body: dict[str, Any] = {
            "apiVersion": resources.EVENTS.api_version,
            "kind": resources.EVENTS.kind,
            "metadata": {"name": name, "namespace": namespace},
            "eventTime": _micro(self._clock.now()),
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
            "action": event.reason.value,
            "reason": event.reason.value,
            "type": "Warning" if event.warning else "Normal",
            "note": event.note.encode()[:NOTE_BYTES].decode(errors="ignore"),
            "regarding": event.regarding.body(),
        }
        return body | ({"related": event.related.body()} if event.related else {})


def _last_said(event: ports.Body) -> datetime:
    """When a series was written last, also by a former leader; long ago where that cannot be known."""
    text = (event.get("series") or {}).get("lastObservedTime") or event.get("eventTime")
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC)
    except ValueError:
        return _LONG_AGO


def _micro(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
