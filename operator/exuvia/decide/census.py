"""The census: how many machines of every scope there are, may be counted on, and are disrupted by what is seen of them.

It is kept machine by machine, so that one changed machine costs no walk over the fleet. Time moves one thing only, a
machine that is NotReady for 5 s, and a heap says when. What operations add is laid over it for one plan (`Tally`).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from exuvia.model import marks
from exuvia.model.instances import Instance, Kind
from exuvia.model.planning import PolicyFacts, Subject
from exuvia.model.specs.operation import FrozenSettings

NOT_READY_GRACE = timedelta(seconds=5)


class Scope(NamedTuple):
    """Machines that are counted together: all of a kind (no policy), what a policy selects, or those of them in one
    topology value (`key` and `value`)."""

    policy: str
    key: str
    value: str


FLEET = Scope("", "", Kind.NODE.value)


class State(NamedTuple):
    """How one machine counts."""

    in_base: bool = False  # alive and Ready once (operations say what else)
    disrupted: bool = False  # in the disrupted set
    not_ready: bool = False  # NotReady for 5 s or more, having been Ready once, and nobody asked for its end
    operated: bool = False  # disrupted, and an operation past Pending works on it
    spared: bool = False  # disrupted by a ReplaceFirst Rotation only, which takes nothing from health


NOTHING = State()


@dataclass(slots=True)
class Counts:
    """The machines of one scope, counted."""

    members: int = 0  # living machines, whether they count or not
    base: int = 0
    disrupted: int = 0
    not_ready: int = 0  # of the base
    operated: int = 0
    lost: int = 0  # of the base: disrupted
    spared: int = 0  # of the lost: by a ReplaceFirst Rotation only

    def add(self, state: State, sign: int) -> None:
        """Count a machine in (1) or out (-1)."""
        self.base += sign * state.in_base
        self.disrupted += sign * state.disrupted
        self.operated += sign * state.operated
        if state.in_base:
            self.not_ready += sign * state.not_ready
            self.lost += sign * state.disrupted
            self.spared += sign * state.spared

    @property
    def healthy(self) -> int:
        """In the base and not disrupted."""
        return self.base - self.lost


@dataclass(slots=True)
class Record:
    """One machine as it is counted."""

    subject: Subject
    instance: Instance
    scopes: tuple[Scope, ...]
    state: State
    bad_at: datetime | None  # when it is NotReady for long enough; None: never, or counted already


class Census:
    """Counters for each scope. `records` holds living machines only: what is gone is counted by its operation."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.control_plane: set[str] = set()
        self.wishes: set[str] = set()
        self._counts: dict[Scope, Counts] = {}
        self._values: dict[tuple[str, str], set[Scope]] = {}  # policy and topology key -> its scopes
        self._keys: dict[str, tuple[str, ...]] = {}  # policy -> topology keys of its budgets
        self._due: list[tuple[datetime, str]] = []
        self._births: dict[str, list[tuple[datetime, str]]] = {}  # pool -> its machines, oldest first

    def rebuild(self, policies: Mapping[str, PolicyFacts]) -> None:
        """Other policies, other scopes: count everything anew."""
        self._keys = {name: _topology_keys(policy) for name, policy in policies.items()}
        subjects = [one.subject for one in self.records.values()]
        self.records.clear()
        self._counts.clear()
        self._values.clear()
        self._due.clear()
        self._births.clear()
        self.control_plane.clear()
        self.wishes.clear()
        for subject in subjects:
            self.put(subject)

    def put(self, subject: Subject) -> None:
        """A machine appeared or changed."""
        self.drop(subject.uid)
        instance = subject.instance
        if instance is None:
            return
        bad_at = _bad_at(subject, instance)
        state = State(in_base=subject.ready_once, disrupted=_disrupted(instance))
        record = Record(subject, instance, self._scopes(subject, instance), state, bad_at)
        self.records[subject.uid] = record
        self._count(record, 1)
        insort(self._births.setdefault(instance.pool, []), (instance.born, subject.uid))
        if bad_at is not None:
            heappush(self._due, (bad_at, subject.uid))
        if instance.control_plane:
            self.control_plane.add(subject.uid)
        if subject.wish is not None:
            self.wishes.add(subject.uid)

    def drop(self, uid: str) -> None:
        """A machine is not there any more."""
        record = self.records.pop(uid, None)
        if record is None:
            return
        self._count(record, -1)
        self._forget_birth(record.instance)
        self.control_plane.discard(uid)
        self.wishes.discard(uid)

    def _forget_birth(self, instance: Instance) -> None:
        births = self._births[instance.pool]
        del births[bisect_left(births, (instance.born, instance.uid))]
        if not births:
            del self._births[instance.pool]

    def born_in(self, pool: str, since: datetime) -> list[str]:
        """UIDs of living machines of a pool that were born then or later, oldest first."""
        births = self._births.get(pool, [])
        return [uid for _, uid in births[bisect_left(births, (since, "")) :]]

    def advance(self, now: datetime) -> None:
        """Let time pass: who is NotReady for 5 s now?"""
        while self._due and self._due[0][0] <= now:
            at, uid = heappop(self._due)
            record = self.records.get(uid)
            if record is None or record.bad_at != at:
                continue  # it changed since
            self._count(record, -1)
            record.state = record.state._replace(disrupted=True, not_ready=True)
            record.bad_at = None
            self._count(record, 1)
        if len(self._due) > 64 + 2 * len(self.records):
            self._due = [(one.bad_at, uid) for uid, one in self.records.items() if one.bad_at is not None]
            heapify(self._due)

    @property
    def next(self) -> datetime | None:
        """When time changes a count next."""
        while self._due:
            at, uid = self._due[0]
            record = self.records.get(uid)
            if record is not None and record.bad_at == at:
                return at
            heappop(self._due)
        return None

    def counts(self, scope: Scope) -> Counts:
        """The counts of a scope, by what is seen of the machines."""
        return self._counts.get(scope) or Counts()

    def scopes(self, policy: str, key: str) -> Iterable[Scope]:
        """All topology values of what a policy selects."""
        return self._values.get((policy, key), ())

    def state(self, uid: str) -> State:
        """How a machine counts by what is seen of it; what is not there counts nowhere."""
        record = self.records.get(uid)
        return record.state if record else NOTHING

    def scopes_of(self, uid: str, frozen: FrozenSettings | None) -> tuple[Scope, ...]:
        """Where a machine counts: as it is, or as its operation recorded when it is gone."""
        record = self.records.get(uid)
        if record is not None:
            return record.scopes
        return tuple(self._frozen_scopes(frozen)) if frozen else (FLEET,)

    def _frozen_scopes(self, frozen: FrozenSettings) -> Iterator[Scope]:
        yield FLEET
        for one in frozen.policies:
            if one.name not in self._keys:
                continue
            yield Scope(one.name, "", "")
            for key in self._keys[one.name]:
                fallback = frozen.zone if key == marks.ZONE_LABEL else ""
                yield Scope(one.name, key, frozen.labels.get(key, fallback))

    def _scopes(self, subject: Subject, instance: Instance) -> tuple[Scope, ...]:
        found = [Scope("", "", instance.kind.value)]
        for policy in subject.selecting:
            if policy not in self._keys:
                continue
            found.append(Scope(policy, "", ""))
            found += [Scope(policy, key, instance.labels.get(key, "")) for key in self._keys[policy]]
        return tuple(found)

    def _count(self, record: Record, sign: int) -> None:
        for scope in record.scopes:
            counts = self._counts.get(scope)
            if counts is None:
                counts = self._counts[scope] = Counts()
                self._values.setdefault(scope[:2], set()).add(scope)
            counts.members += sign
            counts.add(record.state, sign)
            if not counts.members:
                del self._counts[scope]
                self._values[scope[:2]].discard(scope)


