"""`exuvia ledger query`: the entries themselves, by machine, operation, kind, cluster and time."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import click

from exuvia.cli import clusters, listing, moments, printing, remembering
from exuvia.cli.ledgers import ledger_option, reading
from exuvia.record.moments import moment

_MOMENTS = frozenset({"began", "born", "cut", "died", "due", "ended", "heard", "notBefore", "since", "until"})
_COMPARED = ("bootID", "digest", "epoch", "generation", "machineID", "operation", "policyUID", "instance", "uid")


@click.command()
@ledger_option
@clusters.cluster_filter_option
@click.option("--instance", default="", metavar="UID", help="The whole life of one machine (its UID, or a name).")
@click.option("--operation", default="", metavar="NAME", help="Everything about one Rotation or Quarantine.")
@click.option("--kind", default="", help="Only entries of this kind, e.g. death, verdict, intent, evidence.")
@click.option("--since", default="", metavar="TIME", help="Only what was so since: a time (RFC 3339) or a span (24h).")
@click.option(
    "--limit", type=click.IntRange(min=0), default=100, show_default=True, help="The last so many; 0 for all."
)
@printing.output_option
def query(
    file: str, named: str | None, instance: str, operation: str, kind: str, since: str, limit: int, output: str
) -> None:
    """Show entries, oldest first."""
    if instance and operation:
        raise click.UsageError("Give --instance or --operation, not both.")
    now = datetime.now(UTC)
    begun = moments.earlier(since, now) if since else None
    with reading(file) as connection:
        asked = remembering.Question(
            instance=instance,
            operation=operation,
            kind=kind,
            cluster=clusters.chosen(connection, named),
            since=begun,
            limit=limit,
        )
        told = clusters.several(connection) and named is None
        with closing(remembering.entries(connection, asked)) as found:
            count = listing.show(
                found,
                (*(("CLUSTER",) if told else ()), "SEQ", "AT", "KIND", "WHAT"),
                lambda one: (*((one["cluster"],) if told else ()), *_cells(one)),
                output,
            )
    if output == "table" and not count:
        printing.say("no entry")


def words(body: dict[str, Any]) -> str:
    """What a fact says, on one line: what a person asks for first, and what only programs compare last."""
    said = {key: value for key, value in body.items() if value not in ("", None, [], {})}
    found = (f"{key}={_word(_told(key, said[key]))}" for key in sorted(said, key=lambda key: key in _COMPARED))
    return printing.one_line(" ".join(found))


def _cells(one: dict[str, Any]) -> tuple[str, ...]:
    return str(one["seq"]), one["at"], one["type"], words(one["body"])


def _told(key: str, value: Any) -> Any:
    """A moment as people write it; the chain holds microseconds."""
    return remembering.written(moment(value)) if key in _MOMENTS and type(value) is int else value


def _word(value: Any) -> str:
    if isinstance(value, str) and value and not any(one.isspace() for one in value):
        return value
    return json.dumps(value)


COMMANDS: tuple[click.Command, ...] = (query,)
"""For the group `ledger`."""
