"""CEL: the environment of expressions, compiling with clear problems, and one evaluation as a three-valued answer.

What is offered beyond the standard: `semver` and `quantity` with the comparisons of Kubernetes' CEL libraries. An
evaluation error is a value, never a pass. Loops are bounded by the library; memory and time are not, so expressions of
users are evaluated by a process that can be stopped (`app.expressions`).

The library takes a timestamp or a duration only where its type is declared, never as a value inside a map. So
`instance.born`, and the variables of a policy that hold one (its `Times`), are declared under their whole names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from cel_expr_python import cel

MESSAGE_LIMIT = 1024
BORN = "instance.born"

_T = cel.Type
_BOX = _T.Map(_T.STRING, _T.DYN)
_NUMBER, _WORDS = r"(0|[1-9][0-9]*)", r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_SEMVER = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_WORDS}))?(?:\+{_WORDS})?")
_LARGEST = 2**63 - 1  # an int of CEL
_QUANTITY = re.compile(
    r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:([eE][+-]?[0-9]+)|(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|n|u))?"
)
_SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
    **{suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
}


Times = tuple[tuple[str, str], ...]
"""The variables of a policy that hold a TIMESTAMP or a DURATION: name and type, in order."""


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
    *,
    object_: Mapping[str, Any],
    instance: Mapping[str, Any],
    now: datetime,
    variables: Mapping[str, Any],
    times: Times = (),
) -> Any:
    """What the expressions of one object see; shared by all of them (13 times faster than one each)."""
    declared = {f"variables.{name}": variables[name] for name, _ in times if name in variables}
    held = {name: value for name, value in variables.items() if f"variables.{name}" not in declared}
    data = {"object": object_, "instance": instance, "now": now, "variables": held, **declared}
    if "born" in instance:
        data |= {BORN: instance["born"], "instance": {**instance, "born": f"{instance['born']:%Y-%m-%dT%H:%M:%SZ}"}}
    return _environment(times).Activation(data)


def compile_(text: str, wanted: str, times: Times = ()) -> Program | str:
    """`wanted` is bool, string or any. A string says what is wrong, with line, column and caret."""
    try:
        compiled = _environment(times).compile(text)
    except RuntimeError as trouble:
        return _problem(str(trouble))
    name = compiled.return_type().name()
    if wanted != "any" and name != wanted.upper():
        said = {"bool": "true or false", "string": "a string"}[wanted]
        hint = f" Write `{wanted}({text})` where the type is not known." if name == "DYN" else ""
        return f"line 1, column 1: the value must be {said}, this is {name.lower()}.{hint}"
    return Program(text, compiled)


def times_of(variables: Iterable[tuple[str, str]]) -> Times:
    """Which of the variables (name and expression, each sees those before it) hold a moment or a span of time."""
    found: Times = ()
    for name, text in variables:
        made = compile_(text, "any", found)
        kind = "" if isinstance(made, str) else made.compiled.return_type().name()
        if kind in _TIMES and name not in dict(found):
            found = (*found, (name, kind))
    return found


def holds_time(value: Any) -> bool:
    """Whether a moment or a span of time is in it, somewhere."""
    if isinstance(value, Mapping):
        return any(holds_time(one) for one in value.values())
    if isinstance(value, list | tuple):
        return any(holds_time(one) for one in value)
    return isinstance(value, datetime | timedelta)


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
    match = _SEMVER.fullmatch(text)
    pre = (match.group(4) or "").split(".") if match else []
    if match is None or any(part.isdigit() and part != "0" and part.startswith("0") for part in pre):
        raise ValueError(f"{text!r} is no semantic version")
    numbers = [int(match.group(n)) for n in (1, 2, 3)]
    if max(*numbers, *(int(part) for part in pre if part.isdigit())) > _LARGEST:
        raise ValueError(f"{text!r} has a number that is too large for a semantic version")
    return {"numbers": numbers, "pre": [[0, int(one), ""] if one.isdigit() else [1, 0, one] for one in pre if one]}


def _semver_of(text: str, normalize: bool) -> dict[str, Any]:
    return _semver(_normalized(text) if normalize else text)


def _normalized(text: str) -> str:
    """As Kubernetes' CEL does it: one leading `v` falls away, so do leading zeros, and what is missing of minor and
    patch is 0, unless the short version has a suffix."""
    parts = [_without_zeros(part) for part in text.removeprefix("v").split(".", 2)]
    if len(parts) < 3 and re.search(r"[+-]", parts[-1]):
        raise ValueError(f"{text!r} is no semantic version: a short one has no suffix")
    return ".".join([*parts, "0", "0"][:3])


def _without_zeros(part: str) -> str:
    """`007` -> `7`, `00-rc.1` -> `0-rc.1`."""
    return re.sub(r"^0+(?=[0-9])", "", part)


def _semver_key(box: Mapping[str, Any]) -> tuple[Any, ...]:
    """SemVer 2.0.0, section 11: a release comes after its pre-releases; numbers before words."""
    return (tuple(box["numbers"]), 0 if box["pre"] else 1, tuple(tuple(part) for part in box["pre"]))


def _quantity(text: str) -> dict[str, Any]:
    match = _QUANTITY.fullmatch(text)
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
    def check(*text: Any) -> bool:
        try:
            make(*text)
        except (ValueError, InvalidOperation):
            return False
        return True

    return check


def _overload(name: str, result: Any, parameters: list[Any], call: Any, *, member: bool) -> Any:
    told = "_".join("box" if one is _BOX else "flag" if one is _T.BOOL else "text" for one in parameters)
    return cel.Overload(f"{name}_{told}", result, parameters, member, call)


def _function(name: str, result: Any, parameters: list[Any], call: Any, *, member: bool = True) -> Any:
    return cel.FunctionDecl(name, [_overload(name, result, parameters, call, member=member)])


def _normalizing(name: str, result: Any, plain: Any, normalizing: Any) -> Any:
    """A function of a text, with a form that takes whether to normalize it first."""
    overloads = [
        _overload(name, result, [_T.STRING], plain, member=False),
        _overload(name, result, [_T.STRING, _T.BOOL], normalizing, member=False),
    ]
    return cel.FunctionDecl(name, overloads)


_FUNCTIONS = [
    _normalizing("semver", _BOX, _semver, _semver_of),
    _normalizing("isSemver", _T.BOOL, _is(_semver), _is(_semver_of)),
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

_TIMES = {"TIMESTAMP": _T.TIMESTAMP, "DURATION": _T.DURATION}


@lru_cache(maxsize=256)
def _environment(times: Times) -> Any:
    return cel.NewEnv(
        variables={
            "object": _T.DYN,
            "instance": _T.Map(_T.STRING, _T.DYN),
            BORN: _T.TIMESTAMP,
            "variables": _T.Map(_T.STRING, _T.DYN),
            **{f"variables.{name}": _TIMES[kind] for name, kind in times},
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
