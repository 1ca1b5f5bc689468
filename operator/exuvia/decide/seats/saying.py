"""Events about seats. They hold no changing numbers or times, so that repeats fold into one series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from exuvia.model.reasons import EventReason
from exuvia.model.seats import Ghost, Granted, ReturnCause, Returned, SeatChange
from exuvia.model.specs.license_pool import SeatCounts
from exuvia.model.steps import Note

_WHY = {
    ReturnCause.DEATH: "the machine died",
    ReturnCause.RELEASE: "it is quarantined, or no longer selected",
    ReturnCause.EXPIRY: "its agent was silent for longer than heartbeatTimeout; an agent that starts anew asks again",
    ReturnCause.RECONCILE: "the machine is gone, though nobody had said so",
    ReturnCause.RECLAIMED: "a newcomer took it (exhaustion: ReclaimOldest); it waits for the next one",
}


def notes(
    pool: str, told: Sequence[SeatChange], *, before: SeatCounts, counts: SeatCounts
) -> Iterator[tuple[str, Note]]:
    """Events by the UID of the instance that they are about, "" for the pool itself."""
    for change in told:
        note = _note(pool, change)
        if note is not None:
            yield note
    if counts.free == 0 and (before.free > 0 or before.total == 0) and counts.total > 0:
        text = f"LicensePool {pool} has no free seat; raise `seats`, or see `exhaustion` for what becomes of newcomers"
        yield "", Note(reason=EventReason.LICENSE_POOL_EXHAUSTED, text=text, warning=True)


def _note(pool: str, change: SeatChange) -> tuple[str, Note] | None:
    match change:
        case Granted(lease=lease, over=over):
            beyond = ", beyond the number (exhaustion: Overcommit)" if over else ""
            return lease.uid, Note(reason=EventReason.SEAT_GRANTED, text=f"holds a seat of LicensePool {pool}{beyond}")
        case Returned(lease=lease, cause=cause):
            text = f"its seat of LicensePool {pool} came back ({cause}): {_WHY[cause]}"
            return lease.uid, Note(reason=EventReason.SEAT_RECLAIMED, text=text)
        case Ghost(uid=uid):
            text = (
                f"its agent is heard, and its seat of LicensePool {pool} was returned; it is not seated for that: "
                "start the agent anew, or take it off"
            )
            return uid, Note(reason=EventReason.SEAT_RECLAIMED, text=text, warning=True)
        case _:
            return None
