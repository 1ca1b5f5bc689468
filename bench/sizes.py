"""How large a run is: as the goals say, or small enough to see in two minutes that everything works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """`fleets`: (machines, pods on each). Seconds where they are named so."""

    fleets: tuple[tuple[int, int], ...] = ((1000, 5), (5000, 4))
    singles: int = 50
    burst: int = 200
    idle_seconds: float = 60
    rotated: int = 100
    rotated_pods: int = 400


FULL = Sizes()
QUICK = Sizes(fleets=((60, 2), (120, 2)), singles=6, burst=20, idle_seconds=10, rotated=10, rotated_pods=40)
