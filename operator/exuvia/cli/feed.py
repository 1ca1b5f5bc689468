"""`exuvia feed import`: what EPSS, KEV, CVSS and VEX files say, into the ledger. It fetches nothing by itself."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from exuvia import errors
from exuvia.cli import feeding, moments, printing
from exuvia.cli.feeding import Job
from exuvia.cli.ledger import DEFAULT
from exuvia.model.facts import microseconds
from exuvia.observe.feeds import FEEDS, base
from exuvia.observe.feeds.base import Asked
from exuvia.observe.feeds.changes import Change, Comparison
from exuvia.observe.feeds.comparing import Terms
from exuvia.report.text import Rows

NAMED = {one.name: one for one in FEEDS}


@click.group()
def feed() -> None:
    """What the world says of vulnerabilities: EPSS, KEV, CVSS and VEX, from files."""


@feed.command("import")
@click.argument("kind", type=click.Choice(list(NAMED)), metavar="KIND")
@click.argument("file", metavar="FILE")
@click.option(
    "--ledger",
    envvar="EXUVIA_LEDGER",
    default=DEFAULT,
    show_default=True,
    metavar="FILE",
    help="The ledger; made where there is none.",
)
@click.option("--recorded-at", default="", metavar="TIME", help="When it was learnt of (RFC 3339). Default: now.")
@click.option(
    "--all/--only-known",
    "everything",
    default=None,
    help="Every vulnerability, or only those that were ever seen on a machine. Default: for epss only these.",
)
@click.option(
    "--product-scope",
    type=click.Choice(["refuse", "all"]),
    default="refuse",
    show_default=True,
    help="VEX about named products only: refuse it, or let it count for all machines.",
)
@click.option("--valid-from", default="", metavar="TIME", help="VEX: since when it is so. Default: as it says itself.")
@click.option("--document", default="", metavar="NAME", help="Name of a CVSS list. Default: the name of the file.")
@click.option("--fill-gaps", is_flag=True, help="An older EPSS file: add only what is not known of its day.")
@click.option("--accept-losses", is_flag=True, help="Go on although very many entries are not there any more.")
@click.option("--dry-run", is_flag=True, help="Say what would be added, and add nothing.")
@printing.output_option
def import_(
    kind: str,
    file: str,
    ledger: str,
    recorded_at: str,
    everything: bool | None,
    product_scope: str,
    valid_from: str,
    document: str,
    fill_gaps: bool,
    accept_losses: bool,
    dry_run: bool,
    output: str,
) -> None:
    """Add what a FILE says anew: KIND is epss, kev, cvss, openvex or cyclonedx; FILE may be gzip, - is standard input.

    A file that is not whole and right adds nothing. The same file again adds nothing.
    """
    chosen = NAMED[kind]
    if fill_gaps and not chosen.dated:
        raise click.UsageError(f"--fill-gaps is for files of one day each; {kind} has none.")
    since = microseconds(moments.at(valid_from)) if valid_from else None
    asked = Asked(everywhere=product_scope == "all", valid_from=since, document=document or _name(file))
    recorded = _recorded(recorded_at)
    terms = Terms(recorded=recorded, gaps=fill_gaps, firm=since is not None, losing=accept_losses)
    only_known = chosen.large if everything is None else not everything
    job = Job(feed=chosen, file=file, ledger=Path(ledger), asked=asked, terms=terms, only_known=only_known)
    _show(feeding.bring(job, dry=dry_run), output, dry=dry_run)


def _name(file: str) -> str:
    """What a file is called, in characters that the ledger can hold."""
    return "".join(one if one.isprintable() else "?" for one in Path(file).name)


def _recorded(text: str) -> int:
    now = datetime.now(UTC)
    found = moments.at(text) if text else now
    if found > now:
        raise errors.SettingsError(f"{text!r} is still to come.", remedy="Name when the file was learnt of.")
    return microseconds(found)


def _show(found: Comparison, output: str, *, dry: bool) -> None:
    counts = {one.value: found.count(one) for one in Change}
    counts |= {"unchanged": found.unchanged, "skipped": found.skipped}
    data: dict[str, Any] = {"feed": found.feed.name, "version": found.release.version}
    data |= {"recordedAt": base.written(found.recorded), "dryRun": dry, **counts}
    headings = ("FEED", "VERSION", *(one.upper() for one in counts))
    row = (found.feed.name, found.release.version, *map(str, counts.values()))
    printing.show([("", Rows(headings=headings, rows=(row,)))], data, output)
    if output == "table" and counts["skipped"] and not (found.steps or found.unchanged):
        click.echo(
            "nothing of it was ever seen on a machine that the ledger knows; --all adds it all the same", err=True
        )
    if output == "table" and dry:
        click.echo("nothing was added (--dry-run)", err=True)
