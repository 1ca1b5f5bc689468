"""Problems: what is wrong with a policy, where, and what to do. A value, not an exception: others keep working."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """`place` is the dotted path of the field; `reason` InvalidSpec or NotSupported."""

    place: str
    message: str
    remedy: str = ""
    reason: str = "InvalidSpec"

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" + (f" {self.remedy}" if self.remedy else "")
