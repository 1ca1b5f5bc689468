"""Why something is, or is not, done with a machine: the engine of the operator, asked over one snapshot. Pure.

Rules, overlap, brakes and drain are those that the operator itself runs (`evaluate`, `decide`); nothing is told here
that they do not say.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from exuvia.act.providers import resolve
from exuvia.app import naming, posture
from exuvia.app.explanations import BrakeAnswer, Explanation, PodInTheWay, waits
from exuvia.app.snapshot import Snapshot
from exuvia.decide import pools
from exuvia.decide.brakes import acting, health, holds
from exuvia.decide.brakes.picture import QUARANTINE, ROTATION, Candidate, Picture, paint
from exuvia.decide.brakes.table import POLICY_BRAKES, brakes_for
from exuvia.decide.census import Census
from exuvia.decide.drain import Situation, is_unreachable, judge
from exuvia.evaluate import judge as judging
from exuvia.evaluate import overlap
from exuvia.evaluate.policies import selects
from exuvia.model.blocking import Blocked, View
from exuvia.model.facts import LedgerHealth, LedgerState
from exuvia.model.findings import Wish
from exuvia.model.instances import Instance
from exuvia.model.planning import Moment, Subject
from exuvia.model.rotation_views import ProviderFacts
from exuvia.model.specs.operation import FrozenSettings, Selecting
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from exuvia.model.specs.security_policy import Action, DrainSettings, ProviderName, SecurityPolicySpec

SETTLED_AGE = timedelta(minutes=10)


def explain(snapshot: Snapshot) -> Explanation:
    """Ask the engine everything about the subject of the snapshot."""
    subject, now = snapshot.subject, snapshot.taken
    judgement = judging.judge_all(snapshot.policies.compiled.values(), subject, snapshot.outcomes, now)
    wish = overlap.wish(judgement, snapshot.policies.compiled, enforced=True)
    would = overlap.wish(judgement, snapshot.policies.compiled, enforced=False)
    fleet = _Fleet(snapshot, wish, would)
    candidate, picture = fleet.candidate(), fleet.picture()
    under_way = [one for one in fleet.operations if not waits(one)]
    started = next(iter(under_way), None)
    frozen = started if not any(isinstance(one, Rotation) for one in under_way) else None
    settings = (started.status.settings if started else None) or fleet.settings(subject)
    return Explanation(
        instance=subject,
        taken=now,
        judgement=judgement,
        unusable=tuple(_unusable(snapshot)),
        wish=wish,
        would=would,
        settings=settings,
        provider=fleet.provider(subject),
        operations=fleet.operations,
        kind=candidate.kind,
        brakes=tuple(_holds(started, picture) if started else _answers(candidate, picture, snapshot)),
        pods=() if frozen else tuple(_pods(snapshot, settings.drain or DrainSettings())),
        pods_known=snapshot.pods is not None,
        leads="" if snapshot.leader is None else snapshot.leader.said(now),
        idle=_idle(snapshot),
        notes=(*snapshot.notes, *_kept(frozen)),
    )


class _Fleet:
    """The snapshot as the planner would be told of it."""

    def __init__(self, snapshot: Snapshot, wish: Wish | None, would: Wish | None) -> None:
        self._snapshot = snapshot
        self._wish = wish
        self._winner = wish or would
        uid = snapshot.subject.uid
        some: tuple[Rotation | Quarantine, ...] = (*snapshot.quarantines, *snapshot.rotations)
        self.operations = tuple(one for one in some if one.open and one.spec.instance.uid == uid)

    def candidate(self) -> Candidate:
        """The start that is asked about: of what waits, of what is wanted, or of a Rotation by hand."""
        subject = self._snapshot.subject
        waiting = next((one for one in self.operations if waits(one)), None)
        wanted = self._winner.action if self._winner else Action.ROTATE
        freezes = isinstance(waiting, Quarantine) if waiting else wanted is Action.QUARANTINE
        by_person = waiting is not None and waiting.spec.policy is None
        return Candidate(
            kind=QUARANTINE if freezes else ROTATION,
            subject=self._subject(subject),
            instance=subject,
            wish=None if by_person else self._winner,
            operation=waiting,
        )

    def picture(self) -> Picture:
        """As `decide.planner` paints it, from nothing."""
        snapshot, facts = self._snapshot, self._snapshot.policies.facts
        census = Census()
        census.rebuild(facts)
        for one in snapshot.instances:
            census.put(self._subject(one))
        census.advance(snapshot.taken)
        moment = self._moment()
        picture = paint(moment, census, facts, snapshot.taken)
        picture.storm = health.storm_now(moment, picture.fleet, snapshot.taken, trusted=True)
        halted = pools.halted_pools(picture.flight.finished, picture.guard.pool_resumes)
        picture.halted = {one.pool: one for one in halted}
        return picture

    def settings(self, instance: Instance) -> FrozenSettings:
        """What an operation on a machine would get if it started now."""
        policies = self._snapshot.policies
        names = self._selecting(instance)
        valid = [policies.compiled[name].spec for name in names if name in policies.compiled]
        rotation, drain, quarantine = overlap.settings(self._spec(), valid)
        return FrozenSettings(
            rotation=rotation,
            drain=drain,
            quarantine=quarantine,
            provider=self._resolved(rotation.provider, instance).name,
            pool=instance.pool,
            zone=instance.zone,
            role="control-plane" if instance.control_plane else "worker",
            policies=tuple(Selecting(name=name, uid=policies.facts[name].uid) for name in names),
        )

    def provider(self, instance: Instance) -> ProviderFacts:
        """Who would replace it."""
        winner = self._spec()
        return self._resolved(winner.rotation.provider if winner else ProviderName.AUTO, instance)

    def _spec(self) -> SecurityPolicySpec | None:
        found = self._snapshot.policies.facts.get(self._winner.policy) if self._winner else None
        return found.spec if found else None

    def _resolved(self, wanted: ProviderName, instance: Instance) -> ProviderFacts:
        return resolve(self._snapshot.providers, wanted, instance)

    def _selecting(self, instance: Instance) -> tuple[str, ...]:
        facts = self._snapshot.policies.facts
        return tuple(name for name in sorted(facts) if selects(facts[name].spec, instance))

    def _subject(self, instance: Instance) -> Subject:
        is_subject = instance.uid == self._snapshot.subject.uid
        return Subject(
            uid=instance.uid,
            instance=instance,
            ready_once=instance.ready or self._snapshot.taken - instance.born > SETTLED_AGE,
            selecting=self._selecting(instance),
            wish=self._wish if is_subject else None,
        )

    def _moment(self) -> Moment:
        snapshot = self._snapshot
        pods = {snapshot.subject.name: snapshot.pods or ()}
        return Moment(
            guard=snapshot.guard,
            guard_problem=snapshot.guard_problem,
            view=View(oldest=snapshot.taken),
            leases=snapshot.leases,
            ledger=LedgerHealth(state=LedgerState.FINE),
            rotations=snapshot.rotations,
            quarantines=snapshot.quarantines,
            pods_on=lambda node: pods.get(node, ()),
            settings_for=lambda uid: self.settings(snapshot.subject),
            provider_for=lambda uid: self.provider(snapshot.subject),
        )


def _idle(snapshot: Snapshot) -> str:
    leader, now = snapshot.leader, snapshot.taken
    if leader is not None and not leader.works(now):
        return f"no operator works ({leader.said(now)}): see `exuvia doctor`"
    if posture.only_watches(snapshot.guard):
        return f"the operator only watches (--read-only): {acting.WAY_OUT}"
    return ""


def _kept(frozen: Rotation | Quarantine | None) -> Iterator[str]:
    """Pods of a frozen machine are in nobody's way: they are what is kept."""
    if frozen is not None:
        yield (
            "its pods stay as they are while it is in quarantine: nothing is drained there before "
            f"`exuvia release {frozen.name} --verdict Rotate --reason TEXT`"
        )


