"""How machines are rotated, drained and quarantined: what a policy lends its operations (api.md)."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import ConfigDict, Field

from exuvia.model.specs.choices import (
    CollectorType,
    DestinationType,
    EvictionApi,
    Isolation,
    OnFailure,
    OnHoldExpired,
    OnTimeout,
    PodPolicy,
    ProviderName,
    Requirement,
    Strategy,
    Workloads,
)
from exuvia.model.specs.common import Duration, LabelSelector, RuleName, SpecModel


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
