"""SecurityPolicy: what is compliant, and what happens to what is not (api.md).

Fields that a later version serves are in the schema, so that manifests are stable, but have no default; a policy that
writes one is refused by the operator (`not_supported` names them).
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field

from exuvia.model.specs.common import (
    Amount,
    BlockedStatus,
    ConditionStatus,
    Duration,
    LabelKey,
    LabelSelector,
    LabelValue,
    Name,
    Resource,
    RuleName,
    SpecModel,
    StatusModel,
    _camel,
)


class Mode(StrEnum):
    """Whether a policy acts."""

    AUDIT = "Audit"  # same verdicts, status and metrics, no action
    ENFORCE = "Enforce"  # acts


class Severity(StrEnum):
    """How bad a failing rule is."""

    LOW = "Low"  # should be mended some day
    MEDIUM = "Medium"  # the default
    HIGH = "High"  # should be mended soon
    CRITICAL = "Critical"  # must be mended now

    @property
    def rank(self) -> int:
        """0 for Low to 3 for Critical."""
        return list(Severity).index(self)


class Action(StrEnum):
    """What a failing rule asks for."""

    ALERT = "Alert"  # only say it
    ROTATE = "Rotate"  # replace the machine
    QUARANTINE = "Quarantine"  # freeze it and keep the evidence

    @property
    def rank(self) -> int:
        """Strictness: 0 for Alert to 2 for Quarantine."""
        return list(Action).index(self)


class TargetKind(StrEnum):
    """What a policy selects."""

    NODE = "Node"  # Kubernetes nodes
    VIRTUAL_MACHINE_INSTANCE = "VirtualMachineInstance"  # KubeVirt; not served yet


class RuleType(StrEnum):
    """Which member of a rule is set."""

    MAX_AGE = "MaxAge"  # it must not outlive a limit
    VERSIONS = "Versions"  # kubelet, kernel, containerRuntime
    IMAGE = "Image"  # the operating system image
    MARKS = "Marks"  # labels, annotations and taints
    CONDITIONS = "Conditions"  # node conditions
    EXPRESSION = "Expression"  # CEL
    REQUIRED_AGENTS = "RequiredAgents"  # not served yet
    VULNERABILITIES = "Vulnerabilities"  # not served yet
    REPORTS = "Reports"  # not served yet
    SIGNALS = "Signals"  # not served yet
    IDENTITY_CHANGE = "IdentityChange"  # not served yet
    LICENSE_SEAT = "LicenseSeat"  # not served yet
    RISK_SCORE = "RiskScore"  # not served yet


SERVED_RULES = (
    RuleType.MAX_AGE,
    RuleType.VERSIONS,
    RuleType.IMAGE,
    RuleType.MARKS,
    RuleType.CONDITIONS,
    RuleType.EXPRESSION,
)


class FailurePolicy(StrEnum):
    """What an evaluation error of an expression counts as."""

    IGNORE = "Ignore"  # error
    FAIL = "Fail"  # fail


class Strategy(StrEnum):
    """Which comes first."""

    REPLACE_FIRST = "ReplaceFirst"  # the replacement is good before the old machine is drained
    DRAIN_FIRST = "DrainFirst"  # the old machine goes first


class ProviderName(StrEnum):
    """What replaces a machine."""

    AUTO = "Auto"  # by providerID and owners; what is not known is blocked
    NODE_DELETE = "NodeDelete"  # delete the Node object; its owner refills the pool
    SIMULATED = "Simulated"  # the simulated cloud of `exuvia dev cloud`
    KARPENTER = "Karpenter"  # not served yet
    CLUSTER_API = "ClusterAPI"  # not served yet
    AWS_AUTO_SCALING = "AWSAutoScaling"  # not served yet
    KUBE_VIRT = "KubeVirt"  # not served yet
    WEBHOOK = "Webhook"  # not served yet


SERVED_PROVIDERS = (ProviderName.AUTO, ProviderName.NODE_DELETE, ProviderName.SIMULATED)


class OnFailure(StrEnum):
    """What happens to the old machine when a Rotation fails."""

    RESTORE = "Restore"  # its marks are put back as they were
    HOLD = "Hold"  # it stays cordoned for a person


class OnTimeout(StrEnum):
    """What happens when a drain takes too long."""

    ABORT = "Abort"  # the Rotation fails
    FORCE = "Force"  # what is left is deleted, with grace


class PodPolicy(StrEnum):
    """What happens to pods that would lose something."""

    BLOCK = "Block"  # the drain does not begin
    EVICT = "Evict"  # they are evicted like others


class EvictionApi(StrEnum):
    """Which API pods leave by."""

    EVICTION = "Eviction"  # policy/v1
    AUTO = "Auto"  # not served yet
    EVICTION_REQUEST = "EvictionRequest"  # not served yet


class PodBehavior(StrEnum):
    """What a pod rule says of the pods it selects."""

    DRAIN = "Drain"  # evict in the wave of its order
    SKIP = "Skip"  # leave it alone
    WAIT_COMPLETED = "WaitCompleted"  # wait until it ended


class Isolation(StrEnum):
    """How a quarantined machine is cut off."""

    TAINT = "Taint"  # nothing new is scheduled there
    NETWORK_POLICY = "NetworkPolicy"  # its pods may not talk
    LOAD_BALANCER_EXCLUSION = "LoadBalancerExclusion"  # load balancers leave it out


class Workloads(StrEnum):
    """What happens to the pods of a quarantined machine."""

    FREEZE = "Freeze"  # they keep running, out of their owners' and Services' sight
    EVICT = "Evict"  # they leave once the evidence is sealed


class Requirement(StrEnum):
    """How complete the evidence must be."""

    REQUIRED = "Required"  # everything, else it is not sealed
    BEST_EFFORT = "BestEffort"  # what could be got, and a list of what could not


class CollectorType(StrEnum):
    """What collects evidence."""

    API_OBJECTS = "APIObjects"  # Node, pods and events as the API shows them
    POD_LOGS = "PodLogs"  # current and previous container logs
    CONTAINER_CHECKPOINT = "ContainerCheckpoint"  # not served yet
    VOLUME_SNAPSHOT = "VolumeSnapshot"  # not served yet


class DestinationType(StrEnum):
    """Where evidence is kept."""

    FILESYSTEM = "Filesystem"  # under the operator's --evidence-dir
    S3 = "S3"  # not served yet


class OnHoldExpired(StrEnum):
    """What happens when the hold time is over."""

    KEEP = "Keep"  # an Event once a day until a person decides
    ROTATE = "Rotate"  # it is rotated, only when sealed


class BypassBrake(StrEnum):
    """Which brakes a severe finding may pass."""

    WINDOWS = "Windows"  # disruption.windows
    MIN_INTERVAL = "MinInterval"  # disruption.minInterval
    GATES = "Gates"  # disruption.gates


class BudgetAction(StrEnum):
    """Which starts a budget limits."""

    ROTATE = "Rotate"  # Rotations
    QUARANTINE = "Quarantine"  # Quarantines


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
    selector: LabelSelector
    exclude: LabelSelector | None = None


class Variable(SpecModel):
    """A named CEL expression that the rules of a policy share as `variables.<name>`."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=63)]
    expression: Annotated[str, Field(min_length=1, max_length=2048)]


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
    hard_limit: Duration | None = None
    jitter_percent: Annotated[int, Field(ge=0, le=100)] = 0


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
    container_runtime: _Comparison | None = None
    kernel: _Comparison | None = None


