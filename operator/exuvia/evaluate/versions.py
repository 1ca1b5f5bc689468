"""Versions as machines report them, and comparisons of them (api.md, Versions)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering

_SEMANTIC = re.compile(
    r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:\.\d+)*(?:[-~+.]?(alpha|beta|rc)[.\-]?(\d*)(?![a-z])(?:\..*)?)?(?:[-+~ _].*)?$",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"^[a-z][a-z0-9+.\-]*://", re.IGNORECASE)
_KERNEL = re.compile(r"(\d+(?:\.\d+)*)")
_WANTED_KERNEL = re.compile(r"\d+(\.\d+)*([-+~_].*)?$")
_COMPARISON = re.compile(r"(>=|<=|!=|>|<|=)\s*(\S+)$")
LONGEST = 256  # what a machine reports is a claim; nothing that long is a version
_STAGES = {"alpha": 0, "beta": 1, "rc": 2, None: 3}


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """Numbers, and how far before its release it is (a release comes after its alpha, beta and rc)."""

    numbers: tuple[int, ...]
    stage: int = 3
    count: int = 0

    def __lt__(self, other: Version) -> bool:
        return (self.numbers, self.stage, self.count) < (other.numbers, other.stage, other.count)


def parse(text: str) -> Version | None:
    """A semantic version; a leading `v` or `scheme://` falls away; None when it is none."""
    match = _SEMANTIC.match(_SCHEME.sub("", text.strip())) if len(text) <= LONGEST else None
    if match is None:
        return None
    major, minor, patch, stage, count = match.groups()
    return Version(
        (int(major), int(minor or 0), int(patch or 0)), _STAGES[stage.lower() if stage else None], int(count or 0)
    )


def parse_kernel(text: str) -> Version | None:
    """A kernel counts by its leading dotted numbers; missing ones are zero."""
    match = _KERNEL.match(text.strip()) if len(text) <= LONGEST else None
    if match is None:
        return None
    numbers = [int(part) for part in match.group(1).split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return Version(tuple(numbers))


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison with a version."""

    operator: str
    version: Version
    text: str

    def holds(self, actual: Version) -> bool:
        """Whether the actual version satisfies it."""
        match self.operator:
            case ">=":
                return actual >= self.version
            case ">":
                return actual > self.version
            case "<=":
                return actual <= self.version
            case "<":
                return actual < self.version
            case "=":
                return actual == self.version
            case _:
                return actual != self.version


def comparisons(text: str, *, kernel: bool) -> tuple[Comparison, ...] | str:
    """All comma-separated comparisons, or the sentence that says what is wrong."""
    found = []
    for part in text.split(","):
        match = _COMPARISON.match(part.strip())
        version = _wanted(match.group(2), kernel=kernel) if match else None
        if match is None or version is None:
            return f"{part.strip()!r} is no comparison; write one like '>=1.35.2' (operators >= > <= < = !=)."
        found.append(Comparison(match.group(1), version, part.strip()))
    return tuple(found)


def _wanted(text: str, *, kernel: bool) -> Version | None:
    """Stricter than what machines report: a slip of the pen like `6.1.9o` must not count as 6.1.9."""
    if kernel:
        return parse_kernel(text) if _WANTED_KERNEL.match(text) else None
    return parse(text)
