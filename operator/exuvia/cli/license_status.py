"""`exuvia license status`: every licence pool of the cluster, as its status says."""

from __future__ import annotations

from typing import Any

import click

from exuvia import ports
from exuvia.cli import asking, cluster, printing
from exuvia.cli.asking import Standing
from exuvia.decide.brakes.status import ENGAGED
from exuvia.model import resources
from exuvia.model.specs.license_pool import LicensePool
from exuvia.observe import ours
from exuvia.observe.ours import Unparsable
from exuvia.report.text import Rows

_COLUMNS = ("pool", "ready", "total", "used", "free", "queued", "overcommitted", "ghosts", "highWater", "message")
_TITLES = ("POOL", "READY", "SEATS", "USED", "FREE", "QUEUED", "OVER", "GHOSTS", "HIGH WATER", "MESSAGE")


@click.command()
@cluster.cluster_options
@printing.output_option
def status(kubeconfig: str, context: str, output: str) -> None:
    """Show the seats of every pool as the operator last counted them.

    Exit code 1 when a pool is not served, somebody waits, seats are overcommitted, there is a ghost, no pod of
    the agent was ever seen, or nobody counts: no operator works, or its ledger takes nothing.
    """
    found, standing = cluster.run(kubeconfig, context, gather)
    pools = [said(one) for one in found]
    halted = halt(standing) if pools else ""
    if output == "table" and not pools:
        click.echo("No licence pool. Begin with examples/antivirus-seats.yaml.")
    if halted:
        printing.say(f"{halted}\n" if output == "table" else halted, err=output != "table")
    rows = tuple(tuple(_cell(one[key]) for key in _COLUMNS) for one in pools)
    printing.show([("", Rows(headings=_TITLES, rows=rows))], pools, output)
    printing.finish(findings=bool(halted) or any(wrong(one) for one in pools))


async def gather(client: ports.Cluster) -> tuple[list[LicensePool | Unparsable], Standing]:
    """All of them, by name, and how the operator that counts them stands."""
    found = [ours.from_body(LicensePool, one) for one in await cluster.every(client, resources.LICENSE_POOLS)]
    return sorted(found, key=lambda one: one.name), await asking.standing(client)


def halt(standing: Standing) -> str:
    """Why no seat is granted, returned or counted now, with the next step; "" where that is done, as far as is
    known."""
    if standing.leader is not None and not standing.works:
        said = standing.leader.said(standing.now)
        return f"No operator works: {said}. What follows is what it counted last. See `exuvia doctor`."
    brakes = standing.guard.status.brakes if standing.guard is not None else ()
    trouble = next((one.reason for one in brakes if one.name == "ledger" and one.state == ENGAGED), "")
    if not trouble:
        return ""
    return f"No seat is granted or returned, and what follows was counted before: {trouble}. See `exuvia doctor`."


def said(pool: LicensePool | Unparsable) -> dict[str, Any]:
    """One pool as a document; what nobody counted yet is null."""
    if isinstance(pool, Unparsable):
        nothing = dict.fromkeys(_COLUMNS)
        unread = {"pool": pool.name, "ready": "False", "exhausted": None, "agentFound": None}
        return {**nothing, **unread, "message": pool.problem}
    conditions = {one.type: one for one in pool.status.conditions}
    ready, exhausted, agent = (conditions.get(one) for one in ("Ready", "Exhausted", "AgentFound"))
    counted = ready is not None and ready.status == "True"
    counts = pool.status.seats.wire() if counted else dict.fromkeys(pool.status.seats.wire())
    return {
        "pool": pool.name,
        "ready": ready.status if ready else None,
        **counts,
        "highWater": pool.status.high_water.wire() if counted else None,
        "exhausted": exhausted.status if exhausted else None,
        "agentFound": agent.status if agent else None,
        "message": _message(ready.message if ready and not counted else "", exhausted.message if exhausted else "")
        + (f"; {agent.message}" if counted and agent is not None and agent.status == "False" else ""),
    }


def wrong(one: dict[str, Any]) -> bool:
    """Whether somebody should look at it."""
    unwell = one["ready"] != "True" or one["agentFound"] == "False"
    return unwell or any(one[key] for key in ("queued", "overcommitted", "ghosts"))


def _message(unserved: str, exhausted: str) -> str:
    return unserved or exhausted or "no operator has looked at it yet"


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['used']} of {value['demanded']} demanded"
    return "" if value is None else str(value)
