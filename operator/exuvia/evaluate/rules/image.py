"""Image: the operating system image is an allowed one, and no forbidden one. RE2, whole text, linear time."""

from __future__ import annotations

from datetime import datetime

from exuvia.evaluate import cel
from exuvia.evaluate.rules.base import Answer, Check, RuleKind, failed, passed, unknown
from exuvia.model.cards import Card
from exuvia.model.instances import Instance
from exuvia.model.problems import Problem
from exuvia.model.specs.security_policy import ImageRule, Rule, RuleType


def compile_(rule: Rule, place: str) -> Check | Problem:
    """A check of osImage, or the first pattern that is no regular expression."""
    params = rule.image
    if params is None:
        return Problem(place=f"{place}.image", message="is not set.", remedy="Set `image.allowed`.")
    for field, patterns in (("allowed", params.allowed), ("forbidden", params.forbidden)):
        for index, pattern in enumerate(patterns):
            said = cel.full_match(pattern, "")
            if isinstance(said, str):
                return Problem(
                    place=f"{place}.image.{field}[{index}]", message=f"{pattern!r} is no regular expression: {said}."
                )

    def check(instance: Instance, _: datetime) -> Answer:
        return _judge(params, instance.os_image)

    return check


def _judge(params: ImageRule, image: str) -> Answer:
    if not image:
        return unknown("osImage is not reported")
    forbidden = [cel.full_match(pattern, image) for pattern in params.forbidden]
    allowed = [cel.full_match(pattern, image) for pattern in params.allowed]
    problem = next((one for one in (*forbidden, *allowed) if isinstance(one, str)), None)
    if problem is not None:
        return unknown(f"image {image!r} cannot be matched: {problem}")
    if any(forbidden):
        return failed(f"image {image!r} is forbidden")
    if any(allowed):
        return passed()
    return failed(f"image {image!r} is not an allowed one")


RULE = RuleKind(
    type=RuleType.IMAGE,
    compile=compile_,
    card=Card(
        name="Image",
        description="osImage matches one of `allowed` in full and none of `forbidden` (RE2).",
        parameters=(("allowed", "at least one pattern"), ("forbidden", "patterns that must not match")),
        example='{name: image, type: Image, image: {allowed: ["Talos \\\\(v1\\\\.1[0-9].*\\\\)"]}}',
    ),
)
