"""Waking whose Quarantine it would be when a machine may be a quarantined one under a new object: at its birth, and
when it says later by what it may be known. It needs no ledger, as a Quarantine needs none."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from exuvia.app.services import Services
from exuvia.decide.inheritance import Identity, identities, known_by
from exuvia.model.instances import Instance

Wake = Callable[[str, str], None]


class Heirs:
    """Remembers of one term by what each machine was known."""

    def __init__(self, services: Services, wake: Wake) -> None:
        self._services = services
        self._wake = wake
        self._known: dict[str, frozenset[Identity]] = {}

    def look(self, machines: Iterable[Instance]) -> None:
        """Machines that changed: wake the Quarantines of other machines that share with one of them what is new."""
        bearers: dict[Identity, set[str]] = {}
        for one in machines:
            said = identities(one)
            if self._known.get(one.uid) == said:
                continue
            self._known[one.uid] = said
            for identity in said:
                bearers.setdefault(identity, set()).add(one.uid)
        for held in self._services.view.open_quarantines() if bearers else ():
            was = held.spec.instance.uid
            known = known_by(held, self._services.view.nodes.store.get(was))
            if any(bearers.get(one, set()) - {was} for one in known):
                self._wake(held.KIND, held.uid)

    def forget(self, uids: Iterable[str]) -> None:
        """These are gone."""
        for uid in uids:
            self._known.pop(uid, None)
