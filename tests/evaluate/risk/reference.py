"""The same questions, answered slowly and in another way: the text of history.md, moment by moment.

Between two neighbouring moments that any line names nothing changes, so one look at the first of them is enough. Here a
fact is a raw line; nothing of the program is used.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from typing import Any

Line = dict[str, Any]
EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
HOUR = Fraction(3600)
TIMES = ("born", "died", "from", "to", "validFrom", "recordedAt")
THING = {
    "instance": ("uid",),
    "presence": ("uid", "vulnerability", "from"),
    "score": ("vulnerability", "source", "validFrom"),
    "frozen": ("uid", "from"),
}


def when(text: str) -> Fraction:
    """Seconds since 1970, exact."""
    delta = datetime.fromisoformat(text) - EPOCH
    return Fraction(delta.days * 86400 + delta.seconds) + Fraction(delta.microseconds, 1_000_000)


class World:
    """Lines, and what was known of them at any moment."""

    def __init__(self, told: list[Line]) -> None:
        self.things: dict[tuple[str, ...], list[Line]] = defaultdict(list)
        for line in told:
            read = {key: when(value) if key in TIMES and value is not None else value for key, value in line.items()}
            read["order"] = (read["recordedAt"], json.dumps(line, sort_keys=True, separators=(",", ":")))
            self.things[(line["type"], *(str(read[key]) for key in THING[line["type"]]))].append(read)
        self.uids = {line["uid"] for line in told if line["type"] == "instance"}
        self.vulnerabilities = {line["vulnerability"] for line in told if line["type"] == "presence"}
        self.moments = sorted(
            {one[key] for versions in self.things.values() for one in versions for key in TIMES if one.get(key)}
        )
        self._known: dict[Fraction, list[Line]] = {}

    def known(self, kappa: Fraction) -> list[Line]:
        """What holds at that moment of learning."""
        if kappa not in self._known:
            held = []
            for versions in self.things.values():
                learnt = [one for one in versions if one["recordedAt"] <= kappa]
                if learnt:
                    last = max(learnt, key=lambda one: one["order"])
                    if not last.get("withdrawn") and last.get("closed") != "retracted":
                        held.append(last)
            self._known[kappa] = held
        return self._known[kappa]

    def facts(self, kind: str, kappa: Fraction, **wanted: str) -> list[Line]:
        return [
            one
            for one in self.known(kappa)
            if one["type"] == kind and all(one[key] == value for key, value in wanted.items())
        ]

    def alive(self, uid: str, t: Fraction, kappa: Fraction) -> bool:
        return any(covers(one, t, "born", "died") for one in self.facts("instance", kappa, uid=uid))

    def present(self, uid: str, v: str, t: Fraction, kappa: Fraction) -> bool:
        rows = self.facts("presence", kappa, uid=uid, vulnerability=v)
        return self.alive(uid, t, kappa) and any(covers(one, t, "from", "to") for one in rows)

    def factor(self, uid: str, t: Fraction, kappa: Fraction, quarantine: Fraction) -> Fraction:
        held = any(covers(one, t, "from", "to") for one in self.facts("frozen", kappa, uid=uid))
        return quarantine if held else Fraction(1)

    def score(self, v: str, t: Fraction, kappa: Fraction) -> Fraction | None:
        rows = [one for one in self.facts("score", kappa, vulnerability=v) if one["source"] not in ("epss", "kev")]
        picked = [_newest(rows, source, t) for source in {one["source"] for one in rows}]
        valid = [one for one in picked if one is not None]
        if not valid:
            return None
        order = [
            (one["source"] == "vex", one["recordedAt"], Fraction(str(one["value"])), one["source"]) for one in valid
        ]
        return max(order)[2]

    def likelihood(self, v: str, t: Fraction, kappa: Fraction) -> Fraction:
        row = _newest(self.facts("score", kappa, vulnerability=v), "epss", t)
        return Fraction(0) if row is None else min(Fraction(str(row["value"])), Fraction(999999, 1000000))


def _newest(rows: list[Line], source: str, t: Fraction) -> Line | None:
    valid = [one for one in rows if one["source"] == source and one["validFrom"] <= t]
    return max(valid, key=lambda one: one["validFrom"], default=None)


def covers(one: Line, t: Fraction, began: str, ended: str) -> bool:
    return bool(one[began] <= t and (one.get(ended) is None or t < one[ended]))


def band(value: Fraction) -> str:
    steps = ((9, "Critical"), (7, "High"), (4, "Medium"))
    return next((name for least, name in steps if value >= least), "Low" if value > 0 else "None")


def report(told: list[Line], start: Fraction, end: Fraction, k: Fraction, q: Fraction) -> dict[str, Any]:
    """All figures of the report, by the names of its document; moments in seconds since 1970."""
    world, end = World(told), max(start, min(end, k))
    cells = sorted({start, end, *(one for one in world.moments if start < one < end)})
    sums: dict[str, Fraction] = defaultdict(Fraction)
    hazard = 0.0
    for t, until in pairwise(cells):
        hours = (until - t) / HOUR
        for uid in world.uids:
            sums["instanceHours"] += hours * world.alive(uid, t, k)
            sums["vulnerableHours"] += hours * any(world.present(uid, v, t, k) for v in world.vulnerabilities)
            for v in world.vulnerabilities:
                hazard += _cell(world, sums, uid, v, t, hours, k, q)
    return {**_zeros(), **sums, "hazard": hazard, **_closed(world, start, end, k)}


def _zeros() -> dict[str, Fraction]:
    names = ("instanceHours", "vulnerableHours", "unscoredHours", "now", "then", "rescore", "undead", "liveOnly")
    return dict.fromkeys((*names, "None", "Low", "Medium", "High", "Critical"), Fraction(0))


def _cell(
    world: World, sums: dict[str, Fraction], uid: str, v: str, t: Fraction, hours: Fraction, k: Fraction, q: Fraction
) -> float:
    m, latest = world.factor(uid, t, k, q), world.score(v, k, k) or Fraction(0)
    if world.present(uid, v, t, t):
        sums["then"] += hours * world.factor(uid, t, t, q) * (world.score(v, t, t) or 0)
    if any(world.present(uid, v, before, k) for before in (*world.moments, t) if before <= t):
        sums["undead"] += hours * m * latest
    if not world.present(uid, v, t, k):
        return 0.0
    found = world.score(v, t, k)
    sums["now"] += hours * m * (found or 0)
    sums["rescore"] += hours * m * latest
    sums[band(found or Fraction(0))] += hours * m
    sums["unscoredHours"] += hours * m * (found is None)
    first, last = _union(world, uid, v, t, k)
    if first <= k and (last is None or last > k):
        sums["liveOnly"] += hours * m * latest
    return float(hours * m) * -math.log(1 - world.likelihood(v, t, k)) / 720


def _union(world: World, uid: str, v: str, t: Fraction, k: Fraction) -> tuple[Fraction, Fraction | None]:
    """The maximal stretch of presence around a moment; its end is None when it is open."""
    before = [one for one in (*world.moments, t) if one <= t]
    after = [one for one in world.moments if one > t]
    first = t
    for one in sorted(set(before), reverse=True):
        if not world.present(uid, v, one, k):
            break
        first = one
    return first, next((one for one in after if not world.present(uid, v, one, k)), None)


def _unions(world: World, k: Fraction) -> list[tuple[str, str, Fraction, Fraction | None]]:
    return sorted(
        {
            (uid, v, *_union(world, uid, v, t, k))
            for uid in world.uids
            for v in world.vulnerabilities
            for t in world.moments
            if world.present(uid, v, t, k)
        },
        key=str,
    )


def _closed(world: World, start: Fraction, end: Fraction, k: Fraction) -> dict[str, Any]:
    closures = dict.fromkeys(("patched", "rotated", "died", "unknown"), 0)
    closed: list[Fraction] = []
    patched: list[Fraction] = []
    lengths: list[tuple[Fraction, bool]] = []
    for uid, v, first, last in _unions(world, k):
        if last is not None and start <= last < end:
            reason = _reason(world, uid, v, last, k)
            closures[reason] += 1
            closed.append((last - first) / HOUR)
            patched += [(last - first) / HOUR] if reason == "patched" else []
            lengths.append(((last - first) / HOUR, True))
        elif (last is None or last >= end) and first < end <= k:
            lengths.append(((end - first) / HOUR, False))
    return {
        "closures": closures,
        "mttrPatchedHours": sum(patched) / len(patched) if patched else None,
        "meanExposureHours": sum(closed) / len(closed) if closed else None,
        "restrictedMeanHours": _kaplan_meier(lengths),
    }


def _reason(world: World, uid: str, v: str, last: Fraction, k: Fraction) -> str:
    (life,) = world.facts("instance", k, uid=uid)
    candidates = []
    for row in world.facts("presence", k, uid=uid, vulnerability=v):
        own = row.get("to")
        ended = own if own is not None and (life.get("died") is None or own <= life["died"]) else life.get("died")
        if ended != last or max(row["from"], life["born"]) >= last:
            continue
        by_death = "rotated" if life.get("reason") == "exuvia" else "died"
        said = row.get("closed") if row.get("closed") in ("patched", "rotated", "died") else "unknown"
        candidates.append((row["recordedAt"], said if own == last else by_death))
    return str(max(candidates)[1])


def _kaplan_meier(lengths: list[tuple[Fraction, bool]]) -> Fraction | None:
    if not lengths:
        return None
    area, survival, before = Fraction(0), Fraction(1), Fraction(0)
    for length in sorted({one for one, _ in lengths}):
        area += survival * (length - before)
        at_risk = sum(one >= length for one, _ in lengths)
        events = sum(closed for one, closed in lengths if one == length)
        survival *= 1 - Fraction(events, at_risk)
        before = length
    return area


def point(told: list[Line], t: Fraction, k: Fraction, q: Fraction, aggregation: str) -> Fraction:
    """The risk of one moment."""
    if t > k:
        return Fraction(0)
    world = World(told)
    found = [
        world.factor(uid, t, k, q) * (world.score(v, t, k) or 0)
        for uid in world.uids
        for v in world.vulnerabilities
        if world.present(uid, v, t, k)
    ]
    return Fraction(sum(found)) if aggregation == "sum" else max(found, default=Fraction(0))
