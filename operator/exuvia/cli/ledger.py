"""`exuvia ledger query | who | accept`: questions to the history. None of them needs a cluster, but `accept` asks it
who you are. The other commands of the group are in `verifying`, `exporting`, `importing`,
`anchoring`, `keeping` and `preparing`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import click
from sqlalchemy import Connection

from exuvia import errors
from exuvia.cli import (
    anchoring,
    bearers,
    cluster,
    exporting,
    importing,
    keeping,
    moments,
    preparing,
    printing,
    remembering,
    verifying,
)
from exuvia.cli.ledgers import DEFAULT, chain_option, ledger_option, reading, there, writing_option
from exuvia.model.facts import microseconds
from exuvia.record import accepting, former
from exuvia.record import who as bearing
from exuvia.report.text import Rows

__all__ = ["DEFAULT", "ledger", "ledger_option", "reading", "writing_option"]

_COMPARED = ("bootID", "digest", "epoch", "generation", "machineID", "operation", "policyUID", "instance", "uid")


@click.group()
def ledger() -> None:
    """Ask the history: lives, names, what ran where; and check its chain."""


@ledger.command()
@ledger_option
@click.option("--instance", default="", metavar="UID", help="The whole life of one machine (its UID, or a name).")
@click.option("--operation", default="", metavar="NAME", help="Everything about one Rotation or Quarantine.")
@click.option("--kind", default="", help="Only entries of this kind, e.g. death, verdict, intent, evidence.")
@click.option("--since", default="", metavar="TIME", help="Only what was so since: a time (RFC 3339) or a span (24h).")
@click.option("--limit", default=100, show_default=True, help="The last so many; 0 for all.")
@printing.output_option
def query(file: str, instance: str, operation: str, kind: str, since: str, limit: int, output: str) -> None:
    """Show entries, oldest first."""
    now = datetime.now(UTC)
    asked = remembering.Question(
        instance=instance,
        operation=operation,
        kind=kind,
        since=moments.earlier(since, now) if since else None,
        limit=limit,
    )
    with reading(file) as connection:
        entries = remembering.entries(connection, asked)
    _show_entries(entries, output)


@ledger.command()
@ledger_option
@click.option("--name", default="", help="Who bore this name.")
@click.option("--ip", default="", help="Who bore this address.")
@click.option("--provider-id", default="", help="Who bore this providerID.")
@click.option("--pod", default="", metavar="NAMESPACE/NAME", help="Which machine this pod ran on.")
@click.option(
    "--at",
    "moment",
    envvar="EXUVIA_AT",
    default="",
    metavar="TIME",
    help="When (RFC 3339, or a span ago). Default: now.",
)
@click.option(
    "--as-of",
    "until",
    envvar="EXUVIA_AS_OF",
    default="",
    metavar="TIME",
    help="By what was recorded until then. Default: now.",
)
@printing.output_option
def who(file: str, name: str, ip: str, provider_id: str, pod: str, moment: str, until: str, output: str) -> None:
    """Say which machine it was, then: by name, address, providerID or pod. What ran on it and who was on it comes with
    it."""
    asked = {"name": name, "address": ip, "providerID": provider_id, "pod": pod}
    given = {attribute: value for attribute, value in asked.items() if value}
    if len(given) != 1:
        raise click.UsageError("Give exactly one of --name, --ip, --provider-id and --pod.")
    attribute, value = next(iter(given.items()))
    now = datetime.now(UTC)
    at = moments.earlier(moment, now) if moment else now
    known = moments.earlier(until, now) if until else now
    with reading(file) as connection:
        found = () if at > known else _bearers(connection, attribute, value, at, microseconds(known))
        last = None if found else former.last(connection, attribute, value, at, until=microseconds(known))
    bearers.show(found, f"{attribute} {value} at {at:%Y-%m-%dT%H:%M:%SZ}", output, last)


@ledger.command()
@writing_option
@click.option("--reason", required=True, help="Why it is right that entries are missing; recorded with your name.")
@chain_option
@cluster.cluster_options
def accept(file: str, reason: str, named: str, kubeconfig: str, context: str) -> None:
    """Accept a ledger that misses entries (a restored backup), so that exuvia acts again."""
    by = cluster.run(kubeconfig, context, cluster.whoami)
    receipt = accepting.accept(there(file), by=by, reason=reason, at=datetime.now(UTC), cluster=named)
    click.echo(f"accepted by {by} as entry {receipt.seq}; exuvia goes on within seconds")


def _bearers(
    connection: Connection, attribute: str, value: str, at: datetime, until: int
) -> tuple[bearing.Bearer, ...]:
    if attribute != "pod":
        return bearing.bore(connection, attribute, value, at, until=until)
    namespace, slash, name = value.partition("/")
    if not (namespace and slash and name):
        raise errors.SettingsError(f"{value!r} names no pod.", remedy="Write NAMESPACE/NAME.")
    return bearing.ran(connection, namespace, name, at, until=until)


def _show_entries(entries: list[dict[str, Any]], how: str) -> None:
    rows = tuple((str(one["seq"]), one["at"], one["type"], printing.one_line(_words(one["body"]))) for one in entries)
    if how == "table" and not rows:
        click.echo("no entry")
    printing.show([("", Rows(headings=("SEQ", "AT", "KIND", "WHAT"), rows=rows))], entries, how)


def _words(body: dict[str, Any]) -> str:
    """What a person asks for first, and what only programs compare last."""
    said = {key: value for key, value in body.items() if value not in ("", None, [], {})}
    return " ".join(f"{key}={_word(said[key])}" for key in sorted(said, key=lambda key: key in _COMPARED))


def _word(value: Any) -> str:
    if isinstance(value, str) and value and not any(one.isspace() for one in value):
        return value
    return json.dumps(value)


for _module in (verifying, exporting, importing, anchoring, keeping, preparing):
    for _one in _module.COMMANDS:
        ledger.add_command(_one)
