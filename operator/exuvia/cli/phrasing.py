"""What is wrong with one value of a manifest, in a sentence that says what to write instead.

The checker's own words (types of a language, patterns) help nobody who writes YAML. `written` is how a plain value
stands in the file: YAML makes booleans of `y` and `on`, and numbers of `1.10`, and a person sees only what was written.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from exuvia.model.specs.common import AMOUNT_PATTERN

Error = Mapping[str, Any]

_LOWER_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_VARIABLE = r"^[a-zA-Z_][a-zA-Z0-9_]*$"
_COMPARISONS = r"^ *(>=|>|<=|<|=|!=) *[^ ,<>=!]+ *(, *(>=|>|<=|<|=|!=) *[^ ,<>=!]+ *)*$"
_CHOICES = re.compile(r"\^\(?([A-Za-z|]+)\)?\$")
_DAYS = re.compile(r"([0-9]{1,5})d")

PATTERNS: Mapping[str, str] = {
    AMOUNT_PATTERN: 'must be a number of machines or a share of them, in quotes: "3", or "10%" up to "100%"',
    _LOWER_NAME: "must be a name of lower-case letters, digits and '-', like `max-age`",
    _VARIABLE: "must be a name of letters, digits and '_' that begins with no digit, like `ageHours`",
    _COMPARISONS: 'must be comparisons joined by commas, like ">=1.35.2" or ">=1.35.2, <1.37.0"',
}
"""What each pattern of the schema asks for, in words; a pattern that only lists values needs none."""


def sentence(error: Error, written: str = "") -> str:
    """One error of the schema's check. Without a known kind of error its own words, with the value."""
    phrase = _PHRASES.get(error["type"])
    if phrase is not None:
        return phrase(error, written)
    if error["type"].startswith(("datetime", "timezone")):
        return f"must be a time like 2026-11-24T12:00:00Z{_this(error, written)}."
    return f"{str(error['msg']).rstrip('.')}{_this(error, written)}."


def choices(pattern: str) -> tuple[str, ...]:
    """The values of a pattern that only lists values; () for any other."""
    listed = _CHOICES.fullmatch(pattern)
    return tuple(listed.group(1).split("|")) if listed else ()


def follows(error: Error) -> bool:
    """Whether an error only follows from another: a list is called too short for its items that are wrong."""
    given = error["input"]
    return error["type"] == "too_short" and isinstance(given, list) and len(given) >= error["ctx"]["min_length"]


def one_of(known: tuple[str, ...], given: object) -> str:
    """`must be ...`, with the nearest of those that there are."""
    listed = ", ".join(f"`{one}`" for one in known[:-1]) + (f" or `{known[-1]}`" if len(known) > 1 else "")
    said = f"must be {listed or f'`{known[-1]}`'}"
    return f"{said}: did you mean `{nearest(known, given)}`?" if nearest(known, given) else f"{said}."


def nearest(known: tuple[str, ...], given: object) -> str:
    """What was probably meant, or ""."""
    if not isinstance(given, str):
        return ""
    lower = {one.lower(): one for one in known}
    close = difflib.get_close_matches(given.lower(), lower, 1)
    return lower[close[0]] if close else ""


def boolean_trap(written: str) -> str:
    """Why a word is no text: YAML took it for a boolean."""
    return f"YAML reads `{written}` as a boolean; write it in quotes: {json.dumps(written)}"


def _choice(error: Error, written: str) -> str:
    known = tuple(re.findall(r"'([^']*)'", str(error["ctx"]["expected"])))
    return _chosen(known, error, written)


def _chosen(known: tuple[str, ...], error: Error, written: str) -> str:
    given = error["input"]
    said = f"`{given}` is not known here; {one_of(known, given)}"
    if isinstance(given, str):
        return said
    return f"{one_of(known, written).rstrip('.')}{_this(error, written)}."


def _pattern(error: Error, written: str) -> str:
    pattern = str(error["ctx"]["pattern"])
    known = choices(pattern)
    if known:
        return _chosen(known, error, written)
    said = PATTERNS.get(pattern)
    return f"{said}{_this(error, written)}." if said else f"must match {pattern}{_this(error, written)}."


def _text(error: Error, written: str) -> str:
    given = error["input"]
    if given is None:
        return "must be a text, and nothing is written here (null): write one, or take the field out."
    if isinstance(given, bool) and written:
        return f"must be a text: {boolean_trap(written)}."
    if isinstance(given, bool | int | float):
        return f"must be a text, and this is a number: write it in quotes, {json.dumps(written or str(given))}."
    return f"must be a text{_this(error, written)}."


def _boolean(error: Error, written: str) -> str:
    return f"must be true or false, without quotes{_this(error, written)}."


def _whole(error: Error, written: str) -> str:
    given = error["input"]
    if isinstance(given, str) and re.fullmatch(r"-?[0-9]+", given):
        return f"must be a whole number: write {given} without quotes."
    return f"must be a whole number{_this(error, written)}."


def _list(error: Error, written: str) -> str:
    given = error["input"]
    way = f": write [{json.dumps(given)}]" if isinstance(given, str | int | float) else ""
    return f"must be a list{_this(error, written)}{way}."


def _map(error: Error, written: str) -> str:
    return f"must hold fields (`name: value`){_this(error, written)}."


def _at_least(error: Error, written: str) -> str:
    return f"must be {error['ctx']['ge']} or more{_this(error, written)}."


def _at_most(error: Error, written: str) -> str:
    return f"must be {error['ctx']['le']} or less{_this(error, written)}."


def _too_long(error: Error, _: str) -> str:
    return f"is too long: {len(error['input'])} characters, and {error['ctx']['max_length']} are allowed."


def _too_many(error: Error, _: str) -> str:
    return f"holds too much: {len(error['input'])} entries, and {error['ctx']['max_length']} are allowed."


def _too_few(error: Error, _: str) -> str:
    number = error["ctx"]["min_length"]
    return f"must not be empty: write {'at least one entry' if number == 1 else f'{number} entries or more'}."


def _empty(_: Error, __: str) -> str:
    return "must not be empty: write something, or take the field out."


def _missing(_: Error, __: str) -> str:
    return "is required: add it."


def _own(error: Error, written: str) -> str:
    """Errors that the model's own checks put into words."""
    said = f"{error['ctx']['error']}"
    days = _DAYS.fullmatch(str(error["input"]))
    if days and "duration" in said:
        said += f"; {days.group(0)} is {int(days.group(1)) * 24}h"
    return f"{said}."


def _this(error: Error, written: str) -> str:
    given = error["input"]
    if isinstance(given, bool) and written and written.lower() not in ("true", "false"):
        return f", and YAML reads `{written}` as {'true' if given else 'false'}"
    said = json.dumps(given, default=str)
    return f", and this is {said if len(said) <= 60 else f'{said[:57]}...'}"


_PHRASES: Mapping[str, Callable[[Error, str], str]] = {
    "missing": _missing,
    "value_error": _own,
    "enum": _choice,
    "literal_error": _choice,
    "string_pattern_mismatch": _pattern,
    "string_type": _text,
    "string_too_short": _empty,
    "string_too_long": _too_long,
    "bool_type": _boolean,
    "int_type": _whole,
    "int_from_float": _whole,
    "list_type": _list,
    "tuple_type": _list,
    "dict_type": _map,
    "model_type": _map,
    "model_attributes_type": _map,
    "too_long": _too_many,
    "too_short": _too_few,
    "greater_than_equal": _at_least,
    "less_than_equal": _at_most,
}
