"""Lines of history from elsewhere (`ledger import FACTS.ndjson`, history.md): from text to what the ledger keeps.

Pure. A line that cannot be read refuses the whole file, naming the line; a line that says what cannot have been
(`died < born`, `to < from`) is read, and named as a dead letter.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from exuvia import errors
from exuvia.model.facts import microseconds
from exuvia.model.histories import Freeze, Life, Presence, Score, Session, Stay

Version = Life | Presence | Score | Freeze | Stay | Session
LONGEST = {
    **dict.fromkeys(("uid", "podUid", "vulnerability"), 128),
    **dict.fromkeys(("name", "pool", "zone", "namespace", "pod", "serviceAccount"), 253),
    **dict.fromkeys(("source", "basis", "closed", "reason"), 64),
    "kind": 32,
}
"""Characters that the ledger keeps of a text; others may have 512."""

_MARK = "\ufeff"
_MARKED = "Write it as UTF-8 without a byte order mark (utf-8, not utf-8-sig)."


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line as it will be entered: its type, the version that it says, and its body with every key it had.
    `dead` says why it cannot have been so, or "". `at` is the moment of validity, microseconds since 1970."""

    number: int
    type: str
    version: Version
    body: Mapping[str, Any]
    at: int
    dead: str = ""


def read(texts: Iterable[str], *, recorded: int) -> Iterator[Line]:
    """Every line of a file; empty ones fall away. `recorded` counts where a line has no `recordedAt`.

    Raises `errors.InvalidObject` with the number of the first line that cannot be used.
    """
    for number, text in enumerate(texts, start=1):
        if text.strip():
            yield parse(text, number=number, recorded=recorded)


def parse(text: str, *, number: int, recorded: int) -> Line:
    """One line. Raises `errors.InvalidObject`."""
    try:
        body = json.loads(text, parse_float=_Decimal, object_pairs_hook=_once)
        return of(body, number=number, recorded=recorded)
    except errors.InvalidObject as trouble:
        place = f"line {number}" + (f", {trouble.place}" if trouble.place else "")
        raise errors.InvalidObject(f"{place}: {trouble.message}", place=place, remedy=trouble.remedy) from trouble
    except (ValueError, RecursionError) as trouble:
        place, remedy = f"line {number}", _MARKED if text.startswith(_MARK) else "Write one JSON object on each line."
        raise errors.InvalidObject(f"{place}: no JSON: {_why(text, trouble)}.", place=place, remedy=remedy) from None


def _why(text: str, trouble: Exception) -> str:
    """Without the line that the parser counts itself: within its text that is nearly always the first."""
    if text.startswith(_MARK):
        return "it begins with a byte order mark"
    return f"{trouble.msg} (character {trouble.pos + 1})" if isinstance(trouble, json.JSONDecodeError) else str(trouble)


def of(body: object, *, recorded: int, number: int = 0) -> Line:
    """A line from its JSON object. Raises `errors.InvalidObject`."""
    if not isinstance(body, dict):
        raise errors.InvalidObject("this is no JSON object", remedy="Write one JSON object on each line.")
    type_ = body.get("type")
    make = _MAKERS.get(type_) if isinstance(type_, str) else None
    if make is None:
        known = ", ".join(_MAKERS)
        raise errors.InvalidObject(f"unknown type {type_!r}", place="type", remedy=f"Known are {known}.")
    fields = _Fields(body, recorded)
    version, at, dead = make(fields)
    return Line(number=number, type=str(type_), version=version, body=_kept(body), at=at, dead=dead)


