"""The closed lists that policies choose from. The comment beside each member is what `kubectl explain` says of it."""

from __future__ import annotations

from enum import StrEnum


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
    LICENSE_SEAT = "LicenseSeat"  # a seat of a licence pool
    RISK_SCORE = "RiskScore"  # the risk now, by the ledger


SERVED_RULES = (
    RuleType.MAX_AGE,
    RuleType.VERSIONS,
    RuleType.IMAGE,
    RuleType.MARKS,
    RuleType.CONDITIONS,
    RuleType.EXPRESSION,
    RuleType.LICENSE_SEAT,
    RuleType.RISK_SCORE,
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
