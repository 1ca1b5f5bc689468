"""`exuvia ledger dead-letters`: what was told and cannot have been so, and why."""

from __future__ import annotations

import re
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import click
from sqlalchemy import Connection

from exuvia.cli import clusters, listing, moments, printing, querying, remembering
from exuvia.cli.ledgers import ledger_option, reading
from exuvia.record import lost, queries
from exuvia.record.moments import moment

_MICROSECONDS = re.compile(r"\b1[0-9]{15}\b")  # as reasons of the operator's own facts hold moments


@click.command("dead-letters")
@ledger_option
@clusters.cluster_filter_option
@click.option("--since", default="", metavar="TIME", help="Only what came in since: a time (RFC 3339) or a span (24h).")
@click.option(
    "--limit", type=click.IntRange(min=0), default=100, show_default=True, help="The last so many; 0 for all."
)
@printing.output_option
def dead_letters(file: str, named: str | None, since: str, limit: int, output: str) -> None:
    """Show what was told and cannot have been so, for example a machine that died before it was born: when it came in,
    why it is in no chain, and what it said. Oldest first; exit code 1 when there is any."""
    begun = moments.earlier(since, datetime.now(UTC)) if since else None
    with reading(file) as connection:
        of = lost.clusters(connection)
        cluster = clusters.chosen(connection, named, beside=of)
        told = cluster is None and len({*of, *queries.clusters(connection)}) > 1
        with closing(lost.letters(connection, cluster=cluster, since=begun, limit=limit)) as found:
            count = listing.show(
                (_data(connection, one) for one in found),
                (*(("CLUSTER",) if told else ()), "CAME IN", "KIND", "WHY", "WHAT"),
                lambda one: (*((one["cluster"],) if told else ()), *_cells(one)),
                output,
            )
    if output == "table" and not count:
        printing.say("no dead letter")
    printing.finish(findings=bool(count))


def _data(connection: Connection, one: lost.Letter) -> dict[str, Any]:
    return {
        "cluster": one.cluster,
        "recorded": remembering.written(one.recorded),
        "reason": _MICROSECONDS.sub(_time, one.reason),
        "entry": remembering.readable(connection, one.entry),
    }


def _time(found: re.Match[str]) -> str:
    return remembering.written(moment(int(found[0])))


def _cells(one: dict[str, Any]) -> tuple[str, ...]:
    return one["recorded"], one["entry"]["type"], one["reason"], querying.words(one["entry"]["body"])


COMMANDS: tuple[click.Command, ...] = (dead_letters,)
"""For the group `ledger`."""
