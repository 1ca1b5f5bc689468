"""CEL: the environment of expressions, compiling with clear problems, and one evaluation as a three-valued answer.

What is offered beyond the standard: `semver` and `quantity` with the comparisons of Kubernetes' CEL libraries. An
evaluation error is a value, never a pass. Loops are bounded by the library; memory and time are not, so expressions of
users are evaluated by a process that can be stopped (`app.expressions`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from cel_expr_python import cel

MESSAGE_LIMIT = 1024

_T = cel.Type
_BOX = _T.Map(_T.STRING, _T.DYN)
_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z.-]+)?$"
)
_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|n|u))?$")
_SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
    **{suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
}


@dataclass(frozen=True, slots=True)
class Answer:
    """The value of an expression, or the error that it gave."""

    value: Any = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled expression."""

    text: str
    compiled: Any

    def evaluate(self, activation: Any) -> Answer:
        """Never raises for what an expression does; a stopped loop is an error like any other."""
        try:
            value = self.compiled.eval(activation)
            if value.type() == _T.ERROR:
                return Answer(error=_one_line(str(value.plain_value())))
            return Answer(value=value.plain_value())
        except (RuntimeError, MemoryError, ValueError, TypeError, OverflowError) as trouble:
            return Answer(error=_one_line(str(trouble)) or type(trouble).__name__)


def activation(
    *, object_: Mapping[str, Any], instance: Mapping[str, Any], now: datetime, variables: Mapping[str, Any]
) -> Any:
    """What the expressions of one object see; shared by all of them (13 times faster than one each)."""
    return _ENVIRONMENT.Activation({"object": object_, "instance": instance, "now": now, "variables": variables})


def compile_(text: str, wanted: str) -> Program | str:
    """`wanted` is bool, string or any. A string says what is wrong, with line, column and caret."""
    try:
        compiled = _ENVIRONMENT.compile(text)
    except RuntimeError as trouble:
        return _problem(str(trouble))
    name = compiled.return_type().name()
    if wanted != "any" and name != wanted.upper():
        said = {"bool": "true or false", "string": "a string"}[wanted]
        hint = f" Write `{wanted}({text})` where the type is not known." if name == "DYN" else ""
        return f"line 1, column 1: the value must be {said}, this is {name.lower()}.{hint}"
    return Program(text, compiled)


def _problem(text: str) -> str:
    """The library's message as `line L, column C: why`, with the caret lines that follow."""
    first, *rest = text.removeprefix("INVALID_ARGUMENT: ").split("\n")
    match = re.match(r"ERROR: <input>:(\d+):(\d+): (.*)", first)
    carets = "\n".join(line.removesuffix(" [INVALID_ARGUMENT]").rstrip() for line in rest if line.startswith(" |"))
    if match is None:
        return _one_line(first)
    said = f"line {match.group(1)}, column {match.group(2)}: {match.group(3).removesuffix(' [INVALID_ARGUMENT]')}"
    return said + (f"\n{carets}" if carets else "")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:MESSAGE_LIMIT]


def _semver(text: str) -> dict[str, Any]:
    match = _SEMVER.match(text)
    if match is None:
        raise ValueError(f"{text!r} is no semantic version")
    pre = [[0, int(part), ""] if part.isdigit() else [1, 0, part] for part in (match.group(4) or "").split(".") if part]
    return {"numbers": [int(match.group(n)) for n in (1, 2, 3)], "pre": pre}


def _semver_key(box: Mapping[str, Any]) -> tuple[Any, ...]:
    """SemVer 2.0.0, section 11: a release comes after its pre-releases; numbers before words."""
    return (tuple(box["numbers"]), 0 if box["pre"] else 1, tuple(tuple(part) for part in box["pre"]))


def _quantity(text: str) -> dict[str, Any]:
    match = _QUANTITY.match(text)
    if match is None:
        raise ValueError(f"{text!r} is no quantity")
    number = Decimal(match.group(1) + (match.group(2) or ""))
    return {"quantity": str(number * _SUFFIXES.get(match.group(3) or "", Decimal(1)))}


