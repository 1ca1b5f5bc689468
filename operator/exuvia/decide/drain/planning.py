"""The plan of a drain at one moment: who is asked to leave now, who is waited for, and what holds it up (P2, P6 to P9).

It looks at a list of pods and at the entries `status.drain.blockedBy`, which remember what was refused and when a pod
may be asked again. A pod that is not on the list has left; nothing else shortens the work.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from exuvia.decide.drain.behaviours import invalid_rule
from exuvia.decide.drain.judging import Judged, Lot, judge
from exuvia.decide.drain.situation import MINIMAL_GRACE, Situation
from exuvia.model.actions import DeletePod, EvictPod, PodTarget
from exuvia.model.blocking import Blocked
from exuvia.model.pods import Pod
from exuvia.model.reasons import BlockedReason
from exuvia.model.specs.operation import BlockedPod

LOOK_AGAIN = timedelta(seconds=5)
WAITING = timedelta(seconds=30)
ASK_ANYWAY = timedelta(seconds=20)
"""How long a pod is not asked again while its PodDisruptionBudget is seen to allow nothing."""
SHOWN = 256
"""As many entries as the status holds. Nobody is asked whose refusal could not be remembered."""
TEXT = 250
NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Drainage:
    """What a drain does now. `forced` names what is passed, for the status; `done`: nothing is left that must leave."""

    actions: tuple[EvictPod | DeletePod, ...] = ()
    remaining: int = 0
    blocked_by: tuple[BlockedPod, ...] = ()
    blocked: Blocked | None = None
    forced: tuple[str, ...] = ()
    left_alone: tuple[Judged, ...] = ()
    warnings: tuple[str, ...] = ()
    recheck_after: timedelta | None = None

    @property
    def done(self) -> bool:
        """Whether no pod that must leave is there."""
        return self.remaining == 0


def plan(pods: Iterable[Pod], situation: Situation, entries: Sequence[BlockedPod], now: datetime) -> Drainage:
    """Who leaves now. `entries`: what was refused so far."""
    judged = sorted((judge(pod, situation, now) for pod in pods), key=lambda one: (one.wave, one.pod.key))
    staying = [one for one in judged if one.must_leave]
    known = {one.uid: one for one in entries}
    rule = None if situation.ignore_knobs else invalid_rule(situation.settings)
    actions = () if rule else _remembered(_actions(staying, situation, known, now), known)
    blocked_by = tuple(_entry(one, known, now) for one in staying if _holds_up(one, known))
    blocked = _invalid(rule) if rule and staying else summary(blocked_by, staying)
    return Drainage(
        actions=actions,
        remaining=len(staying),
        blocked_by=blocked_by[:SHOWN],
        blocked=blocked,
        forced=tuple(_passed(one, known, situation) for one in staying if _deleted(one, actions)),
        left_alone=tuple(one for one in judged if not one.must_leave),
        warnings=tuple(one.warning for one in judged if one.warning),
        recheck_after=_recheck(staying, known, situation, now),
    )


def _actions(
    staying: Sequence[Judged], situation: Situation, known: Mapping[str, BlockedPod], now: datetime
) -> tuple[EvictPod | DeletePod, ...]:
    """All of the first wave that may be asked now, and everybody whose time is up."""
    held = [one for one in staying if one.lot is Lot.HELD]
    if any(one.reason is not BlockedReason.POD_OPTED_OUT for one in held):
        return ()
    first = min((one.wave for one in staying), default=None)
    chosen = [one for one in staying if situation.forced(one.pod, now) or (not held and one.wave == first)]
    found = (_action(one, situation, known.get(one.pod.uid), now) for one in chosen)
    return tuple(one for one in found if one is not None)


def _remembered(
    actions: tuple[EvictPod | DeletePod, ...], known: Mapping[str, BlockedPod]
) -> tuple[EvictPod | DeletePod, ...]:
    """As many of them as can be noted if all are refused."""
    room = max(0, SHOWN - len(known))
    new = {one.pod.uid for one in [each for each in actions if each.pod.uid not in known][:room]}
    return tuple(one for one in actions if one.pod.uid in known or one.pod.uid in new)


def _action(one: Judged, situation: Situation, entry: BlockedPod | None, now: datetime) -> EvictPod | DeletePod | None:
    pod, deadline = one.pod, situation.deadline
    forced = situation.forced(pod, now)
    left = max(MINIMAL_GRACE, deadline - now) if deadline else MINIMAL_GRACE
    if one.lot is Lot.LEAVING:
        too_late = forced and pod.deletion_deadline is not None and pod.deletion_deadline > now + left + MINIMAL_GRACE
        return DeletePod(pod=target(pod), grace=left) if too_late else None
    if one.lot is not Lot.EVICT or not _due(one, situation, entry, now):
        return None
    if forced and tried(entry) and not _never_forced(one, situation, entry):
        return DeletePod(pod=target(pod), grace=left)
    return EvictPod(pod=target(pod), grace=situation.asked_grace(pod))


def tried(entry: BlockedPod | None) -> bool:
    """Whether an eviction of it was asked for and refused."""
    return entry is not None and entry.next is not None


def _never_forced(one: Judged, situation: Situation, entry: BlockedPod | None) -> bool:
    several = entry is not None and entry.pdb is not None and "," in entry.pdb
    return several or situation.misconfigured(one.pod)


def _due(one: Judged, situation: Situation, entry: BlockedPod | None, now: datetime) -> bool:
    """Never sooner than Retry-After; while its budget is seen to allow nothing, a little later."""
    if entry is None or entry.next is None:
        return True
    if situation.forced(one.pod, now) and not _never_forced(one, situation, entry):
        return now >= entry.next or entry.reason == BlockedReason.PDB
    budgets = situation.budgets_of(one.pod)
    shut = entry.reason == BlockedReason.PDB and bool(budgets) and any(each.allowed < 1 for each in budgets)
    return now >= entry.next + (ASK_ANYWAY if shut else timedelta(0))


def _holds_up(one: Judged, known: Mapping[str, BlockedPod]) -> bool:
    return one.reason is not None or (one.lot is Lot.EVICT and tried(known.get(one.pod.uid)))


def _entry(one: Judged, known: Mapping[str, BlockedPod], now: datetime) -> BlockedPod:
    former = known.get(one.pod.uid)
    if one.reason is None and former is not None:
        return former
    reason = str(one.reason)
    since = former.since if former and former.reason == reason and former.since else now.replace(microsecond=0)
    return BlockedPod(
        pod=one.pod.key, uid=one.pod.uid, reason=reason, message=one.message[:TEXT], since=since, next=None
    )


def _invalid(rule: str) -> Blocked:
    return Blocked(reason=BlockedReason.POD_RULE_INVALID, message=f"{rule}; no pod is evicted until then")


def summary(entries: Sequence[BlockedPod], staying: Sequence[Judged] = ()) -> Blocked | None:
    """What holds up the drain as a whole: what must not leave first, then what was refused, then what does not end."""
    ordered = sorted(entries, key=lambda one: (_weight(one.reason), one.pod))
    if not ordered:
        return None
    same = [one for one in ordered if one.reason == ordered[0].reason]
    more = len(entries) - len(same[:NAMED])
    text = "; ".join(one.message for one in same[:NAMED]) + (f"; and {more} more" if more else "")
    times = [one.next for one in same if one.next] + [one.until for one in staying if one.until and one.reason]
    return Blocked(reason=_reason(ordered[0].reason), message=text[:1000], next=min(times, default=None))


def _weight(reason: str) -> int:
    order = (
        BlockedReason.UNMANAGED_POD,
        BlockedReason.EMPTY_DIR_POD,
        BlockedReason.POD_OPTED_OUT,
        BlockedReason.FORBIDDEN,
        BlockedReason.PDB,
        BlockedReason.THROTTLED,
    )
    return order.index(reason) if reason in order else len(order)


def _reason(word: str) -> BlockedReason:
    known = {str(one): one for one in BlockedReason}
    return known.get(word, BlockedReason.POD_STUCK)


def _deleted(one: Judged, actions: Iterable[EvictPod | DeletePod]) -> bool:
    return any(isinstance(each, DeletePod) and each.pod.uid == one.pod.uid for each in actions)


def _passed(one: Judged, known: Mapping[str, BlockedPod], situation: Situation) -> str:
    entry = known.get(one.pod.uid)
    what = "its own grace"
    if entry is not None:
        what = f"PodDisruptionBudget {entry.pdb}" if entry.pdb else entry.reason
    return f"{one.pod.key}: deleted at the time limit, past {what}"[:512]


def _recheck(
    staying: Sequence[Judged], known: Mapping[str, BlockedPod], situation: Situation, now: datetime
) -> timedelta | None:
    """When time alone may change the plan."""
    if not staying:
        return None
    waits = [WAITING if one.lot in (Lot.WAIT, Lot.HELD) else LOOK_AGAIN for one in staying]
    moments = [one.until for one in staying if one.until]
    moments += [entry.next for entry in known.values() if entry.next]
    if situation.deadline is not None:
        moments += [situation.deadline - situation.grace_of(one.pod) for one in staying]
    later = [moment - now for moment in moments if moment > now]
    return max(timedelta(seconds=1), min((*waits, *later)))


def target(pod: Pod) -> PodTarget:
    """Which pod is meant."""
    return PodTarget(namespace=pod.namespace, name=pod.name, uid=pod.uid)
