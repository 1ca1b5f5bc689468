"""MaxAge: a machine must not outlive a limit. Each has its own, a little earlier, so that not all are due at once."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from fractions import Fraction

from exuvia.evaluate.rules.base import Answer, Check, RuleKind, failed, passed
from exuvia.model.cards import Card
from exuvia.model.instances import Instance
from exuvia.model.problems import Problem
from exuvia.model.specs.common import format_duration
from exuvia.model.specs.security_policy import MaxAge, Rule, RuleType


def own_limit(limit: timedelta, jitter_percent: int, uid: str) -> timedelta:
    """`limit x (1 - jitterPercent/100 x u)`, u = the first 8 bytes of SHA-256 of the UID as a fraction of 2^64."""
    u = Fraction(int.from_bytes(hashlib.sha256(uid.encode()).digest()[:8], "big"), 2**64)
    share = 1 - Fraction(jitter_percent, 100) * u
    return timedelta(microseconds=int(limit // timedelta(microseconds=1) * share))


def compile_(rule: Rule, place: str) -> Check | Problem:
    """A check against the limit, or the problem that there is none."""
    params = rule.max_age
    if params is None:
        return Problem(place=f"{place}.maxAge", message="is not set.", remedy="Set `maxAge.limit`.")

    def check(instance: Instance, now: datetime) -> Answer:
        return _judge(params, instance, now)

    return check


def _judge(params: MaxAge, instance: Instance, now: datetime) -> Answer:
    limit = own_limit(params.limit, params.jitter_percent, instance.uid)
    age = now - instance.born
    if age < limit:
        return passed(until=instance.born + limit)
    hard_at = None if params.hard_limit is None else instance.born + params.hard_limit
    message = f"older than its limit of {format_duration(limit)} (maxAge {format_duration(params.limit)})"
    if hard_at is not None and now >= hard_at:
        return failed(f"older than hardLimit {format_duration(params.hard_limit or limit)}", hard=True)
    return failed(message, until=hard_at)


RULE = RuleKind(
    type=RuleType.MAX_AGE,
    compile=compile_,
    card=Card(
        name="MaxAge",
        description="A machine must not outlive a limit.",
        parameters=(
            ("limit", "the age from which it fails"),
            ("hardLimit", "the age from which windows no longer hold its rotation (default none)"),
            ("jitterPercent", "how much earlier than `limit` a machine's own limit may be, 0 to 100 (default 0)"),
        ),
        example="{name: max-age, type: MaxAge, maxAge: {limit: 720h, jitterPercent: 10}}",
    ),
)
