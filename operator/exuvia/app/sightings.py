"""Up to when everything that happened to machines is in the ledger: noted with each renewal of the Lease, so that the
next leader knows since when a machine may be gone, and asks the API server for what came and went meanwhile.

A machine may be born and die between two leaders. No list shows it; a watch from where the last one stopped does, for
as long as the server remembers (minutes). What it has forgotten cannot be known any more.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec

from exuvia import errors, ports
from exuvia.app.services import Services
from exuvia.model import facts, marks, resources
from exuvia.model.instances import Instance
from exuvia.observe import nodes, shapes, store
from exuvia.observe.reflector import Source

log = logging.getLogger(__name__)

KEY = f"{marks.GROUP}/seen"
DELAY = timedelta(seconds=2)
"""What the server did so long ago has reached us, if anything has since."""

SECOND = timedelta(seconds=1)
LOOK_SECONDS = 0.1
REPLAY_SECONDS = 20
SILENCE_SECONDS = 1.0
LATEST = 2**63
PATIENCE_SECONDS = 5.0  # while it is known that something is still to come

_ENTRY = re.compile(r"0|\d{1,18}:[0-9a-f]{64}")
_EVENT = msgspec.json.Decoder(shapes.WatchEvent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Everything until `at` is in the ledger, that is what came before the Nodes' resourceVersion `version`.

    `known_by`: the last acceptance of a loss in that ledger; None: not noted. Another one says that entries were lost.
    """

    at: datetime
    version: str
    known_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What happened to a machine meanwhile: it was born, or is gone, not before `since`."""

    instance: Instance
    gone: bool
    since: datetime


class Sightings:
    """Notes the last moment during one term."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def run(self) -> None:
        """For ever."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Note it, if all that was seen is durable now. Else the last note stands."""
        services, view = self._services, self._services.view
        watched = [one for one in (view.nodes, view.pods) if one.synced]
        heard = [one.last_heard for one in watched if one.last_heard is not None]
        unread = any(one.store.unread for one in watched)
        if not (services.chronicle.loaded and services.scribe.idle and view.nodes.version and heard) or unread:
            return
        at = facts.text(min(heard) - DELAY)
        services.leadership.notes[KEY] = f"{at} {view.nodes.version} {services.chronicle.accepted}"


async def read(cluster: ports.Cluster, namespace: str, lease: str) -> Sighting | None:
    """What the last leader noted; None where nobody did. Raises `errors.ClusterError`."""
    found = await cluster.get(resources.LEASES, lease, namespace=namespace)
    return parse(((found or {}).get("metadata") or {}).get("annotations") or {})


def parse(annotations: dict[str, str]) -> Sighting | None:
    """From the Lease's annotations; None when they do not say it."""
    at, version, known_by = [*str(annotations.get(KEY) or "").split(" "), "", "", ""][:3]
    moment = shapes.moment(at)
    if moment is None or not version.isdigit():
        return None
    return Sighting(at=moment, version=version, known_by=known_by if _ENTRY.fullmatch(known_by) else None)


async def replay(source: Source, last: Sighting, until: str, newest: int = 0) -> list[Sight]:
    """What happened to machines since then, in order, up to a resourceVersion ("": as far as anything comes); `newest`:
    the greatest that any machine has now, which the watch must reach. What the server has forgotten is said and left
    out."""
    found: list[Sight] = []
    lines = source.watch_lines(resources.NODES, version=last.version, seconds=REPLAY_SECONDS)
    try:
        async with aclosing(lines):
            await _read(lines, last, store.version(until) or LATEST, newest, found)
    except TimeoutError:
        return found  # nothing comes any more: that was all
    except (errors.ClusterError, msgspec.MsgspecError) as trouble:
        log.warning("machines that were born and died since %s are not known: %s", last.at, trouble)
    return found


async def _read(lines: AsyncGenerator[bytes], last: Sighting, until: int, newest: int, found: list[Sight]) -> None:
    since, reached = last.at, store.version(last.version)
    while reached < until:
        async with asyncio.timeout(PATIENCE_SECONDS if reached < newest else SILENCE_SECONDS):
            line = await anext(lines, None)
        if line is None:
            return
        event = _EVENT.decode(line)
        if event.type == "ERROR":
            raise errors.Expired("the API server remembers no more", status=410)
        reached = max(reached, store.version(_version(event.object)))
        if event.type in ("ADDED", "DELETED"):
            machine = nodes.from_bytes(event.object)
            gone = event.type == "DELETED"
            if not gone:
                since = machine.born if refuted(last, machine) else max(since, machine.born)
            found.append(Sight(instance=machine, gone=gone, since=since))


def refuted(last: Sighting, born: Instance) -> bool:
    """Whether a machine that came after the note was born before it: what reached the last leader was older than it
    thought. Births have whole seconds."""
    return born.born + SECOND <= last.at


def doubted(last: Sighting, sights: list[Sight]) -> list[Sight]:
    """The same, where nothing but its own birth is believed of what went before the first birth that refutes the note.

    The order of the API server holds, so what went after such a birth did so after it.
    """
    born = next((at for at, one in enumerate(sights) if not one.gone and refuted(last, one.instance)), 0)
    return [replace(one, since=one.instance.born) if one.gone else one for one in sights[:born]] + sights[born:]


def _version(raw: msgspec.Raw) -> str:
    return msgspec.json.decode(raw, type=shapes.Identified).metadata.resourceVersion


def heirs(sights: list[Sight]) -> list[datetime | None]:
    """Of each sight, when the next machine of its name was born."""
    later: dict[str, datetime] = {}
    found: list[datetime | None] = []
    for one in reversed(sights):
        found.append(later.get(one.instance.name))
        if not one.gone:
            later[one.instance.name] = one.instance.born
    return found[::-1]
