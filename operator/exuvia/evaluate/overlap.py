"""Overlap: several policies may select one machine; together they want one thing (api.md, Overlap)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from exuvia.evaluate.policies import CompiledPolicy
from exuvia.model.findings import Assessment, Finding, Judgement, Wish
from exuvia.model.specs.security_policy import (
    Action,
    DrainSettings,
    Mode,
    OnHoldExpired,
    OnTimeout,
    PodPolicy,
    QuarantineSettings,
    Requirement,
    RotationSettings,
    SecurityPolicySpec,
)


def wish(judgement: Judgement, policies: Mapping[str, CompiledPolicy], *, enforced: bool) -> Wish | None:
    """The strictest action of a failing rule; then the higher severity; then the policy's name. None without one.

    `enforced` asks only policies in Enforce that are not suspended; else only those that would, if they did.
    """
    candidates = [
        (assessment, finding)
        for name, assessment in judgement.assessments.items()
        if name in policies and acts(policies[name].spec) is enforced and not policies[name].spec.suspend
        for finding in assessment.failing
        if finding.action is not Action.ALERT
    ]
    if not candidates:
        return None
    assessment, finding = min(candidates, key=_order)
    return Wish(
        uid=judgement.uid,
        action=finding.action,
        severity=finding.severity,
        policy=assessment.policy,
        policy_uid=assessment.policy_uid,
        generation=assessment.generation,
        rule=finding.rule,
        message=finding.message,
        hard=any(one.hard and one.action is finding.action for one in assessment.failing),
        enforced=enforced,
    )


def acts(spec: SecurityPolicySpec) -> bool:
    """Whether a policy may act at all."""
    return spec.mode is Mode.ENFORCE and not spec.suspend


def _order(candidate: tuple[Assessment, Finding]) -> tuple[int, int, str, str]:
    assessment, finding = candidate
    return (-finding.action.rank, -finding.severity.rank, assessment.policy, finding.rule)


def settings(
    winner: SecurityPolicySpec | None, selecting: Iterable[SecurityPolicySpec]
) -> tuple[RotationSettings, DrainSettings, QuarantineSettings]:
    """The winner's settings (the defaults where none wins), with the strictest of five knobs over all that select."""
    rotation = winner.rotation if winner else RotationSettings()
    drain = winner.drain if winner else DrainSettings()
    quarantine = winner.quarantine if winner else QuarantineSettings()
    for spec in selecting:
        drain = _stricter_drain(drain, spec.drain)
        quarantine = _stricter_quarantine(quarantine, spec.quarantine)
    return rotation, drain, quarantine


def _stricter_drain(ours: DrainSettings, other: DrainSettings) -> DrainSettings:
    update: dict[str, object] = {}
    if other.unmanaged_pods is PodPolicy.BLOCK:
        update["unmanaged_pods"] = PodPolicy.BLOCK
    if other.empty_dir_pods is PodPolicy.BLOCK:
        update["empty_dir_pods"] = PodPolicy.BLOCK
    if other.on_timeout is OnTimeout.ABORT:
        update["on_timeout"] = OnTimeout.ABORT
    return ours.model_copy(update=update) if update else ours


def _stricter_quarantine(ours: QuarantineSettings, other: QuarantineSettings) -> QuarantineSettings:
    update: dict[str, object] = {}
    if other.on_hold_expired is OnHoldExpired.KEEP:
        update["on_hold_expired"] = OnHoldExpired.KEEP
    if other.evidence.requirement is Requirement.REQUIRED:
        update["evidence"] = ours.evidence.model_copy(update={"requirement": Requirement.REQUIRED})
    return ours.model_copy(update=update) if update else ours
