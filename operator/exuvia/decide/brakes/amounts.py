"""Amounts: how many machines `"3"` or `"10%"` of a scope are (api.md, Amounts).

An allowance rounds down, but never below one for a scope of two or more; a requirement rounds up. What does not parse
allows nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from exuvia.model.specs.common import AMOUNT_PATTERN


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """How many machines an allowance comes to. `problem` says why it is zero where nobody wrote zero."""

    count: int
    problem: str = ""


def allowance(amount: str, base: int, *, replace_first: bool = False) -> Allowed:
    """How many of `base` machines may be disrupted. In a scope of one a percentage allows one ReplaceFirst Rotation
    (`replace_first`) and nothing else."""
    parsed = _parse(amount)
    if parsed is None:
        return Allowed(count=0, problem=f"{amount!r} is no amount; write a number like 3 or a percentage like 10%")
    number, percent = parsed
    if not percent or number == 0:
        return Allowed(count=number)
    if base < 2:
        return Allowed(count=base if replace_first else 0)
    return Allowed(count=max(1, base * number // 100))


def requirement(amount: str, base: int) -> int | None:
    """How many of `base` machines are asked for, rounded up. None where it does not parse: nothing satisfies it."""
    parsed = _parse(amount)
    if parsed is None:
        return None
    number, percent = parsed
    return -(-base * number // 100) if percent else number


@lru_cache(maxsize=1024)
def _parse(amount: str) -> tuple[int, bool] | None:
    """The number, and whether it is a percentage."""
    if not re.fullmatch(AMOUNT_PATTERN, amount) or amount.endswith("\n"):
        return None
    return int(amount.rstrip("%")), amount.endswith("%")
