"""Which ledger a command means, and a connection to it."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

import click
from sqlalchemy import Connection

from exuvia import errors
from exuvia.cli import cluster, printing
from exuvia.record import naming, places, preparing, queries
from exuvia.record.reading import reading as reading_of

_Command = TypeVar("_Command", bound=Callable[..., Any])

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
    help="Your name, recorded as you say it. Default: whom the cluster knows you as; where none does, your account.",
)

reason_option = click.option("--reason", default="", help="Why; recorded with your name. Better give one.")
UNREASONED = "no reason given"


def cluster_option(words: str) -> Callable[[_Command], _Command]:
    """`--cluster NAME` as `named`: None where it is not given, "" for the chain without a name. A variable that is
    empty counts as not given."""
    return click.option(
        "--cluster",
        "named",
        envvar="EXUVIA_CLUSTER",
        default=None,
        metavar="NAME",
        help=f"{words} '' is the one without a name.",
    )


chain_option = cluster_option("The chain to enter it in. Default: the only one.")


@contextmanager
def reading(file: str) -> Iterator[Connection]:
    """A read-only connection that sees one moment. Raises `errors.LedgerError` with the next step."""
    with reading_of(places.place(file)) as connection:
        yield connection


def there(file: str) -> places.Place:
    """The ledger to write to, which must be there. Raises `errors.LedgerDown`."""
    place = places.place(file)
    if isinstance(place, Path) and places.absent(place):
        raise places.nowhere(place)
    return place


def chains(connection: Connection, named: str | None) -> list[str]:
    """The chain that was named ("" is the one without a name), or, of None, all there are; of an empty ledger the one
    without a name. Raises `errors.SettingsError`."""
    found = list(queries.clusters(connection)) or [""]
    if named is None:
        return found
    if named not in found:
        wanted = f"of {named}" if named else "without a name"
        known = f"Its chains: {naming.listed(found)}." if any(found) else "Leave --cluster out: its chain has no name."
        raise errors.SettingsError(f"The ledger has no chain {wanted}.", remedy=known)
    return [named]


def chain_of(file: str, named: str | None) -> str:
    """The chain that a person enters something in."""
    with reading(file) as connection:
        return naming.only(chains(connection, named))


def begin(place: places.Place) -> bool:
    """Before an import: a database that holds nothing is prepared, where the role may; whether that was done, which is
    told at once. What holds something is left as it is. Raises `errors.LedgerError`."""
    made = isinstance(place, places.Server) and preparing.begin(place)
    if made:
        printing.say(
            f"{place} was empty: a ledger was prepared in it, which stays there if nothing is imported", err=True
        )
    return made


def say_new(place: places.Place, cluster: str, *, made: bool, begun: bool) -> None:
    """That a ledger was made, or a chain in one: a path or a name that was mistyped is seen at once."""
    if made:
        printing.say(f"a new ledger was made at {place}", err=True)
    elif begun:
        printing.say(f"a new chain was begun: {naming.called(cluster)}", err=True)


def person(by: str, kubeconfig: str, context: str) -> str:
    """Who acts: the name that was said, marked as such, else whom the cluster knows; where no cluster was named and
    none says it, the account on this machine, marked in the same way and told. Raises `errors.SettingsError`."""
    if by.strip():
        return _said(by)
    try:
        found, why = cluster.run(kubeconfig, context, cluster.whoami), "The cluster does not say it."
    except (errors.SettingsError, errors.ClusterError) as trouble:
        if kubeconfig or context:
            remedy = "Name a cluster that knows you by --kubeconfig, or say who you are by --by NAME."
            raise errors.SettingsError(f"Who does this is not known: {trouble.message}", remedy=remedy) from trouble
        found, why = "", trouble.message
    if not found:
        found = _said(_account())
        printing.say(f"recorded as done by {found}; --by NAME says another name. No cluster told it: {why}", err=True)
    return found


def _said(name: str) -> str:
    return f"{name} (said by {_account()})"


def _account() -> str:
    """The local account; in a container it may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


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
