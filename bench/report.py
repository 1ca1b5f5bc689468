"""The results as tables, with every goal beside what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import figures

REACTION_RATIO = 3.0
ROTATED_SECONDS = 90.0
CALLS = 20.0
RSS_MB = {"1000": 200.0, "5000": 300.0}
IDLE_SIZE = "5000"
IDLE_PERCENT = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One goal of the project: at most `limit`."""

    name: str
    measured: float
    limit: float

    @property
    def met(self) -> bool:
        """Whether it is reached."""
        return self.measured <= self.limit


def show(results: Mapping[str, Any]) -> None:
    """Tables on stdout."""
    console = Console(width=130)
    if results.get("reaction"):
        console.print(_reactions(results["reaction"]))
    rows = [*goals(results)]
    table = Table("goal", "measured", "at most", "met", title="Goals")
    for one in rows:
        table.add_row(one.name, f"{one.measured:g}", f"{one.limit:g}", "yes" if one.met else "NO")
    console.print(table)


def goals(results: Mapping[str, Any]) -> Iterator[Goal]:
    """Every goal that these results say something about."""
    yield from _of_reaction(results.get("reaction") or {})
    yield from _of_growth(results.get("reaction") or {})
    yield from _of_footprint(results.get("footprint") or {})
    rotated = results.get("rotate")
    if rotated:
        yield Goal(
            name=f"rotate: seconds for {rotated['machines']}", measured=rotated["seconds"], limit=ROTATED_SECONDS
        )
        yield Goal(name="rotate: API calls a machine", measured=rotated["calls_per_machine"], limit=CALLS)


def _of_reaction(found: Mapping[str, Any]) -> Iterator[Goal]:
    for size, kinds in found.items():
        for kind, one in kinds.items():
            for form, measured in one["p99_ratio"].items():
                name = f"reaction: p99 to the bare loop's, {kind}, {form}, {size} machines"
                yield Goal(name=name, measured=measured, limit=REACTION_RATIO)


def _of_growth(found: Mapping[str, Any]) -> Iterator[Goal]:
    """No growth with the fleet beyond the bare loop's own."""
    if len(found) < 2:
        return
    small, large = (found[size] for size in (min(found, key=int), max(found, key=int)))
    for kind in small:
        for form in ("single", "burst"):
            grown = {who: growth(small[kind][who][form], large[kind][who][form]) for who in ("operator", "bare")}
            name = f"reaction: growth of p50 with the fleet, {kind}, {form} (limit: the bare loop's)"
            yield Goal(name=name, measured=round(grown["operator"], 2), limit=round(max(1.0, grown["bare"]), 2))


def growth(small: Mapping[str, float], large: Mapping[str, float]) -> float:
    """How many times longer it takes in the larger fleet; by the median, for the tail of 50 times is one time."""
    return figures.ratio(large["p50_ms"], small["p50_ms"])


def _of_footprint(found: Mapping[str, Any]) -> Iterator[Goal]:
    for size, one in found.items():
        if size in RSS_MB:
            yield Goal(name=f"memory: MB at {size} machines", measured=one["rss_mb"], limit=RSS_MB[size])
        if size == IDLE_SIZE:
            name = f"idle: percent of a core at {size} machines"
            yield Goal(name=name, measured=one["idle_cpu_percent"], limit=IDLE_PERCENT)


def _reactions(found: Mapping[str, Any]) -> Table:
    columns = (
        "machines",
        "operation",
        "facts",
        "writes",
        "exuvia p50",
        "p99",
        "max",
        "bare p50",
        "p99",
        "max",
        "p99 ratio",
    )
    table = Table(*columns, title="Condition on a Node -> cordon, ms")
    for size, kinds in found.items():
        for kind, one in kinds.items():
            for form in ("single", "burst"):
                numbers = [
                    one[who][form][key] for who in ("operator", "bare") for key in ("p50_ms", "p99_ms", "max_ms")
                ]
                facts = f"{form} x {one['operator'][form]['count']}"
                said = (size, kind, facts, str(one["writes"]), *(f"{number:.0f}" for number in numbers))
                table.add_row(*said, f"{one['p99_ratio'][form]:.2f}")
    return table
