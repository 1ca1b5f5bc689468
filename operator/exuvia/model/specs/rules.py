"""Rules of a SecurityPolicy: one type a kind of rule, and the union of them (api.md, Rules)."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from exuvia.model.specs.choices import Action, FailurePolicy, RuleType, Severity
from exuvia.model.specs.common import Duration, LabelKey, LabelValue, Name, RuleName, SpecModel


class MaxAge(SpecModel):
    """It must not outlive a limit; the jitter makes each machine's own limit a little earlier."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "!has(self.hardLimit) || duration(self.hardLimit) >= duration(self.limit)",
                    "message": "`hardLimit` must not be below `limit`",
                }
            ]
        }
    )
    limit: Duration
    """How old a machine may become, counted from its creation."""
    hard_limit: Duration | None = None
    """From this age on windows no longer hold its rotation; caps and floors still do. Not below `limit`; unset: windows
    always hold it."""
    jitter_percent: Annotated[int, Field(ge=0, le=100)] = 0
    """By how many percent of `limit`, at most, a machine's own limit is earlier; each machine's share follows from its
    UID, so that not all are due at once."""


_Comparison = Annotated[
    str,
    Field(max_length=256, pattern=r"^ *(>=|>|<=|<|=|!=) *[^ ,<>=!]+ *(, *(>=|>|<=|<|=|!=) *[^ ,<>=!]+ *)*$"),
]


class VersionsRule(SpecModel):
    """Comma-separated comparisons for each named component of nodeInfo."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.kubelet) || has(self.containerRuntime) || has(self.kernel)",
                    "message": "at least one of `kubelet`, `containerRuntime`, `kernel` must be set",
                }
            ]
        }
    )
    kubelet: _Comparison | None = None
    """Comparisons that the kubelet's version must satisfy, such as `>=1.35.2, <1.37`; unset: any version."""
    container_runtime: _Comparison | None = None
    """Comparisons that the container runtime's version must satisfy; unset: any version."""
    kernel: _Comparison | None = None
    """Comparisons that the leading dotted numbers of the kernel's version must satisfy; unset: any version."""


_Regex = Annotated[str, Field(min_length=1, max_length=512)]


class ImageRule(SpecModel):
    """osImage must match one of `allowed` in full (RE2), and none of `forbidden`."""

    allowed: Annotated[tuple[_Regex, ...], Field(min_length=1, max_length=32)]
    """Patterns (RE2), one of which must match the whole of `osImage`."""
    forbidden: Annotated[tuple[_Regex, ...], Field(max_length=32)] = ()
    """Patterns (RE2), none of which may match the whole of `osImage`; unset: none is forbidden."""


_Mark = Annotated[str, Field(min_length=1, max_length=400)]


class MarksRule(SpecModel):
    """Labels, annotations and taints that must or must not be there. "" as value means any value."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.requiredLabels) || has(self.requiredAnnotations) || has(self.forbiddenLabels) "
                    "|| has(self.forbiddenTaints)",
                    "message": "at least one of `requiredLabels`, `requiredAnnotations`, `forbiddenLabels`, "
                    "`forbiddenTaints` must be set",
                }
            ]
        }
    )
    required_labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=32)] | None = None
    """Labels that must be there with these values; the value "" means any."""
    required_annotations: (
        Annotated[dict[LabelKey, Annotated[str, Field(max_length=1024)]], Field(max_length=32)] | None
    ) = None
    """Annotations that must be there with these values; the value "" means any."""
    forbidden_labels: Annotated[tuple[_Mark, ...], Field(max_length=32)] | None = None
    """Labels that must not be there, each written `key` or `key=value`."""
    forbidden_taints: Annotated[tuple[_Mark, ...], Field(max_length=32)] | None = None
    """Taints that must not be there, each written `key`, `key=value`, `key:Effect` or `key=value:Effect`."""


class BadCondition(SpecModel):
    """A condition and the status of it that is bad."""

    type: Annotated[str, Field(min_length=1, max_length=317)]
    """The type of the Node's condition."""
    status: Annotated[str, Field(pattern="^(True|False|Unknown)$", max_length=8)]
    """The status that is bad: True, False or Unknown. An absent condition counts only as Unknown."""


class ConditionsRule(SpecModel):
    """No listed condition may have its bad status for as long as `sustainedFor`."""

    sustained_for: Duration = timedelta(0)
    """How long a condition must have its bad status before the machine fails, counted from lastTransitionTime."""
    bad: Annotated[tuple[BadCondition, ...], Field(min_length=1, max_length=32)]
    """The conditions, each with the status that is bad."""


class ExpressionRule(SpecModel):
    """A CEL expression; true means compliant."""

    expression: Annotated[str, Field(min_length=1, max_length=2048)]
    """CEL, a boolean: true means compliant. It sees `object` (the Node), `instance`, `variables` and `now`."""
    message_expression: Annotated[str, Field(min_length=1, max_length=2048)] | None = None
    """CEL, a string: the message when it fails. Unset: a general message."""


