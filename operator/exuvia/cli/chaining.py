"""`exuvia ledger verify | export | import | anchor`: the chain itself, checked, taken out, taken in, and noted."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import chain as joined
from pathlib import Path
from typing import IO, Any

import click
from sqlalchemy import Connection

from exuvia import errors, ports
from exuvia.cli import cluster, ledgers, moments, printing, remembering
from exuvia.model import marks, resources
from exuvia.model.facts import microseconds
from exuvia.record import (
    anchors,
    appending,
    chain,
    chains,
    checkpoints,
    comparing,
    exporting,
    importing,
    lines,
    missing,
    personal,
    places,
    queries,
)
from exuvia.record.moments import moment

cluster_option = click.option(
    "--cluster",
    "named",
    envvar="EXUVIA_CLUSTER",
    default="",
    metavar="NAME",
    help="The chain of this cluster. Default: the only one.",
)

deep_option = click.option(
    "--deep", is_flag=True, help="Also make all tables anew beside the ledger, and compare: takes time and room."
)


_ANEW = (
    "Put the last good copy in its place; where there is none, write its chains by `exuvia ledger export` and take them"
    " into a new ledger by `exuvia ledger import`: that makes all tables anew (names of people stay behind)."
)
_NUMBER = re.compile(r"[0-9]{1,18}")
_HASH = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What came of one chain: the check, and what was pruned under which checkpoint, in words or ""."""

    verified: chain.Verified
    checkpoint: str


@click.command()
@ledgers.ledger_option
@click.option(
    "--cluster",
    "named",
    envvar="EXUVIA_CLUSTER",
    default="",
    metavar="NAME",
    help="Only the chain of this cluster. Default: all.",
)
@click.option("--head", default="", metavar="SEQ:HASH", help="An entry noted elsewhere, so that a cut tail is found.")
@click.option("--anchor", default="", metavar="NOTE", help="A file of `ledger anchor`, for the same.")
@click.option("--public-key", default="", metavar="PEM", help="The anchor must be signed by this key.")
@deep_option
@printing.output_option
def verify(file: str, named: str, head: str, anchor: str, public_key: str, deep: bool, output: str) -> None:
    """Walk the whole hash chain. Exit code 1 names the first entry that does not fit.

    Answers come from tables that are made from the entries: whether these are as the entries say, --deep checks too.
    """
    note = _note(anchor, public_key)
    named = named or (note.anchor.cluster if note else "")
    known = (note.anchor.seq, bytes.fromhex(note.anchor.hash)) if note else _head(head) if head else None
    with ledgers.reading(file) as connection:
        which = [named] if note else ledgers.chains(connection, named)
        if known:
            ledgers.only(which)
        found = {one: _verified(connection, one, known) for one in which}
        odd = list(comparing.differences(connection)) if deep else None
    _show_verified(found, odd, file, output, known)


@click.command()
@ledgers.ledger_option
@cluster_option
@click.option("--since", default="", metavar="TIME", help="Only what was recorded since (RFC 3339, or a span ago).")
@click.option(
    "--format",
    "form",
    envvar="EXUVIA_FORMAT",
    type=click.Choice(["chain", "ocsf"]),
    default="chain",
    show_default=True,
    help="Entries that can be checked and imported again, or events of OCSF 1.6.0.",
)
@click.option("--names", is_flag=True, help="In events, people by name; else by a token. A chain has neither.")
def export(file: str, named: str, since: str, form: str, names: bool) -> None:
    """Write every entry, one JSON line each, as it is read."""
    if names and form != "ocsf":
        raise click.UsageError(
            "--names is for --format ocsf: in a chain names stay sealed, or it could not be checked."
        )
    began = microseconds(moments.earlier(since, datetime.now(UTC))) if since else 0
    with ledgers.reading(file) as connection:
        which = ledgers.only(ledgers.chains(connection, named))
        if form == "chain":
            found = exporting.lines(connection, which, since=began)
        else:
            reveal = partial(personal.revealed, connection) if names else personal.subject
            found = exporting.events(connection, which, since=began, named=reveal)
        for line in found:
            click.echo(line)


