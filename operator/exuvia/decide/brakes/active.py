"""Which budgets bind now, and what they allow. They bind whatever the mode of their policy, until it is deleted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from exuvia.decide.brakes.amounts import Allowed, allowance
from exuvia.decide.brakes.schedules import Door, door
from exuvia.model.planning import PolicyFacts
from exuvia.model.specs.security_policy import Budget, BudgetAction

_ALWAYS = Door(open=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveBudget:
    """A budget that binds now. `until`: when it ceases to, None where it always binds."""

    policy: PolicyFacts
    budget: Budget
    until: datetime | None
    problem: str = ""

    @property
    def title(self) -> str:
        """For messages."""
        return f"budget {self.budget.name} of policy {self.policy.name}"

    def binds(self, action: BudgetAction) -> bool:
        """Whether it limits this kind of start. Quarantines are limited only by budgets that name them."""
        named = self.budget.actions
        return action is BudgetAction.ROTATE if named is None else action in named

    def allowed(self, base: int, *, replace_first: bool) -> Allowed:
        """How many machines of a scope of `base` may be disrupted by it."""
        if self.problem:
            return Allowed(count=0, problem=self.problem)
        return allowance(self.budget.nodes, base, replace_first=replace_first)


def budget_door(budget: Budget, now: datetime) -> Door:
    """Whether a budget binds now. One without a schedule always does."""
    if budget.schedule is None and budget.duration is None:
        return _ALWAYS
    if budget.schedule is None or budget.duration is None:
        return Door(open=False, problem="schedule and duration must be set together")
    return door(budget.schedule, budget.duration, budget.time_zone or "UTC", now)


def active(policy: PolicyFacts, now: datetime) -> tuple[ActiveBudget, ...]:
    """The budgets of a policy that bind now, whatever its mode. One whose schedule does not parse always binds, and
    allows nothing."""
    found = []
    for budget in policy.spec.disruption.budgets:
        stands = budget_door(budget, now)
        if stands.problem or stands.open:
            found.append(ActiveBudget(policy=policy, budget=budget, until=stands.until, problem=stands.problem))
    return tuple(found)
