"""`exuvia ledger export`: the entries of a chain, or events of OCSF made from them, as JSON lines."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import click

from exuvia.cli import ledgers, moments
from exuvia.model.facts import microseconds
from exuvia.record import exporting, naming, personal


@click.command()
@ledgers.ledger_option
@ledgers.cluster_option("The chain of this cluster. Default: the only one.")
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
def export(file: str, named: str | None, since: str, form: str, names: bool) -> None:
    """Write every entry, one JSON line each, as it is read."""
    if names and form != "ocsf":
        raise click.UsageError(
            "--names is for --format ocsf: in a chain names stay sealed, or it could not be checked."
        )
    began = microseconds(moments.earlier(since, datetime.now(UTC))) if since else 0
    with ledgers.reading(file) as connection:
        which = naming.only(ledgers.chains(connection, named))
        if form == "chain":
            found = exporting.lines(connection, which, since=began)
        else:
            reveal = partial(personal.revealed, connection) if names else personal.subject
            found = exporting.events(connection, which, since=began, named=reveal)
        for line in found:
            click.echo(line)


COMMANDS: tuple[click.Command, ...] = (export,)
"""For the group `ledger`."""
