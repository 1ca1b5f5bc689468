"""Which ledger a command means, and a connection to it."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

import click
from sqlalchemy import Connection

from exuvia import errors
from exuvia.cli import cluster
from exuvia.record import places, queries
from exuvia.record.reading import reading as reading_of

DEFAULT = "/var/lib/exuvia/ledger.db"

ledger_option = click.option(
    "--ledger",
    "file",
    envvar="EXUVIA_LEDGER",
    default=DEFAULT,
    show_default=True,
    metavar="FILE-or-URL",
    help="The ledger; opened read-only.",
)

writing_option = click.option(
    "--ledger",
    "file",
    envvar="EXUVIA_LEDGER",
    default=DEFAULT,
    show_default=True,
    metavar="FILE-or-URL",
    help="The ledger.",
)

by_option = click.option(
    "--by",
    default="",
    metavar="NAME",
    help="Your name, recorded as you say it. Default: whom the cluster knows you as.",
)


chain_option = click.option(
    "--cluster",
    "named",
    envvar="EXUVIA_CLUSTER",
    default="",
    metavar="NAME",
    help="The chain to enter it in. Default: the only one.",
)


@contextmanager
def reading(file: str) -> Iterator[Connection]:
    """A read-only connection that sees one moment. Raises `errors.LedgerError` with the next step."""
    with reading_of(places.place(file)) as connection:
        yield connection


def there(file: str) -> places.Place:
    """The ledger to write to, which must be there. Raises `errors.LedgerDown`."""
    place = places.place(file)
    if places.absent(place):
        raise errors.LedgerDown(f"There is no ledger at {place}.", remedy="Name it by --ledger.")
    return place


def chains(connection: Connection, named: str) -> list[str]:
    """The chain that was named, or all there are; of an empty ledger the one without a name."""
    found = list(queries.clusters(connection)) or [""]
    if named and named not in found:
        known = ", ".join(one or "one without a name" for one in found)
        raise errors.SettingsError(f"The ledger has no chain of {named}.", remedy=f"There is {known}.")
    return [named] if named else found


def only(found: Sequence[str]) -> str:
    """The one chain; several are a mistake of the caller."""
    if len(found) > 1:
        raise click.UsageError(f"The ledger has several chains: say which by --cluster ({', '.join(found)}).")
    return found[0]


def chain_of(file: str, named: str) -> str:
    """The chain that a person enters something in."""
    with reading(file) as connection:
        return only(chains(connection, named))


def person(by: str, kubeconfig: str, context: str) -> str:
    """Who acts: the name that was said, marked as such, else whom the cluster knows. Raises `errors.SettingsError`."""
    if by:
        return f"{by} (said by {getpass.getuser()})"
    try:
        return cluster.run(kubeconfig, context, cluster.whoami)
    except (errors.SettingsError, errors.ClusterError) as trouble:
        remedy = "Name a cluster that knows you by --kubeconfig, or say who you are by --by NAME."
        raise errors.SettingsError(f"Who does this is not known: {trouble.message}", remedy=remedy) from trouble


@contextmanager
def text(file: str) -> Iterator[IO[str]]:
    """A file of text, or - for standard input. Raises `errors.SettingsError` and `errors.InvalidObject`."""
    try:
        with click.open_file(file, "r", encoding="utf-8") as opened:
            yield opened
    except OSError as trouble:
        remedy = "Name a file, or - for standard input."
        raise errors.SettingsError(f"{file} cannot be read: {trouble.strerror}.", remedy=remedy) from trouble
    except UnicodeDecodeError as trouble:
        said = f"{file} is no UTF-8: {trouble.reason} at byte {trouble.start}."
        raise errors.InvalidObject(said, remedy="Write it as UTF-8.") from trouble
