"""Lines of history as `ledger import` takes them, in hours since 2026, and the Pasts and Scores that they make."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from exuvia.evaluate.risk.accumulate import accumulate
from exuvia.model.facts import microseconds
from exuvia.model.histories import Freeze, Life, Past, Presence, Score
from exuvia.model.risks import HOUR, RiskReport, Window
from exuvia.model.told import page
from exuvia.record import lines

ZERO = datetime(2026, 1, 1, tzinfo=UTC)
START = microseconds(ZERO)
Line = dict[str, Any]


def at(hours: float | Fraction) -> int:
    """Microseconds of so many hours since 2026; a whole number of microseconds."""
    exact = Fraction(hours) * HOUR
    assert exact.denominator == 1, hours
    return START + exact.numerator


def text(hours: float | Fraction | None) -> str | None:
    """As a line writes it; None stays open."""
    return None if hours is None else (ZERO + timedelta(microseconds=at(hours) - START)).isoformat()


def later(moment: str, hours: int) -> str:
    """A moment of a line, so many hours later."""
    return (datetime.fromisoformat(moment) + timedelta(hours=hours)).isoformat()


def window(began: float | Fraction, ended: float | Fraction) -> Window:
    return Window(began=at(began), ended=at(ended))


def instance(uid: str, born: float, died: float | None = None, *, learnt: float | None = None, **more: Any) -> Line:
    recorded = born if learnt is None else learnt
    return {
        "type": "instance", "uid": uid, "born": text(born), "died": text(died), "recordedAt": text(recorded), **more
    }  # fmt: skip


def presence(
    uid: str, began: float, ended: float | None = None, *, of: str = "CVE-1", learnt: float | None = None, **more: Any
) -> Line:
    times = {"from": text(began), "to": text(ended), "recordedAt": text(began if learnt is None else learnt)}
    return {"type": "presence", "uid": uid, "vulnerability": of, **times, **more}


def score(
    value: float, valid: float, *, of: str = "CVE-1", source: str = "cvss", learnt: float | None = None, **more: Any
) -> Line:
    times = {"validFrom": text(valid), "recordedAt": text(valid if learnt is None else learnt)}
    return {"type": "score", "vulnerability": of, "source": source, "value": value, **times, **more}


def frozen(uid: str, began: float, ended: float | None = None, *, learnt: float | None = None, **more: Any) -> Line:
    times = {"from": text(began), "to": text(ended), "recordedAt": text(began if learnt is None else learnt)}
    return {"type": "frozen", "uid": uid, **times, **more}


def canonical(line: Line) -> str:
    return json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def settled(told: Iterable[Line]) -> tuple[tuple[Past, ...], tuple[Score, ...]]:
    """As the ledger gives them: by recorded; of equal ones the greater canonical JSON stands last."""
    read = [(lines.parse(canonical(one), number=1, recorded=0).version, canonical(one)) for one in told]
    ordered = [version for version, _ in sorted(read, key=lambda one: (one[0].recorded, one[1]))]
    scores = tuple(one for one in ordered if isinstance(one, Score))
    by_uid: dict[str, list[Any]] = defaultdict(list)
    for one in ordered:
        if not isinstance(one, Score):
            by_uid[one.uid].append(one)
    return tuple(_past(uid, found) for uid, found in sorted(by_uid.items())), scores


def _past(uid: str, found: list[Any]) -> Past:
    return Past(
        uid=uid,
        lives=tuple(one for one in found if isinstance(one, Life)),
        presences=tuple(one for one in found if isinstance(one, Presence)),
        freezes=tuple(one for one in found if isinstance(one, Freeze)),
    )


def report(
    told: Iterable[Line],
    began: float | Fraction,
    ended: float | Fraction,
    as_of: float | Fraction,
    *,
    factor: Fraction = Fraction(0),
    marks: tuple[int, ...] = (),
) -> RiskReport:
    """The report over these lines; moments in hours."""
    pasts, scores = settled(told)
    asked = window(began, ended)
    return accumulate([page(pasts)], scores, window=asked, as_of=at(as_of), quarantine_factor=factor, marks=marks)