class RequiredAgents(SpecModel):
    """DaemonSets that must run on the machine."""

    daemon_sets: Annotated[tuple[Annotated[str, Field(max_length=317)], ...], Field(max_length=32)]
    """The DaemonSets, as namespace/name, that must have a ready pod on the machine."""
    grace_period: Duration | None = None
    """How long after its birth a machine may be without them."""


class Vulnerabilities(SpecModel):
    """How many known vulnerabilities a machine may carry."""

    source: Annotated[str, Field(max_length=63)]
    """Which scanner's reports are read."""
    min_severity: Severity | None = None
    """From which severity on a vulnerability counts."""
    max_count: Annotated[int, Field(ge=0)] | None = None
    """How many of them a machine may carry."""
    fixable_only: bool | None = None
    """Whether only vulnerabilities with a fix count."""
    grace_period: Duration | None = None
    """How long a vulnerability may be known before it counts."""


class Reports(SpecModel):
    """How many failures of a benchmark report a machine may carry."""

    source: Annotated[str, Field(max_length=63)]
    """Which benchmark's reports are read."""
    max_failures: Annotated[int, Field(ge=0)] | None = None
    """How many failed checks a machine may have."""
    min_severity: Severity | None = None
    """From which severity on a failed check counts."""


class Signals(SpecModel):
    """Which statements from outside make a machine suspicious."""

    source: Annotated[str, Field(max_length=63)]
    """Where the signals come from."""
    min_priority: Annotated[str, Field(max_length=32)] | None = None
    """From which priority of the source on a signal counts."""
    count: Annotated[int, Field(ge=1)] | None = None
    """How many signals within `window` make a machine fail."""
    window: Duration | None = None
    """The span of time in which signals are counted."""


class IdentityChange(SpecModel):
    """Which identities must not change during a life."""

    watch: Annotated[
        tuple[Annotated[str, Field(pattern="^(bootID|machineID|providerID)$", max_length=16)], ...],
        Field(min_length=1, max_length=3),
    ]
    """Which of bootID, machineID and providerID must not change."""


class LicenseSeat(SpecModel):
    """Which licence pool must have a seat for the machine."""

    pool: Name
    """The name of the LicensePool."""


class RiskScore(SpecModel):
    """How high the worst score of what is on a machine may be, as the ledger knows it now."""

    max: Annotated[int, Field(ge=0, le=100)]
    """The highest that complies, in tenths of a score, 0 to 100: 70 is a score of 7.0."""


MEMBERS: dict[RuleType, str] = {
    RuleType.MAX_AGE: "maxAge",
    RuleType.VERSIONS: "versions",
    RuleType.IMAGE: "image",
    RuleType.MARKS: "marks",
    RuleType.CONDITIONS: "conditions",
    RuleType.EXPRESSION: "expression",
    RuleType.REQUIRED_AGENTS: "requiredAgents",
    RuleType.VULNERABILITIES: "vulnerabilities",
    RuleType.REPORTS: "reports",
    RuleType.SIGNALS: "signals",
    RuleType.IDENTITY_CHANGE: "identityChange",
    RuleType.LICENSE_SEAT: "licenseSeat",
    RuleType.RISK_SCORE: "riskScore",
}


def _union_rules() -> list[Any]:
    """CEL: exactly the member that `type` names is set."""
    return [
        {
            "rule": f"self.type == '{type_}' ? has(self.{member}) : !has(self.{member})",
            "message": f"`{member}` must be set when `type` is {type_}, and only then",
        }
        for type_, member in MEMBERS.items()
    ]


class Rule(SpecModel):
    """One rule: exactly one member, named by `type`."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                *_union_rules(),
                {
                    "rule": "!has(self.failurePolicy) || self.type == 'Expression'",
                    "message": "`failurePolicy` goes with `type` Expression only",
                },
            ]
        }
    )
    name: RuleName
    """The rule's name, unique in the policy; findings, metrics and operations bear it."""
    type: RuleType
    """What kind of rule it is; the member of that name must be set, and no other."""
    severity: Severity | None = None
    """How bad it is to fail. Unset: the policy's `severity`."""
    action: Action | None = None
    """What happens to a machine that fails. Unset: the policy's `action`."""
    failure_policy: FailurePolicy | None = None
    """What an evaluation error of an Expression counts as. Unset: Ignore."""
    max_age: MaxAge | None = None
    versions: VersionsRule | None = None
    image: ImageRule | None = None
    marks: MarksRule | None = None
    conditions: ConditionsRule | None = None
    expression: ExpressionRule | None = None
    required_agents: RequiredAgents | None = None
    """Not served yet: DaemonSets that must run on the machine."""
    vulnerabilities: Vulnerabilities | None = None
    """Not served yet: how many known vulnerabilities a machine may carry."""
    reports: Reports | None = None
    """Not served yet: how many failures of a benchmark report a machine may carry."""
    signals: Signals | None = None
    """Not served yet: which statements from outside make a machine suspicious."""
    identity_change: IdentityChange | None = None
    """Not served yet: which identities must not change during a life."""
    license_seat: LicenseSeat | None = None
    risk_score: RiskScore | None = None
