"""What the rules say of every machine, kept up to date for what changed, with counters by policy and rule."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from exuvia.app.violations import Violations
from exuvia.model.findings import Assessment, Judgement, Result, Verdict
from exuvia.model.specs.security_policy import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A policy's verdict about a machine changed. `now` None: the policy does not select it any more."""

    uid: str
    policy: str
    former: Verdict | None
    now: Assessment | None


class Judgements:
    """All judgements by UID. What time alone will change is on an agenda."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.violations = Violations(monotonic)
        self.by_uid: dict[str, Judgement] = {}
        self.verdicts: dict[str, Counter[Verdict]] = {}
        self.results: dict[tuple[str, str], Counter[str]] = {}
        self._known: dict[str, dict[str, Verdict]] = {}  # UID -> policy -> what was told last
        self._agenda: list[tuple[datetime, str]] = []

    def remember(self, verdicts: dict[tuple[str, str], str]) -> None:
        """Verdicts that are recorded: saying them again is no change, and all others are. One of a policy that is gone
        meanwhile ends with the next judgement of its machine."""
        self._known = {}
        for (uid, policy), word in verdicts.items():
            if word in set(Verdict):
                self._known.setdefault(uid, {})[policy] = Verdict(word)

    def put(self, judgement: Judgement) -> list[Change]:
        """Replace what was known of a machine; returns the verdicts that changed."""
        former = self.by_uid.get(judgement.uid)
        if former is not None:
            self._count(former, -1)
        self.by_uid[judgement.uid] = judgement
        self._count(judgement, 1)
        if judgement.until is not None and (former is None or former.until != judgement.until):
            heapq.heappush(self._agenda, (judgement.until, judgement.uid))
            self._prune()
        return list(self._changes(judgement))

    def drop(self, uid: str) -> None:
        """The machine is gone."""
        former = self.by_uid.pop(uid, None)
        self._known.pop(uid, None)
        if former is not None:
            self._count(former, -1)

    def due(self, now: datetime) -> set[str]:
        """UIDs whose judgement time alone may have changed by now."""
        found: set[str] = set()
        while self._agenda and self._agenda[0][0] <= now:
            until, uid = heapq.heappop(self._agenda)
            known = self.by_uid.get(uid)
            if known is not None and known.until == until:
                found.add(uid)
        return found

    def next_due(self) -> datetime | None:
        """The earliest moment on the agenda."""
        return self._agenda[0][0] if self._agenda else None

    def failing(self, uid: str) -> str:
        """Policy and rule that the machine fails or cannot be judged by; "" when it complies with all."""
        known = self.by_uid.get(uid)
        if known is None:
            return "not judged yet"
        for name, assessment in sorted(known.assessments.items()):
            for one in assessment.findings:
                if one.result in (Result.FAIL, Result.ERROR):
                    return f"{name}/{one.rule}: {one.message}"
        return ""

    def _prune(self) -> None:
        """Forget entries that an earlier moment overtook, once they are the most."""
        if len(self._agenda) > 64 + 2 * len(self.by_uid):
            self._agenda = [(one.until, uid) for uid, one in self.by_uid.items() if one.until is not None]
            heapq.heapify(self._agenda)

    def _count(self, judgement: Judgement, by: int) -> None:
        for name, assessment in judgement.assessments.items():
            if assessment.verdict is Verdict.VIOLATING:
                self.violations.count((name, str(worst(assessment))), by)
            self.verdicts.setdefault(name, Counter())[assessment.verdict] += by
            for one in assessment.findings:
                self.results.setdefault((name, one.rule), Counter())[one.result] += by

    def _changes(self, judgement: Judgement) -> Iterator[Change]:
        known = self._known.setdefault(judgement.uid, {})
        for name, assessment in judgement.assessments.items():
            former = known.get(name)
            if former is not assessment.verdict:
                known[name] = assessment.verdict
                yield Change(uid=judgement.uid, policy=name, former=former, now=assessment)
        for name in [one for one in known if one not in judgement.assessments]:
            yield Change(uid=judgement.uid, policy=name, former=known.pop(name), now=None)


def worst(assessment: Assessment) -> Severity:
    """The highest severity of what fails."""
    return max((one.severity for one in assessment.failing), key=lambda one: one.rank, default=Severity.LOW)
