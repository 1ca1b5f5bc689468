"""SecurityPolicy: what is compliant, and what happens to what is not (api.md).

Fields that a later version serves are in the schema, so that manifests are stable, but have no default; a policy that
writes one is refused by the operator (`not_supported` names them).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field

from exuvia.model.specs.choices import (
    SERVED_PROVIDERS,
    SERVED_RULES,
    Action,
    BudgetAction,
    BypassBrake,
    CollectorType,
    DestinationType,
    EvictionApi,
    FailurePolicy,
    Isolation,
    Mode,
    OnFailure,
    OnHoldExpired,
    OnTimeout,
    PodBehavior,
    PodPolicy,
    ProviderName,
    Requirement,
    RuleType,
    Severity,
    Strategy,
    TargetKind,
    Workloads,
)
from exuvia.model.specs.common import (
    BlockedStatus,
    ConditionStatus,
    LabelSelector,
    Resource,
    RuleName,
    SpecModel,
    StatusModel,
    _camel,
)
from exuvia.model.specs.disruption import Budget, Bypass, Disruption, Gate, PrometheusGate, Window, Windows
from exuvia.model.specs.rules import (
    MEMBERS,
    BadCondition,
    ConditionsRule,
    ExpressionRule,
    IdentityChange,
    ImageRule,
    LicenseSeat,
    MarksRule,
    MaxAge,
    Reports,
    RequiredAgents,
    RiskScore,
    Rule,
    Signals,
    VersionsRule,
    Vulnerabilities,
)
from exuvia.model.specs.settings import (
    DEFAULT_COLLECTORS,
    Collector,
    Destination,
    DrainSettings,
    EvidenceSettings,
    PodLogs,
    PodRule,
    QuarantineSettings,
    RotationSettings,
)

__all__ = [
    "DEFAULT_COLLECTORS",
    "MEMBERS",
    "SERVED_PROVIDERS",
    "SERVED_RULES",
    "Action",
    "ActionCounts",
    "BadCondition",
    "Budget",
    "BudgetAction",
    "Bypass",
    "BypassBrake",
    "Collector",
    "CollectorType",
    "ConditionsRule",
    "Destination",
    "DestinationType",
    "Disruption",
    "DrainSettings",
    "EvictionApi",
    "EvidenceSettings",
    "ExpressionRule",
    "FailurePolicy",
    "Gate",
    "IdentityChange",
    "ImageRule",
    "InstanceCounts",
    "Isolation",
    "LicenseSeat",
    "MarksRule",
    "MaxAge",
    "Mode",
    "OnFailure",
    "OnHoldExpired",
    "OnTimeout",
    "PodBehavior",
    "PodLogs",
    "PodPolicy",
    "PodRule",
    "PrometheusGate",
    "ProviderName",
    "QuarantineSettings",
    "Reports",
    "RequiredAgents",
    "Requirement",
    "RiskScore",
    "RotationSettings",
    "Rule",
    "RuleCounts",
    "RuleType",
    "SecurityPolicy",
    "SecurityPolicySpec",
    "SecurityPolicyStatus",
    "Severity",
    "Signals",
    "Strategy",
    "Target",
    "TargetKind",
    "Variable",
    "VersionsRule",
    "Vulnerabilities",
    "Window",
    "Windows",
    "Workloads",
    "not_supported",
    "wire",
]


class Target(SpecModel):
    """Which machines a policy is about."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "self.kind == oldSelf.kind",
                    "message": "`target.kind` may not change; make another policy for the other kind",
                }
            ]
        }
    )
    kind: TargetKind = TargetKind.NODE
    """What is selected; fixed."""
    selector: LabelSelector
    """Which machines, by their labels; {} means all."""
    exclude: LabelSelector | None = None
    """Which of these are left out, by their labels; unset: none."""


class Variable(SpecModel):
    """A named CEL expression that the rules of a policy share as `variables.<name>`."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=63)]
    """The name under which expressions read it."""
    expression: Annotated[str, Field(min_length=1, max_length=2048)]
    """CEL of any type; sees `object`, `instance`, `now` and the variables before it."""


class SecurityPolicySpec(SpecModel):
    """What is compliant, and what happens to what is not."""

    mode: Mode = Mode.AUDIT
    """Whether it acts, or only says what it would do."""
    suspend: bool = False
    """Whether it does nothing for now; its budgets bind all the same."""
    target: Target
    """Which machines it is about."""
    severity: Severity = Severity.MEDIUM
    """How bad it is to fail a rule that does not say it."""
    action: Action = Action.ALERT
    """What happens to a machine that fails a rule which does not say it."""
    variables: Annotated[tuple[Variable, ...], Field(max_length=32)] = ()
    """Named CEL expressions that expressions of the rules read as `variables.<name>`."""
    rules: Annotated[tuple[Rule, ...], Field(min_length=1, max_length=64)]
    """What a machine must satisfy; it complies when it fails none."""
    disruption: Disruption = Disruption()
    """What holds the policy's own starts, and budgets that bind every disruption of what the target selects."""
    rotation: RotationSettings = RotationSettings()
    """How a machine is replaced."""
    drain: DrainSettings = DrainSettings()
    """How pods leave a machine."""
    quarantine: QuarantineSettings = QuarantineSettings()
    """How a suspicious machine is frozen."""