_Regex = Annotated[str, Field(min_length=1, max_length=512)]


class ImageRule(SpecModel):
    """osImage must match one of `allowed` in full (RE2), and none of `forbidden`."""

    allowed: Annotated[tuple[_Regex, ...], Field(min_length=1, max_length=32)]
    forbidden: Annotated[tuple[_Regex, ...], Field(max_length=32)] = ()


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
    required_annotations: (
        Annotated[dict[LabelKey, Annotated[str, Field(max_length=1024)]], Field(max_length=32)] | None
    ) = None
    forbidden_labels: Annotated[tuple[_Mark, ...], Field(max_length=32)] | None = None
    forbidden_taints: Annotated[tuple[_Mark, ...], Field(max_length=32)] | None = None


class BadCondition(SpecModel):
    """A condition and the status of it that is bad."""

    type: Annotated[str, Field(min_length=1, max_length=317)]
    status: Annotated[str, Field(pattern="^(True|False|Unknown)$", max_length=8)]


class ConditionsRule(SpecModel):
    """No listed condition may have its bad status for as long as `sustainedFor`."""

    sustained_for: Duration = timedelta(0)
    bad: Annotated[tuple[BadCondition, ...], Field(min_length=1, max_length=32)]


class ExpressionRule(SpecModel):
    """A CEL expression; true means compliant."""

    expression: Annotated[str, Field(min_length=1, max_length=2048)]
    message_expression: Annotated[str, Field(min_length=1, max_length=2048)] | None = None


class RequiredAgents(SpecModel):
    """DaemonSets that must run on the machine."""

    daemon_sets: Annotated[tuple[Annotated[str, Field(max_length=317)], ...], Field(max_length=32)]
    grace_period: Duration | None = None


