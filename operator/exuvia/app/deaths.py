"""When machines died, as the watch of nodes said it: remembered until everybody has looked who would ask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from exuvia.app.services import Services
from exuvia.model.instances import Instance

REMEMBERED = timedelta(minutes=1)


class Deaths:
    """`woken` is called when a machine came or went."""

    def __init__(self, services: Services, woken: Callable[[], None]) -> None:
        self._services = services
        self._woken = woken
        self._at: dict[str, datetime] = {}

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Hear of births and deaths from the watch of nodes itself, beside whom it tells already."""
        store = self._services.view.nodes.store
        others = store.changed

        def changed(former: Instance | None, now: Instance | None) -> None:
            if others is not None:
                others(former, now)
            self.noticed(former, now)

        store.changed = changed
        try:
            yield
        finally:
            store.changed = others

    def noticed(self, former: Instance | None, now: Instance | None) -> None:
        """A machine came, changed or went."""
        if former is not None and now is None:
            self._at[former.uid] = self._services.clock.now()
        if former is None or now is None:
            self._woken()

    def of(self, lived: Iterable[str], living: Iterable[str]) -> dict[str, datetime]:
        """Of those that lived at the last look and live no more: when the watch said so. Of others nobody saw it."""
        now, there = self._services.clock.now(), set(living)
        return {uid: self._at.get(uid, now) for uid in lived if uid not in there}

    def forget(self, awaited: Iterable[Iterable[str]]) -> None:
        """A death is remembered while any of `awaited`, who lived at somebody's last look, still names it; one that
        nobody had seen alive, for a moment."""
        if not self._at:
            return
        horizon, alive = self._services.clock.now() - REMEMBERED, frozenset[str]().union(*awaited)
        self._at = {uid: at for uid, at in self._at.items() if at > horizon or uid in alive}

    def __len__(self) -> int:
        return len(self._at)
