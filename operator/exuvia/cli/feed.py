"""`exuvia feed import KIND FILE`: what EPSS, KEV, CVSS and VEX files say, into the ledger. It fetches nothing.

Each kind of feed is a command of its own, made from the table of feeds, with the options that it has a use for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from exuvia import errors
from exuvia.cli import feeding, ledgers, moments, printing
from exuvia.cli.feeding import Job
from exuvia.cli.ledgers import DEFAULT
from exuvia.model.facts import microseconds
from exuvia.observe.feeds import FEEDS, base
from exuvia.observe.feeds.base import Asked, Feed
from exuvia.observe.feeds.changes import Change, Comparison
from exuvia.observe.feeds.comparing import Terms
from exuvia.record import places
from exuvia.report.text import Rows

_Decorator = Callable[[Callable[..., None]], Callable[..., None]]


@click.group()
def feed() -> None:
    """What the world says of vulnerabilities: EPSS, KEV, CVSS and VEX, from files."""


@feed.group("import")
def import_() -> None:
    """Add what a file says anew to the ledger. One that is not whole and right adds nothing; nor does a repetition."""


def _command(of: Feed) -> click.Command:
    """The command of one kind of feed."""

    def run(**given: Any) -> None:
        _import(of, given)

    for option in reversed([*_options(of)]):
        run = option(run)
    said = "FILE may be gzip; - is standard input."
    return click.command(of.name, help=f"{of.help} {said}", short_help=of.help)(run)


def _options(of: Feed) -> Iterator[_Decorator]:
    yield click.argument("file", metavar="FILE")
    yield click.option(
        "--ledger",
        envvar="EXUVIA_LEDGER",
        default=DEFAULT,
        show_default=True,
        metavar="FILE-or-URL",
        help="The ledger; a file is made where there is none, a database that is empty prepared.",
    )
    yield ledgers.cluster_option("Whose chain it is entered in. Default: the only one; it counts for all.")
    yield click.option(
        "--recorded-at", default="", metavar="TIME", help="When it was learnt of (RFC 3339). Default: now."
    )
    yield click.option(
        "--all/--only-known",
        "everything",
        default=not of.large,
        help="Every vulnerability; or --only-known: those that were ever seen on a machine. "
        f"Default: {'only known' if of.large else 'all'}.",
    )
    yield from _own_options(of)
    yield click.option("--accept-losses", is_flag=True, help="Go on although very many entries are not there any more.")
    yield click.option("--dry-run", is_flag=True, help="Say what would be added, and add nothing.")
    yield printing.output_option


def _own_options(of: Feed) -> Iterator[_Decorator]:
    """What only some feeds have a use for."""
    if of.shared:
        yield click.option(
            "--product-scope",
            type=click.Choice(["refuse", "all"]),
            default="refuse",
            show_default=True,
            help="What clears named products only: refuse it, or let it count for all machines.",
        )
        yield click.option(
            "--valid-from", default="", metavar="TIME", help="Since when it is so. Default: as the document says."
        )
    if not of.sources:
        yield click.option(
            "--document", default="", metavar="NAME", help="What the list is called. Default: the name of the file."
        )
    if of.dated:
        yield click.option("--fill-gaps", is_flag=True, help="An older file: add only what is not known of its day.")


def _import(of: Feed, given: dict[str, Any]) -> None:
    file, since = given["file"], given.get("valid_from", "")
    asked = Asked(
        everywhere=given.get("product_scope") == "all",
        valid_from=microseconds(moments.at(since)) if since else None,
        document=given.get("document") or _name(file),
    )
    terms = Terms(
        recorded=_recorded(given["recorded_at"]),
        gaps=given.get("fill_gaps", False),
        firm=bool(since),
        losing=given["accept_losses"],
    )
    ledger = places.place(given["ledger"])
    new = feeding.absent(ledger)
    job = Job(
        feed=of,
        file=file,
        ledger=ledger,
        asked=asked,
        terms=terms,
        only_known=not given["everything"],
        cluster=given["named"],
        new=new,
    )
    found, entered = feeding.bring(job, dry=given["dry_run"])
    seen = f"on a machine: there is no ledger at {ledger}" if new else "on a machine that the ledger knows"
    _show(found, given["output"], dry=given["dry_run"], seen=seen)
    if entered is not None:
        ledgers.say_new(job.ledger, entered.cluster, made=entered.made, begun=entered.begun)


def _name(file: str) -> str:
    """What a file is called, in characters that the ledger can hold."""
    return "".join(one if one.isprintable() else "?" for one in Path(file).name)


def _recorded(text: str) -> int:
    now = datetime.now(UTC)
    found = moments.at(text) if text else now
    if found > now:
        raise errors.SettingsError(f"{text!r} is still to come.", remedy="Name when the file was learnt of.")
    return microseconds(found)


def _show(found: Comparison, output: str, *, dry: bool, seen: str) -> None:
    counts = {one.value: found.count(one) for one in Change}
    counts |= {"unchanged": found.unchanged, "skipped": found.skipped}
    data: dict[str, Any] = {"feed": found.feed.name, "version": found.release.version}
    data |= {"recordedAt": base.written(found.recorded), "dryRun": dry, **counts}
    headings = ("FEED", "VERSION", *(one.upper() for one in counts))
    row = (found.feed.name, found.release.version, *map(str, counts.values()))
    printing.show([("", Rows(headings=headings, rows=(row,)))], data, output)
    if output == "table" and not (found.steps or found.unchanged):
        for why in _nothing(found, seen):
            printing.say(why, err=True)
    if output == "table" and dry:
        printing.say("nothing was added (--dry-run)", err=True)


def _nothing(found: Comparison, seen: str) -> Iterator[str]:
    """Why nothing of a file was added, nor known as it is."""
    held = found.skipped - found.release.passed_over - found.taken_back
    if held or found.taken_back:
        had = [f"{held} in it had a score then already"] if held else []
        was = "was" if found.taken_back == 1 else "were"
        gone = [f"{found.taken_back} in it {was} withdrawn"] if found.taken_back else []
        yield f"nothing is missing on that day: {' and '.join(had + gone)}, which --fill-gaps leaves alone"
    elif found.skipped:
        yield f"nothing of it was ever seen {seen}; --all adds it all the same"


for _one in FEEDS:
    import_.add_command(_command(_one))
