"""Saying how a licence pool stands in its status: on change only."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from exuvia import errors, ports
from exuvia.app.pool_agents import PoolAgents
from exuvia.app.services import Services
from exuvia.model import resources
from exuvia.model.problems import Problem
from exuvia.model.seat_views import PoolStep
from exuvia.model.specs.common import Metadata
from exuvia.model.specs.license_pool import LicensePool
from exuvia.observe.ours import Unparsable
from exuvia.report.conditions import Said, merged

log = logging.getLogger(__name__)


class PoolStatuses:
    """Writes statuses. `overlay` is given the answer to each write, for a watch may lag behind it."""

    def __init__(self, services: Services, overlay: Callable[[ports.Body], None]) -> None:
        self._services = services
        self._overlay = overlay
        self._agents = PoolAgents(services)

    async def write(self, pool: LicensePool, done: PoolStep, *, theirs: int | None) -> None:
        """What a look found. `theirs`: how many seats the vendor counts, None where it tells nothing."""
        status = {"seats": done.counts.wire(), "highWater": done.high_water.wire()}
        said = [*_served(done), *_reconciled(pool, done, theirs), *self._agents.said(pool)]
        await self._patch(pool.name, pool.metadata, pool.status.wire(), said, status)

    async def refused(self, pool: LicensePool, problems: Iterable[Problem]) -> None:
        """It asks for what this version does not serve."""
        said = _unserved("NotSupported", "\n".join(str(one) for one in problems))
        await self._patch(pool.name, pool.metadata, pool.status.wire(), said, {})

    async def failed(self, pool: LicensePool, why: str) -> None:
        """Looking at it ended in a trouble of its own."""
        await self._patch(pool.name, pool.metadata, pool.status.wire(), _unserved("Failed", why), {})

    async def unreadable(self, pool: Unparsable) -> None:
        """It does not parse; nothing of its status can be believed but the conditions."""
        status = pool.body.get("status")
        former = status if isinstance(status, dict) else {}
        meta = Metadata.model_validate(pool.body.get("metadata"))
        await self._patch(pool.name, meta, former, _unserved("InvalidSpec", pool.problem), {})

    async def _patch(
        self, name: str, meta: Metadata, former: Mapping[str, Any], said: list[Said], status: Mapping[str, Any]
    ) -> None:
        now = self._services.clock.now()
        conditions = merged(former.get("conditions") or (), said, generation=meta.generation, now=now)
        wanted = {**status, "observedGeneration": meta.generation, "conditions": conditions}
        changed = {key: value for key, value in wanted.items() if former.get(key) != value}
        if not changed:
            return
        body = {"metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version}, "status": changed}
        try:
            answer = await self._services.cluster.merge_patch(resources.LICENSE_POOLS, name, body, subresource="status")
            self._overlay(answer)
        except errors.Fenced:
            raise
        except (errors.Conflict, errors.NotFound):
            return  # the next look sees it anew
        except errors.ClusterError as trouble:
            log.warning("status of LicensePool %s: %s", name, trouble, extra={"pool": name})


def _served(done: PoolStep) -> list[Said]:
    waits = "; newcomers wait or are refused, as `exhaustion` says" if done.unmet else ""
    exhausted = Said(type="Exhausted", status=True, reason="NoFreeSeat", message=f"no seat is free{waits}")
    denied = "; who was refused one (`Deny`) gets none as long as it lives" if done.seats.denied else ""
    free = Said(type="Exhausted", status=False, reason="SeatsFree", message=f"a newcomer finds a seat{denied}")
    return [
        Said(type="Ready", status=True, reason="Served", message="every selected machine was looked at"),
        exhausted if done.exhausted else free,
        Said(type="Stalled", status=False, reason="Served"),
    ]


def _reconciled(pool: LicensePool, done: PoolStep, theirs: int | None) -> list[Said]:
    """Whether the vendor counts as many seats in use as exuvia does. Where it was asked once and is no more, nobody
    knows."""
    if theirs is None:
        was = pool.spec.reclaim.webhook is None and any(one.type == "Reconciled" for one in pool.status.conditions)
        said = "the pool has no hook any more, so its vendor is not asked"
        return [Said(type="Reconciled", status=None, reason="NoHook", message=said)] if was else []
    if theirs == done.counts.used:
        return [Said(type="Reconciled", status=True, reason="CountsAgree", message="the vendor counts as many")]
    said = f"the vendor counts {theirs} seats in use, exuvia {done.counts.used}; see its console for who holds them"
    return [Said(type="Reconciled", status=False, reason="CountsDiffer", message=said)]


def _unserved(reason: str, message: str) -> list[Said]:
    return [
        Said(type="Ready", status=False, reason=reason, message=message),
        Said(type="Exhausted", status=None, reason=reason, message="the pool is not served"),
        Said(type="Stalled", status=True, reason=reason, message=message),
    ]