class Vulnerabilities(SpecModel):
    """How many known vulnerabilities a machine may carry."""

    source: Annotated[str, Field(max_length=63)]
    min_severity: Severity | None = None
    max_count: Annotated[int, Field(ge=0)] | None = None
    fixable_only: bool | None = None
    grace_period: Duration | None = None


class Reports(SpecModel):
    """How many failures of a benchmark report a machine may carry."""

    source: Annotated[str, Field(max_length=63)]
    max_failures: Annotated[int, Field(ge=0)] | None = None
    min_severity: Severity | None = None


class Signals(SpecModel):
    """Which statements from outside make a machine suspicious."""

    source: Annotated[str, Field(max_length=63)]
    min_priority: Annotated[str, Field(max_length=32)] | None = None
    count: Annotated[int, Field(ge=1)] | None = None
    window: Duration | None = None


class IdentityChange(SpecModel):
    """Which identities must not change during a life."""

    watch: Annotated[
        tuple[Annotated[str, Field(pattern="^(bootID|machineID|providerID)$", max_length=16)], ...],
        Field(min_length=1, max_length=3),
    ]


class LicenseSeat(SpecModel):
    """Which licence pool must have a seat for the machine."""

    pool: Name


class RiskScore(SpecModel):
    """How high the risk of a machine may be, 0 to 100."""

    max: Annotated[int, Field(ge=0, le=100)]


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
    type: RuleType
    severity: Severity | None = None
    action: Action | None = None
    failure_policy: FailurePolicy | None = None
    max_age: MaxAge | None = None
    versions: VersionsRule | None = None
    image: ImageRule | None = None
    marks: MarksRule | None = None
    conditions: ConditionsRule | None = None
    expression: ExpressionRule | None = None
    required_agents: RequiredAgents | None = None
    vulnerabilities: Vulnerabilities | None = None
    reports: Reports | None = None
    signals: Signals | None = None
    identity_change: IdentityChange | None = None
    license_seat: LicenseSeat | None = None
    risk_score: RiskScore | None = None


_Schedule = Annotated[str, Field(min_length=1, max_length=128)]
_Zone = Annotated[str, Field(min_length=1, max_length=64)]


class Budget(SpecModel):
    """How many machines of what the target selects may be disrupted at once, always or by schedule."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.schedule) == has(self.duration)",
                    "message": "`schedule` and `duration` must be set together",
                },
                {
                    "rule": "!has(self.timeZone) || has(self.schedule)",
                    "message": "`timeZone` goes with `schedule`",
                },
            ]
        }
    )
    name: RuleName
    nodes: Amount
    schedule: _Schedule | None = None
    duration: Duration | None = None
    time_zone: _Zone | None = None
    actions: Annotated[tuple[BudgetAction, ...], Field(min_length=1, max_length=2)] | None = None
    topology_key: LabelKey | None = None


class Window(SpecModel):
    """When Rotations may start: from each firing of `schedule`, for `duration` of elapsed time."""

    schedule: _Schedule
    duration: Duration
    time_zone: _Zone = "UTC"


class Windows(SpecModel):
    """The allow-list of windows. Empty or absent means always."""

    allow: Annotated[tuple[Window, ...], Field(max_length=32)] = ()


class Bypass(SpecModel):
    """Which brakes a finding of at least this severity may pass."""

    min_severity: Severity
    brakes: Annotated[tuple[BypassBrake, ...], Field(min_length=1, max_length=3)]


class PrometheusGate(SpecModel):
    """A query whose value must not exceed a number."""

    url: Annotated[str, Field(max_length=1024)]
    query: Annotated[str, Field(max_length=2048)]
    max_value: Annotated[str, Field(max_length=32)]


class Gate(SpecModel):
    """Something outside that may say "not now"."""

    name: RuleName
    type: Annotated[str, Field(pattern="^Prometheus$", max_length=16)]
    prometheus: PrometheusGate | None = None


class Disruption(SpecModel):
    """What holds the policy's own starts, and budgets that bind every disruption of what the target selects."""

    budgets: Annotated[tuple[Budget, ...], Field(max_length=32)] = ()
    min_interval: Duration = timedelta(0)
    windows: Windows | None = None
    bypass: Bypass | None = None
    gates: Annotated[tuple[Gate, ...], Field(max_length=16)] | None = None
    max_verdict_flip: Amount | None = None


class RotationSettings(SpecModel):
    """How a machine is replaced."""

    provider: ProviderName = ProviderName.AUTO
    strategy: Strategy = Strategy.REPLACE_FIRST
    replacement_timeout: Duration = timedelta(minutes=20)
    soak_time: Duration = timedelta(minutes=1)
    max_failed_replacements: Annotated[int, Field(ge=1, le=100)] = 3
    on_failure: OnFailure = OnFailure.RESTORE