class _Decimal(str):
    """A JSON number that is no integer, as its source text."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key, _ in pairs if sum(key == other for other, _ in pairs) > 1)
        raise errors.InvalidObject(f"the key {twice!r} stands there twice", place=twice)
    return found


def _kept(body: dict[str, Any]) -> dict[str, Any]:
    """As entries hold it: decimals as strings with their source text."""
    return {key: _plain(value) for key, value in body.items() if key != "type"}


def _plain(value: Any) -> Any:
    match value:
        case str():
            return str(value)
        case dict():
            return {key: _plain(one) for key, one in value.items()}
        case list():
            return [_plain(one) for one in value]
        case _:
            return value


class _Fields:
    """The keys of one line, read with complaints that name the key."""

    def __init__(self, body: Mapping[str, Any], recorded: int) -> None:
        self._body = body
        self.recorded = recorded if body.get("recordedAt") is None else self.moment("recordedAt")
        self.withdrawn = self.flag("withdrawn", default=False)

    def text(self, key: str, *, default: str | None = None) -> str:
        value = self._body.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or isinstance(value, _Decimal) or (not value and default is None):
            raise errors.InvalidObject(f"{_said(value)} is no text", place=key, remedy=f"Write {key!r} as a string.")
        if len(value) > LONGEST.get(key, 512):
            raise errors.InvalidObject(f"{len(value)} characters are too many", place=key)
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        value = self._body.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise errors.InvalidObject(f"{_said(value)} is neither true nor false", place=key)
        return value

    def moment(self, key: str) -> int:
        found = self.later(key)
        if found is None:
            remedy = "Write a time like 2026-01-01T00:00:00Z."
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
            remedy = "Write one like 2026-01-01T00:00:00Z."
            raise errors.InvalidObject(f"{_said(value)} is no time", place=key, remedy=remedy) from None
        if found.tzinfo is None:
            raise errors.InvalidObject(f"{value!r} names no zone", place=key, remedy="End it with Z for UTC.")
        try:
            return microseconds(found.astimezone(UTC))
        except OverflowError:
            raise errors.InvalidObject(f"{value!r} is out of range", place=key) from None

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
            raise errors.InvalidObject(f"{_said(value)} is no list of strings", place=key)
        return tuple(value)


def _plausible(number: Decimal, text: str) -> bool:
    """From 0 to 1000, and written so that exact arithmetic stays cheap: 1e-999999999 would take minutes."""
    if not number.is_finite() or len(text) > 64:
        return False
    exponent = number.as_tuple().exponent
    return isinstance(exponent, int) and abs(exponent) <= 64 and 0 <= number <= 1000


def _said(value: object) -> str:
    return "nothing" if value is None else repr(str(value) if isinstance(value, str) else value)


def _backwards(began: int, ended: int | None, words: str) -> str:
    return words if ended is not None and ended < began else ""


def _instance(fields: _Fields) -> tuple[Version, int, str]:
    life = Life(
        uid=fields.text("uid"),
        recorded=fields.recorded,
        born=fields.moment("born"),
        died=fields.later("died"),
        kind=fields.text("kind", default="Node"),
        name=fields.text("name", default=""),
        pool=fields.text("pool", default=""),
        zone=fields.text("zone", default=""),
        not_before=fields.later("notBefore"),
        reason=fields.text("reason", default=""),
        persistent=fields.flag("persistent", default=True),
        withdrawn=fields.withdrawn,
    )
    for key in ("providerID", "machineID", "bootID"):
        fields.text(key, default="")
    fields.texts("addresses")
    return life, life.born, _backwards(life.born, life.died, "died before it was born")


def _presence(fields: _Fields) -> tuple[Version, int, str]:
    one = Presence(
        uid=fields.text("uid"),
        vulnerability=fields.text("vulnerability"),
        recorded=fields.recorded,
        began=fields.moment("from"),
        ended=fields.later("to"),
        closed=fields.text("closed", default=""),
        withdrawn=fields.withdrawn,
    )
    return one, one.began, _backwards(one.began, one.ended, "ended before it began")


def _score(fields: _Fields) -> tuple[Version, int, str]:
    one = Score(
        vulnerability=fields.text("vulnerability"),
        source=fields.text("source"),
        recorded=fields.recorded,
        valid_from=fields.moment("validFrom"),
        value=fields.decimal("value"),
        basis=fields.text("basis", default=""),
        withdrawn=fields.withdrawn,
    )
    return one, one.valid_from, ""


def _frozen(fields: _Fields) -> tuple[Version, int, str]:
    one = Freeze(
        uid=fields.text("uid"),
        recorded=fields.recorded,
        began=fields.moment("from"),
        ended=fields.later("to"),
        withdrawn=fields.withdrawn,
    )
    return one, one.began, _backwards(one.began, one.ended, "ended before it began")


def _placement(fields: _Fields) -> tuple[Version, int, str]:
    one = Stay(
        uid=fields.text("uid"),
        pod_uid=fields.text("podUid"),
        recorded=fields.recorded,
        began=fields.moment("from"),
        ended=fields.later("to"),
        namespace=fields.text("namespace", default=""),
        name=fields.text("pod", default=""),
        service_account=fields.text("serviceAccount", default=""),
        owner=fields.text("owner", default=""),
        images=fields.texts("images"),
        withdrawn=fields.withdrawn,
    )
    return one, one.began, _backwards(one.began, one.ended, "ended before it began")


def _session(fields: _Fields) -> tuple[Version, int, str]:
    one = Session(
        uid=fields.text("uid"),
        user=fields.text("user"),
        recorded=fields.recorded,
        began=fields.moment("from"),
        ended=fields.later("to"),
        withdrawn=fields.withdrawn,
    )
    return one, one.began, _backwards(one.began, one.ended, "ended before it began")


_MAKERS: dict[str, Callable[[_Fields], tuple[Version, int, str]]] = {
    "instance": _instance,
    "presence": _presence,
    "score": _score,
    "frozen": _frozen,
    "placement": _placement,
    "session": _session,
}

TYPES = tuple(_MAKERS)
"""Every type of line there is."""
