"""Winning a step: the intent into the ledger, then one compare-and-swap of the operation's status under our epoch.

Whoever wins may act; everybody else looks again. A Quarantine goes on while the ledger is down: then the resource alone
is the intent, and the ledger is told later (operations.md, Ledger).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from exuvia import errors
from exuvia.app import operations
from exuvia.app.operations import Operation
from exuvia.app.scribe import Late
from exuvia.app.services import Services
from exuvia.app.stepping import Line
from exuvia.model import facts
from exuvia.model.actions import Outcome, OutcomeKind
from exuvia.model.facts import Fact, Receipt
from exuvia.model.specs.quarantine import Quarantine

log = logging.getLogger(__name__)


class Winner:
    """Writes intents and statuses."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def intent(self, operation: Operation, step: str, machine: str = "") -> Receipt | Late:
        """Durable when it returns. Late: the ledger is down, and this is a Quarantine, which may go on without it.
        `machine`: the UID of the one that is written to, "" for the operation's own.

        Raises `errors.LedgerError` for a Rotation: then nothing may be written.
        """
        fact = intent(operation, step, self._services.leadership.epoch, self._services.clock.now(), machine)
        try:
            return await self._services.ledger.append(fact)
        except errors.LedgerError:
            if not isinstance(operation, Quarantine):
                raise
            told = Late(late(fact))
            self._services.scribe.note(told)
            return told

    async def swap(
        self, line: Line, operation: Operation, status: Mapping[str, Any], receipt: Receipt | Late | None = None
    ) -> Operation | None:
        """One compare-and-swap. None: it was lost or the operation is gone; look again."""
        said = {**status, "epoch": self._services.leadership.epoch}
        if isinstance(receipt, Receipt):
            said["ledger"] = {"seq": receipt.seq, "hash": receipt.hash}
        body = {
            "metadata": {"uid": operation.uid, "resourceVersion": operation.metadata.resource_version},
            "status": said,
        }
        try:
            answer = await self._services.cluster.merge_patch(line.resource, operation.name, body, subresource="status")
        except (errors.Conflict, errors.NotFound):
            return None
        self._services.view.overlay(line.resource, answer)
        shown = operations.find(self._services.view, operation.KIND, operation.uid)
        same = shown is not None and shown.metadata.resource_version == answer["metadata"]["resourceVersion"]
        return shown if same else line.model.parse(answer)

    def outcome(
        self, operation: Operation, receipt: Receipt | Late | None, result: str, outcomes: Sequence[Outcome] = ()
    ) -> None:
        """What came of an intent, if there was one: every intent gets one outcome (safety.md, 13)."""
        if receipt is None:
            return
        bad = [one for one in outcomes if one.kind not in (OutcomeKind.DONE, OutcomeKind.ALREADY)]
        said, now = "; ".join(one.message or one.reason for one in bad[:3]), self._services.clock.now()

        def fact(seq: int) -> Fact:
            result_ = "refused" if bad else result
            return facts.outcome(operation=operation.uid, intent=seq, result=result_, message=said, at=now)

        if isinstance(receipt, Late):
            self._services.scribe.settle(receipt, fact)
        else:
            self._services.scribe.note(fact(receipt.seq))

    async def without_finalizer(self, line: Line, operation: Operation, finalizer: str) -> None:
        """Let the object go. Gone already is fine; a conflict is tried again with the next look."""
        kept = [one for one in operation.metadata.finalizers if one != finalizer]
        await self._finalizers(line, operation, kept)

    async def with_finalizer(self, line: Line, operation: Operation, finalizer: str) -> None:
        """Hold the object until we are done with it: put on at first sight, before step one."""
        await self._finalizers(line, operation, [*operation.metadata.finalizers, finalizer])

    async def _finalizers(self, line: Line, operation: Operation, wanted: list[str]) -> None:
        meta = {
            "uid": operation.uid,
            "resourceVersion": operation.metadata.resource_version,
            "finalizers": wanted or None,
        }
        try:
            answer = await self._services.cluster.merge_patch(line.resource, operation.name, {"metadata": meta})
        except (errors.Conflict, errors.NotFound):
            return
        self._services.view.overlay(line.resource, answer)


def intent(operation: Operation, step: str, epoch: int, at: datetime, machine: str = "") -> Fact:
    """That a step of an operation will be done, to its own machine or to the one of that UID."""
    policy = operation.spec.policy
    return facts.intent(
        operation=operation.uid,
        kind=operation.KIND,
        step=step,
        instance=machine or operation.spec.instance.uid,
        policy=policy.uid if policy else "",
        generation=policy.generation if policy else 0,
        epoch=epoch,
        at=at,
    )


def late(fact: Fact) -> Fact:
    """Entered after the effect, because the ledger was down."""
    return Fact(kind=fact.kind, at=fact.at, body={**fact.body, "late": True})
