"""Lines of history from elsewhere (`ledger import FACTS.ndjson`, history.md): from text to what the ledger keeps.

Pure. A line that cannot be read refuses the whole file, naming the line; a line that says what cannot have been
(`died < born`, `to < from`) is read, and named as a dead letter.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from exuvia import errors
from exuvia.model.histories import EPSS, KEV, Freeze, Life, Presence, Score, Session, Stay
from exuvia.record import chain
from exuvia.record.fields import Fields, Written

Version = Life | Presence | Score | Freeze | Stay | Session
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
    """One line, of which a score is no higher than scores can be. Raises `errors.InvalidObject`."""
    try:
        body = json.loads(text, parse_float=Written, parse_constant=_refuse, object_pairs_hook=_once)
        if "\\u" in text:
            _legible(body)
        line = of(body, number=number, recorded=recorded)
        _in_bounds(line)
        return line
    except errors.InvalidObject as trouble:
        place = f"line {number}" + (f", {trouble.place}" if trouble.place else "")
        raise errors.InvalidObject(f"{place}: {trouble.message}", place=place, remedy=trouble.remedy) from trouble
    except (ValueError, RecursionError) as trouble:
        place, remedy = f"line {number}", _MARKED if text.startswith(_MARK) else "Write one JSON object on each line."
        raise errors.InvalidObject(f"{place}: no JSON: {_why(text, trouble)}.", place=place, remedy=remedy) from None


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")


def _why(text: str, trouble: Exception) -> str:
    """Without the line that the parser counts itself: within its text that is nearly always the first."""
    if text.startswith(_MARK):
        return "it begins with a byte order mark"
    if isinstance(trouble, RecursionError):
        return "it is nested too deeply"
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
    version = make(Fields(body, recorded))
    at, dead = _when(version)
    return Line(number=number, type=str(type_), version=version, body=_kept(body), at=at, dead=dead)


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


def _legible(value: Any, key: str = "") -> None:
    """Escaped, what is no character gets through JSON, and not into every database. Raises `errors.InvalidObject`."""
    match value:
        case str():
            if any(one == "\0" or "\ud800" <= one <= "\udfff" for one in value):
                remedy = "Leave out NUL and halves of a pair of surrogates."
                raise errors.InvalidObject("this holds what is no character", place=key, remedy=remedy)
        case dict():
            for name, one in value.items():
                _legible(name, key)
                _legible(one, name)
        case list():
            for one in value:
                _legible(one, key)


def _in_bounds(line: Line) -> None:
    """What was entered before there were bounds stays readable, and can still be taken back. Raises
    `errors.InvalidObject`."""
    if abs(line.at) >= chain.LARGEST:
        key = {"instance": "born", "score": "validFrom"}.get(line.type, "from")
        said, remedy = "this time is too far away", "Write a year from 1700 to 2250."
        raise errors.InvalidObject(said, place=key, remedy=remedy)
    if line.type == "placement" and "event" in line.body:
        remedy = "Give what you want to keep another name."
        raise errors.InvalidObject(
            "this key is what exuvia's own placements are known by", place="event", remedy=remedy
        )
    if isinstance(line.version, Score):
        _on_its_scale(line.version)


def _on_its_scale(score: Score) -> None:
    if score.withdrawn:
        return
    most = 1 if score.source in (EPSS, KEV) else 10
    if Decimal(score.value) > most:
        raise errors.InvalidObject(
            f"{score.value} is above {most}, the most that a value of {score.source!r} can be",
            place="value",
            remedy=f"Write a number from 0 to {most}.",
        )


def _when(version: Version) -> tuple[int, str]:
    """The moment of validity, and why it cannot have been so, or ""."""
    match version:
        case Life():
            early = _backwards(version.not_before, version.died, "died before it can have died (notBefore)")
            return version.born, _backwards(version.born, version.died, "died before it was born") or early
        case Score():
            return version.valid_from, ""
        case _:
            return version.began, _backwards(version.began, version.ended, "ended before it began")


def _backwards(began: int | None, ended: int | None, words: str) -> str:
    return words if began is not None and ended is not None and ended < began else ""


def _instance(of: Fields) -> Life:
    for key in ("providerID", "machineID", "bootID"):
        of.text(key, default="")
    of.texts("addresses")
    return Life(
        **_told(of),
        uid=of.text("uid"),
        born=of.moment("born"),
        died=of.later("died"),
        kind=of.text("kind", default="Node"),
        name=of.text("name", default=""),
        pool=of.text("pool", default=""),
        zone=of.text("zone", default=""),
        not_before=of.later("notBefore"),
        reason=of.text("reason", default=""),
        persistent=of.flag("persistent", default=True),
    )


def _score(of: Fields) -> Score:
    return Score(
        **_told(of),
        vulnerability=of.text("vulnerability"),
        source=of.text("source"),
        valid_from=of.moment("validFrom"),
        value=of.decimal("value"),
        basis=of.text("basis", default=""),
    )


def _presence(of: Fields) -> Presence:
    return Presence(**_interval(of), vulnerability=of.text("vulnerability"), closed=of.text("closed", default=""))


def _frozen(of: Fields) -> Freeze:
    return Freeze(**_interval(of))


def _placement(of: Fields) -> Stay:
    return Stay(
        **_interval(of),
        pod_uid=of.text("podUid"),
        namespace=of.text("namespace", default=""),
        name=of.text("pod", default=""),
        service_account=of.text("serviceAccount", default=""),
        owner=of.text("owner", default=""),
        images=of.texts("images"),
    )


def _session(of: Fields) -> Session:
    return Session(**_interval(of), user=of.text("user"))


def _interval(of: Fields) -> dict[str, Any]:
    """What every line says of something that was on a machine for a while."""
    return {**_told(of), "uid": of.text("uid"), "began": of.moment("from"), "ended": of.later("to")}


def _told(of: Fields) -> dict[str, Any]:
    """What every line says of itself."""
    return {"recorded": of.recorded, "withdrawn": of.withdrawn}


_MAKERS: dict[str, Callable[[Fields], Version]] = {
    "instance": _instance,
    "presence": _presence,
    "score": _score,
    "frozen": _frozen,
    "placement": _placement,
    "session": _session,
}

TYPES = tuple(_MAKERS)
"""Every type of line there is."""
