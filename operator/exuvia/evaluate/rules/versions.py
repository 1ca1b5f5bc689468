"""Versions: kubelet, container runtime and kernel satisfy comparisons. What is absent or does not parse is an error."""

from __future__ import annotations

from datetime import datetime

from exuvia.evaluate import versions
from exuvia.evaluate.rules.base import Answer, Check, RuleKind, failed, passed, unknown
from exuvia.model.cards import Card
from exuvia.model.instances import Instance
from exuvia.model.problems import Problem
from exuvia.model.specs.security_policy import Rule, RuleType

_Compiled = tuple[tuple[str, tuple[versions.Comparison, ...]], ...]


def compile_(rule: Rule, place: str) -> Check | Problem:
    """A check of each named component."""
    if rule.versions is None:
        return Problem(place=f"{place}.versions", message="is not set.", remedy="Name at least one component.")
    compiled: list[tuple[str, tuple[versions.Comparison, ...]]] = []
    for name, text in (
        ("kubelet", rule.versions.kubelet),
        ("containerRuntime", rule.versions.container_runtime),
        ("kernel", rule.versions.kernel),
    ):
        if text is None:
            continue
        found = versions.comparisons(text, kernel=name == "kernel")
        if isinstance(found, str):
            return Problem(place=f"{place}.versions.{name}", message=found)
        compiled.append((name, found))
    if not compiled:
        return Problem(place=f"{place}.versions", message="names no component.", remedy="Name at least one.")

    def check(instance: Instance, _: datetime) -> Answer:
        return _judge(tuple(compiled), instance)

    return check


def _judge(compiled: _Compiled, instance: Instance) -> Answer:
    reported = {
        "kubelet": instance.versions.kubelet,
        "containerRuntime": instance.versions.container_runtime,
        "kernel": instance.versions.kernel,
    }
    failures, errors = [], []
    for name, wanted in compiled:
        text = reported[name]
        actual = (versions.parse_kernel if name == "kernel" else versions.parse)(text) if text else None
        if actual is None:
            errors.append(f"{name} {text!r} is not a version" if text else f"{name} is not reported")
            continue
        failures += [f"{name} {text} is not {one.text}" for one in wanted if not one.holds(actual)]
    if failures:
        return failed("; ".join(failures))
    return unknown("; ".join(errors)) if errors else passed()


RULE = RuleKind(
    type=RuleType.VERSIONS,
    compile=compile_,
    card=Card(
        name="Versions",
        description="Components of nodeInfo satisfy comma-separated comparisons.",
        parameters=(
            ("kubelet", "comparisons with the kubelet's version"),
            ("containerRuntime", "comparisons with the container runtime's version"),
            ("kernel", "comparisons with the kernel's leading dotted numbers"),
        ),
        example='{name: versions, type: Versions, versions: {kubelet: ">=1.35.2", kernel: ">=6.1.90"}}',
    ),
)
