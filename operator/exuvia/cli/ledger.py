"""`exuvia ledger query | who | verify | export | accept`: questions to the history. None of them needs a cluster, but
`accept` asks it who you are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import click
from sqlalchemy import Connection

from exuvia import errors
from exuvia.cli import bearers, cluster, moments, printing, remembering
from exuvia.model.facts import microseconds
from exuvia.record import accepting, chain, exporting, importing, lines, opening, queries
from exuvia.record import who as bearing
from exuvia.report.text import Rows

DEFAULT = "/var/lib/exuvia/ledger.db"

ledger_option = click.option(
    "--ledger",
    "file",
    envvar="EXUVIA_LEDGER",
    default=DEFAULT,
    show_default=True,
    metavar="FILE",
    help="The ledger; opened read-only.",
)

writing_option = click.option(
    "--ledger", "file", envvar="EXUVIA_LEDGER", default=DEFAULT, show_default=True, metavar="FILE", help="The ledger."
)


_COMPARED = ("bootID", "digest", "epoch", "generation", "machineID", "operation", "policyUID", "instance", "uid")


@click.group()
def ledger() -> None:
    """Ask the history: lives, names, what ran where; and check its chain."""


@contextmanager
def reading(file: str) -> Iterator[Connection]:
    """A read-only connection. Raises `errors.LedgerError` with the next step."""
    engine = opening.open_for_reading(Path(file))
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


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
@click.option("--as-of", "until", default="", metavar="TIME", help="By what was recorded until then. Default: now.")
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
    bearers.show(found, f"{attribute} {value} at {at:%Y-%m-%dT%H:%M:%SZ}", output)


@ledger.command()
@ledger_option
@click.option("--cluster", "named", default="", metavar="NAME", help="Only the chain of this cluster. Default: all.")
@click.option("--head", default="", metavar="SEQ:HASH", help="An entry noted elsewhere, so that a cut tail is found.")
@printing.output_option
def verify(file: str, named: str, head: str, output: str) -> None:
    """Walk the whole hash chain. Exit code 1 names the first entry that does not fit."""
    anchor = _anchor(head) if head else None
    with reading(file) as connection:
        chains = [named] if named else list(queries.clusters(connection)) or [""]
        if anchor and len(chains) > 1:
            raise click.UsageError(f"The ledger has several chains: say which by --cluster ({', '.join(chains)}).")
        found = {one: chain.verify(queries.links(connection, one), head=anchor) for one in chains}
    _show_verified(found, file, output)


@ledger.command()
@ledger_option
@click.option(
    "--cluster", "named", default="", metavar="NAME", help="The chain of this cluster. Default: the only one."
)
def export(file: str, named: str) -> None:
    """Write every entry with its hash, one JSON line each, so that anybody can check the chain."""
    with reading(file) as connection:
        chains = [named] if named else list(queries.clusters(connection)) or [""]
        if len(chains) > 1:
            raise click.UsageError(f"The ledger has several chains: say which by --cluster ({', '.join(chains)}).")
        for line in exporting.lines(connection, chains[0]):
            click.echo(line)


@ledger.command("import")
@click.argument("facts")
@writing_option
@click.option("--cluster", "named", default="", metavar="NAME", help="Whose chain. Default: that which wrote last.")
@printing.output_option
def import_(facts: str, file: str, named: str, output: str) -> None:
    """Take history from elsewhere: FACTS is NDJSON, one line a fact (docs/ledger.md); - for standard input.

    All of it or nothing: one line that cannot be read refuses the file. What cannot have been so goes to the dead
    letters, is named, and the exit code is 1.
    """
    recorded = microseconds(datetime.now(UTC))
    with _text(facts) as told:
        found = importing.load(Path(file), lines.read(told, recorded=recorded), cluster=named)
    data = {
        "imported": found.entered,
        "deadLetters": [{"line": number, "reason": reason} for number, reason in found.dead],
        "head": f"{found.head.seq}:{found.head.hash}",
    }
    if output == "table":
        click.echo(f"{printing.count(found.entered, 'line')} imported; the ledger's head is {data['head']}")
        for number, reason in found.dead:
            click.echo(f"line {number} went to the dead letters: {reason}")
    else:
        printing.show([], data, output)
    printing.finish(findings=bool(found.dead))


@contextmanager
def _text(file: str) -> Iterator[IO[str]]:
    """A file of text, or - for standard input. Raises `errors.SettingsError` and `errors.InvalidObject`."""
    try:
        with click.open_file(file, "r", encoding="utf-8") as opened:
            yield opened
    except OSError as trouble:
        raise errors.SettingsError(
            f"{file} cannot be read: {trouble.strerror}.", remedy="Name a file, or -."
        ) from trouble
    except UnicodeDecodeError as trouble:
        remedy = "Write it as UTF-8."
        raise errors.InvalidObject(
            f"{file} is no UTF-8: {trouble.reason} at byte {trouble.start}.", remedy=remedy
        ) from trouble


@ledger.command()
@writing_option
@click.option("--reason", required=True, help="Why it is right that entries are missing; recorded with your name.")
@cluster.cluster_options
def accept(file: str, reason: str, kubeconfig: str, context: str) -> None:
    """Accept a ledger that misses entries (a restored backup), so that exuvia acts again."""
    by = cluster.run(kubeconfig, context, cluster.whoami)
    receipt = accepting.accept(Path(file), by=by, reason=reason, at=datetime.now(UTC))
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


def _anchor(head: str) -> tuple[int, bytes]:
    seq, _, hash_ = head.partition(":")
    try:
        return int(seq), bytes.fromhex(hash_)
    except ValueError as trouble:
        remedy = "Write SEQ:HASH, as `ledger verify` and a Quarantine's status.ledger show them."
        raise errors.SettingsError(f"{head!r} is no head of a ledger.", remedy=remedy) from trouble


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


def _show_verified(found: dict[str, chain.Verified], file: str, how: str) -> None:
    data = [_verified(one) | ({"cluster": name} if name else {}) for name, one in found.items()]
    if how != "table":
        printing.show([], data[0] if len(data) == 1 else {"chains": data}, how)
    else:
        for name, one in found.items():
            click.echo(_sentence(f"{file}, cluster {name}," if len(found) > 1 else file, one))
    printing.finish(findings=any(one.problem for one in found.values()))


def _verified(found: chain.Verified) -> dict[str, Any]:
    head = f"{found.entries}:{found.head.hex()}"
    said = {"entries": found.entries, "head": head, "sound": not found.problem, "firstBad": found.first_bad}
    return said | {"problem": found.problem or None}


def _sentence(what: str, found: chain.Verified) -> str:
    head = f"{found.entries}:{found.head.hex()}"
    if found.problem:
        return f"{what} is not sound: {found.problem}. Put the last good copy in its place; sound is {head}."
    return f"{what} is sound: {found.entries} entries, head {head}"