_Count = Annotated[int, Field(ge=0)]


class InstanceCounts(StatusModel):
    """Machines by verdict."""

    matched: _Count = 0
    """How many the policy selects."""
    compliant: _Count = 0
    """How many fail nothing."""
    violating: _Count = 0
    """How many fail a rule that no exception covers."""
    unknown: _Count = 0
    """How many could not be judged; they are never touched."""
    exempt: _Count = 0
    """How many fail only what an exception covers."""


class ActionCounts(StatusModel):
    """What is under way, waits, or would be done."""

    rotating: _Count = 0
    """How many Rotations of this policy are past Pending."""
    quarantined: _Count = 0
    """How many Quarantines of this policy are open and past Pending."""
    pending: _Count = 0
    """How many wait for their start."""
    blocked: _Count = 0
    """How many are held by a brake."""
    failed: _Count = 0
    """How many Rotations of this policy failed among those still kept."""
    would_rotate: _Count = 0
    """How many the policy would rotate if it enforced."""
    would_quarantine: _Count = 0
    """How many the policy would quarantine if it enforced."""


class RuleCounts(StatusModel):
    """Machines by the result of one rule."""

    model_config = ConfigDict(alias_generator=_camel, populate_by_name=True)
    name: RuleName
    """The rule's name."""
    passed: Annotated[_Count, Field(alias="pass")] = 0
    """How many satisfy it."""
    fail: _Count = 0
    """How many fail it."""
    error: _Count = 0
    """How many could not be judged by it."""
    exempt: _Count = 0
    """How many fail it and are covered by an exception."""


class SecurityPolicyStatus(StatusModel):
    """Counts and conditions; never a list of nodes."""

    observed_generation: int = 0
    """The `metadata.generation` that this status speaks of."""
    conditions: Annotated[tuple[ConditionStatus, ...], Field(max_length=16)] = ()
    """Ready (whether exuvia can do its work), Compliant, Reconciling and Stalled."""
    instances: InstanceCounts | None = None
    """Machines by verdict."""
    actions: ActionCounts | None = None
    """What is under way, waits, or would be done."""
    blocked: Annotated[tuple[BlockedStatus, ...], Field(max_length=64)] = ()
    """Why machines are held, one entry a reason."""
    rules: Annotated[tuple[RuleCounts, ...], Field(max_length=64)] = ()
    """Machines by the result of each rule."""
    disruptions_allowed: _Count | None = None
    """How many more machines the tightest budget lets go now."""


class SecurityPolicy(Resource):
    """A SecurityPolicy as the API server holds it."""

    KIND: ClassVar[str] = "SecurityPolicy"
    spec: SecurityPolicySpec
    status: SecurityPolicyStatus = SecurityPolicyStatus()


def not_supported(spec: SecurityPolicySpec) -> tuple[tuple[str, str], ...]:
    """What a policy writes that this version does not serve: (field path, the way out). Empty when there is none."""
    return tuple(_unserved(spec))


def _unserved(spec: SecurityPolicySpec) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if spec.target.kind is not TargetKind.NODE:
        found.append(("spec.target.kind", "use kind Node"))
    for index, rule in enumerate(spec.rules):
        if rule.type not in SERVED_RULES:
            found.append((f"spec.rules[{index}].type", f"take out the rule {rule.name} ({rule.type})"))
    if spec.disruption.gates is not None:
        found.append(("spec.disruption.gates", "take the field out"))
    if spec.disruption.max_verdict_flip is not None:
        found.append(("spec.disruption.maxVerdictFlip", "take the field out"))
    if spec.rotation.provider not in SERVED_PROVIDERS:
        found.append(("spec.rotation.provider", "use Auto, NodeDelete or Simulated"))
    if spec.drain.eviction_api is not EvictionApi.EVICTION:
        found.append(("spec.drain.evictionAPI", "use Eviction"))
    for index, collector in enumerate(spec.quarantine.evidence.collectors):
        if collector.type not in (CollectorType.API_OBJECTS, CollectorType.POD_LOGS):
            place = f"spec.quarantine.evidence.collectors[{index}].type"
            found.append((place, f"take out the collector {collector.name} ({collector.type})"))
    if spec.quarantine.evidence.destination.type is not DestinationType.FILESYSTEM:
        found.append(("spec.quarantine.evidence.destination.type", "use Filesystem"))
    return found


def wire(value: SpecModel) -> dict[str, Any]:
    """A part of a spec as JSON of the API."""
    return value.wire()
