"""Budgets: how many machines may be disrupted at once, by each policy that selects one and by FleetGuard.

A start that adds a machine to the disrupted set is checked against every budget of every scope that it is in. One that
is disrupted already (NotReady, say) is checked against those of the set that have an operation, plus itself.
"""

from __future__ import annotations

from exuvia.decide.brakes.active import ActiveBudget
from exuvia.decide.brakes.amounts import Allowed, allowance
from exuvia.decide.brakes.picture import Candidate, Picture
from exuvia.decide.census import Counts, Scope
from exuvia.model.blocking import Blocked
from exuvia.model.reasons import BlockedReason
from exuvia.model.specs.security_policy import Strategy


def within_budgets(candidate: Candidate, picture: Picture) -> Blocked | None:
    """Every active budget of every policy that selects it."""
    for name in candidate.subject.selecting:
        for one in picture.budgets(name):
            if one.binds(candidate.action):
                blocked = _check(candidate, picture, one)
                if blocked is not None:
                    return blocked
    return None


def _check(candidate: Candidate, picture: Picture, one: ActiveBudget) -> Blocked | None:
    scope = scope_of(one, candidate)
    counts = picture.tally.counts(scope)
    allowed = one.allowed(counts.base, replace_first=_replaces_first(candidate, picture, counts))
    if would_be(candidate, picture, counts) <= allowed.count:
        return None
    where = f" in {scope.key}={scope.value!r}" if scope.key else ""
    return Blocked(
        reason=BlockedReason.BUDGET_EXHAUSTED,
        message=_message(one.title, allowed, counts, where),
        next=one.until,
    )


def scope_of(one: ActiveBudget, candidate: Candidate) -> Scope:
    """The machines that share this budget with the candidate. A missing label is the value ""."""
    key = one.budget.topology_key
    value = candidate.instance.labels.get(key, "") if key else ""
    return Scope(one.policy.name, key or "", value)


def would_be(candidate: Candidate, picture: Picture, counts: Counts) -> int:
    """How many machines a start would be answerable for in a scope."""
    state = picture.tally.state(candidate.uid)
    if not state.disrupted:
        return counts.disrupted + 1
    return counts.operated + (0 if state.operated else 1)


def _replaces_first(candidate: Candidate, picture: Picture, counts: Counts) -> bool:
    """It matters only in a scope of one."""
    return counts.base == 1 and picture.replaces_first(candidate)


def _message(title: str, allowed: Allowed, counts: Counts, where: str = "") -> str:
    if allowed.problem:
        return f"{title} allows nothing: {allowed.problem}"
    return _allows(title, allowed, counts.base, where) + _are(counts.disrupted, "disrupted")


def _allows(title: str, allowed: Allowed, base: int, where: str = "") -> str:
    return f"{title} allows {allowed.count} of {base} machine{'' if base == 1 else 's'}{where}, and "


def _are(count: int, what: str) -> str:
    return f"{count} {'is' if count == 1 else 'are'} {what}"


def within_max_unavailable(candidate: Candidate, picture: Picture) -> Blocked | None:
    """FleetGuard's cap on Rotations over the whole fleet."""
    counts = picture.fleet
    first = _replaces_first(candidate, picture, counts)
    allowed = allowance(picture.guard.max_unavailable, counts.base, replace_first=first)
    if would_be(candidate, picture, counts) <= allowed.count:
        return None
    title = "FleetGuard maxUnavailable"
    return Blocked(reason=BlockedReason.BUDGET_EXHAUSTED, message=_message(title, allowed, counts))


def within_quarantine_cap(candidate: Candidate, picture: Picture) -> Blocked | None:
    """FleetGuard's cap on machines that are frozen at once, Held ones too. Where it cannot be read, `known_guard` has
    decided."""
    if picture.moment.guard is None:
        return None
    frozen = len(picture.held - {candidate.uid})
    allowed = allowance(picture.guard.quarantine.max_at_once, picture.fleet.base)
    if frozen + 1 <= allowed.count:
        return None
    title = "FleetGuard quarantine.maxAtOnce"
    if allowed.problem:
        message = f"{title} allows nothing: {allowed.problem}"
    else:
        message = _allows(title, allowed, picture.fleet.base) + _are(frozen, "quarantined")
    return Blocked(reason=BlockedReason.QUARANTINE_LIMIT, message=message)


def remaining(one: ActiveBudget, picture: Picture) -> int:
    """How many more machines a budget allows, over all its scopes."""
    key = one.budget.topology_key or ""
    if not key:
        return _left(one, picture.tally.counts(Scope(one.policy.name, "", "")))
    scopes = picture.tally.census.scopes(one.policy.name, key)
    return sum(_left(one, picture.tally.counts(scope)) for scope in scopes)


def _left(one: ActiveBudget, counts: Counts) -> int:
    first = one.policy.spec.rotation.strategy is Strategy.REPLACE_FIRST
    return max(0, one.allowed(counts.base, replace_first=first).count - counts.disrupted)


def fleet_left(picture: Picture) -> int:
    """How many more Rotations `maxUnavailable` allows."""
    allowed = allowance(picture.guard.max_unavailable, picture.fleet.base, replace_first=True)
    return max(0, allowed.count - picture.fleet.disrupted)
