"""What the vendor is still to be told: one call for each seat that came back, the same key for each try of it.

Which returns are owed stands in the ledger, and so does what came of each; the calls between them are forgotten by a
crash and made again, and the vendor knows them by their key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from exuvia.decide.seats.metering import moment
from exuvia.model.seats import Reported, Returned, SeatChange

FIRST = timedelta(seconds=1)
LONGEST = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One HTTP POST. `key` goes into the header `Idempotency-Key`."""

    key: str
    body: Mapping[str, Any]
    dry_run: bool = False


@dataclass(slots=True)
class Owing:
    """Returns that the vendor was not told of yet, by the order of their lease."""

    left: dict[int, Returned] = field(default_factory=dict)

    def through(self, changes: Iterable[SeatChange]) -> Iterator[SeatChange]:
        """The same changes, taken note of on their way."""
        for change in changes:
            self.note(change)
            yield change

    def note(self, change: SeatChange) -> None:
        """A return is owed from then on, until it was reported."""
        if isinstance(change, Returned) and change.owed:
            self.left[change.lease.order] = change
        elif isinstance(change, Reported):
            self.left.pop(change.order, None)


def reclaim(pool: str, uid: str, returned: Returned, *, dry_run: bool) -> Call:
    """Tell the vendor that a seat came back. `uid` is the pool's: a pool made anew has keys of its own. Orders begin
    anew once the ledger was pruned; one machine is never granted twice at one moment and order."""
    died = None if returned.died is None else _time(returned.died)
    body = {
        "type": "reclaim",
        "pool": pool,
        "instance": returned.lease.uid,
        "cause": str(returned.cause),
        "grantedAt": _time(returned.lease.since),
        "diedAt": died,
        "returnedAt": _time(returned.at),
        "dryRun": dry_run,
    }
    lease = returned.lease
    return Call(key=f"{uid}-{lease.uid}-{lease.since}-{lease.order}", body=body, dry_run=dry_run)


def count(pool: str, uid: str, used: int, at: int) -> Call:
    """Tell the vendor how many seats are used here, and ask for its own count."""
    body = {"type": "count", "pool": pool, "used": used, "dryRun": False}
    return Call(key=f"{uid}-count-{at}", body=body)


def wait_after(failures: int) -> timedelta:
    """1 s doubled with each failure, at most 5 min."""
    doubled: int = 2 ** min(max(0, failures - 1), 20)
    return min(LONGEST, FIRST * doubled)


def _time(at: int) -> str:
    return moment(at).isoformat().replace("+00:00", "Z")
