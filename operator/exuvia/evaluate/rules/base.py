"""What every rule is: a card, and a compiler from its part of the manifest to a check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from exuvia.model.cards import Card
from exuvia.model.findings import Result
from exuvia.model.instances import Instance
from exuvia.model.problems import Problem
from exuvia.model.specs.security_policy import Rule, RuleType


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a check says. `until`: when time alone can change it; `hard`: past a hardLimit."""

    result: Result
    message: str = ""
    hard: bool = False
    until: datetime | None = None


Check = Callable[[Instance, datetime], Answer]
"""A compiled rule. Pure: the same instance and moment give the same answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleKind:
    """A rule as the table of rules lists it. `compile(rule, place)` gives a check, or what is wrong."""

    type: RuleType
    card: Card
    compile: Callable[[Rule, str], Check | Problem]


def passed(message: str = "", until: datetime | None = None) -> Answer:
    """It complies."""
    return Answer(result=Result.PASS, message=message, until=until)


def failed(message: str, *, hard: bool = False, until: datetime | None = None) -> Answer:
    """It does not comply."""
    return Answer(result=Result.FAIL, message=message, hard=hard, until=until)


def unknown(message: str, *, until: datetime | None = None) -> Answer:
    """It could not be judged."""
    return Answer(result=Result.ERROR, message=message, until=until)


def skipped(message: str) -> Answer:
    """It does not apply."""
    return Answer(result=Result.SKIP, message=message)
