"""Arithmetic of the benchmarks: percentiles, ratios, and what the audit log says. Nothing here looks at a clock."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exuvia.model import marks

WRITES = ("create", "update", "patch", "delete", "deletecollection")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How a set of times lies, in milliseconds."""

    count: int
    p50: float
    p99: float
    most: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Spread:
        """From times in seconds. Raises ValueError without any."""
        return cls(
            count=len(seconds),
            p50=1000 * percentile(seconds, 50),
            p99=1000 * percentile(seconds, 99),
            most=1000 * max(seconds),
        )

    def wire(self) -> dict[str, float]:
        """For JSON."""
        return {
            "count": self.count,
            "p50_ms": round(self.p50, 1),
            "p99_ms": round(self.p99, 1),
            "max_ms": round(self.most, 1),
        }


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that is not below so many percent of all (nearest rank). Raises ValueError without any."""
    if not values:
        raise ValueError("no values were measured")
    rank = max(1, math.ceil(percent / 100 * len(values)))
    return sorted(values)[rank - 1]


def ratio(value: float, base: float) -> float:
    """How many times the base it is; infinite when the base is nothing."""
    return value / base if base else math.inf


def writes_before_cordon(entries: Iterable[Mapping[str, Any]], plural: str) -> int:
    """How many writes an operation of that kind makes on its own resource before it cordons (median over machines).

    Entries of the audit log, in order, of one user. Raises ValueError when no machine was cordoned in them.
    """
    counts: Counter[str] = Counter()
    before: dict[str, int] = {}
    for one in entries:
        target = one.get("objectRef") or {}
        if one["verb"] not in WRITES or (one.get("responseStatus") or {}).get("code", 0) >= 300:
            continue
        if target.get("resource") == plural:
            counts[_machine(one)] += 1
        elif target.get("resource") == "nodes" and cordons(one):
            before.setdefault(target["name"], counts[target["name"]])
    found = [count for count in before.values() if count]
    return int(percentile(found, 50))


def cordons(entry: Mapping[str, Any]) -> bool:
    """Whether a write makes a Node unschedulable."""
    return bool(((entry.get("requestObject") or {}).get("spec") or {}).get("unschedulable"))


def _machine(entry: Mapping[str, Any]) -> str:
    """The machine of an operation, by its name `<machine>-<8 of its UID>-<n>`."""
    body = entry.get("responseObject") or entry.get("requestObject") or {}
    named = ((body.get("spec") or {}).get("instance") or {}).get("name")
    return str(named or (entry["objectRef"].get("name") or "").rsplit("-", 2)[0])


def calls(entries: Iterable[Mapping[str, Any]], user: str = marks.SERVICE_ACCOUNT_USER) -> Counter[str]:
    """Requests of a user by verb and resource; a watch counts when it ends."""
    found: Counter[str] = Counter()
    for one in entries:
        if one["user"]["username"] != user or one["stage"] != "ResponseComplete":
            continue
        target = one.get("objectRef") or {}
        what = "/".join(part for part in (target.get("resource", "?"), target.get("subresource", "")) if part)
        found[f"{one['verb']} {what}"] += 1
    return found
