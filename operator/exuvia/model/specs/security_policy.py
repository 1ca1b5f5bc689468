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
    MEDIUM = "Medium"  # should be mended
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
    VIRTUAL_MACHINE_INSTANCE = "VirtualMachineInstance"  # KubeVirt, not served yet


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

    IGNORE = "Ignore"  # error: the machine is unknown
    FAIL = "Fail"  # fail: the machine violates


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
    """How high the risk of a machine may be, 0 to 100."""

    max: Annotated[int, Field(ge=0, le=100)]
    """The highest risk that complies."""


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
    """Not served yet: which licence pool must have a seat for the machine."""
    risk_score: RiskScore | None = None
    """Not served yet: how high the risk of a machine may be, 0 to 100."""


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
    """The budget's name, unique in the policy; metrics and messages bear it."""
    nodes: Amount
    """How many machines of those that the target selects may be disrupted at once. A percentage is of them and rounds
    down, but never below 1 for two machines or more."""
    schedule: _Schedule | None = None
    """When it begins to bind: 5-field cron or a macro such as @daily; set together with `duration`. Unset: it always
    binds."""
    duration: Duration | None = None
    """How long it binds from each firing of `schedule`, in elapsed time."""
    time_zone: _Zone | None = None
    """The IANA time zone of `schedule`. Unset: UTC."""
    actions: Annotated[tuple[BudgetAction, ...], Field(min_length=1, max_length=2)] | None = None
    """Which starts it holds. Unset: Rotations."""
    topology_key: LabelKey | None = None
    """A label: the budget holds for each of its values apart, and a missing label is the value "". Unset: for all of
    them together."""


class Window(SpecModel):
    """When Rotations may start: from each firing of `schedule`, for `duration` of elapsed time."""

    schedule: _Schedule
    """When the window opens: 5-field cron or a macro such as @daily."""
    duration: Duration
    """How long it stays open, in elapsed time."""
    time_zone: _Zone = "UTC"
    """The IANA time zone of `schedule`."""


class Windows(SpecModel):
    """The allow-list of windows. Empty or absent means always."""

    allow: Annotated[tuple[Window, ...], Field(max_length=32)] = ()
    """The windows; one that is open is enough. Empty: Rotations may start at any time."""


class Bypass(SpecModel):
    """Which brakes a finding of at least this severity may pass."""

    min_severity: Severity
    """From which severity on a finding passes the brakes."""
    brakes: Annotated[tuple[BypassBrake, ...], Field(min_length=1, max_length=3)]
    """Which brakes of this policy it passes."""


class PrometheusGate(SpecModel):
    """A query whose value must not exceed a number."""

    url: Annotated[str, Field(max_length=1024)]
    """The address of Prometheus."""
    query: Annotated[str, Field(max_length=2048)]
    """The query, which must answer with one number."""
    max_value: Annotated[str, Field(max_length=32)]
    """The greatest number that lets Rotations start."""


class Gate(SpecModel):
    """Something outside that may say "not now"."""

    name: RuleName
    """The gate's name, unique in the policy."""
    type: Annotated[str, Field(pattern="^Prometheus$", max_length=16)]
    """Prometheus."""
    prometheus: PrometheusGate | None = None


class Disruption(SpecModel):
    """What holds the policy's own starts, and budgets that bind every disruption of what the target selects."""

    budgets: Annotated[tuple[Budget, ...], Field(max_length=32)] = ()
    """How many machines of what the target selects may be disrupted at once, whatever the policy's mode; the smallest
    active one binds. None: only FleetGuard's caps hold."""
    min_interval: Duration = timedelta(0)
    """How long after a start of this policy the next one waits, so that no crowd starts when a window opens."""
    windows: Windows | None = None
    """When Rotations may start. Unset: at any time."""
    bypass: Bypass | None = None
    """Which brakes a severe finding may pass. Unset: none."""
    gates: Annotated[tuple[Gate, ...], Field(max_length=16)] | None = None
    """Not served yet: what outside may say "not now"."""
    max_verdict_flip: Amount | None = None
    """Not served yet: an edit that flips more verdicts than this is held until it is acknowledged."""


