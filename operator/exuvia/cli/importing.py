"""`exuvia ledger import`: history from elsewhere, as lines of facts or as a chain that `ledger export` wrote."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import chain as joined
from typing import IO

import click

from exuvia import errors
from exuvia.cli import ledgers, printing, progress, texts
from exuvia.model.facts import microseconds
from exuvia.record import beginning, chains, importing, lines, naming, places
from exuvia.record.places import Place

_PASSES = ("looking through", "checking", "entering")
"""What is done with each line of a chain, time after time."""


@click.command("import")
@click.argument("facts")
@ledgers.writing_option
@ledgers.cluster_option("Whose chain. Default: that which wrote last.")
@printing.output_option
def import_(facts: str, file: str, named: str | None, output: str) -> None:
    """Take history from elsewhere: FACTS is NDJSON, one line a fact, or a chain that `ledger export` wrote
    (docs/ledger.md); it may be gzip, - is standard input.

    All of it or nothing: one line that cannot be read refuses the file. What cannot have been so goes to the dead
    letters, is named, and the exit code is 1.
    """
    with texts.lines(facts, "importing", texts.HISTORY) as found:
        told, place = _named(found), places.place(file)
        with _nothing_yet():
            first = next((line for line in told if line.strip()), "")
            ledgers.begin(place)
        if chains.is_chain(first):
            _import_chain(joined([first], told), place, named, output)
        else:
            _import_facts(joined([first], told), place, named, output)


@contextmanager
def _nothing_yet() -> Iterator[None]:
    """What is interrupted before the ledger is opened."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(beginning.NOTHING) from stop


def _named(told: Iterator[str]) -> Iterator[str]:
    """What is wrong with the text itself names its line, as what is wrong with what it says does."""
    try:
        yield from told
    except errors.InvalidObject as trouble:
        said = f"{trouble.place}: {trouble.message}"
        raise errors.InvalidObject(said, place=trouble.place, remedy=trouble.remedy) from trouble


def _import_facts(told: Iterator[str], place: Place, named: str | None, output: str) -> None:
    recorded = microseconds(datetime.now(UTC))
    found = importing.load(place, lines.read(told, recorded=recorded), cluster=named)
    data = {
        "cluster": found.cluster,
        "imported": found.entered,
        "known": found.known,
        "outweighed": found.outweighed,
        "deadLetters": [{"line": number, "reason": reason} for number, reason in found.dead],
        "head": f"{found.head.seq}:{found.head.hash}",
    }
    if output == "table":
        known = f", {_known(found.known)}" if found.known else ""
        known += f", {_outweighed(found.outweighed)}" if found.outweighed else ""
        lines_in = printing.count(found.entered, "line")
        head = f"{_head(found.cluster)} is {data['head']}" if found.head.seq else "no entry was made"
        printing.say(f"{lines_in} imported{known}; {head}")
        for number, reason in found.dead:
            printing.say(f"line {number} went to the dead letters: {reason}")
    else:
        printing.show([], data, output)
    ledgers.say_new(place, found.cluster, made=found.made, begun=found.begun)
    printing.finish(findings=bool(found.dead))


def _import_chain(told: Iterator[str], place: Place, named: str | None, output: str) -> None:
    with _spooled(told) as spooled:
        found = chains.load(place, spooled, cluster=named)
    head = f"{found.head.seq}:{found.head.hash.hex()}"
    data = {"cluster": found.cluster, "imported": found.entered, "known": found.known, "head": head}
    if output != "table":
        printing.show([], data, output)
    else:
        known = f", {_known(found.known)}" if found.known else ""
        entries = "1 entry" if found.entered == 1 else f"{found.entered} entries"
        printing.say(f"{naming.called(found.cluster)} is sound: {entries} imported{known}; its head is {head}")
    ledgers.say_new(place, found.cluster, made=found.made, begun=found.begun)


def _head(cluster: str) -> str:
    return f"the head of {naming.called(cluster)}" if cluster else "the ledger's head"


def _known(count: int) -> str:
    return "1 was there already" if count == 1 else f"{count} were there already"


def _outweighed(count: int) -> str:
    return f"{'1 is' if count == 1 else f'{count} are'} outweighed by another line about the same thing"


class _Spooled:
    """Lines in a file that can be read again and again."""

    def __init__(self, file: IO[str], count: int) -> None:
        self._file, self._count = file, count
        self._passes = iter(_PASSES)
        self._shown: Generator[str] | None = None

    def __iter__(self) -> Iterator[str]:
        self.close()
        self._file.seek(0)
        self._shown = progress.shown(self._file, next(self._passes, _PASSES[-1]), total=self._count)
        return self._shown

    def close(self) -> None:
        """No bar is left behind."""
        if self._shown is not None:
            self._shown.close()


@contextmanager
def _spooled(told: Iterator[str]) -> Iterator[_Spooled]:
    """The same lines, checked first and then entered: from standard input they come only once."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        with _nothing_yet():
            count = sum(bool(file.write(line)) for line in told)
        with closing(_Spooled(file, count)) as spooled:
            yield spooled


COMMANDS: tuple[click.Command, ...] = (import_,)
"""For the group `ledger`."""
