"""Stamping: a new leader writes its epoch on every open operation before it does anything else, so that the server
itself refuses an older leader's step from then on (safety.md, 9)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from exuvia import errors
from exuvia.app.services import Services
from exuvia.model import resources
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation, RotationPhase
from exuvia.observe.ours import Unparsable

log = logging.getLogger(__name__)

TOGETHER = 16
PAUSE_SECONDS = 0.5
_ENDED = {one.value for one in RotationPhase if one.ended} | {"Released"}
_USELESS = (errors.Forbidden, errors.Refused, errors.Unauthorized)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    resource: resources.Resource
    name: str
    uid: str
    version: str


async def stamp(services: Services) -> None:
    """Every open operation, also one that does not parse. What an older leader writes meanwhile only means that it is
    read anew; only what the server refuses for good is left, and said. Raises `errors.Fenced` when we stop leading."""
    gate = asyncio.Semaphore(TOGETHER)

    async def one(target: _Target) -> None:
        async with gate:
            await _stamp(services, target)

    await asyncio.gather(*(one(target) for target in _open(services)))


def _open(services: Services) -> Iterator[_Target]:
    view = services.view
    for reflector in (view.rotations, view.quarantines):
        for found in reflector.store:
            if _is_open(found):
                version = found.resource_version if isinstance(found, Unparsable) else found.metadata.resource_version
                yield _Target(resource=reflector.resource, name=found.name, uid=found.uid, version=version)


def _is_open(found: Rotation | Quarantine | Unparsable) -> bool:
    if not isinstance(found, Unparsable):
        return found.open
    status = found.body.get("status")
    return not (isinstance(status, dict) and status.get("phase") in _ENDED)


async def _stamp(services: Services, target: _Target) -> None:
    version = target.version
    while True:
        try:
            services.view.overlay(target.resource, await _write(services, target, version))
            return
        except errors.NotFound:
            return
        except errors.Conflict:
            pass
        except _USELESS as trouble:
            log.warning("%s %s was not stamped: %s", target.resource.kind, target.name, trouble)
            return
        except errors.ClusterError as trouble:
            log.warning("%s %s is not stamped yet: %s", target.resource.kind, target.name, trouble)
            await asyncio.sleep(PAUSE_SECONDS)
        found = await _read(services, target)
        if found is None:
            return
        version = found


async def _write(services: Services, target: _Target, version: str) -> Any:
    body = {
        "metadata": {"uid": target.uid, "resourceVersion": version},
        "status": {"epoch": services.leadership.epoch},
    }
    return await services.cluster.merge_patch(target.resource, target.name, body, subresource="status")


async def _read(services: Services, target: _Target) -> str | None:
    """Its resourceVersion now; None when it is gone, or over."""
    while True:
        services.leadership.check()
        try:
            body = await services.client.get(target.resource, target.name)
        except errors.ClusterError:
            await asyncio.sleep(PAUSE_SECONDS)
            continue
        over = body is None or (body.get("status") or {}).get("phase") in _ENDED
        if over or body is None or body["metadata"]["uid"] != target.uid:
            return None
        return str(body["metadata"]["resourceVersion"])
