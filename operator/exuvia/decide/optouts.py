"""Opt-outs: marks on a node or a pod with which a person or another controller says "leave this alone".

A mark that cannot be read protects, and the message names it (operations.md, the opt-out paragraph; safety.md, P13).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from exuvia.model import marks
from exuvia.model.blocking import Blocked
from exuvia.model.instances import Instance
from exuvia.model.pods import Pod
from exuvia.model.reasons import BlockedReason

_DURATION = re.compile(r"([+-]?)((?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+")
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})")
_MICROSECONDS = {
    "ns": Fraction(1, 1000),
    "us": Fraction(1),
    "µs": Fraction(1),
    "μs": Fraction(1),
    "ms": Fraction(1000),
    "s": Fraction(1_000_000),
    "m": Fraction(60_000_000),
    "h": Fraction(3_600_000_000),
}
_LONGEST_VALUE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """A mark that protects now. `text` names it for people; `until` None means until somebody takes it off."""

    key: str
    text: str
    until: datetime | None = None


def node_opt_out(instance: Instance, now: datetime, *, ours: Collection[str] = ()) -> Blocked | None:
    """Why this machine must be left alone, or None. `ours`: names that exuvia set itself; they do not count."""
    found = _longest(_protections(instance.labels, instance.annotations, instance.born, now, ours))
    if found is None:
        return None
    message = f"node {instance.name} is opted out by {found.text}; {_way_out(found)}"
    return Blocked(reason=BlockedReason.OPTED_OUT, message=message, next=found.until)


def pod_protection(pod: Pod, now: datetime) -> Protection | None:
    """The mark that protects a pod longest, or None. A duration counts from the pod's start."""
    marked = _protections(pod.labels, pod.annotations, pod.started or now, now, ())
    return _longest((*marked, *_unsafe(pod)))


def pod_opt_out(pod: Pod, now: datetime) -> str | None:
    """Why this pod must not be evicted, for people, or None."""
    found = pod_protection(pod, now)
    return None if found is None else f"pod {pod.key} is opted out by {found.text}; {_way_out(found)}"


def _way_out(found: Protection) -> str:
    return "it is looked at again when that time is over" if found.until else "it waits until the mark is taken off"


def _protections(
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    since: datetime,
    now: datetime,
    ours: Collection[str],
) -> Iterator[Protection]:
    for key in marks.OPT_OUTS:
        if key in ours:
            continue
        for where, values in (("annotation", annotations), ("label", labels)):
            if key in values:
                found = _protection(key, where, values[key], since, now)
                if found is not None:
                    yield found


def _protection(key: str, where: str, value: str, since: datetime, now: datetime) -> Protection | None:
    text = f"{where} {key}={_short(value)!r}"
    if value in ("true", ""):
        return Protection(key=key, text=text)
    if value == "false":
        return None
    known, until = _end(value, since)
    if not known:
        return Protection(key=key, text=f"{text}, which is neither true, false, a duration nor a time")
    if until is None:
        return Protection(key=key, text=text)
    return Protection(key=key, text=text, until=until) if until > now else None


def _end(value: str, since: datetime) -> tuple[bool, datetime | None]:
    """(whether the value is a duration or a time, when the protection ends; None: later than any date)."""
    if _TIME.fullmatch(value):
        return _end_of_time(value)
    span = duration(value)
    if span is None:
        return False, None
    if span <= timedelta(0):
        return True, datetime.min.replace(tzinfo=UTC)
    try:
        return True, since + span
    except OverflowError:
        return True, None


def _end_of_time(value: str) -> tuple[bool, datetime | None]:
    try:
        return True, datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return False, None


def duration(text: str) -> timedelta | None:
    """A duration as Go reads it (`1h30m`, `1.5h`, `-2s`, `0`), or None when it is none or too long to count."""
    if text in ("0", "+0", "-0"):
        return timedelta(0)
    if len(text) > _LONGEST_VALUE or not _DURATION.fullmatch(text):
        return None
    total = sum((Fraction(_number(count)) * _MICROSECONDS[unit] for count, unit in _PART.findall(text)), Fraction(0))
    try:
        return timedelta(microseconds=float(-total if text.startswith("-") else total))
    except OverflowError:
        return None


def _number(count: str) -> str:
    return f"0{count}0" if count.startswith(".") or count.endswith(".") else count


def _unsafe(pod: Pod) -> Iterator[Protection]:
    for where, values in (("annotation", pod.annotations), ("label", pod.labels)):
        value = values.get(marks.SAFE_TO_EVICT, "true")
        if value != "true":
            yield Protection(key=marks.SAFE_TO_EVICT, text=f"{where} {marks.SAFE_TO_EVICT}={_short(value)!r}")


def _longest(found: Iterator[Protection] | tuple[Protection, ...]) -> Protection | None:
    """What protects longest; without end before any end."""
    return max(found, key=lambda one: (one.until is None, one.until or datetime.min.replace(tzinfo=UTC)), default=None)


def _short(value: str) -> str:
    return value if len(value) <= _LONGEST_VALUE else value[:_LONGEST_VALUE] + "…"