class RotationSettings(SpecModel):
    """How a machine is replaced."""

    provider: ProviderName = ProviderName.AUTO
    """What replaces the machine."""
    strategy: Strategy = Strategy.REPLACE_FIRST
    """Which comes first. A provider that cannot add a machine first needs DrainFirst."""
    replacement_timeout: Duration = timedelta(minutes=20)
    """How long a replacement may take to become good before the Rotation fails."""
    soak_time: Duration = timedelta(minutes=1)
    """How long a replacement must be Ready and fail no policy, without a break, to be good."""
    max_failed_replacements: Annotated[int, Field(ge=1, le=100)] = 3
    """After how many failed Rotations one after the other a pool is halted."""
    on_failure: OnFailure = OnFailure.RESTORE
    """What happens to the old machine when a Rotation fails."""


class PodRule(SpecModel):
    """How pods of a kind are drained. The first match by ascending name holds."""

    name: RuleName
    """The rule's name, unique in the list; the first match by ascending name holds."""
    selector: LabelSelector
    """Which pods, by their labels; {} means all."""
    behavior: Annotated[str, Field(min_length=1, max_length=32)]
    """Drain (evict), Skip (leave alone) or WaitCompleted (wait until it ended). Any other word stops the drain of the
    machine."""
    order: Annotated[int, Field(ge=-1000000, le=1000000)] = 0
    """The wave in which the pods leave: lower first, strictly one after the other."""


class DrainSettings(SpecModel):
    """How pods leave a machine."""

    timeout: Duration = timedelta(hours=1)
    """How long a drain may take; paused time does not count."""
    on_timeout: OnTimeout = OnTimeout.ABORT
    """What happens when it takes longer."""
    grace_period_seconds: Annotated[int, Field(ge=-1, le=86400)] = -1
    """How many seconds a pod gets to end; -1: what the pod itself asks for."""
    unmanaged_pods: PodPolicy = PodPolicy.BLOCK
    """What happens to pods without a controller: nobody starts them again."""
    empty_dir_pods: PodPolicy = PodPolicy.EVICT
    """What happens to pods with emptyDir volumes: their data is lost."""
    eviction_api: EvictionApi = EvictionApi.EVICTION
    """Which API pods leave by."""
    volume_detach_timeout: Duration = timedelta(minutes=10)
    """How long volumes of drained pods are awaited to be detached before the machine is removed all the same."""
    pod_rules: Annotated[tuple[PodRule, ...], Field(max_length=32)] = ()
    """How certain pods are drained. None: every pod is evicted in wave 0."""


class PodLogs(SpecModel):
    """How far back logs are kept."""

    since: Duration = timedelta(hours=24)
    """How far back logs are taken."""


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
    """The collector's name, unique in the list."""
    type: CollectorType
    """What it collects."""
    pod_logs: PodLogs | None = None
    """Settings of PodLogs, and of no other type."""


class Destination(SpecModel):
    """Where evidence is kept."""

    type: DestinationType = DestinationType.FILESYSTEM
    """What kind of place."""


DEFAULT_COLLECTORS = (
    Collector(name="api", type=CollectorType.API_OBJECTS),
    Collector(name="logs", type=CollectorType.POD_LOGS, pod_logs=PodLogs()),
)


class EvidenceSettings(SpecModel):
    """What is kept of a quarantined machine."""

    requirement: Requirement = Requirement.REQUIRED
    """How complete the evidence must be to be sealed."""
    timeout: Duration = timedelta(minutes=30)
    """How long one attempt to collect may take."""
    collectors: Annotated[tuple[Collector, ...], Field(min_length=1, max_length=16)] = DEFAULT_COLLECTORS
    """What is collected. Unset: APIObjects, and PodLogs of 24h."""
    destination: Destination = Destination()
    """Where evidence is kept."""


class QuarantineSettings(SpecModel):
    """How a suspicious machine is frozen."""

    isolation: Annotated[tuple[Isolation, ...], Field(min_length=1, max_length=3)] = tuple(Isolation)
    """How the machine is cut off."""
    workloads: Workloads = Workloads.FREEZE
    """What happens to its pods."""
    replace_capacity: bool = True
    """Whether the provider is asked for another machine at once."""
    evidence: EvidenceSettings = EvidenceSettings()
    """What is kept of it before anything may destroy it."""
    hold_time: Duration = timedelta(hours=168)
    """How long a machine is held before `onHoldExpired` counts."""
    on_hold_expired: OnHoldExpired = OnHoldExpired.KEEP
    """What happens then."""


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