@click.command("import")
@click.argument("facts")
@ledgers.writing_option
@click.option(
    "--cluster",
    "named",
    envvar="EXUVIA_CLUSTER",
    default="",
    metavar="NAME",
    help="Whose chain. Default: that which wrote last.",
)
@printing.output_option
def import_(facts: str, file: str, named: str, output: str) -> None:
    """Take history from elsewhere: FACTS is NDJSON, one line a fact, or a chain that `ledger export` wrote
    (docs/ledger.md); - for standard input.

    All of it or nothing: one line that cannot be read refuses the file. What cannot have been so goes to the dead
    letters, is named, and the exit code is 1.
    """
    with ledgers.text(facts) as told:
        first = next((line for line in told if line.strip()), "")
        if chains.is_chain(first):
            _import_chain(joined([first], told), file, named, output)
        else:
            _import_facts(joined([first], told), file, named, output)


@click.command()
@ledgers.ledger_option
@cluster_option
@click.option("--key", default="", metavar="PEM", help="Sign it with this Ed25519 key (docs/ledger.md).")
@click.option(
    "--to", "target", envvar="EXUVIA_TO", default="", metavar="NOTE", help="Write it to this file. Default: print it."
)
@click.option("--config-map", is_flag=True, help="Put it into the ConfigMap exuvia-ledger-head, beside the operator's.")
@click.option("--namespace", default="exuvia-system", show_default=True, help="Of the ConfigMap.")
@cluster.cluster_options
def anchor(
    file: str, named: str, key: str, target: str, config_map: bool, namespace: str, kubeconfig: str, context: str
) -> None:
    """Note the last entry of the chain outside the ledger, so that a cut tail or a restored backup is found later."""
    private = anchors.private_key(Path(key)) if key else None
    with ledgers.reading(file) as connection:
        which = ledgers.only(ledgers.chains(connection, named))
        head, found = appending.head(connection, which), chain.verify(queries.links(connection, which))
    if found.problem:
        said = f"The ledger {file} is not sound: {found.problem}."
        raise errors.LedgerCorrupt(said, remedy=missing.DAMAGED_WAY_OUT)
    noted = anchors.Anchor(
        cluster=which, seq=head.seq, hash=head.hash.hex(), time=remembering.written(moment(head.recorded))
    )
    note = anchors.written(noted, private)
    if target:
        _write(Path(target), note)
    if config_map:
        cluster.run(kubeconfig, context, lambda client: _put(client, namespace, noted, note))
    if not (target or config_map):
        click.echo(note)


def _write(target: Path, note: str) -> None:
    try:
        target.write_text(note + "\n", encoding="utf-8")
    except OSError as trouble:
        remedy = "Name a file that can be written."
        raise errors.SettingsError(f"{target} cannot be written: {trouble.strerror}.", remedy=remedy) from trouble


async def _put(client: ports.Cluster, namespace: str, head: anchors.Anchor, note: str) -> None:
    """A key of its own beside those that the operator writes. Where it wrote nothing yet, its keys come along."""
    found = await client.get(resources.CONFIG_MAPS, marks.LEDGER_HEAD, namespace=namespace)
    if found is not None:
        added = {"data": {"anchor": note}}
        await client.merge_patch(resources.CONFIG_MAPS, marks.LEDGER_HEAD, added, namespace=namespace)
        return
    data = {"seq": str(head.seq), "hash": head.hash, "epoch": "0", "at": head.time, "anchor": note}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": marks.LEDGER_HEAD}, "data": data}
    await client.create(resources.CONFIG_MAPS, body, namespace=namespace)


def _note(file: str, public_key: str) -> anchors.Note | None:
    if not file:
        if public_key:
            raise click.UsageError("--public-key says who signed an anchor: name it by --anchor.")
        return None
    with ledgers.text(file) as opened:
        note = anchors.read(opened.read())
    if public_key and not anchors.signed_by(note, anchors.public_key(Path(public_key))):
        raise errors.InvalidObject(
            f"The anchor {file} is not signed by {public_key}: it, or the key, is another one.",
            remedy="Take the anchor from where it was first written.",
        )
    return note


def _head(text: str) -> tuple[int, bytes]:
    """A hash that is cut short would fit no entry, and the ledger would be blamed for it."""
    seq, _, hash_ = text.partition(":")
    if not (_NUMBER.fullmatch(seq) and _HASH.fullmatch(hash_)):
        remedy = "Write SEQ:HASH with 64 hex digits, as `ledger verify` and a Quarantine's status.ledger show them."
        raise errors.SettingsError(f"{text!r} is no head of a ledger.", remedy=remedy)
    return int(seq), bytes.fromhex(hash_)


def _verified(connection: Connection, which: str, known: tuple[int, bytes] | None) -> _Found:
    found = chain.verify(queries.links(connection, which), head=known)
    return _Found(verified=found, checkpoint=_checkpoint(connection, which) if found.pruned else "")


