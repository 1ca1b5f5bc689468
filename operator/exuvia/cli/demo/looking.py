"""Looking at the cluster: what the narrator tells and what the story is judged by, read as objects each time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from exuvia import errors, ports
from exuvia.cli.demo.narrator import Narrator
from exuvia.kube.client import Client
from exuvia.model import resources
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation

PERIOD = 0.3


async def rotations(client: Client) -> list[Rotation]:
    """All there are, oldest first."""
    found = [Rotation.parse(body) async for page in client.pages(resources.ROTATIONS) for body in page]
    return sorted(found, key=lambda one: (one.metadata.creation_timestamp, one.name))


async def first(client: Client) -> Rotation | None:
    """The one that ended first; None where none has."""
    done = [one for one in await rotations(client) if one.status.finished_at]
    return min(done, key=lambda one: (one.status.finished_at, one.name), default=None)


async def quarantines(client: Client) -> list[Quarantine]:
    """All there are."""
    return [Quarantine.parse(body) async for page in client.pages(resources.QUARANTINES) for body in page]


async def nodes(client: Client) -> dict[str, ports.Body]:
    """Nodes by name."""
    return {body["metadata"]["name"]: body async for page in client.pages(resources.NODES) for body in page}


async def events(client: Client) -> list[ports.Body]:
    """Events about machines."""
    return [body async for page in client.pages(resources.EVENTS, namespace="default") for body in page]


async def until(
    look: Callable[[], Awaitable[bool]],
    *,
    seconds: float,
    what: str,
    alive: Callable[[], bool],
    narrator: Narrator,
    log: Path,
) -> None:
    """Look again and again. Raises `errors.ClusterError` when it takes too long or the operator has ended; `log` is its
    file that says why."""
    deadline = narrator.seconds + seconds
    while not await look():
        if not alive():
            raise errors.ClusterError("The operator ended.", remedy=f"Its log says why: {log}.")
        if narrator.seconds > deadline:
            raise errors.ClusterError(f"Waited {seconds:.0f} s in vain for {what}.", remedy=f"See {log}.")
        await asyncio.sleep(PERIOD)


def most_at_once(intervals: list[tuple[datetime, datetime]]) -> int:
    """How many of some half-open intervals overlap at most."""
    edges = sorted([(end, -1) for _, end in intervals] + [(start, 1) for start, _ in intervals])
    running = most = 0
    for _, change in edges:
        running += change
        most = max(most, running)
    return most


def moment(body: Any) -> datetime:
    """An RFC 3339 time of an object."""
    return datetime.fromisoformat(str(body))
