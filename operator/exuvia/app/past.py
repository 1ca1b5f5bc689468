"""All that a new term asks of the ledger, in one read: who lived, what ran, which verdicts stood, where the counters
were, what had started."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import DBAPIError

from exuvia import errors
from exuvia.app.catching_up import NOTHING, Meanwhile
from exuvia.app.chronicle import READY_ONCE
from exuvia.app.fleet import STARTS_KEPT
from exuvia.app.services import Services
from exuvia.decide.backoff import CALLED_OFF
from exuvia.model.planning import Start
from exuvia.model.reasons import EndReason
from exuvia.model.specs.quarantine import QuarantinePhase
from exuvia.model.specs.rotation import RotationPhase
from exuvia.record import appending, opening, queries, recall, standing, trust
from exuvia.record import counts as counting
from exuvia.record.places import Place

KINDS = ("Rotation", "Quarantine")
CALLED_OFF_RESULT = f"{RotationPhase.ABORTED}/{EndReason.CALLED_OFF}"
RELEASED_RESULT = f"{QuarantinePhase.RELEASED}/{EndReason.RELEASED}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """All that was asked of the ledger, in one read."""

    alive: dict[str, recall.Life]
    placed: dict[str, standing.Placed]
    ready_once: set[str]
    verdicts: dict[tuple[str, str], str]
    starts: tuple[Start, ...]
    counts: counting.Counts
    guard_seen: bool
    unfinished: list[tuple[int, str]]
    started: set[str]
    called_off: list[recall.CalledOff]
    released: list[recall.CalledOff]
    ended: set[str]
    borne: dict[str, dict[str, set[str]]]
    steps: set[tuple[str, str]]  # (UID of a Quarantine, step) of which an intent is there
    known: set[str]  # those machines that were asked about whose lives are recorded
    accepted: str  # the last acceptance of a loss
    freed: dict[str, datetime]  # name that was asked about -> when the last machine that bore it died


def read(
    place: Place,
    now: datetime,
    epoch: int,
    cluster: str,
    quarantines: frozenset[str] = frozenset(),
    meanwhile: Meanwhile = NOTHING,
) -> Past:
    """Everything in one read-only connection. `quarantines`: UIDs of those that are there; `meanwhile`: what happened
    while nobody led. Raises `errors.LedgerError`."""
    engine = opening.open_for_reading(place)
    try:
        with engine.connect() as connection:
            return Past(
                alive=recall.lives(connection, cluster),
                placed=standing.placements(connection, cluster),
                ready_once=recall.bearers(connection, READY_ONCE, cluster),
                verdicts=queries.open_verdicts(connection, cluster),
                starts=tuple(
                    Start(operation=uid, kind=kind, at=at)
                    for kind in KINDS
                    for uid, at in queries.starts(connection, kind, now - STARTS_KEPT, cluster=cluster)
                ),
                counts=counting.counts(connection, now, cluster=cluster),
                guard_seen=recall.brake_known(connection, "FleetGuard", cluster),
                unfinished=recall.unfinished(connection, epoch, cluster),
                started=recall.started(connection, cluster),
                called_off=recall.called_off(connection, CALLED_OFF_RESULT, now - CALLED_OFF, cluster),
                released=recall.released(connection, RELEASED_RESULT, now - CALLED_OFF, cluster),
                ended=recall.ended(connection, cluster),
                borne=recall.borne(connection, cluster),
                steps=recall.steps(connection, quarantines),
                known=standing.known(connection, meanwhile.machines),
                accepted=trust.last_acceptance(connection, cluster),
                freed=standing.freed(connection, meanwhile.names),
            )
    except DBAPIError as trouble:
        raise opening.explained(place, trouble) from trouble
    finally:
        engine.dispose()


def greatest_epoch(place: Place, cluster: str) -> int:
    """The greatest epoch of a cluster in the ledger; 0 when it cannot be read."""
    try:
        engine = opening.open_for_reading(place)
    except errors.LedgerError:
        return 0
    try:
        with engine.connect() as connection:
            return appending.greatest_epoch(connection, cluster)
    except DBAPIError:
        return 0
    finally:
        engine.dispose()


def begin_counters(services: Services, counts: counting.Counts) -> None:
    """Counters that say history go on where the ledger left off."""
    tallies = services.tallies
    for kind, count in counts.records.items():
        tallies.begin("exuvia_ledger_records_total", (kind,), count)
    for born, count in counts.births.items():
        tallies.begin("exuvia_instance_births_total", born, count)
    for died, count in counts.deaths.items():
        tallies.begin("exuvia_instance_deaths_total", died, count)
    for pool, count in counts.unscanned.items():
        tallies.begin("exuvia_instances_unscanned_at_death_total", (pool,), count)
    for ended, count in counts.rotations.items():
        tallies.begin("exuvia_rotations_total", ended, count)
    services.judgements.violations.begin()
    for violating, seconds in counts.noncompliant_seconds.items():
        tallies.begin("exuvia_noncompliant_instance_seconds_total", violating, seconds)
