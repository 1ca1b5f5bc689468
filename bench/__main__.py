"""`python -m bench [NAME...] [--quick] [--json FILE]`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import footprint, reaction, report, rotate
from bench.progress import say
from bench.sizes import FULL, QUICK, Sizes
from bench.world import world
from exuvia import errors

NAMES = ("reaction", "footprint", "rotate")


async def run(names: set[str], sizes: Sizes, keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """What is named, in worlds of its own; reaction and footprint share theirs. `keep` is told after each part."""
    results: dict[str, Any] = {"machine": _machine(), **{name: {} for name in NAMES if name in names}}
    if "rotate" in names:
        async with world() as made:
            results["rotate"] = await rotate.measure(made, sizes)
        keep(results)
    if names & {"reaction", "footprint"}:
        for count, pods in sizes.fleets:
            async with world(pods_per_node=pods) as made:
                say(f"making {count} machines and {count * pods} pods")
                await made.grow(count)
                for name, bench in (("reaction", reaction), ("footprint", footprint)):
                    if name in names:
                        results[name][str(count)] = await bench.measure(made, sizes)
                        keep(results)
    return results


def _machine() -> dict[str, Any]:
    """What it ran on, and how busy that was before."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_before": [round(one, 2) for one in os.getloadavg()],
    }


def main() -> int:
    """Measure, print, and return the exit code: 0, whether goals are met or not."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Benchmarks; see docs/performance.md.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(NAMES)}; all without one")
    parser.add_argument("--quick", action="store_true", help="small fleets: shows that it works, says nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")
    given = parser.parse_args()
    unknown = sorted(set(given.names) - set(NAMES))
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}")

    def keep(results: dict[str, Any]) -> None:
        if given.json:
            given.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")

    try:
        results = asyncio.run(run(set(given.names or NAMES), QUICK if given.quick else FULL, keep))
    except errors.ExuviaError as trouble:
        print(trouble, file=sys.stderr)
        return 2
    report.show(results)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
