"""`exuvia ledger who`: which machine bore a name or an address at a moment, what ran on it, who was on it, and what was
known of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import click
from sqlalchemy import Connection

from exuvia import errors
from exuvia.cli import bearers, clusters, moments, portraying, printing, remembering
from exuvia.cli.ledgers import ledger_option, reading
from exuvia.model.facts import microseconds
from exuvia.record import addresses, former
from exuvia.record.bearing import ADDRESS
from exuvia.record.who import Bearer, bore, ran

_POD = "pod"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """Who bore a value of an attribute at a moment, by what was recorded until `known`, in a cluster or in all."""

    attribute: str
    value: str
    at: datetime
    known: datetime
    cluster: str | None


@click.command()
@ledger_option
@clusters.machines_filter_option
@click.option("--name", default="", help="Who bore this name.")
@click.option("--ip", default="", help="Who bore this address, however it is written.")
@click.option("--provider-id", default="", help="Who bore this providerID.")
@click.option("--pod", default="", metavar="NAMESPACE/NAME", help="Which machine this pod ran on.")
@click.option(
    "--at",
    "moment",
    envvar="EXUVIA_AT",
    default="",
    metavar="TIME",
    help="When (RFC 3339, or a span ago), not after --as-of. Default: --as-of.",
)
@click.option(
    "--as-of",
    "until",
    envvar="EXUVIA_AS_OF",
    default="",
    metavar="TIME",
    help="By what was recorded until then. Default: now.",
)
@printing.output_option
def who(
    file: str,
    named: str | None,
    name: str,
    ip: str,
    provider_id: str,
    pod: str,
    moment: str,
    until: str,
    output: str,
) -> None:
    """Say which machine it was, then: by name, address, providerID or pod. What ran on it, who was on it
    and what was known of it comes with it."""
    asked = {"name": name, ADDRESS: ip, "providerID": provider_id, _POD: pod}
    given = {attribute: value for attribute, value in asked.items() if value}
    if len(given) != 1:
        raise click.UsageError("Give exactly one of --name, --ip, --provider-id and --pod.")
    attribute, value = next(iter(given.items()))
    _check(attribute, value)
    now = datetime.now(UTC)
    known = moments.as_of(until, now)
    at = moments.earlier(moment, now) if moment else known
    with reading(file) as connection:
        cluster = clusters.chosen(connection, named)
        asked_for = _Asked(attribute=attribute, value=value, at=at, known=known, cluster=cluster)
        answer = _answer(connection, asked_for)
    bearers.show(answer, output)


def _check(attribute: str, value: str) -> None:
    """What is no address or no pod was never borne by anybody, but that is not what was asked."""
    if attribute == ADDRESS and addresses.canonical(value) is None:
        remedy = "Write one like 10.0.0.7 or fd00::7; the name of a machine is asked for by --name."
        raise errors.SettingsError(f"{value!r} is no IP address.", remedy=remedy)
    namespace, _, name = value.partition("/")
    if attribute == _POD and not (namespace and name and "/" not in name):
        raise errors.SettingsError(f"{value!r} names no pod.", remedy="Write NAMESPACE/NAME.")


def _answer(connection: Connection, asked: _Asked) -> bearers.Answer:
    what = f"{asked.attribute} {asked.value} at {_second(asked.at)}{clusters.within(asked.cluster)}"
    several = clusters.several(connection)
    if asked.at > asked.known:
        return bearers.Answer(asked=what, unknown=_unknown(asked), clusters=several)
    found = _bearers(connection, asked)
    last = None if found else _former(connection, asked)
    portraits = tuple(portraying.portrait(connection, one, asked.at, asked.known) for one in found)
    return bearers.Answer(asked=what, found=portraits, former=last, clusters=several, pod=asked.attribute == _POD)


def _unknown(asked: _Asked) -> str:
    """Why nothing can be said of a moment after the last that counts."""
    at, known = _second(asked.at), _second(asked.known)
    if datetime.now(UTC) < asked.at:
        return f"{at} is still to come, and nothing is known of it yet"
    said = f"{at} is after {known}, the --as-of: by what was recorded until then nothing is known of later moments"
    return f"{said}. Ask for an earlier one by --at, or with a later --as-of"


def _bearers(connection: Connection, asked: _Asked) -> tuple[Bearer, ...]:
    until = microseconds(asked.known)
    if asked.attribute != _POD:
        return bore(connection, asked.attribute, asked.value, asked.at, until=until, cluster=asked.cluster)
    namespace, _, name = asked.value.partition("/")
    return ran(connection, namespace, name, asked.at, until=until, cluster=asked.cluster)


def _former(connection: Connection, asked: _Asked) -> former.Former | None:
    until = microseconds(asked.known)
    if asked.attribute != _POD:
        return former.last(connection, asked.attribute, asked.value, asked.at, until=until, cluster=asked.cluster)
    namespace, _, name = asked.value.partition("/")
    return former.ran_last(connection, namespace, name, asked.at, until=until, cluster=asked.cluster)


def _second(at: datetime) -> str:
    return remembering.written(at.replace(microsecond=0))


COMMANDS: tuple[click.Command, ...] = (who,)
"""For the group `ledger`."""
