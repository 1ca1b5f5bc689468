"""Moments at which time alone ends a lease, soonest first."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator


class Agenda:
    """Moments by UID. One that was put off or dropped meanwhile is found out when its turn comes: `real` says when a
    UID is due now, None: it is not."""

    def __init__(self, real: Callable[[str], int | None]) -> None:
        self._real = real
        self._heap: list[tuple[int, str]] = []

    def put(self, at: int, uid: str) -> None:
        """It is due then, unless that changes."""
        heapq.heappush(self._heap, (at, uid))

    @property
    def first(self) -> int | None:
        """The soonest moment; None: nothing is due any more."""
        self._settle()
        return self._heap[0][0] if self._heap else None

    def due(self, now: int) -> Iterator[str]:
        """Those that are due by now, one after the other. Whoever is given must cease to be due before the next."""
        while (first := self.first) is not None and first <= now:
            yield heapq.heappop(self._heap)[1]

    def _settle(self) -> None:
        while self._heap:
            at, uid = self._heap[0]
            real = self._real(uid)
            if real == at:
                return
            heapq.heappop(self._heap)
            if real is not None:
                heapq.heappush(self._heap, (real, uid))