def _key(box: Mapping[str, Any]) -> Any:
    return Decimal(box["quantity"]) if "quantity" in box else _semver_key(box)


def _same_kind(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[Any, Any]:
    if ("quantity" in a) != ("quantity" in b):
        raise ValueError("a semver and a quantity cannot be compared")
    return _key(a), _key(b)


def _less(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    left, right = _same_kind(a, b)
    return bool(left < right)


def _greater(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    return _less(b, a)


def _compare(a: Mapping[str, Any], b: Mapping[str, Any]) -> int:
    left, right = _same_kind(a, b)
    return int(left > right) - int(left < right)


def _add(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    return {"quantity": str(Decimal(a["quantity"]) + Decimal(b["quantity"]))}


def _sub(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    return {"quantity": str(Decimal(a["quantity"]) - Decimal(b["quantity"]))}


def _as_integer(a: Mapping[str, Any]) -> int:
    number = Decimal(a["quantity"])
    if number != number.to_integral_value():
        raise ValueError(f"{a['quantity']} is no integer")
    return int(number)


def _is(make: Any) -> Any:
    def check(text: str) -> bool:
        try:
            make(text)
        except (ValueError, InvalidOperation):
            return False
        return True

    return check


def _function(name: str, result: Any, parameters: list[Any], call: Any, *, member: bool = True) -> Any:
    overload = f"{name}_{'_'.join('box' if one is _BOX else 'text' for one in parameters)}"
    return cel.FunctionDecl(name, [cel.Overload(overload, result, parameters, member, call)])


_FUNCTIONS = [
    _function("semver", _BOX, [_T.STRING], _semver, member=False),
    _function("isSemver", _T.BOOL, [_T.STRING], _is(_semver), member=False),
    _function("quantity", _BOX, [_T.STRING], _quantity, member=False),
    _function("isQuantity", _T.BOOL, [_T.STRING], _is(_quantity), member=False),
    _function("isLessThan", _T.BOOL, [_BOX, _BOX], _less),
    _function("isGreaterThan", _T.BOOL, [_BOX, _BOX], _greater),
    _function("compareTo", _T.INT, [_BOX, _BOX], _compare),
    _function("major", _T.INT, [_BOX], lambda box: box["numbers"][0]),
    _function("minor", _T.INT, [_BOX], lambda box: box["numbers"][1]),
    _function("patch", _T.INT, [_BOX], lambda box: box["numbers"][2]),
    _function("add", _BOX, [_BOX, _BOX], _add),
    _function("sub", _BOX, [_BOX, _BOX], _sub),
    _function("asInteger", _T.INT, [_BOX], _as_integer),
    _function("asApproximateFloat", _T.DOUBLE, [_BOX], lambda box: float(Decimal(box["quantity"]))),
]

_ENVIRONMENT = cel.NewEnv(
    variables={
        "object": _T.DYN,
        "instance": _T.Map(_T.STRING, _T.DYN),
        "variables": _T.Map(_T.STRING, _T.DYN),
        "now": _T.TIMESTAMP,
    },
    extensions=[cel.CelExtension("exuvia", _FUNCTIONS)],
)

_MATCHES = cel.NewEnv(variables={"text": _T.STRING, "pattern": _T.STRING}).compile("text.matches(pattern)")


@lru_cache(maxsize=4096)
def full_match(pattern: str, text: str) -> bool | str:
    """Whether RE2 matches the whole text, in linear time; a string says what is wrong with the pattern.

    The pattern is looked at alone first, so that one with loose brackets cannot break out of the frame.
    """
    for framed in (pattern, rf"\A(?:{pattern})\z"):
        value = _MATCHES.eval(data={"text": text, "pattern": framed})
        if value.type() == _T.ERROR:
            return _one_line(str(value.plain_value())).removeprefix("INVALID_ARGUMENT: ")
    return bool(value.plain_value())
