"""Collecting, sealing and reading again: one run after the other, resumed where an earlier one stopped.

    resume the draft -> run each collector -> write the manifest -> (complete?) read back -> rename once

Nothing here decides whether evidence is good enough to let a machine go: `decide.quarantine` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from exuvia import errors, ports
from exuvia.act.evidence import manifest as manifests
from exuvia.act.evidence import reading
from exuvia.act.evidence.api_objects import ApiObjects, Reading, Taking
from exuvia.act.evidence.collector import Collector, Room, Task
from exuvia.act.evidence.events import EventLists
from exuvia.act.evidence.manifest import Manifest
from exuvia.act.evidence.pod_logs import PodLogs
from exuvia.act.evidence.store import Draft
from exuvia.model.evidence import (
    Collected,
    CollectorOrder,
    CollectorResult,
    DiskState,
    EvidenceOnDisk,
    EvidenceOrder,
    ItemResult,
)

COLLECTORS: tuple[Collector, ...] = (
    ApiObjects(),
    PodLogs(),
)

Progress = Callable[[EvidenceOrder, CollectorResult], None]


def _no_head() -> Mapping[str, Any]:
    return {}


def _silent(order: EvidenceOrder, result: CollectorResult) -> None:
    del order, result


class Custodian:
    """Keeps evidence under one directory. What it holds in memory (snapshots) may be lost at any time."""

    def __init__(
        self,
        cluster: ports.Cluster,
        clock: ports.Clock,
        root: Path,
        *,
        ledger_head: Callable[[], Mapping[str, Any]] = _no_head,
        progress: Progress = _silent,
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._root = root
        self._ledger_head = ledger_head
        self._progress = progress
        self._events = EventLists(cluster)
        self._snapshots: dict[str, Taking] = {}

    def begin(self, order: EvidenceOrder) -> None:
        """Ask for the API objects: in 5 s at most they are in memory. The first snapshot of a Quarantine is kept."""
        if order.uid not in self._snapshots:
            reading = Reading(self._cluster, order, self._events, self._clock.now)
            self._snapshots[order.uid] = Taking(reading)

    async def snapshot(self, order: EvidenceOrder) -> None:
        """The same, until what our marks change is in memory, the Node and its pods, or 5 s passed. Never raises."""
        self.begin(order)
        await self._snapshots[order.uid].marked()

    def forget(self, uid: str) -> None:
        """It is sealed, it ended, or its marks are to be decided anew: its snapshot is not needed any more."""
        taking = self._snapshots.pop(uid, None)
        if taking is not None:
            taking.stop()

    def close(self) -> None:
        """Nothing is taken any more."""
        for uid in tuple(self._snapshots):
            self.forget(uid)

    async def on_disk(self, quarantine: str, uid: str, digest: str = "") -> EvidenceOnDisk:
        """Read the sealed evidence again, every byte. `digest`: what the status says of the manifest."""
        folder = Draft(self._root, quarantine, uid).sealed
        if not await asyncio.to_thread(folder.is_dir):
            return EvidenceOnDisk(state=DiskState.ABSENT)
        checked = await asyncio.to_thread(reading.verify, folder, digest=digest)
        state = DiskState.SOUND if checked.sound else DiskState.DAMAGED
        return EvidenceOnDisk(state=state, digest=checked.digest, problems=checked.problems[:8])

    async def collect(self, order: EvidenceOrder) -> Collected:
        """One run. Storage that fails is an answer, not an exception; only cancellation passes."""
        draft = Draft(self._root, order.quarantine, order.uid)
        try:
            found = await self._sealed_already(draft) or await self._run(order, draft)
        except (OSError, errors.EvidenceError) as trouble:
            return Collected(sealed=False, message=f"evidence cannot be stored: {_said(trouble)}")
        if found.sealed:
            self.forget(order.uid)
        return found

    async def _sealed_already(self, draft: Draft) -> Collected | None:
        """Sound evidence of an earlier run counts (we crashed after the rename); damaged evidence is set aside."""
        if not await asyncio.to_thread(draft.sealed.is_dir):
            return None
        checked = await asyncio.to_thread(reading.verify, draft.sealed)
        if checked.manifest is None or not checked.sound:
            await asyncio.to_thread(draft.set_aside)
            return None
        return _sealed(draft, checked.manifest, checked.digest)

    async def _run(self, order: EvidenceOrder, draft: Draft) -> Collected:
        earlier = await asyncio.to_thread(draft.resume)
        started = earlier.started if earlier else self._clock.now()
        room = Room(draft, self._clock, earlier.items if earlier else (), order.machine_limit)
        run = _Run(order=order, draft=draft, room=room, started=started, head=self._ledger_head())
        deadline = self._clock.monotonic() + order.timeout.total_seconds()
        results: list[CollectorResult] = []
        for wanted in order.collectors:
            results.append(await self._one(run, wanted, deadline))
            self._progress(order, results[-1])
            await asyncio.to_thread(draft.journal, self._manifest(run, results))
        return await self._finish(run, results)

    async def _one(self, run: _Run, wanted: CollectorOrder, deadline: float) -> CollectorResult:
        collector = next((one for one in COLLECTORS if one.card.name == wanted.type), None)
        if collector is None:
            known = ", ".join(one.card.name for one in COLLECTORS)
            message = f"no collector {wanted.type}; there are {known}"
            return CollectorResult(
                collector=wanted.name, type=wanted.type, result=ItemResult.UNSUPPORTED, message=message
            )
        taking = self._snapshots.get(run.order.uid)
        task = Task(
            cluster=self._cluster,
            clock=self._clock,
            order=run.order,
            wanted=wanted,
            room=run.room,
            snapshot=await taking.whole() if taking is not None else None,
        )
        trouble = await _attempt(collector, task, deadline - self._clock.monotonic())
        return manifests.overall(wanted.name, wanted.type, run.room.items, trouble)

    async def _finish(self, run: _Run, results: list[CollectorResult]) -> Collected:
        """Seal where it is complete or incomplete is enough; else the draft stays for the next run."""
        manifest = self._manifest(run, results)
        missing = "; ".join(f"{one.collector}: {one.message}" for one in results if not _succeeded(one))[:1000]
        if run.order.draft_only or not (manifest.complete or run.order.seal_incomplete):
            return Collected(sealed=False, bytes=manifest.bytes, items=tuple(results), message=missing)
        await asyncio.to_thread(run.draft.tidy, manifest)
        digest = await asyncio.to_thread(run.draft.journal, manifest)
        checked = await asyncio.to_thread(reading.verify, run.draft.folder, digest=digest)
        if not checked.sound:
            raise errors.EvidenceError(f"what was read back is not what was written: {checked.problems[0]}")
        await asyncio.to_thread(run.draft.seal)
        return _sealed(run.draft, manifest, digest)

    def _manifest(self, run: _Run, results: list[CollectorResult]) -> Manifest:
        return Manifest(
            header=manifests.header_of(run.order, run.head),
            items=run.room.items,
            collectors=tuple(results),
            started=run.started,
            finished=self._clock.now(),
            complete=len(results) == len(run.order.collectors) and all(_succeeded(one) for one in results),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What belongs to one run."""

    order: EvidenceOrder
    draft: Draft
    room: Room
    started: datetime
    head: Mapping[str, Any]


async def _attempt(collector: Collector, task: Task, seconds: float) -> str:
    """Run it; what went wrong with the collector as a whole, or "". What it took before stays."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await collector.collect(task)
    except TimeoutError:
        return "it did not end within evidence.timeout"
    except errors.ClusterError as trouble:
        return f"{type(trouble).__name__}: {trouble.message}"[:500]
    except ExceptionGroup as group:
        raise group.exceptions[0] from group
    return ""


def _succeeded(one: CollectorResult) -> bool:
    return one.result in (ItemResult.CAPTURED, ItemResult.TRUNCATED)


def _sealed(draft: Draft, manifest: Manifest, digest: str) -> Collected:
    missing = "; ".join(f"{one.collector}: {one.message}" for one in manifest.collectors if not _succeeded(one))
    return Collected(
        sealed=True,
        manifest=f"{draft.sealed.name}/{manifests.FILE}",
        digest=digest,
        bytes=manifest.bytes,
        items=manifest.collectors,
        message=missing[:1000],
    )


def _said(trouble: BaseException) -> str:
    if isinstance(trouble, OSError):
        return f"{trouble.strerror or trouble} ({trouble.filename})" if trouble.filename else str(trouble)
    return str(trouble)
