"""`exuvia license status`: every licence pool of the cluster, as its status says."""

from __future__ import annotations

from typing import Any

import click

from exuvia import ports
from exuvia.cli import cluster, printing
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

    Exit code 1 when a pool is not served, somebody waits, seats are overcommitted, or there is a ghost.
    """
    pools = [said(one) for one in cluster.run(kubeconfig, context, gather)]
    if output == "table" and not pools:
        click.echo("No licence pool. Begin with examples/antivirus-seats.yaml.")
    rows = tuple(tuple(_cell(one[key]) for key in _COLUMNS) for one in pools)
    printing.show([("", Rows(headings=_TITLES, rows=rows))], pools, output)
    printing.finish(findings=any(wrong(one) for one in pools))


async def gather(client: ports.Cluster) -> list[LicensePool | Unparsable]:
    """All of them, by name."""
    found = [ours.from_body(LicensePool, one) for one in await cluster.every(client, resources.LICENSE_POOLS)]
    return sorted(found, key=lambda one: one.name)


def said(pool: LicensePool | Unparsable) -> dict[str, Any]:
    """One pool as a document; what nobody counted yet is null."""
    if isinstance(pool, Unparsable):
        nothing = dict.fromkeys(_COLUMNS)
        return {**nothing, "pool": pool.name, "ready": "False", "exhausted": None, "message": pool.problem}
    conditions = {one.type: one for one in pool.status.conditions}
    ready, exhausted = conditions.get("Ready"), conditions.get("Exhausted")
    counted = ready is not None and ready.status == "True"
    counts = pool.status.seats.wire() if counted else dict.fromkeys(pool.status.seats.wire())
    return {
        "pool": pool.name,
        "ready": ready.status if ready else None,
        **counts,
        "highWater": pool.status.high_water.wire() if counted else None,
        "exhausted": exhausted.status if exhausted else None,
        "message": _message(ready.message if ready and not counted else "", exhausted.message if exhausted else ""),
    }


def wrong(one: dict[str, Any]) -> bool:
    """Whether somebody should look at it."""
    return one["ready"] != "True" or any(one[key] for key in ("queued", "overcommitted", "ghosts"))


def _message(unserved: str, exhausted: str) -> str:
    return unserved or exhausted or "no operator has looked at it yet"


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['used']} of {value['demanded']} demanded"
    return "" if value is None else str(value)
