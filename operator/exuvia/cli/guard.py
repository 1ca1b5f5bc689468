"""`exuvia pause` and `exuvia resume`: what a person writes into the FleetGuard.

The object is changed as it is served, field by field, so that a pause works also where another field does not parse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import click

from exuvia import errors, ports
from exuvia.cli import cluster, moments, printing
from exuvia.model import marks, resources
from exuvia.model.specs import fleet_guard
from exuvia.report.conditions import stamp

WHO_LENGTH = 256
TRIES = 5

Spec = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Resumed:
    """What `exuvia resume` took out, and what stays because others asked for it."""

    taken: int = 0  # pauses
    left: list[Spec] = field(default_factory=list)  # pauses of other people
    taken_back: bool = False  # an uninstall
    uninstall_left: str = ""  # who asked for the uninstall that stays

    def lines(self) -> Iterator[str]:
        """All of it in words."""
        every = self.taken + len(self.left)
        if every:
            yield f"took out {self.taken} of {printing.count(every, 'pause')}"
        if self.taken_back:
            yield "the uninstall is taken back: what waits may start again"
        for one in self.left:
            yield f"still paused by {one.get('by')}: {one.get('reason') or 'no reason given'} (--all takes it out)"
        if self.uninstall_left:
            yield f"still uninstalled, as {self.uninstall_left} asked: nothing starts (--all takes that back)"
        if not (every or self.taken_back or self.uninstall_left):
            yield "nothing is paused"


@click.command()
@click.option("--reason", required=True, help="Why, for everybody who wonders.")
@click.option(
    "--until", default="", metavar="TIME", help="When it ends by itself: a time (RFC 3339) or a span (2h30m)."
)
@cluster.cluster_options
def pause(kubeconfig: str, context: str, reason: str, until: str) -> None:
    """Let nothing disruptive begin or go on, within 5 s, until `exuvia resume`."""
    end = moments.later(until, datetime.now(UTC)) if until else None
    by, former = cluster.run(kubeconfig, context, lambda client: _pause(client, reason, end))
    if former is not None:
        said = f" until {former['until']}" if former.get("until") else ""
        printing.say(f"your former pause{said} ({former.get('reason') or 'no reason given'}) is replaced by this one")
    printing.say(f"paused by {by}" + (f" until {stamp(end)}" if end else "; go on with `exuvia resume`"))


@click.command()
@click.option("--pool", default="", help="Let this halted pool go on instead: its failures so far no longer count.")
@click.option(
    "--all", "everybodys", envvar="EXUVIA_ALL", is_flag=True, help="Take out the pauses of other people as well."
)
@cluster.cluster_options
def resume(kubeconfig: str, context: str, pool: str, everybodys: bool) -> None:
    """Take your pause out again, or your `exuvia uninstall` back, or let a halted pool go on.

    Exit code 1 when pauses or an uninstall of other people stay.
    """
    if pool:
        by = cluster.run(kubeconfig, context, lambda client: _resume_pool(client, pool))
        printing.say(f"pool {pool} goes on by word of {by}; its failures so far no longer count")
        return
    found = cluster.run(kubeconfig, context, lambda client: _resume(client, everybodys))
    for line in found.lines():
        printing.say(line)
    printing.finish(findings=bool(found.left or found.uninstall_left))


async def _pause(client: ports.Cluster, reason: str, until: datetime | None) -> tuple[str, Spec | None]:
    """Who paused, and the pause of theirs that it takes the place of."""
    by = (await cluster.whoami(client))[:WHO_LENGTH]
    request = {"by": by, "reason": reason[:1024]} | ({"until": stamp(until)} if until else {})
    former: list[Spec] = []

    def change(spec: Spec) -> Spec:
        requests = spec.get("pauseRequests") or []
        former[:] = [one for one in requests if one.get("by") == by]
        return {"pauseRequests": [*(one for one in requests if one.get("by") != by), request]}

    await edit(client, change)
    return by, next(iter(former), None)


async def _resume(client: ports.Cluster, everybodys: bool) -> Resumed:
    by = (await cluster.whoami(client))[:WHO_LENGTH]
    mine = (by, marks.SERVICE_ACCOUNT_USER, "exuvia")  # exuvia's own pause waits for any person's word
    found = Resumed()

    def change(spec: Spec) -> Spec:
        requests, asked = spec.get("pauseRequests") or [], spec.get("uninstall") or {}
        found.left = [] if everybodys else [one for one in requests if one.get("by") not in mine]
        found.taken = len(requests) - len(found.left)
        found.taken_back = bool(asked) and (everybodys or asked.get("by") == by)
        found.uninstall_left = "" if found.taken_back else str(asked.get("by") or "")
        pauses = {"pauseRequests": found.left} if found.taken else {}
        return pauses | ({"uninstall": None} if found.taken_back else {})

    await edit(client, change, create=False)
    return found


async def _resume_pool(client: ports.Cluster, pool: str) -> str:
    by = (await cluster.whoami(client))[:WHO_LENGTH]

    def change(spec: Spec) -> Spec:
        others = [one for one in spec.get("poolResumes") or () if one.get("pool") != pool]
        return {"poolResumes": [*others, {"pool": pool, "by": by, "at": stamp(datetime.now(UTC))}]}

    await edit(client, change)
    return by


async def edit(client: ports.Cluster, change: Callable[[Spec], Spec], *, create: bool = True) -> None:
    """Change some fields of the FleetGuard's spec, upon what stands there now; it is made when it is missing.

    An empty change writes nothing. Raises `errors.Conflict` when others keep changing it.
    """
    for left in reversed(range(TRIES)):
        try:
            await _edit_once(client, change, create)
            return
        except (errors.Conflict, errors.AlreadyExists):
            if not left:
                raise


async def _edit_once(client: ports.Cluster, change: Callable[[Spec], Spec], create: bool) -> None:
    guard = await client.get(resources.FLEET_GUARDS, fleet_guard.NAME)
    if guard is None:
        await cluster.every(client, resources.FLEET_GUARDS)  # says so where the kind itself is missing
        if create:
            await _create(client, change({}))
        return
    fields = change(dict(guard.get("spec") or {}))
    if fields:
        body = {"metadata": {"resourceVersion": guard["metadata"]["resourceVersion"]}, "spec": fields}
        await client.merge_patch(resources.FLEET_GUARDS, fleet_guard.NAME, body)


async def _create(client: ports.Cluster, spec: Mapping[str, Any]) -> None:
    kind = resources.FLEET_GUARDS
    metadata = {"name": fleet_guard.NAME}
    body = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": dict(spec)}
    await client.create(kind, body)
