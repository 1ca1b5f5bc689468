"""`exuvia license simulate | forecast | history`: seats over machines that really lived; none of these needs a cluster.
`status` asks one.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from exuvia import errors
from exuvia.cli import (
    clusters,
    instance_facts,
    license_status,
    moments,
    pool_history,
    printing,
    remembering,
    seat_figures,
)
from exuvia.cli.instance_facts import Lives
from exuvia.cli.ledgers import ledger_option
from exuvia.decide.brakes.times import LARGEST_SKEW
from exuvia.decide.seats import forecasting, metering, simulating
from exuvia.decide.seats.metering import Period
from exuvia.decide.seats.simulating import Window
from exuvia.model.facts import microseconds
from exuvia.model.histories import Life
from exuvia.model.seats import Exhaustion, Terms
from exuvia.record import places

_POOLS = 20  # so many are named at most
_SUPPOSED = {"seats": "--seats", "exhaustion": "--exhaustion", "grace": "--grace", "delay": "--reclaim-delay"}
"""What another pool would be like."""

_SELECTED = {"facts": "--facts", "pool": "--pool"}
"""Which machines are replayed."""

_SAID = frozenset(ParameterSource) - {ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP}
"""Where an option comes from that somebody gave."""

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _source_options(command: _Command) -> _Command:
    """Where the lives come from: the ledger, or a file of facts."""
    facts = click.option(
        "--facts", envvar="EXUVIA_FACTS", default="", metavar="FILE",
        help="Facts as JSON lines instead of the ledger; those of type instance count, as known now; may be gzip, "
        "- for stdin.",
    )  # fmt: skip
    pool = click.option(
        "--pool", default="", metavar="NODEPOOL",
        help="Only machines of this pool of machines (a node pool, not a LicensePool).",
    )  # fmt: skip
    return ledger_option(clusters.cluster_filter_option(facts(pool(command))))


def _window_options(command: _Command) -> _Command:
    """Which window is asked about."""
    began = click.option(
        "--from", "began", envvar="EXUVIA_FROM", required=True, metavar="TIME",
        help="Begin of the window (RFC 3339, or a span ago). What was before it is carried into it.",
    )  # fmt: skip
    ended = click.option(
        "--to", "ended", envvar="EXUVIA_TO", default="", metavar="TIME",
        help="Its end, not in it (RFC 3339, or a span ago). Default: now.",
    )  # fmt: skip
    return began(ended(command))


def _grace_options(command: _Command) -> _Command:
    """How long a seat takes to come back."""
    grace = click.option(
        "--grace", default="0s", show_default=True, metavar="SPAN",
        help="How long a dead instance keeps its seat; it counts as used.",
    )  # fmt: skip
    return grace(_delay_option(command))


def _delay_option(command: _Command) -> _Command:
    return click.option(
        "--reclaim-delay", "delay", envvar="EXUVIA_RECLAIM_DELAY", default="0s", show_default=True, metavar="SPAN",
        help="How long a seat takes to come back after that, for example until the vendor notices.",
    )(command)  # fmt: skip


_exhaustion_option = click.option(
    "--exhaustion",
    type=click.Choice([one.value for one in Exhaustion]),
    default=Exhaustion.QUEUE.value,
    show_default=True,
    help="What becomes of who asks while no seat is free.",
)


@click.group(name="license")
def license_() -> None:
    """Licence seats: what a pool would have done, will need, and used."""


license_.add_command(license_status.status)


@license_.command()
@_source_options
@_window_options
@click.option("--seats", required=True, type=click.IntRange(min=0), help="Seats of the pool.")
@_exhaustion_option
@_grace_options
@printing.output_option
def simulate(
    file: str,
    named: str | None,
    facts: str,
    pool: str,
    began: str,
    ended: str,
    seats: int,
    exhaustion: str,
    grace: str,
    delay: str,
    output: str,
) -> None:
    """Replay the machines that lived against a pool: what another size, policy, grace or delay would have cost."""
    window, now = _window(began, ended, known=not facts)
    terms = _terms(seats, exhaustion, grace, delay)
    found = _lives(file, named, facts, pool, now)
    figures = simulating.simulate(found.lives, terms, window)
    sections = seat_figures.sections(figures, found.origin)
    printing.show(sections, seat_figures.document(figures, found.origin), output)


@license_.command()
@_source_options
@click.option(
    "--from",
    "began",
    envvar="EXUVIA_FROM",
    default="",
    metavar="TIME",
    help="Begin of the window (RFC 3339, or a span ago).",
)
@click.option("--to", "ended", envvar="EXUVIA_TO", default="", metavar="TIME", help="Its end, not in it. Default: now.")
@click.option("--arrivals", type=click.FloatRange(min=0), help="Instead of history: births an hour.")
@click.option("--life", default="", metavar="SPAN", help="Instead of history: how long each lives.")
@click.option("--seats", type=click.IntRange(min=0), help="Seats of the pool, to say when they run out.")
@_delay_option
@printing.output_option
def forecast(
    file: str,
    named: str | None,
    facts: str,
    pool: str,
    began: str,
    ended: str,
    arrivals: float | None,
    life: str,
    seats: int | None,
    delay: str,
    output: str,
) -> None:
    """Say how many seats are needed: arrivals x (life + reclaim delay), from history or from two numbers."""
    late = _span("--reclaim-delay", delay)
    if arrivals is not None and life and not (began or facts):
        lived = _span("--life", life)
        average = forecasting.needed(arrivals, lived, late)
        data = seat_figures.plain_forecast(arrivals, lived, late, average, seats)
    elif began and arrivals is None and not life:
        window, now = _window(began, ended, known=not facts)
        known = _lives(file, named, facts, pool, now)
        found = forecasting.forecast(known.lives, window, seats=seats or 0, delay=late)
        data = seat_figures.forecast(found, window, late, seats) | seat_figures.asked(known.origin)
    else:
        raise click.UsageError("Give either --from (and --facts, or a ledger), or --arrivals and --life.")
    printing.show(seat_figures.forecast_sections(data), data, output)


@license_.command()
@click.option(
    "--license",
    "licensed",
    default="",
    metavar="POOL",
    help="What this LicensePool really did, by its entries in the ledger. Default: a replay of all machines.",
)
@_source_options
@_window_options
@click.option(
    "--period",
    type=click.Choice([one.value for one in Period]),
    default=Period.DAY.value,
    show_default=True,
    help="By what to tell it; calendar periods in UTC.",
)
@click.option("--seats", type=click.IntRange(min=0), help="Seats of the pool. Default: enough for all.")
@_exhaustion_option
@_grace_options
@printing.output_option
def history(
    licensed: str,
    file: str,
    named: str | None,
    facts: str,
    pool: str,
    began: str,
    ended: str,
    period: str,
    seats: int | None,
    exhaustion: str,
    grace: str,
    delay: str,
    output: str,
) -> None:
    """High water and seat-hours by period, and what vendors' meters make of them.

    With --license of what a LicensePool really did; without it of a replay of all machines that lived, each with a seat
    unless --seats says how many there are.
    """
    if licensed:
        _history_of(licensed, file, named, _window(began, ended, known=True)[0], Period(period), output)
        return
    window, now = _window(began, ended, known=not facts)
    found = _lives(file, named, facts, pool, now)
    if not facts and not _given(_SAID, _SUPPOSED):
        _say_replayed(file, named)
    terms = _terms(len(found.lives) if seats is None else seats, exhaustion, grace, delay)
    done = simulating.replay(found.lives, terms, until=window.ended)
    by_period = metering.history(done, window, Period(period))
    data = seat_figures.history(done, window, Period(period), by_period, seats) | seat_figures.asked(found.origin)
    printing.show(seat_figures.history_sections(data), data, output)


def _history_of(name: str, file: str, named: str | None, window: Window, period: Period, output: str) -> None:
    """What a LicensePool really did. Nothing can be supposed of that."""
    refused = _given({ParameterSource.COMMANDLINE}, {**_SUPPOSED, **_SELECTED})
    if refused:
        said = f"--license tells what was: {', '.join(refused)} does not go with it."
        raise click.UsageError(f"{said} Leave it out, or ask `exuvia license simulate` what would have been.")
    found = pool_history.told(places.place(file), name, named)
    by_period = metering.history(found.done, window, period)
    data = {"license": name, **seat_figures.history(found.done, window, period, by_period, None)}
    if found.pruned is not None and found.pruned > metering.reach(window):
        cut = remembering.written(metering.moment(found.pruned))
        printing.say(f"machines that died before {cut} were pruned: their seats are not in this", err=True)
        data["prunedBefore"] = cut
    printing.show(seat_figures.history_sections(data), data | seat_figures.asked(found.origin), output)


def _given(sources: Container[ParameterSource], options: Mapping[str, str]) -> list[str]:
    """Those of these options that were given by one of these sources."""
    asked = click.get_current_context()
    return [said for key, said in options.items() if asked.get_parameter_source(key) in sources]


def _say_replayed(file: str, named: str | None) -> None:
    """That this is no LicensePool's history, where the ledger holds one."""
    pools = pool_history.names(places.place(file), named)
    if pools:
        said = "this replays all machines that lived, as if each had held a seat; what a LicensePool really did:"
        printing.say(f"{said} --license, with one of {pool_history.listed(pools)}", err=True)


