"""`exuvia ledger verify`: the whole chain checked, entry by entry, and the tables that are made from it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import click
from sqlalchemy import Connection

from exuvia import errors
from exuvia.cli import anchoring, ledgers, printing, remembering
from exuvia.record import chain, checkpoints, comparing, missing, naming, places, queries
from exuvia.record.anchors import Note
from exuvia.record.moments import moment
from exuvia.record.places import Place

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
@ledgers.cluster_option("Only the chain of this cluster. Default: all.")
@click.option("--head", default="", metavar="SEQ:HASH", help="An entry noted elsewhere, so that a cut tail is found.")
@click.option("--anchor", default="", metavar="NOTE", help="A file of `ledger anchor`, for the same.")
@click.option("--public-key", default="", metavar="PEM", help="The anchor must be signed by this key.")
@deep_option
@printing.output_option
def verify(file: str, named: str | None, head: str, anchor: str, public_key: str, deep: bool, output: str) -> None:
    """Walk the whole hash chain. Exit code 1 names the first entry that does not fit.

    Answers come from tables that are made from the entries: whether these are as the entries say, --deep checks too.
    """
    place = places.place(file)
    note = anchoring.note(anchor, public_key)
    named = note.anchor.cluster if note and named is None else named
    known = (note.anchor.seq, bytes.fromhex(note.anchor.hash)) if note else _head(head) if head else None
    with ledgers.reading(file) as connection:
        which = [named] if note and named is not None else ledgers.chains(connection, named)
        if known:
            naming.only(which)
        found = {one: _verified(connection, one, known) for one in which}
        odd = _odd(connection, place) if deep else None
    _show_verified(found, odd, place, output, known, _noted(found, note, public_key))


def _noted(found: dict[str, _Found], note: Note | None, public_key: str) -> str:
    """What the note came to, where the chain is sound: nobody shall take a signature for checked that was not."""
    if note is None or any(one.verified.problem for one in found.values()):
        return ""
    seen = all(one.verified.compared for one in found.values())
    there = f"the anchor's entry {note.anchor.seq} {'is there' if seen else 'was pruned'}"
    if public_key:
        return f"{there}; it is signed by {public_key}"
    if not note.signature:
        return f"{there}; it bears no signature: whoever can write both could have made it"
    return f"{there}; its signature was not checked: name the key by --public-key"


def _odd(connection: Connection, place: Place) -> list[tuple[str, str]]:
    """What differs. Raises `errors.LedgerCorrupt` where the file itself is damaged: then no answer of it counts."""
    said = comparing.damage(connection)
    if said:
        raise errors.LedgerCorrupt(f"The ledger {place} is damaged: {said}.", remedy=missing.way_out(place))
    return list(comparing.differences(connection))


def _head(text: str) -> tuple[int, bytes]:
    """A hash that is cut short would fit no entry, and the ledger would be blamed for it."""
    seq, _, hash_ = text.partition(":")
    if not (_NUMBER.fullmatch(seq) and _HASH.fullmatch(hash_)):
        remedy = "Write SEQ:HASH with 64 hex digits, as `ledger verify` and a Quarantine's status.ledger show them."
        raise errors.SettingsError(f"{text!r} is no head of a ledger.", remedy=remedy)
    return int(seq), bytes.fromhex(hash_)


def _verified(connection: Connection, which: str, known: tuple[int, bytes] | None) -> _Found:
    found = chain.verify(queries.links(connection, which), head=known)
    gone = comparing.told_beyond(connection, which, found.entries) if not found.problem else None
    if gone is not None:
        first = found.entries + 1
        said = (
            f"entry {first} and what came after it are missing at the end, or a table was changed: one tells of {gone}"
        )
        found = replace(found, first_bad=first, problem=said)
    return _Found(verified=found, checkpoint=_checkpoint(connection, which) if found.pruned else "")


def _checkpoint(connection: Connection, which: str) -> str:
    seq, body = checkpoints.last(connection, which)[-1]
    when, cut = (remembering.written(moment(at)) for at in (checkpoints.entered(connection, which, seq), body["cut"]))
    return f"checkpoint {seq} of {when} by {body['by']}, cut at {cut}"


def _show_verified(
    found: dict[str, _Found],
    odd: list[tuple[str, str]] | None,
    place: Place,
    how: str,
    known: tuple[int, bytes] | None,
    noted: str,
) -> None:
    """`odd`: (table, what differs) of the tables that are not what the entries say; None: they were not looked at."""
    if how != "table":
        several = len(found) > 1
        data = [_data(one, odd) | ({"cluster": name} if name or several else {}) for name, one in found.items()]
        tables = {"tables": [{"table": table, "problem": what} for table, what in odd]} if odd else {}
        printing.show([], (data[0] if len(data) == 1 else {"chains": data}) | tables, how)
    else:
        for name, one in found.items():
            whose = f"{place}, {naming.called(name)}," if len(found) > 1 else str(place)
            printing.say(_sentence(whose, one, known, tables=not odd, way_out=missing.way_out(place)))
        if noted:
            printing.say(noted)
        for line in _tables(found, odd, place):
            printing.say(line)
    printing.finish(findings=bool(odd) or any(one.verified.problem for one in found.values()))


def _data(one: _Found, odd: list[tuple[str, str]] | None) -> dict[str, Any]:
    found = one.verified
    head = f"{found.entries}:{found.head.hex()}"
    problem = found.problem or "; ".join(_differs(*other) for other in odd or ())
    said = {"entries": found.entries, "head": head, "sound": not problem, "firstBad": found.first_bad}
    said |= {"problem": problem or None, "pruned": found.pruned, "checkpoint": one.checkpoint or None}
    return said | {"deep": odd is not None}


def _sentence(what: str, one: _Found, known: tuple[int, bytes] | None, *, tables: bool, way_out: str) -> str:
    """Of one chain. Where `tables` are not as they should be the chain is only whole."""
    found = one.verified
    head = f"{found.entries}:{found.head.hex()}"
    if found.problem:
        until = f"Up to entry {head} all is sound. " if found.entries else ""
        return f"{what} is not sound: {found.problem}. {until}{way_out}"
    pruned = f", {found.pruned} of them pruned under {one.checkpoint}" if found.pruned else ""
    unseen = f"; entry {known[0]} was pruned, so there was nothing to compare" if known and not found.compared else ""
    state = "is sound" if tables else "is not sound: its tables are not what its entries say. The chain alone is whole"
    return f"{what} {state}: {found.entries} entries{pruned}, head {head}{unseen}"


def _tables(found: dict[str, _Found], odd: list[tuple[str, str]] | None, place: Place) -> Iterator[str]:
    """What came of the tables that answers come from, and the way out."""
    whole = not any(one.verified.problem for one in found.values())
    if odd is None and whole:
        yield "this is the chain only; --deep checks the tables that answers come from as well"
    elif odd is not None and not odd and whole:
        yield "the tables that answers come from are what the entries say"
    for one in odd or ():
        yield f"{place}: {_differs(*one)}"
    if odd and whole:
        anew = any(one.verified.entries for one in found.values())
        yield "Trust no answer from it. " + (_ANEW if anew else missing.way_out(place))


def _differs(table: str, what: str) -> str:
    return f"the table {table} is not what the entries say: {what}"


COMMANDS: tuple[click.Command, ...] = (verify,)
"""For the group `ledger`."""
