"""`exuvia ledger prepare`: make a PostgreSQL database ready for the ledger, as its owner."""

from __future__ import annotations

import click

from exuvia import errors
from exuvia.cli import printing
from exuvia.record import places
from exuvia.record import preparing as preparations
from exuvia.record.places import Server


@click.command()
@click.option(
    "--ledger", "url", envvar="EXUVIA_LEDGER", required=True, metavar="URL", help="The database, as its owner."
)
@click.option("--writer", default="", metavar="ROLE", help="The role of the operator; made where there is none.")
def prepare(url: str, writer: str) -> None:
    """Make a PostgreSQL database ready: its tables, the triggers that keep history, a role that may only add and read.

    Run it once before the operator starts, and again after each update of exuvia. It may be repeated at any time.
    """
    place = places.place(url)
    if not isinstance(place, Server):
        remedy = f"A file is made ready by the operator itself; for a database write {places.FORM}."
        raise errors.SettingsError(f"{place} is a file and needs no preparation.", remedy=remedy)
    made = preparations.prepare(place, writer=writer)
    printing.say(f"{place} is ready")
    if made:
        printing.say(f"the role {writer} was made without a password; give it one with \\password {writer} in psql")


COMMANDS = (prepare,)
