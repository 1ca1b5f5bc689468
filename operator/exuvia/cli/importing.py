"""`exuvia ledger import`: history from elsewhere, as lines of facts or as a chain that `ledger export` wrote."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain as joined
from typing import IO

import click

from exuvia.cli import ledgers, printing
from exuvia.model.facts import microseconds
from exuvia.record import chains, importing, lines, naming, places


@click.command("import")
@click.argument("facts")
@ledgers.writing_option
@ledgers.cluster_option("Whose chain. Default: that which wrote last.")
@printing.output_option
def import_(facts: str, file: str, named: str | None, output: str) -> None:
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


def _import_facts(told: Iterator[str], file: str, named: str | None, output: str) -> None:
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


def _import_chain(told: Iterator[str], file: str, named: str | None, output: str) -> None:
    with _twice(told) as spooled:
        found = chains.load(places.place(file), spooled, cluster=named)
    head = f"{found.head.seq}:{found.head.hash.hex()}"
    data = {"cluster": found.cluster, "imported": found.entered, "known": found.known, "head": head}
    if output != "table":
        printing.show([], data, output)
        return
    known = f", {found.known} were there already" if found.known else ""
    entries = "1 entry" if found.entered == 1 else f"{found.entered} entries"
    click.echo(f"{naming.called(found.cluster)} is sound: {entries} imported{known}; its head is {head}")


@contextmanager
def _twice(told: Iterator[str]) -> Iterator[IO[str]]:
    """The same lines in a file that can be read twice: checked first, then entered."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as spooled:
        spooled.writelines(told)
        yield spooled


COMMANDS: tuple[click.Command, ...] = (import_,)
"""For the group `ledger`."""