def _window(began: str, ended: str, *, known: bool) -> tuple[Window, datetime]:
    """The window that was asked for, and the moment of asking; `known`: only what was can be asked, nothing to come.
    Raises `errors.SettingsError`."""
    now = datetime.now(UTC)
    first = moments.earlier(began, now)
    last = moments.earlier(ended, now) if ended else now
    if last <= first:
        said = f"The window from {remembering.written(first)} to {remembering.written(last)} has no length."
        raise errors.SettingsError(said, remedy="Give a --to that is after --from.")
    if known and last - now > LARGEST_SKEW:
        said = f"--to {ended} is still to come, and the ledger knows nothing of it yet."
        raise errors.SettingsError(said, remedy="Leave it out to ask until now.")
    return Window(began=microseconds(first), ended=microseconds(last)), now


def _lives(ledger: str, named: str | None, facts: str, pool: str, now: datetime) -> Lives:
    """The lives of the file of facts that was given, else of the ledger; what was left out is said on stderr."""
    if facts and click.get_current_context().get_parameter_source("named") is ParameterSource.COMMANDLINE:
        raise click.UsageError("Lines of a file name no cluster: give --facts or --cluster, not both.")
    found = (
        instance_facts.read(facts, recorded=microseconds(now))
        if facts
        else instance_facts.remembered(places.place(ledger), until=microseconds(now), named=named)
    )
    if found.dead:
        first = found.dead[0]
        lines = printing.count(len(found.dead), "line")
        printing.say(f"left out {lines} that cannot be true; the first is line {first.number}: {first.dead}", err=True)
    if not pool:
        return found
    chosen = tuple(one for one in found.lives if one.pool == pool)
    if not chosen and not facts and pool in pool_history.names(places.place(ledger), named):
        said = f"{pool!r} is a LicensePool, and --pool names a pool of machines (a node pool)."
        raise errors.SettingsError(said, remedy=f"What it did: `exuvia license history --license {pool}`.")
    _must_be_known(found.lives, chosen, pool)
    return replace(found, lives=chosen)


def _must_be_known(lives: Sequence[Life], chosen: Sequence[Life], pool: str) -> None:
    """Raises `errors.SettingsError` where machines are known, and none is of the pool of machines."""
    if lives and not chosen:
        there = ", ".join(sorted({one.pool for one in lives if one.pool})[:_POOLS])
        remedy = f"There are {there}." if there else "No machine names its pool: leave --pool out."
        raise errors.SettingsError(f"No machine of the pool {pool!r} is known.", remedy=remedy)


def _terms(seats: int, exhaustion: str, grace: str, delay: str) -> Terms:
    return Terms(
        seats=seats,
        exhaustion=Exhaustion(exhaustion),
        grace=_span("--grace", grace),
        delay=_span("--reclaim-delay", delay),
    )


def _span(option: str, text: str) -> int:
    """Microseconds. Raises `errors.SettingsError` naming the option."""
    try:
        return round(moments.span(text).total_seconds()) * 1_000_000
    except errors.SettingsError as trouble:
        raise errors.SettingsError(f"{option}: {trouble.message}", remedy=trouble.remedy) from None
