"""The benchmark of reactions on a handful of machines: operators and bare loops follow one another in one world.

What each was asked to measure it measured; how long it took says nothing here.
"""

from __future__ import annotations

import pytest
from bench.sizes import Sizes
from bench.world import world

from bench import reaction

pytestmark = [pytest.mark.cluster, pytest.mark.proof]

SIZES = Sizes(singles=2, burst=4)


async def test_operators_and_bare_loops_follow_one_another() -> None:
    async with world(pods_per_node=1) as made:
        await made.grow(24)
        found = await reaction.measure(made, SIZES)
    assert set(found) == set(reaction.ACTIONS)
    for told in found.values():
        assert told["writes"] > 1, "an operation is written before its machine is"
        for which in ("operator", "bare"):
            series = told[which]
            assert [series[part]["count"] for part in ("single", "burst")] == [SIZES.singles, SIZES.burst]
            assert series["single"]["p50_ms"] > 0 < series["burst"]["p50_ms"]
