"""What rules must know beside the machine itself, collected from who knows it; and which machines must be judged anew
because it changed. Nothing is asked that no rule asks for, and who knows it answers from memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from exuvia.app.policies import Policies
from exuvia.model.instances import Instance
from exuvia.model.learnt import Doubt, Learnt, RiskFigure, SeatSign, SeatState

PATIENCE_SECONDS = 5.0
"""So long a machine that was never judged waits for what is only not read yet: an answer that changes a moment later
would be told twice."""

NOT_LOOKED = SeatSign(state=SeatState.UNKNOWN, message="seats were not looked at yet", awaited=True)
NOT_READ = Doubt(message="the ledger was not read yet", awaited=True)


class Learnings:
    """`seat_of` and `risk_of` are set by the loops that know. `scanner`: whether reports of vulnerabilities come in at
    all; None: not known yet. `scanned`: living machines of which anything was ever reported."""

    def __init__(self) -> None:
        self.seat_of: Callable[[str, str], SeatSign] = lambda _pool, _uid: NOT_LOOKED
        self.risk_of: Callable[[str], RiskFigure | Doubt] = lambda _uid: NOT_READ
        self.scanner: bool | None = None
        self.scanned: set[str] = set()
        self._seats: dict[str, set[str]] = {}
        self._risks: set[str] = set()
        self._waits: dict[str, float] = {}
        self._gone: set[str] = set()

    def of(self, machine: Instance, policies: Policies) -> Instance:
        """The machine, with what the rules of these policies ask for."""
        if not policies.seat_pools and not policies.needs_risk:
            return machine
        seats = {pool: self.seat_of(pool, machine.uid) for pool in policies.seat_pools}
        learnt = Learnt(seats=seats, risk=self.risk_of(machine.uid)) if policies.needs_risk else Learnt(seats=seats)
        return replace(machine, learnt=learnt)

    def seats_changed(self, pool: str, uids: Iterable[str]) -> None:
        """How these machines stand with a pool is another than before."""
        self._seats.setdefault(pool, set()).update(uids)

    def risks_changed(self, uids: Iterable[str]) -> None:
        """The risk of these machines, or whether it is known, is another than before."""
        self._risks.update(uids)

    def note_scanned(self, uid: str) -> None:
        """A report of an image on this machine is there."""
        if uid not in self.scanned:
            self.scanned.add(uid)
            self._risks.add(uid)

    def drop(self, uid: str) -> None:
        """The machine is gone."""
        self._gone.add(uid)
        self.scanned.discard(uid)
        self._waits.pop(uid, None)

    def take_gone(self) -> set[str]:
        """Machines that are gone since the last call."""
        gone, self._gone = self._gone, set()
        return gone

    @property
    def risks_wait(self) -> bool:
        """Whether there are machines to be judged anew for their risk."""
        return bool(self._risks)

    def take(self, policies: Policies) -> set[str]:
        """The machines that must be judged anew since the last call, by what the rules of these policies ask for."""
        found = set(self._risks) if policies.needs_risk else set[str]()
        for pool in policies.seat_pools:
            found |= self._seats.get(pool, set())
        self._risks.clear()
        self._seats.clear()
        return found

    def waits(self, machine: Instance, monotonic: float) -> bool:
        """Whether to judge it a moment later: more will be known then. Not for longer than `PATIENCE_SECONDS`."""
        if not machine.learnt.awaited:
            self._waits.pop(machine.uid, None)
            return False
        return monotonic - self._waits.setdefault(machine.uid, monotonic) < PATIENCE_SECONDS
