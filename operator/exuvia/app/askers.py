"""Who asked the API server to delete a machine, and whether that is what ended it: what was asked for may have been a
trial, or come to nothing, and the machine went later for another reason."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from exuvia.decide.brakes.times import LARGEST_SKEW

WITHIN = timedelta(minutes=2)
"""So soon after it was asked for a deletion begins, or the machine is gone: later ones have another cause."""

KEPT = 1024


def caused(at: datetime, first: datetime, last: datetime) -> bool:
    """Whether what was asked `at` can be what happened between these two moments."""
    return first - WITHIN <= at <= last + LARGEST_SKEW


class Askers:
    """Remembers the last 1,024 of each: who is known to have deleted a machine, and who asked for it when."""

    def __init__(self) -> None:
        self._certain: dict[str, str] = {}
        self._asked: dict[tuple[str, str, datetime], None] = {}

    def know(self, found: Iterable[tuple[str, str]]) -> None:
        """UID and who deleted it: it bore its deletionTimestamp by that request. The first one did."""
        for uid, by in found:
            self._certain.setdefault(uid, by)
            _shorten(self._certain)

    def note(self, uid: str, by: str, at: datetime) -> None:
        """Somebody asked for the deletion of a machine that is there."""
        self._asked[uid, by, at] = None
        _shorten(self._asked)

    def of(self, uid: str, first: datetime, last: datetime) -> str:
        """Who deleted a machine whose deletion began, or that died, between these moments; "" where nobody is known."""
        if uid in self._certain:
            return self._certain[uid]
        found = [(at, by) for one, by, at in self._asked if one == uid and caused(at, first, last)]
        return min(found, key=lambda one: abs(last - one[0]))[1] if found else ""


def _shorten(kept: dict[Any, Any]) -> None:
    while len(kept) > KEPT:
        del kept[next(iter(kept))]