def _checkpoint(connection: Connection, which: str) -> str:
    seq, body = checkpoints.last(connection, which)[-1]
    when, cut = (remembering.written(moment(at)) for at in (checkpoints.entered(connection, which, seq), body["cut"]))
    return f"checkpoint {seq} of {when} by {body['by']}, cut at {cut}"


def _show_verified(
    found: dict[str, _Found], odd: list[tuple[str, str]] | None, file: str, how: str, known: tuple[int, bytes] | None
) -> None:
    """`odd`: (table, what differs) of the tables that are not what the entries say; None: they were not looked at."""
    if how != "table":
        data = [_data(one, odd) | ({"cluster": name} if name else {}) for name, one in found.items()]
        tables = {"tables": [{"table": table, "problem": what} for table, what in odd]} if odd else {}
        printing.show([], (data[0] if len(data) == 1 else {"chains": data}) | tables, how)
    else:
        for name, one in found.items():
            whose = f"{file}, cluster {name}," if len(found) > 1 else file
            click.echo(_sentence(whose, one, known, tables=not odd))
        for line in _tables(found, odd, file):
            click.echo(line)
    printing.finish(findings=bool(odd) or any(one.verified.problem for one in found.values()))


def _data(one: _Found, odd: list[tuple[str, str]] | None) -> dict[str, Any]:
    found = one.verified
    head = f"{found.entries}:{found.head.hex()}"
    problem = found.problem or "; ".join(_differs(*other) for other in odd or ())
    said = {"entries": found.entries, "head": head, "sound": not problem, "firstBad": found.first_bad}
    said |= {"problem": problem or None, "pruned": found.pruned, "checkpoint": one.checkpoint or None}
    return said | {"deep": odd is not None}


def _sentence(what: str, one: _Found, known: tuple[int, bytes] | None, *, tables: bool) -> str:
    """Of one chain. Where `tables` are not as they should be the chain is only whole."""
    found = one.verified
    head = f"{found.entries}:{found.head.hex()}"
    if found.problem:
        return f"{what} is not sound: {found.problem}; sound is {head}. {missing.DAMAGED_WAY_OUT}"
    pruned = f", {found.pruned} of them pruned under {one.checkpoint}" if found.pruned else ""
    unseen = f"; entry {known[0]} was pruned, so there was nothing to compare" if known and not found.compared else ""
    state = "is sound" if tables else "is not sound: its tables are not what its entries say. The chain alone is whole"
    return f"{what} {state}: {found.entries} entries{pruned}, head {head}{unseen}"


def _tables(found: dict[str, _Found], odd: list[tuple[str, str]] | None, file: str) -> Iterator[str]:
    """What came of the tables that answers come from, and the way out."""
    whole = not any(one.verified.problem for one in found.values())
    if odd is None and whole:
        yield "this is the chain only; --deep checks the tables that answers come from as well"
    elif odd is not None and not odd and whole:
        yield "the tables that answers come from are what the entries say"
    for one in odd or ():
        yield f"{file}: {_differs(*one)}"
    if odd and whole:
        anew = any(one.verified.entries for one in found.values())
        yield "Trust no answer from it. " + (_ANEW if anew else missing.DAMAGED_WAY_OUT)


def _differs(table: str, what: str) -> str:
    return f"the table {table} is not what the entries say: {what}"


def _import_facts(told: Iterator[str], file: str, named: str, output: str) -> None:
    recorded = microseconds(datetime.now(UTC))
    found = importing.load(places.place(file), lines.read(told, recorded=recorded), cluster=named)
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


def _import_chain(told: Iterator[str], file: str, named: str, output: str) -> None:
    with _twice(told) as spooled:
        found = chains.load(places.place(file), spooled, cluster=named)
    head = f"{found.head.seq}:{found.head.hash.hex()}"
    data = {"cluster": found.cluster, "imported": found.entered, "known": found.known, "head": head}
    if output != "table":
        printing.show([], data, output)
        return
    whose = f" of cluster {found.cluster}" if found.cluster else ""
    known = f", {found.known} were there already" if found.known else ""
    entries = "1 entry" if found.entered == 1 else f"{found.entered} entries"
    click.echo(f"the chain{whose} is sound: {entries} imported{known}; its head is {head}")


@contextmanager
def _twice(told: Iterator[str]) -> Iterator[IO[str]]:
    """The same lines in a file that can be read twice: checked first, then entered."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as spooled:
        spooled.writelines(told)
        yield spooled


COMMANDS: tuple[click.Command, ...] = (verify, export, import_, anchor)
"""For the group `ledger`."""
