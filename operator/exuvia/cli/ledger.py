"""`exuvia ledger query | who | verify | export | accept`: questions to the history. None of them needs a cluster, but
`accept` asks it who you are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Connection

from exuvia import errors
from exuvia.cli import cluster, moments, printing, remembering
from exuvia.record import accepting, chain, exporting, opening, queries
from exuvia.record.queries import Bearer, Placement
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
@printing.output_option
def who(file: str, name: str, ip: str, provider_id: str, pod: str, moment: str, output: str) -> None:
    """Say which machine it was, then: by name, address, providerID or pod. What ran on it comes with it."""
    asked = {"name": name, "address": ip, "providerID": provider_id, "pod": pod}
    given = {attribute: value for attribute, value in asked.items() if value}
    if len(given) != 1:
        raise click.UsageError("Give exactly one of --name, --ip, --provider-id and --pod.")
    attribute, value = next(iter(given.items()))
    at = moments.earlier(moment, datetime.now(UTC)) if moment else datetime.now(UTC)
    with reading(file) as connection:
        found = _bearers(connection, attribute, value, at)
    _show_bearers(found, f"{attribute} {value} at {at:%Y-%m-%dT%H:%M:%SZ}", output)


@ledger.command()
@ledger_option
@click.option("--head", default="", metavar="SEQ:HASH", help="An entry noted elsewhere, so that a cut tail is found.")
@printing.output_option
def verify(file: str, head: str, output: str) -> None:
    """Walk the whole hash chain. Exit code 1 names the first entry that does not fit."""
    anchor = _anchor(head) if head else None
    with reading(file) as connection:
        found = chain.verify(queries.links(connection), head=anchor)
    _show_verified(found, file, output)


@ledger.command()
@ledger_option
def export(file: str) -> None:
    """Write every entry with its hash, one JSON line each, so that anybody can check the chain."""
    with reading(file) as connection:
        for line in exporting.lines(connection):
            click.echo(line)


@ledger.command()
@click.option(
    "--ledger", "file", envvar="EXUVIA_LEDGER", default=DEFAULT, show_default=True, metavar="FILE", help="The ledger."
)
@click.option("--reason", required=True, help="Why it is right that entries are missing; recorded with your name.")
@cluster.cluster_options
def accept(file: str, reason: str, kubeconfig: str, context: str) -> None:
    """Accept a ledger that misses entries (a restored backup), so that exuvia acts again."""
    by = cluster.run(kubeconfig, context, cluster.whoami)
    receipt = accepting.accept(Path(file), by=by, reason=reason, at=datetime.now(UTC))
    click.echo(f"accepted by {by} as entry {receipt.seq}; exuvia goes on within seconds")


def _bearers(connection: Connection, attribute: str, value: str, at: datetime) -> tuple[Bearer, ...]:
    if attribute != "pod":
        return queries.who(connection, attribute, value, at)
    namespace, slash, name = value.partition("/")
    if not (namespace and slash and name):
        raise errors.SettingsError(f"{value!r} names no pod.", remedy="Write NAMESPACE/NAME.")
    return queries.who_ran(connection, namespace, name, at)


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


def _show_bearers(found: tuple[Bearer, ...], asked: str, how: str) -> None:
    answer = "none" if not found else "one" if len(found) == 1 else "several"
    data = {"answer": answer, "instances": [_bearer(one) for one in found]}
    if how == "table":
        said = {
            "none": f"none: no machine is known for {asked}",
            "one": f"one machine for {asked}",
            "several": f"several machines for {asked}: which one it was cannot be told",
        }
        click.echo(said[answer])
    lives = tuple((one.name, one.uid, _time(one.born), _time(one.died), one.certainty, one.reason) for one in found)
    pods = tuple(
        (one.name, f"{pod.namespace}/{pod.name}", pod.service_account, pod.owner, _time(pod.began), _time(pod.ended))
        for one in found
        for pod in one.placements
    )
    sections = [
        ("", Rows(headings=("NAME", "UID", "BORN", "DIED", "CERTAINTY", "DEATH"), rows=lives)),
        ("", Rows(headings=("ON", "POD", "SERVICE ACCOUNT", "OWNER", "FROM", "TO"), rows=pods)),
    ]
    printing.show(sections, data, how)


def _bearer(one: Bearer) -> dict[str, Any]:
    return {
        "uid": one.uid,
        "name": one.name,
        "born": _time(one.born),
        "died": _time(one.died) or None,
        "reason": one.reason or None,
        "certainty": one.certainty,
        "sessions": [],
        "placements": [_placement(pod) for pod in one.placements],
    }


def _placement(pod: Placement) -> dict[str, Any]:
    return {
        "pod": pod.name,
        "podUid": pod.pod_uid,
        "namespace": pod.namespace,
        "serviceAccount": pod.service_account,
        "owner": pod.owner,
        "images": list(pod.images),
        "from": _time(pod.began),
        "to": _time(pod.ended) or None,
    }


def _time(moment: datetime | None) -> str:
    return "" if moment is None else remembering.written(moment)


def _show_verified(found: chain.Verified, file: str, how: str) -> None:
    head = f"{found.entries}:{found.head.hex()}"
    if how != "table":
        data = {"entries": found.entries, "head": head, "sound": not found.problem, "firstBad": found.first_bad}
        printing.show([], data | {"problem": found.problem or None}, how)
    elif found.problem:
        click.echo(f"{file} is not sound: {found.problem}. Put the last good copy in its place; sound is {head}.")
    else:
        click.echo(f"{file} is sound: {found.entries} entries, head {head}")
    printing.finish(findings=bool(found.problem))
