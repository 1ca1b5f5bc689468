"""`exuvia risk report | at | explain`: how risky the fleet really was, from the ledger alone. No cluster is needed.

With the same `--as-of` the answer is the same bytes for ever: nothing recorded later is used, and no clock is shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from itertools import chain
from typing import Any, TypeVar

import click
import yaml
from sqlalchemy import Connection

from exuvia import errors
from exuvia.cli import clusters, moments, printing
from exuvia.cli.ledgers import ledger_option, reading
from exuvia.evaluate.risk import moment
from exuvia.evaluate.risk.accumulate import accumulate
from exuvia.evaluate.risk.explain import explain as explained
from exuvia.evaluate.risk.explain import life_of
from exuvia.model.facts import microseconds
from exuvia.model.histories import Past
from exuvia.model.risks import Aggregation, Window
from exuvia.record import checkpoints, exposed, histories, queries, telling
from exuvia.report import risk as voice
from exuvia.report.risk_page import page
from exuvia.report.risk_plots import marks
from exuvia.report.text import Rows

_Command = TypeVar("_Command", bound=Callable[..., Any])
_FACTOR = re.compile(r"[01](\.\d{1,9})?")

as_of_option = click.option(
    "--as-of",
    default="",
    metavar="TIME",
    help="Use only what was recorded until then (RFC 3339, or a span ago). Default: now.",
)
factor_option = click.option(
    "--quarantine-factor",
    default="0",
    show_default=True,
    metavar="NUMBER",
    help="How much a frozen machine counts, from 0 to 1.",
)


def _window_options(*, required: bool) -> Callable[[_Command], _Command]:
    """`--from` and `--to`."""

    def add(command: _Command) -> _Command:
        missing = "" if required else " Default: the life of the machine."
        default: dict[str, Any] = {} if required else {"default": ""}  # one of None would count as given
        command = click.option(
            "--to", "ended", envvar="EXUVIA_TO", default="", metavar="TIME",
            help="Where the window ends, itself not in it. Default: --as-of.",
        )(command)  # fmt: skip
        return click.option(
            "--from", "began", envvar="EXUVIA_FROM", required=required, metavar="TIME",
            help=f"Where the window begins (RFC 3339, or a span ago like 720h).{missing}", **default,
        )(command)  # fmt: skip

    return add


def _output_option(*forms: str) -> Callable[[_Command], _Command]:
    return click.option(
        "-o", "--output", type=click.Choice(forms), default="table", show_default=True, help="How to print."
    )


@click.group()
def risk() -> None:
    """Say how risky the fleet really was: as known then, as known now, dead machines counted for what they lived."""


@risk.command()
@ledger_option
@clusters.machines_filter_option
@_window_options(required=True)
@as_of_option
@factor_option
@_output_option("table", "json", "yaml", "html")
def report(
    file: str, named: str | None, began: str, ended: str, as_of: str, quarantine_factor: str, output: str
) -> None:
    """Everything about a window of time: exposure, naive models, bands, closures, exploitation index."""
    now = datetime.now(UTC)
    known, factor = microseconds(moments.as_of(as_of, now)), _factor(quarantine_factor)
    asked = _window(began, ended, now, known)
    cuts = marks(asked.began, asked.until(known).ended) if output == "html" else ()
    with reading(file) as connection:
        scope = _scope(connection, named, known)
        pruned = checkpoints.cut(connection, queries.clusters(connection) if named is None else (named,))
        found = accumulate(
            telling.pages(connection, known, cluster=named),
            exposed.facts(connection, known),
            window=asked,
            as_of=known,
            quarantine_factor=factor,
            marks=cuts,
        )
    if output == "html":
        click.echo(page(found, scope, pruned=pruned), nl=False)
    else:
        sections = voice.sections(found, scope, pruned=pruned)
        _show(sections, voice.document(found, scope, pruned=pruned), output)


@risk.command()
@ledger_option
@clusters.machines_filter_option
@click.option("--time", "time", required=True, metavar="TIME", help="The moment (RFC 3339, or a span ago).")
@as_of_option
@click.option(
    "--agg",
    type=click.Choice([one.value for one in Aggregation]),
    default=Aggregation.MAX.value,
    show_default=True,
    help="The worst of all, or all added up.",
)
@factor_option
@_output_option("table", "json", "yaml")
def at(file: str, named: str | None, time: str, as_of: str, agg: str, quarantine_factor: str, output: str) -> None:
    """The risk of one moment, over every machine and vulnerability."""
    now = datetime.now(UTC)
    when, known = microseconds(moments.earlier(time, now)), microseconds(moments.as_of(as_of, now))
    aggregation = Aggregation(agg)
    with reading(file) as connection:
        scope = _scope(connection, named, known)
        value = moment.risk(
            histories.pasts(connection, known, cluster=named, at=when),
            exposed.facts(connection, known),
            time=when,
            as_of=known,
            aggregation=aggregation,
            quarantine_factor=_factor(quarantine_factor),
        )
    if output == "table":
        asked = f"{voice.written(when)}, as known on {voice.written(known)}{'' if scope is None else f', {scope}'}"
        printing.say(f"risk ({aggregation}) at {asked}: {voice.hours(value)}")
    _show([], voice.moment_document(time=when, as_of=known, aggregation=aggregation, risk=value, scope=scope), output)


@risk.command()
@ledger_option
@clusters.machines_filter_option
@click.argument("instance")
@_window_options(required=False)
@as_of_option
@factor_option
@_output_option("table", "json", "yaml")
def explain(
    file: str,
    named: str | None,
    instance: str,
    began: str,
    ended: str,
    as_of: str,
    quarantine_factor: str,
    output: str,
) -> None:
    """Say where each score-hour of one machine (its UID, or a name that one machine bore) comes from."""
    now = datetime.now(UTC)
    known, factor = microseconds(moments.as_of(as_of, now)), _factor(quarantine_factor)
    with reading(file) as connection:
        scope = _scope(connection, named, known)
        past = _chosen(connection, instance, known, named)
        life = life_of(past, known) or Window(began=known, ended=known)
        asked = _window(began or voice.written(life.began), ended, now, life.ended)
        there = {one.vulnerability for one in past.presences}
        facts = histories.scores(connection, known, vulnerabilities=there)
        found = explained(past, facts, window=asked, as_of=known, quarantine_factor=factor)
    sections = voice.explanation_sections(found) if found.now or found.then else []
    if output == "table":
        printing.say(voice.explanation_heading(found, past.lives[-1].name, scope) + "\n")
    if output == "table" and not sections:
        printing.say("nothing is known to have been on it then")
    _show(sections, voice.explanation_document(found, scope), output)
    if output == "table" and found.now and found.now == found.then:
        printing.say("\nTHEN: the same; all of it could be known at the time")


def _chosen(connection: Connection, named: str, as_of: int, cluster: str | None) -> Past:
    """The machine with that UID, or else the only one that bore that name. Raises `errors.SettingsError`."""
    for uid in chain((named,), _bearer(connection, named, as_of, cluster)):
        pasts = histories.pasts(connection, as_of, uid=uid, cluster=cluster)
        found = [past for past in pasts if past.lives]
        if found:
            return found[0]
    raise errors.SettingsError(
        f"No machine {named} is known{clusters.within(cluster)} as of {voice.written(as_of)}.",
        remedy="Look for it with `exuvia ledger who --name` or `--ip`, or ask with a later --as-of.",
    )


def _bearer(connection: Connection, name: str, as_of: int, cluster: str | None) -> Iterator[str]:
    """The one that bore a name, asked for only when it is needed."""
    uids = telling.named(connection, name, as_of, cluster=cluster)
    if len(uids) > 1:
        raise errors.SettingsError(
            f"Several machines bore the name {name}: {', '.join(uids)}.",
            remedy="Ask for one of these UIDs, or `exuvia ledger who --name` with a time.",
        )
    yield from uids


def _scope(connection: Connection, named: str | None, as_of: int) -> voice.Scope | None:
    """Of which machines an answer speaks, where that must be said. Raises `errors.SettingsError`."""
    asked = clusters.chosen(connection, named)
    return None if asked is None and len(telling.clusters(connection, as_of)) < 2 else voice.Scope(cluster=asked)


def _window(began: str, ended: str, now: datetime, last_known: int) -> Window:
    """`last_known`: where it ends if nobody says so."""
    first = microseconds(moments.earlier(began, now))
    last = microseconds(moments.earlier(ended, now)) if ended else max(first, last_known)
    if last < first:
        raise errors.SettingsError(
            f"The window ends ({voice.written(last)}) before it begins ({voice.written(first)}).",
            remedy="Give a --to that is later than --from.",
        )
    return Window(began=first, ended=last)


def _factor(text: str) -> Fraction:
    found = Fraction(text) if _FACTOR.fullmatch(text) else None
    if found is None or found > 1:
        raise errors.SettingsError(f"{text!r} is no factor.", remedy="Write a number from 0 to 1, like 0.1.")
    return found


def _show(sections: Sequence[tuple[str, Rows]], data: Any, output: str) -> None:
    """Tables, or a document with its keys in the order of the contract and its numbers in full."""
    if output == "table":
        printing.show(sections, None, output)
    elif output == "json":
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        click.echo(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), nl=False)
