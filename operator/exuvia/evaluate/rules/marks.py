"""Marks: labels, annotations and taints that must, or must not, be there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from exuvia.evaluate.rules.base import Answer, Check, RuleKind, failed, passed
from exuvia.model.cards import Card
from exuvia.model.instances import Instance
from exuvia.model.problems import Problem
from exuvia.model.specs.security_policy import MarksRule, Rule, RuleType

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
Matcher = Callable[[Instance], bool]


def label_matcher(text: str) -> Matcher:
    """`key` or `key=value`."""
    key, equals, value = text.partition("=")
    return lambda instance: key in instance.labels and (not equals or instance.labels[key] == value)


def taint_matcher(text: str) -> Matcher:
    """`key`, `key=value`, `key:Effect`, `key=value:Effect`."""
    rest, colon, effect = text.partition(":")
    key, equals, value = rest.partition("=")
    return lambda instance: any(
        one.key == key and (not equals or one.value == value) and (not colon or one.effect == effect)
        for one in instance.taints
    )


def compile_(rule: Rule, place: str) -> Check | Problem:
    """A check of the marks."""
    params = rule.marks
    if params is None:
        return Problem(place=f"{place}.marks", message="is not set.", remedy="Name at least one mark.")
    if not any((params.required_labels, params.required_annotations, params.forbidden_labels, params.forbidden_taints)):
        return Problem(place=f"{place}.marks", message="names no mark.", remedy="Name at least one.")
    odd = _odd(params)
    if odd is not None:
        field, message = odd
        return Problem(place=f"{place}.marks.{field}", message=message)
    forbidden = [("label", text, label_matcher(text)) for text in params.forbidden_labels or ()]
    forbidden += [("taint", text, taint_matcher(text)) for text in params.forbidden_taints or ()]

    def check(instance: Instance, _: datetime) -> Answer:
        said = [*_missing(params, instance)]
        said += [f"{kind} {text} is forbidden" for kind, text, matches in forbidden if matches(instance)]
        return failed("; ".join(said)) if said else passed()

    return check


def _odd(params: MarksRule) -> tuple[str, str] | None:
    """A mark that no machine could ever bear would pass for ever: (field, what is wrong)."""
    for index, text in enumerate(params.forbidden_labels or ()):
        if not text.partition("=")[0].strip():
            return f"forbiddenLabels[{index}]", f"{text!r} names no label; write `key` or `key=value`."
    for index, text in enumerate(params.forbidden_taints or ()):
        rest, colon, effect = text.partition(":")
        if not rest.partition("=")[0].strip():
            return f"forbiddenTaints[{index}]", f"{text!r} names no taint; write `key`, `key=value` or `key:Effect`."
        if colon and effect not in EFFECTS:
            return (
                f"forbiddenTaints[{index}]",
                f"{effect!r} is no effect of a taint; write one of {', '.join(EFFECTS)}.",
            )
    return None


def _missing(params: MarksRule, instance: Instance) -> Iterator[str]:
    for kind, wanted, actual in (
        ("label", params.required_labels or {}, instance.labels),
        ("annotation", params.required_annotations or {}, instance.annotations),
    ):
        for key, value in wanted.items():
            if key not in actual:
                yield f"{kind} {key} is missing"
            elif value and actual[key] != value:
                yield f"{kind} {key} is {actual[key]!r}, not {value!r}"


RULE = RuleKind(
    type=RuleType.MARKS,
    compile=compile_,
    card=Card(
        name="Marks",
        description="Required labels and annotations are there, forbidden labels and taints are not.",
        parameters=(
            ("requiredLabels", 'key: value; "" means any value'),
            ("requiredAnnotations", 'key: value; "" means any value'),
            ("forbiddenLabels", "`key` or `key=value`"),
            ("forbiddenTaints", "`key`, `key=value`, `key:Effect` or `key=value:Effect`"),
        ),
        example='{name: marks, type: Marks, marks: {requiredLabels: {team: ""}, forbiddenTaints: ["debug"]}}',
    ),
)
