"""The keys of one line of history, read with complaints that name the key. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from exuvia import errors
from exuvia.model.facts import microseconds

LONGEST = {
    **dict.fromkeys(("uid", "podUid", "vulnerability"), 128),
    **dict.fromkeys(("name", "pool", "zone", "namespace", "pod", "serviceAccount"), 253),
    **dict.fromkeys(("source", "basis", "closed", "reason"), 64),
    "kind": 32,
}
"""Characters that the ledger keeps of a text."""

_TIME = "like 2026-01-01T00:00:00Z"
OTHERS = 512
"""Of every other text."""


class Written(str):
    """A JSON number that is no integer, as its source text."""


class Fields:
    """The keys of one line, read with complaints that name the key."""

    def __init__(self, body: Mapping[str, Any], recorded: int) -> None:
        self._body = body
        self.recorded = recorded if body.get("recordedAt") is None else self.moment("recordedAt")
        self.withdrawn = self.flag("withdrawn", default=False)

    def text(self, key: str, *, default: str | None = None) -> str:
        value = self._body.get(key)
        if value is None and default is not None:
            return default
        if value == "" and default is None:
            raise errors.InvalidObject("this is empty", place=key, remedy=f"Write what {key!r} is.")
        if value is None:
            said = "nothing is written here (null)" if key in self._body else "this is missing"
            raise errors.InvalidObject(said, place=key, remedy=f"Write {key!r} as a string.")
        if not isinstance(value, str) or isinstance(value, Written):
            raise errors.InvalidObject(f"{_said(value)} is no text", place=key, remedy=f"Write {key!r} as a string.")
        if len(value) > LONGEST.get(key, OTHERS):
            longest = LONGEST.get(key, OTHERS)
            said = f"{len(value)} characters are too many"
            raise errors.InvalidObject(said, place=key, remedy=f"The ledger keeps {longest} of {key!r} at most.")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        value = self._body.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            said = f"{_said(value)} is neither true nor false"
            raise errors.InvalidObject(said, place=key, remedy="Write true or false, without quotes.")
        return value

    def moment(self, key: str) -> int:
        found = self.later(key)
        if found is None:
            remedy = f"Write a time {_TIME}."
            raise errors.InvalidObject("this time is missing", place=key, remedy=remedy)
        return found

    def later(self, key: str) -> int | None:
        """A moment that may be open (`null` or left out)."""
        value = self._body.get(key)
        if value is None:
            return None
        try:
            found = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            remedy = f"Write one {_TIME}."
            raise errors.InvalidObject(f"{_said(value)} is no time", place=key, remedy=remedy) from None
        if found.tzinfo is None:
            raise errors.InvalidObject(
                f"{value!r} names no zone", place=key, remedy=f"Write a time with its zone, {_TIME}."
            )
        try:
            return microseconds(found.astimezone(UTC))
        except OverflowError:
            remedy = f"Write a time {_TIME}."
            raise errors.InvalidObject(f"{value!r} is out of range", place=key, remedy=remedy) from None

    def decimal(self, key: str) -> str:
        value = self._body.get(key)
        text = str(value)
        try:
            number = None if isinstance(value, bool) or value is None else Decimal(text)
        except InvalidOperation:
            number = None
        if number is None or not _plausible(number, text):
            remedy = "Write a number from 0 to 10 (for epss and kev from 0 to 1)."
            raise errors.InvalidObject(f"{_said(value)} is no score", place=key, remedy=remedy)
        return text

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._body.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            remedy = 'Write one like ["10.0.0.7"].'
            raise errors.InvalidObject(f"{_said(value)} is no list of strings", place=key, remedy=remedy)
        return tuple(value)


def _plausible(number: Decimal, text: str) -> bool:
    """From 0 to 1000, and written so that exact arithmetic stays cheap: 1e-999999999 would take minutes."""
    if not number.is_finite() or len(text) > 64:
        return False
    exponent = number.as_tuple().exponent
    return isinstance(exponent, int) and abs(exponent) <= 64 and 0 <= number <= 1000


def _said(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case Written():
            return str(value)
        case str():
            return repr(value)
        case _:
            return json.dumps(value)
