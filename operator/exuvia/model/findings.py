"""What the rules say of one instance. `error` never leads to an action, and is never a pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from exuvia.model.specs.security_policy import Action, Severity


class Result(StrEnum):
    """The answer of one rule."""

    PASS = "pass"  # complies
    FAIL = "fail"  # does not comply
    WARN = "warn"  # complies, but should be looked at
    ERROR = "error"  # could not be judged: unknown, unset, unparsable
    SKIP = "skip"  # does not apply to this instance


class Verdict(StrEnum):
    """The answer of one policy about one instance (api.md, Results)."""

    VIOLATING = "violating"  # any fail that no exception covers
    UNKNOWN = "unknown"  # else any error
    EXEMPT = "exempt"  # else any covered fail
    COMPLIANT = "compliant"  # else


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one rule says of one instance. `until`: the moment at which time alone can change it; None: never."""

    rule: str
    result: Result
    message: str = ""
    severity: Severity
    action: Action
    hard: bool = False  # past a hardLimit: windows no longer hold it
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """All findings of one policy about one instance."""

    policy: str
    policy_uid: str
    generation: int
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    until: datetime | None = None  # the earliest `until` of its findings

    @property
    def failing(self) -> tuple[Finding, ...]:
        """The findings that fail."""
        return tuple(one for one in self.findings if one.result is Result.FAIL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the policies together want of one instance: the winner of the overlap (api.md, Overlap)."""

    uid: str
    action: Action
    severity: Severity
    policy: str
    policy_uid: str
    generation: int
    rule: str
    message: str
    hard: bool = False
    enforced: bool = True  # False: its policy is in Audit; nothing is done, only said


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All that is known of one instance at one moment: its assessments by policy name, and the earliest `until`."""

    uid: str
    assessments: Mapping[str, Assessment] = field(default_factory=dict)
    until: datetime | None = None
