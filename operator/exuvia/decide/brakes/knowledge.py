"""Knowledge: what is not known for sure is not acted on. Our view of the cluster, our clock, the ledger, the brakes."""

from __future__ import annotations

from datetime import datetime, timedelta

from exuvia.decide.brakes.picture import Candidate, Picture
from exuvia.decide.brakes.times import LARGEST_SKEW
from exuvia.model.blocking import Blocked, View
from exuvia.model.facts import LedgerHealth, LedgerState
from exuvia.model.planning import Moment
from exuvia.model.reasons import BlockedReason
from exuvia.model.specs.quarantine import Quarantine, QuarantinePhase
from exuvia.model.specs.rotation import Rotation

OLDEST_VIEW = timedelta(seconds=60)
LOCK_PATIENCE = timedelta(seconds=10)


def untrusted_view(view: View, now: datetime) -> Blocked | None:
    """Whether our picture of the cluster is missing, partial or older than 60 s."""
    if view.missing:
        message = f"not seen yet, or not to be read: {', '.join(sorted(view.missing))}; nothing is disrupted meanwhile"
        return Blocked(reason=BlockedReason.UNSYNCED, message=message)
    if view.oldest is None:
        message = "nothing was heard of the cluster yet; nothing is disrupted meanwhile"
        return Blocked(reason=BlockedReason.UNSYNCED, message=message)
    if now - view.oldest > OLDEST_VIEW:
        heard = f"the cluster was last heard of at {view.oldest:%Y-%m-%dT%H:%M:%SZ}"
        message = f"{heard}; nothing is disrupted on an old picture"
        return Blocked(reason=BlockedReason.UNSYNCED, message=message)
    return None


def unlisted_leases(problem: str) -> Blocked:
    """Node leases could not be listed: nobody knows whether it is we who see badly."""
    message = f"node leases could not be listed ({problem}); no Rotation starts without them"
    return Blocked(reason=BlockedReason.UNSYNCED, message=message)


def skewed_clock(skew: timedelta) -> Blocked | None:
    """Whether our clock and the API server's differ by 60 s or more."""
    if abs(skew) < LARGEST_SKEW:
        return None
    ahead = "ahead of" if skew > timedelta(0) else "behind"
    message = f"our clock is 60 s or more {ahead} the API server's; set the clock of exuvia's machine right"
    return Blocked(reason=BlockedReason.CLOCK_SKEW, message=message)


def unreadable_guard(moment: Moment) -> Blocked | None:
    """Whether the brakes themselves cannot be read: then nobody knows what they allow."""
    if moment.guard is not None:
        return None
    problem = moment.guard_problem or "FleetGuard default cannot be read"
    return Blocked(reason=BlockedReason.UNSYNCED, message=f"{problem}; without its brakes nothing starts")


def persons_quarantine(operation: Rotation | Quarantine | None) -> bool:
    """Whether a person asked for this Quarantine, so that unreadable brakes do not hold it."""
    return isinstance(operation, Quarantine) and operation.spec.policy is None


def known_view(_candidate: Candidate, picture: Picture) -> Blocked | None:
    """A start needs a view that can be trusted."""
    return untrusted_view(picture.moment.view, picture.now)


def right_clock(_candidate: Candidate, picture: Picture) -> Blocked | None:
    """A Rotation starts by a right clock only."""
    return skewed_clock(picture.moment.clock_skew)


def known_guard(candidate: Candidate, picture: Picture) -> Blocked | None:
    """A start needs brakes that can be read; a person's Quarantine may start without, one at a time."""
    found = unreadable_guard(picture.moment)
    if found is None or not persons_quarantine(candidate.operation):
        return found
    busy = [one for one in picture.flight.holding if one.status.phase is not QuarantinePhase.HELD]
    if not busy and not picture.begun:
        return None
    message = f"{found.message}; a person's Quarantine may, but one at a time"
    return Blocked(reason=BlockedReason.UNSYNCED, message=message)


def ledger_trouble(health: LedgerHealth) -> str:
    """What is wrong with the ledger, in words that hold the way out where it knows one; "" when it is fine."""
    match health.state:
        case LedgerState.FINE:
            return ""
        case LedgerState.NOT_TRUSTED:
            return f"the ledger is not trusted: {health.message or 'entries are missing'}"
        case LedgerState.LOCKED:
            return f"the ledger is locked: {health.message or 'somebody else holds it'}"
        case LedgerState.DOWN:
            return f"the ledger cannot be written: {health.message or 'nobody said why'}"


def ledger_for_rotation(_candidate: Candidate, picture: Picture) -> Blocked | None:
    """A Rotation starts only with its intent in the ledger."""
    health = picture.moment.ledger
    trouble = ledger_trouble(health)
    if not trouble:
        return None
    message = f"{trouble.rstrip('.')}; no Rotation starts without it"
    if health.state is LedgerState.NOT_TRUSTED:
        return Blocked(reason=BlockedReason.LEDGER_TRUNCATED, message=message)
    return Blocked(reason=BlockedReason.LEDGER_DOWN, message=message, next=_locked_until(health, picture.now))


def ledger_for_quarantine(_candidate: Candidate, picture: Picture) -> Blocked | None:
    """A Quarantine waits for a ledger that is locked, for up to 10 s; without one its resource alone is the intent."""
    until = _locked_until(picture.moment.ledger, picture.now)
    if until is None:
        return None
    return Blocked(reason=BlockedReason.LEDGER_DOWN, message=ledger_trouble(picture.moment.ledger), next=until)


def _locked_until(health: LedgerHealth, now: datetime) -> datetime | None:
    if health.state is not LedgerState.LOCKED:
        return None
    until = (health.since or now) + LOCK_PATIENCE
    return until if now < until else None
