"""The book of one pool while time goes on: who holds a seat, who waits, what falls due. Lives only inside `advance`.

At one instant things happen in one order: signs of life, deaths, quarantines, returns, the queue, claims by UID.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import replace

from exuvia.decide.seats.agenda import Agenda
from exuvia.model.seats import (
    Claim,
    Claimant,
    Denied,
    Died,
    Ending,
    Exhaustion,
    Frozen,
    Ghost,
    Granted,
    Heard,
    Kept,
    Lapsed,
    Lease,
    Left,
    QuarantinedSeat,
    Queued,
    ReturnCause,
    Returned,
    SeatChange,
    SeatEvent,
    Seats,
    Silent,
    Terms,
    Thawed,
    Unserved,
    Waiting,
)

LASTING = (ReturnCause.EXPIRY, ReturnCause.RELEASE)
"""Causes by which an instance loses its seat, lives on, and does not wait for another one by itself."""


class Book:
    """Open a state under the terms of a pool, let instants pass, and close it into a state again."""

    def __init__(self, state: Seats, terms: Terms) -> None:
        self.told: list[SeatChange] = []
        self._terms = terms
        self._order = state.order
        self._leases = {one.uid: one for one in state.leases}
        self._waiting = {one.uid: one for one in state.waiting}
        self._denied = {one.uid: one for one in state.denied}
        self._lapsed = {one.uid: one for one in state.lapsed}
        self._frozen = set(state.frozen)
        self._ghosts = set(state.ghosts)
        self._queue = [(one.place, one.uid) for one in state.waiting]
        self._due, self._expiring = Agenda(self._end), Agenda(self._expiry)
        for one in state.leases:
            self._watch(one)
        self._oldest = [_age(one) for one in state.leases if not one.holder.persistent]
        heapq.heapify(self._queue)
        heapq.heapify(self._oldest)

    @property
    def next_due(self) -> int | None:
        """The next moment at which time alone changes something; None: never."""
        firsts = (self._due.first, self._expiring.first)
        return min((one for one in firsts if one is not None), default=None)

    def instant(self, now: int, events: Sequence[SeatEvent]) -> None:
        """Everything that happens at `now`. Events may have been earlier: they are learnt now."""
        heard = [one for one in events if type(one) is Heard]
        strange = [one.uid for one in sorted(heard, key=_sign) if not self._hear(one)]
        for event in sorted(events, key=_rank):
            self._take(event, now)
        self._return_due(now)
        self._serve(now)
        for claim in sorted([one for one in events if type(one) is Claim], key=_turn):
            self._claim(claim, now)
        for uid in strange:
            self._suspect(uid, now)

    def closed(self, at: int) -> Seats:
        """The state after everything up to `at`."""
        return Seats(
            at=at,
            leases=tuple(sorted(self._leases.values(), key=lambda one: one.order)),
            waiting=tuple(sorted(self._waiting.values(), key=lambda one: one.place)),
            denied=tuple(self._denied[uid] for uid in sorted(self._denied)),
            lapsed=tuple(self._lapsed[uid] for uid in sorted(self._lapsed)),
            frozen=frozenset(self._frozen),
            ghosts=frozenset(self._ghosts),
            order=self._order,
        )

    def _hear(self, event: Heard) -> bool:
        """Whether the agent that is heard has a lease."""
        lease = self._leases.get(event.uid)
        if lease is not None and event.at > lease.heard:
            self._leases[event.uid] = replace(lease, heard=event.at)
        return lease is not None

    def _take(self, event: SeatEvent, now: int) -> None:
        match event:
            case Died():
                self._die(event, now)
            case Frozen(uid=uid):
                self._freeze(uid, now)
            case Thawed(uid=uid):
                self._thaw(uid, now)
            case Unserved(uid=uid):
                self._release(uid, now)
            case Silent(uid=uid):
                self._ghosts.discard(uid)
            case Heard() | Claim():
                return

    def _die(self, event: Died, now: int) -> None:
        self._leave(event.uid, now)
        self._frozen.discard(event.uid)
        lease = self._leases.get(event.uid)
        if lease is None or lease.due is not None:
            return
        due = event.at + self._terms.grace + self._terms.delay
        self._leases[event.uid] = replace(lease, died=event.at, due=due, cause=event.cause)
        self._due.put(due, event.uid)
        if due > now:
            self.told.append(Ending(at=event.at, uid=event.uid, due=due, cause=event.cause))

    def _leave(self, uid: str, now: int) -> None:
        """It asks for no seat any more."""
        if uid in self._waiting or uid in self._denied or uid in self._lapsed:
            self._forget(uid)
            self.told.append(Left(at=now, uid=uid))

    def _forget(self, uid: str) -> None:
        self._waiting.pop(uid, None)
        self._denied.pop(uid, None)
        self._lapsed.pop(uid, None)

    def _freeze(self, uid: str, now: int) -> None:
        self._frozen.add(uid)
        if self._terms.quarantined is QuarantinedSeat.RELEASE and uid not in self._lapsed:
            self._release(uid, now)

    def _release(self, uid: str, now: int) -> None:
        """It wants no seat for now, and lives on."""
        self._leave(uid, now)
        lease = self._leases.get(uid)
        if lease is not None and lease.due is None:
            self._give_back(uid, now, ReturnCause.RELEASE)

    def _thaw(self, uid: str, now: int) -> None:
        """Its agent was not listened to; the silence counts from now on."""
        self._frozen.discard(uid)
        lease = self._leases.get(uid)
        if lease is not None and self._terms.timeout is not None:
            self._leases[uid] = replace(lease, heard=max(lease.heard, now))
            self._watch(self._leases[uid])

    def _end(self, uid: str) -> int | None:
        """When the seat of a dead one comes back."""
        lease = self._leases.get(uid)
        return None if lease is None else lease.due

    def _expiry(self, uid: str) -> int | None:
        """When its lease expires unless it is heard; None: it does not. A dead one has its grace instead."""
        lease, timeout = self._leases.get(uid), self._terms.timeout
        if lease is None or timeout is None or lease.due is not None or uid in self._frozen:
            return None
        return lease.heard + timeout

    def _return_due(self, now: int) -> None:
        for uid in self._due.due(now):
            self._give_back(uid, now, self._leases[uid].cause)
        for uid in self._expiring.due(now):
            self._give_back(uid, now, ReturnCause.EXPIRY)

    def _give_back(self, uid: str, now: int, cause: ReturnCause) -> Claimant:
        lease = self._leases.pop(uid)
        if cause in LASTING:
            self._lapsed[uid] = Lapsed(uid=uid, at=now, cause=cause)
        returned = Returned(at=now, lease=lease, cause=cause, died=lease.died, owed=self._terms.owes)
        self.told.append(returned)
        return lease.holder

    def _serve(self, now: int) -> None:
        """Give what is free to who waits."""
        while self._queue and (self._free or self._terms.exhaustion is Exhaustion.OVERCOMMIT):
            _, uid = heapq.heappop(self._queue)
            place = self._waiting.pop(uid, None)
            if place is not None:
                self._seat(place.claimant, now, since=place.since)

    @property
    def _free(self) -> bool:
        return len(self._leases) < self._terms.seats

    def _claim(self, claim: Claim, now: int) -> None:
        uid = claim.claimant.uid
        if uid in self._leases:
            self._keep(uid, now)
        elif uid in self._waiting or uid in self._denied or self._bars(uid):
            return
        elif self._free or self._terms.exhaustion is Exhaustion.OVERCOMMIT:
            self._seat(claim.claimant, now, since=claim.at)
        else:
            self._refuse(claim, now)

    def _bars(self, uid: str) -> bool:
        """A quarantined instance that had to give its seat back takes none."""
        return uid in self._frozen and self._terms.quarantined is QuarantinedSeat.RELEASE

    def _keep(self, uid: str, now: int) -> None:
        """A reboot inside grace keeps the seat."""
        lease = self._leases[uid]
        if lease.due is None:
            return
        kept = replace(lease, died=None, due=None, cause=ReturnCause.DEATH, heard=max(lease.heard, now))
        self._leases[uid] = kept
        self._watch(kept)
        self.told.append(Kept(at=now, uid=uid))

    def _refuse(self, claim: Claim, now: int) -> None:
        """No seat is free. Where there are more leases than seats, none is given for one that ends."""
        reclaims = self._terms.exhaustion is Exhaustion.RECLAIM_OLDEST and len(self._leases) == self._terms.seats
        oldest = self._reclaimable() if reclaims else None
        if oldest is not None:
            loser = self._give_back(oldest, now, ReturnCause.RECLAIMED)
            self._seat(claim.claimant, now, since=claim.at)
            self._wait(loser, now, since=now)
        elif self._terms.exhaustion is Exhaustion.DENY:
            self._lapsed.pop(claim.claimant.uid, None)
            self._denied[claim.claimant.uid] = claim.claimant
            self.told.append(Denied(at=now, claimant=claim.claimant))
        else:
            self._wait(claim.claimant, now, since=claim.at)

    def _reclaimable(self) -> str | None:
        """The non-persistent instance whose lease is the oldest. One in its grace keeps its seat until that is over."""
        spared = []
        found = None
        while self._oldest and found is None:
            since, order, uid = heapq.heappop(self._oldest)
            lease = self._leases.get(uid)
            if lease is None or (lease.since, lease.order) != (since, order):
                continue
            if lease.due is not None or self._forensic(uid):
                spared.append((since, order, uid))
            else:
                found = uid
        for one in spared:
            heapq.heappush(self._oldest, one)
        return found

    def _forensic(self, uid: str) -> bool:
        return uid in self._frozen and self._terms.quarantined is QuarantinedSeat.FORENSIC_SEAT

    def _wait(self, claimant: Claimant, now: int, *, since: int) -> None:
        place = Waiting(claimant=claimant, since=since, order=self._next())
        self._lapsed.pop(claimant.uid, None)
        self._waiting[claimant.uid] = place
        heapq.heappush(self._queue, (place.place, claimant.uid))
        self.told.append(Queued(at=now, place=place))

    def _seat(self, claimant: Claimant, now: int, *, since: int) -> None:
        over = not self._free
        lease = Lease(holder=claimant, since=now, order=self._next(), heard=now)
        self._leases[claimant.uid] = lease
        self._lapsed.pop(claimant.uid, None)
        self._ghosts.discard(claimant.uid)
        self._watch(lease)
        if not claimant.persistent:
            heapq.heappush(self._oldest, _age(lease))
        self.told.append(Granted(at=now, lease=lease, waited=now - since, over=over))

    def _watch(self, lease: Lease) -> None:
        """Look at it again when time alone ends it."""
        for agenda, at in ((self._due, lease.due), (self._expiring, self._expiry(lease.uid))):
            if at is not None:
                agenda.put(at, lease.uid)

    def _suspect(self, uid: str, now: int) -> None:
        """Who is heard and neither holds a seat nor asks for one is a ghost: told, never seated for that."""
        known = uid in self._leases or uid in self._waiting or uid in self._denied
        if known or uid in self._ghosts or uid in self._frozen:
            return
        self._ghosts.add(uid)
        self.told.append(Ghost(at=now, uid=uid))

    def _next(self) -> int:
        self._order += 1
        return self._order


def _age(lease: Lease) -> tuple[int, int, str]:
    return (lease.since, lease.order, lease.uid)


_RANKS = {one: rank for rank, one in enumerate((Silent, Died, Unserved, Frozen, Thawed))}


def _rank(event: SeatEvent) -> int:
    """What comes first of what happens at one instant, in whatever order it is handed in."""
    return _RANKS.get(type(event), len(_RANKS))


def _sign(heard: Heard) -> tuple[int, str]:
    return (heard.at, heard.uid)


def _turn(claim: Claim) -> tuple[int, int, str]:
    """Who is asked first of those that claim at one instant: by priority, then since when, then by UID."""
    return (-claim.claimant.priority, claim.at, claim.claimant.uid)
