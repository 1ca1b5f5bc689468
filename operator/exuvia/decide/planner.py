"""The fleet's plan: one function that sees every policy, brake and operation at once, because "who may be disrupted
now?" is a question about the fleet (architecture.md, sweep).

Gather the candidates in order, ask the brakes, and count every start for those that follow. Pure and deterministic:
the same subjects, policies and moment give the same plan, told one by one or all at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from exuvia.decide import inheritance, pools
from exuvia.decide.brakes import budgets, control_plane, health, knowledge
from exuvia.decide.brakes.active import budget_door
from exuvia.decide.brakes.candidates import candidates
from exuvia.decide.brakes.holds import (
    Holds,
    eviction_hold,
    is_member,
    may_hold_evictions,
    standing_hold,
)
from exuvia.decide.brakes.inflight import age
from exuvia.decide.brakes.picture import ROTATION, Candidate, Picture, paint
from exuvia.decide.brakes.status import brake_statuses
from exuvia.decide.brakes.table import all_holds, first_hold
from exuvia.decide.brakes.times import utc
from exuvia.decide.brakes.windows import allowed_now
from exuvia.decide.census import Census
from exuvia.model import marks
from exuvia.model.blocking import Blocked
from exuvia.model.findings import Wish
from exuvia.model.planning import Grant, Moment, Opening, Plan, PolicyFacts, Subject
from exuvia.model.specs import operation as specs
from exuvia.model.specs.common import InstanceReference, PolicyReference
from exuvia.model.specs.operation import OperationSpec
from exuvia.model.specs.quarantine import Quarantine, QuarantineSpec
from exuvia.model.specs.rotation import Rotation, RotationPhase, RotationSpec


class Planner:
    """Keeps counters for each scope, so that a plan costs open operations, wishes and policies, not the fleet.

    It knows only what it was told: whoever changes a machine's facts, wish or policies tells it by `set_subject`. It
    holds nothing that matters: told anew, it gives the same answers.
    """

    def __init__(self) -> None:
        self._policies: dict[str, PolicyFacts] = {}
        self._census = Census()

    def set_policies(self, policies: Iterable[PolicyFacts]) -> None:
        """All policies there are, valid or not. Rebuilds every scope: costs a walk over the fleet."""
        self._policies = {one.name: one for one in policies}
        self._census.rebuild(self._policies)

    def set_subject(self, subject: Subject) -> None:
        """A machine appeared or changed. Costs as much as there are policies that select it."""
        self._census.put(subject)

    def drop_subject(self, uid: str) -> None:
        """Nothing is left of that machine."""
        self._census.drop(uid)

    def plan(self, moment: Moment, now: datetime) -> Plan:
        """What may start now, and why the rest waits. Planning again right after it was applied adds nothing.

        With `needs_leases` no Rotation of the plan is in it: list the node leases, and plan again.
        """
        picture = self._picture(moment, now)
        draft = _Draft()
        for candidate in candidates(picture):
            blocked = first_hold(candidate, picture)
            if blocked is not None:
                draft.hold(candidate, blocked)
            else:
                draft.start(candidate, picture)
        draft.unseen(picture)
        return Plan(
            openings=tuple(draft.openings),
            grants=tuple(draft.grants),
            blocked=draft.blocked,
            waiting=draft.waiting,
            brakes=brake_statuses(picture),
            storm=picture.storm,
            halted=tuple(picture.halted[pool] for pool in sorted(picture.halted)),
            allowed=_allowed(picture),
            fleet_disrupted=picture.fleet.disrupted,
            fleet_allowed=budgets.fleet_left(picture),
            needs_leases=draft.needs_leases,
            next=_next(draft, picture),
        )

    def holds_for(self, uid: str, moment: Moment, now: datetime) -> Holds:
        """What holds an open operation now. `uid`: the operation's own UID, or else its machine's; the operation's is
        the better one where a quarantined machine is being rotated, as the two are held by different things.

        On a calm day it costs no walk over the operations: the picture is painted only where it may say something."""
        self._census.advance(now)
        operation = _operation(uid, moment)
        machine = operation.spec.instance.uid if operation is not None else uid
        stormy, member = may_hold_evictions(moment, self._census), is_member(machine, operation, self._census)
        picture = self._picture(moment, now) if stormy or member else None
        return Holds(
            hold=standing_hold(operation, moment, now),
            eviction_hold=eviction_hold(operation, picture) if picture and stormy else None,
            removal_hold=control_plane.rotation_quorum(machine, picture) if picture and member else None,
        )

    def explain(self, uid: str, moment: Moment, now: datetime) -> tuple[Blocked, ...]:
        """Every brake that holds a start on this machine now, not only the first. Empty: none, or nothing wants one."""
        picture = self._picture(moment, now)
        found = [one for one in candidates(picture) if one.uid == uid]
        return tuple(blocked for one in found for blocked in all_holds(one, picture))

    def _picture(self, moment: Moment, now: datetime) -> Picture:
        self._census.advance(now)
        picture = paint(moment, self._census, self._policies, now)
        trusted = knowledge.untrusted_view(moment.view, now) is None
        picture.storm = health.storm_now(moment, picture.fleet, now, trusted=trusted)
        halted = pools.halted_pools(picture.flight.finished, picture.guard.pool_resumes)
        picture.halted = {one.pool: one for one in halted}
        return picture


def plan(policies: Iterable[PolicyFacts], subjects: Iterable[Subject], moment: Moment, now: datetime) -> Plan:
    """The same from nothing: the full sweep."""
    planner = Planner()
    planner.set_policies(policies)
    for subject in subjects:
        planner.set_subject(subject)
    return planner.plan(moment, now)


@dataclass(slots=True)
class _Draft:
    """The plan while it is made."""

    openings: list[Opening] = field(default_factory=list)
    grants: list[Grant] = field(default_factory=list)
    blocked: dict[str, Blocked] = field(default_factory=dict)
    waiting: dict[str, Blocked] = field(default_factory=dict)
    needs_leases: bool = False

    def hold(self, candidate: Candidate, blocked: Blocked) -> None:
        """It waits."""
        if candidate.operation is not None:
            self.waiting[candidate.operation.uid] = blocked
        else:
            self.blocked[candidate.uid] = blocked

    def start(self, candidate: Candidate, picture: Picture) -> None:
        """It starts, unless the leases must be looked at first; either way it counts for what follows."""
        held_by_leases = candidate.kind == ROTATION and not picture.carries_out_release(candidate)
        if held_by_leases and picture.moment.leases is None and picture.moment.leases_problem:
            self.hold(candidate, knowledge.unlisted_leases(picture.moment.leases_problem))
            return
        if held_by_leases and picture.moment.leases is None:
            self.needs_leases = True
        elif candidate.operation is not None:
            self.grants.append(_grant(candidate, candidate.operation))
        elif candidate.wish is not None:
            self.openings.append(_opening(candidate, candidate.wish, picture))
        picture.started(candidate)

    def unseen(self, picture: Picture) -> None:
        """While the view cannot be trusted, a machine that is not seen need not be gone: its operation waits."""
        untrusted = knowledge.untrusted_view(picture.moment.view, picture.now)
        if untrusted is None:
            return
        for operation in picture.flight.pending:
            self.waiting.setdefault(operation.uid, untrusted)


def _grant(candidate: Candidate, operation: Rotation | Quarantine) -> Grant:
    return Grant(kind=candidate.kind, name=operation.name, uid=operation.uid, instance=candidate.uid)


def _opening(candidate: Candidate, wish: Wish, picture: Picture) -> Opening:
    """The whole object, under a name that nobody has: creating it twice is one creation."""
    names = picture.flight.names[candidate.kind]
    name = inheritance.operation_name(candidate.instance.name, candidate.uid, names)
    names.append(name)
    body = specs.body(name, _spec(candidate, wish), marks.FINALIZER)
    return Opening(kind=candidate.kind, name=name, instance=candidate.uid, body=body, wish=wish)


def _spec(candidate: Candidate, wish: Wish) -> OperationSpec:
    return (RotationSpec if candidate.kind == ROTATION else QuarantineSpec)(
        instance=_reference(candidate),
        policy=_policy(wish),
        rule=wish.rule,
        severity=wish.severity,
        reason=wish.message[:1024],
        requested_by=marks.SERVICE_ACCOUNT_USER,
    )


def _reference(candidate: Candidate) -> InstanceReference:
    machine = candidate.instance
    return InstanceReference(
        kind=machine.kind.value, name=machine.name, uid=machine.uid, provider_id=machine.provider_id
    )


def _policy(wish: Wish) -> PolicyReference:
    return PolicyReference(name=wish.policy, uid=wish.policy_uid, generation=wish.generation)


def _operation(uid: str, moment: Moment) -> Rotation | Quarantine | None:
    """The open operation of that UID; else one on the machine of that UID, what started before what waits, a release's
    Rotation before the Quarantine."""
    everything: list[Rotation | Quarantine] = [*moment.rotations, *moment.quarantines]
    found = next((one for one in everything if one.uid == uid and one.open), None)
    if found is not None:
        return found
    open_ = (one for one in everything if one.open)
    on_machine = sorted((one for one in open_ if one.spec.instance.uid == uid), key=age)
    return min(on_machine, key=_precedence, default=None)


def _precedence(operation: Rotation | Quarantine) -> tuple[bool, int]:
    waits = operation.status.phase == RotationPhase.PENDING
    if isinstance(operation, Quarantine):
        return waits, 1
    return waits, 0 if operation.spec.released_from else 2


def _allowed(picture: Picture) -> dict[tuple[str, str], int]:
    """How many more machines each budget that binds now allows."""
    return {
        (name, one.budget.name): budgets.remaining(one, picture)
        for name in picture.policies
        for one in picture.budgets(name)
    }


def _next(draft: _Draft, picture: Picture) -> datetime | None:
    """The earliest moment to come at which time alone changes the plan."""
    moments = [*_waits(draft), *_schedules(picture), *_pauses(picture)]
    if picture.tally.census.next is not None:
        moments.append(picture.tally.census.next)
    if picture.storm is not None and picture.storm.calm_since is not None:
        moments.append(picture.storm.calm_since + picture.guard.storm_cooldown)
    return min((one for one in moments if one > picture.now), default=None)


def _waits(draft: _Draft) -> Iterator[datetime]:
    for some in (draft.blocked, draft.waiting):
        for blocked in some.values():
            if blocked.next is not None:
                yield blocked.next


def _schedules(picture: Picture) -> Iterator[datetime]:
    for policy in picture.policies.values():
        doors = [budget_door(one, picture.now) for one in policy.spec.disruption.budgets]
        if policy.enforces:
            doors.append(allowed_now(policy, picture.now))
        for door in doors:
            if door.until is not None:
                yield door.until


def _pauses(picture: Picture) -> Iterator[datetime]:
    for request in picture.guard.pause_requests:
        if request.until is not None:
            yield utc(request.until)