def _unusable(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    for name, problems in sorted(snapshot.policies.problems.items()):
        facts = snapshot.policies.facts.get(name)
        if facts is None or selects(facts.spec, snapshot.subject):
            yield name, "; ".join(str(one) for one in problems)


def _answers(candidate: Candidate, picture: Picture, snapshot: Snapshot) -> Iterator[BrakeAnswer]:
    """Every brake that concerns the start, holding or not, in the order in which they are asked."""
    by_hand = candidate.wish is None and candidate.operation is None
    for brake in brakes_for(candidate, picture):
        if by_hand and brake in POLICY_BRAKES:
            continue
        words = naming.name_of(brake)
        told = _told(words.told, snapshot)
        blocked = None if told else brake(candidate, picture)
        reason = words.unasked if told else blocked.reason if blocked is not None else None
        yield _answer(words, blocked, told, words.way(candidate.kind, reason, candidate.instance.name))


def _holds(operation: Rotation | Quarantine, picture: Picture) -> Iterator[BrakeAnswer]:
    """What holds an operation that has started: starts have brakes of their own."""
    uid = operation.spec.instance.uid
    for title, found in (
        ("every disruptive write", holds.standing_hold(operation, picture.moment, picture.now)),
        ("evictions", holds.eviction_hold(operation, picture)),
        ("removal of the machine", holds.removal_hold(uid, operation, picture)),
    ):
        change = "`exuvia status` names the brake"
        yield _answer(naming.BrakeName(title=title, change=change), found, "", change)


def _answer(words: naming.BrakeName, blocked: Blocked | None, told: str, way: str) -> BrakeAnswer:
    if blocked is None:
        return BrakeAnswer(title=words.title, holds=bool(told), message=told, change=way if told else "")
    return BrakeAnswer(
        title=words.title,
        holds=True,
        reason=str(blocked.reason),
        message=blocked.message,
        change=way,
        next=blocked.next,
    )


def _told(name: str, snapshot: Snapshot) -> str:
    """What the operator says of a brake that only it can know; "" where it does not hold or nothing is said."""
    if not name or snapshot.guard is None:
        return ""
    found = next((one for one in snapshot.guard.status.brakes if one.name == name), None)
    return (found.reason or name) if found is not None and found.state == "Engaged" else ""


def _pods(snapshot: Snapshot, drain: DrainSettings) -> Iterator[PodInTheWay]:
    situation = Situation(
        settings=drain,
        unreachable=is_unreachable(snapshot.subject),
        daemon_sets=snapshot.daemon_sets,
        budgets=snapshot.budgets,
    )
    judged = (judge(pod, situation, snapshot.taken) for pod in snapshot.pods or ())
    for one in sorted(judged, key=lambda one: (one.wave, one.pod.key)):
        if one.must_leave:
            yield PodInTheWay(judged=one, budgets=situation.budgets_of(one.pod))