class Tally:
    """The census with what operations add, for one plan. Every start is counted in it at once."""

    def __init__(self, census: Census) -> None:
        self.census = census
        self._counts: dict[Scope, Counts] = {}
        self._states: dict[str, State] = {}

    def counts(self, scope: Scope) -> Counts:
        """The counts of a scope."""
        return self._counts.get(scope) or self.census.counts(scope)

    def state(self, uid: str) -> State:
        """How a machine counts."""
        found = self._states.get(uid)
        return found if found is not None else self.census.state(uid)

    def set(self, uid: str, state: State, frozen: FrozenSettings | None = None) -> None:
        """A machine counts otherwise from now on."""
        former = self.state(uid)
        self._states[uid] = state
        if former == state:
            return
        for scope in self.census.scopes_of(uid, frozen):
            counts = self._counts.get(scope)
            if counts is None:
                was = self.census.counts(scope)
                counts = self._counts[scope] = copy(was)
            counts.add(former, -1)
            counts.add(state, 1)


def _topology_keys(policy: PolicyFacts) -> tuple[str, ...]:
    return tuple(sorted({one.topology_key for one in policy.spec.disruption.budgets if one.topology_key}))


def _bad_at(subject: Subject, instance: Instance) -> datetime | None:
    since = instance.not_ready_since
    return since + NOT_READY_GRACE if since is not None and subject.ready_once else None


def _disrupted(instance: Instance) -> bool:
    """Deleting, or cordoned by us. A cordon of somebody else disrupts nothing of ours."""
    return instance.deleting or cordoned_by_us(instance)


def cordoned_by_us(instance: Instance) -> bool:
    """Whether it bears a taint of ours, or is unschedulable with our state label."""
    if any(one.key in (marks.ROTATING_TAINT, marks.QUARANTINED_TAINT) for one in instance.taints):
        return True
    return instance.unschedulable and marks.STATE_LABEL in instance.labels
