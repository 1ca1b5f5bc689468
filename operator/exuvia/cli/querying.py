"""`exuvia ledger query`: the entries themselves, by machine, operation, kind, cluster and time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import click

from exuvia.cli import clusters, listing, moments, printing, remembering
from exuvia.cli.ledgers import UNREASONED, ledger_option, reading
from exuvia.model.facts import FactKind
from exuvia.record.moments import moment

LAST = 100
"""So many entries are shown where nothing else is asked for: the whole life of a machine is never cut."""
_OLDER = f"older entries are not shown, only the last {LAST} that fit; --limit 0 shows all"
_MOMENTS = frozenset({"began", "born", "cut", "died", "due", "ended", "heard", "notBefore", "since", "until"})
_REASONED = frozenset({FactKind.HOLD.value, FactKind.ERASED.value})
"""What a person does for a reason."""
_COMPARED = ("bootID", "digest", "epoch", "generation", "machineID", "operation", "policyUID", "instance", "uid")


@click.command()
@ledger_option
@clusters.cluster_filter_option
@click.option("--instance", default="", metavar="UID", help="The whole life of one machine (its UID, or a name).")
@click.option("--operation", default="", metavar="NAME", help="Everything about one Rotation or Quarantine.")
@click.option("--kind", default="", help="Only entries of this kind, e.g. death, verdict, intent, evidence.")
@click.option("--since", default="", metavar="TIME", help="Only what was so since: a time (RFC 3339) or a span (24h).")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=None,
    metavar="NUMBER",
    help=f"The last so many; 0 for all. Default: {LAST}; all with --instance.",
)
@printing.output_option
def query(
    file: str, named: str | None, instance: str, operation: str, kind: str, since: str, limit: int | None, output: str
) -> None:
    """Show entries, oldest first."""
    if instance and operation:
        raise click.UsageError("Give --instance or --operation, not both.")
    now = datetime.now(UTC)
    begun = moments.earlier(since, now) if since else None
    cut = limit is None and not instance
    with reading(file) as connection:
        asked = remembering.Question(
            instance=instance,
            operation=operation,
            kind=kind,
            cluster=clusters.chosen(connection, named),
            since=begun,
            limit=LAST + 1 if cut else limit or 0,
        )
        told = clusters.several(connection) and named is None
        with closing(remembering.entries(connection, asked)) as found:
            shown, older = _last(found) if cut else (found, False)
            count = listing.show(
                shown,
                (*(("CLUSTER",) if told else ()), "SEQ", "AT", "KIND", "WHAT"),
                lambda one: (*((one["cluster"],) if told else ()), *_cells(one)),
                output,
            )
    if output == "table" and not count:
        printing.say("no entry")
    if older:
        printing.say(_OLDER, err=True)


def words(body: dict[str, Any]) -> str:
    """What a fact says, on one line: what a person asks for first, and what only programs compare last."""
    said = {key: value for key, value in body.items() if value not in ("", None, [], {})}
    found = (f"{key}={_word(_told(key, said[key]))}" for key in sorted(said, key=lambda key: key in _COMPARED))
    return printing.one_line(" ".join(found))


def _last(found: Iterator[dict[str, Any]]) -> tuple[Iterable[dict[str, Any]], bool]:
    """The last so many, and whether there is one before them; of these one more was asked for."""
    known = list(islice(found, LAST + 1))
    return known[-LAST:], len(known) > LAST


def _cells(one: dict[str, Any]) -> tuple[str, ...]:
    body = one["body"]
    if one["type"] in _REASONED:
        body = body | {"reason": body.get("reason") or UNREASONED}
    return str(one["seq"]), one["at"], one["type"], words(body)


def _told(key: str, value: Any) -> Any:
    """A moment as people write it; the chain holds microseconds."""
    return remembering.written(moment(value)) if key in _MOMENTS and type(value) is int else value


def _word(value: Any) -> str:
    if isinstance(value, str) and value and not any(one.isspace() for one in value):
        return value
    return json.dumps(value)


COMMANDS: tuple[click.Command, ...] = (query,)
"""For the group `ledger`."""