class PodRule(SpecModel):
    """How pods of a kind are drained. The first match by ascending name holds."""

    name: RuleName
    selector: LabelSelector
    behavior: Annotated[str, Field(min_length=1, max_length=32)]
    order: Annotated[int, Field(ge=-1000000, le=1000000)] = 0


class DrainSettings(SpecModel):
    """How pods leave a machine."""

    timeout: Duration = timedelta(hours=1)
    on_timeout: OnTimeout = OnTimeout.ABORT
    grace_period_seconds: Annotated[int, Field(ge=-1, le=86400)] = -1
    unmanaged_pods: PodPolicy = PodPolicy.BLOCK
    empty_dir_pods: PodPolicy = PodPolicy.EVICT
    eviction_api: EvictionApi = EvictionApi.EVICTION
    volume_detach_timeout: Duration = timedelta(minutes=10)
    pod_rules: Annotated[tuple[PodRule, ...], Field(max_length=32)] = ()


class PodLogs(SpecModel):
    """How far back logs are kept."""

    since: Duration = timedelta(hours=24)


class Collector(SpecModel):
    """One collector of evidence."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "self.type == 'PodLogs' || !has(self.podLogs)",
                    "message": "`podLogs` goes with `type` PodLogs only",
                }
            ]
        }
    )
    name: RuleName
    type: CollectorType
    pod_logs: PodLogs | None = None


class Destination(SpecModel):
    """Where evidence is kept."""

    type: DestinationType = DestinationType.FILESYSTEM


DEFAULT_COLLECTORS = (
    Collector(name="api", type=CollectorType.API_OBJECTS),
    Collector(name="logs", type=CollectorType.POD_LOGS, pod_logs=PodLogs()),
)


class EvidenceSettings(SpecModel):
    """What is kept of a quarantined machine."""

    requirement: Requirement = Requirement.REQUIRED
    timeout: Duration = timedelta(minutes=30)
    collectors: Annotated[tuple[Collector, ...], Field(min_length=1, max_length=16)] = DEFAULT_COLLECTORS
    destination: Destination = Destination()


class QuarantineSettings(SpecModel):
    """How a suspicious machine is frozen."""

    isolation: Annotated[tuple[Isolation, ...], Field(min_length=1, max_length=3)] = tuple(Isolation)
    workloads: Workloads = Workloads.FREEZE
    replace_capacity: bool = True
    evidence: EvidenceSettings = EvidenceSettings()
    hold_time: Duration = timedelta(hours=168)
    on_hold_expired: OnHoldExpired = OnHoldExpired.KEEP


class SecurityPolicySpec(SpecModel):
    """What is compliant, and what happens to what is not."""

    mode: Mode = Mode.AUDIT
    suspend: bool = False
    target: Target
    severity: Severity = Severity.MEDIUM
    action: Action = Action.ALERT
    variables: Annotated[tuple[Variable, ...], Field(max_length=32)] = ()
    rules: Annotated[tuple[Rule, ...], Field(min_length=1, max_length=64)]
    disruption: Disruption = Disruption()
    rotation: RotationSettings = RotationSettings()
    drain: DrainSettings = DrainSettings()
    quarantine: QuarantineSettings = QuarantineSettings()


_Count = Annotated[int, Field(ge=0)]


class InstanceCounts(StatusModel):
    """Machines by verdict."""

    matched: _Count = 0
    compliant: _Count = 0
    violating: _Count = 0
    unknown: _Count = 0
    exempt: _Count = 0


class ActionCounts(StatusModel):
    """What is under way, waits, or would be done."""

    rotating: _Count = 0
    quarantined: _Count = 0
    pending: _Count = 0
    blocked: _Count = 0
    failed: _Count = 0
    would_rotate: _Count = 0
    would_quarantine: _Count = 0


class RuleCounts(StatusModel):
    """Machines by the result of one rule."""

    model_config = ConfigDict(alias_generator=_camel, populate_by_name=True)
    name: RuleName
    passed: Annotated[_Count, Field(alias="pass")] = 0
    fail: _Count = 0
    error: _Count = 0
    exempt: _Count = 0


class SecurityPolicyStatus(StatusModel):
    """Counts and conditions; never a list of nodes."""

    observed_generation: int = 0
    conditions: Annotated[tuple[ConditionStatus, ...], Field(max_length=16)] = ()
    instances: InstanceCounts | None = None
    actions: ActionCounts | None = None
    blocked: Annotated[tuple[BlockedStatus, ...], Field(max_length=64)] = ()
    rules: Annotated[tuple[RuleCounts, ...], Field(max_length=64)] = ()
    disruptions_allowed: _Count | None = None


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
