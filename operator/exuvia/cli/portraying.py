"""All that `ledger who` tells of one machine: what the ledger says of it, and what was on it by the rules of risk.

Both by what was recorded until one moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from exuvia.evaluate.risk import found
from exuvia.evaluate.risk.found import Found
from exuvia.model.facts import microseconds
from exuvia.record import exposed, knowing
from exuvia.record.knowing import Known
from exuvia.record.moments import moment
from exuvia.record.who import Bearer


@dataclass(frozen=True, slots=True, kw_only=True)
class Portrait:
    """A machine that bore what was asked for, and what was known of it then. `frozen`: since when it was cut off by a
    quarantine."""

    bearer: Bearer
    known: Known
    vulnerabilities: tuple[Found, ...] = ()
    frozen: datetime | None = None


def portrait(connection: Connection, bearer: Bearer, at: datetime, as_of: datetime) -> Portrait:
    """What was known of a machine at a moment of its life, by what was recorded until another."""
    when, until = microseconds(at), microseconds(as_of)
    past = knowing.past(connection, bearer.uid, until=until)
    there = found.present(past, time=when, as_of=until)
    frozen = found.frozen_since(past, time=when, as_of=until)
    return Portrait(
        bearer=bearer,
        known=knowing.known(connection, bearer, at, until=until),
        vulnerabilities=found.found(there, exposed.scores(connection, there), time=when, as_of=until),
        frozen=None if frozen is None else moment(frozen),
    )
