"""The closed lists of words that users see: why something is blocked, and the reasons of Events. Public names."""

from __future__ import annotations

from enum import StrEnum


class BlockedReason(StrEnum):
    """Why nothing happens now. Used in status, Events, metrics and `exuvia explain`."""

    PAUSED = "Paused"  # somebody asked for a pause in FleetGuard
    OPTED_OUT = "OptedOut"  # a mark on the node, or on a pod that a drain would evict, forbids it
    BUDGET_EXHAUSTED = "BudgetExhausted"  # a policy's budget or a FleetGuard cap allows no more
    WINDOW_CLOSED = "WindowClosed"  # no allowed window is open
    MIN_INTERVAL = "MinInterval"  # the last start was too short a time ago
    RATE_LIMITED = "RateLimited"  # starts per hour are used up
    HEALTH_FLOOR = "HealthFloor"  # it would go below minHealthy
    STORM = "Storm"  # too many machines are unhealthy at once
    LEASES_EXPIRED = "LeasesExpired"  # too many node leases look expired: suspect ourselves
    ONE_ZONE_AT_A_TIME = "OneZoneAtATime"  # a Rotation is under way in another zone
    CONTROL_PLANE = "ControlPlane"  # control-plane nodes go one at a time, with the others healthy, never below three
    POOL_HALTED = "PoolHalted"  # the pool's last replacements all failed
    BACKING_OFF = "BackingOff"  # an earlier try failed, or a person called it off
    PROVIDER_UNKNOWN = "ProviderUnknown"  # no provider knows this machine
    REPLACEMENT_UNSUPPORTED = "ReplacementUnsupported"  # the provider cannot add a machine first
    WAITING_FOR_REPLACEMENT = "WaitingForReplacement"  # the replacement is not good yet
    PDB = "PDB"  # a PodDisruptionBudget forbids an eviction
    THROTTLED = "Throttled"  # the API server asks to slow down
    UNMANAGED_POD = "UnmanagedPod"  # a pod without controller would be lost
    EMPTY_DIR_POD = "EmptyDirPod"  # a pod's emptyDir would be lost
    POD_OPTED_OUT = "PodOptedOut"  # a pod's mark forbids its eviction
    POD_RULE_INVALID = "PodRuleInvalid"  # a pod rule names an unknown behaviour
    POD_STUCK = "PodStuck"  # a pod does not end
    VOLUME_ATTACHED = "VolumeAttached"  # a volume is still attached
    FORBIDDEN = "Forbidden"  # the API server refuses us the right
    UNSYNCED = "Unsynced"  # our view of the cluster is missing, partial or older than 60 s
    CLOCK_SKEW = "ClockSkew"  # our clock and the API server's differ by 60 s or more
    LEDGER_DOWN = "LedgerDown"  # the ledger cannot be written
    LEDGER_TRUNCATED = "LedgerTruncated"  # the ledger misses what it must hold
    QUARANTINED = "Quarantined"  # the machine is in quarantine
    QUARANTINE_LIMIT = "QuarantineLimit"  # FleetGuard.quarantine allows no more
    EVIDENCE_MISSING = "EvidenceMissing"  # it may not be destroyed before its evidence is sealed
    SELF_PINNED = "SelfPinned"  # exuvia's own ledger volume ties it to this machine
    READ_ONLY = "ReadOnly"  # the operator runs with --read-only
    UNINSTALLED = "Uninstalled"  # somebody asked for exuvia to be uninstalled
    FLEET_GUARD_DELETED = "FleetGuardDeleted"  # the brakes were deleted: re-created paused


class EventReason(StrEnum):
    """Reasons of the Events that exuvia writes (events.k8s.io/v1)."""

    VIOLATION_FOUND = "ViolationFound"  # an instance began to violate a policy
    COMPLIANCE_RESTORED = "ComplianceRestored"  # an instance complies again
    ROTATION_PLANNED = "RotationPlanned"  # a Rotation was opened
    ROTATION_BLOCKED = "RotationBlocked"  # a Rotation or its start waits; the note says for what
    ROTATION_STARTED = "RotationStarted"  # a Rotation left Pending
    REPLACEMENT_READY = "ReplacementReady"  # the replacement is good
    REPLACEMENT_FAILED = "ReplacementFailed"  # the replacement never became good
    DRAIN_BLOCKED = "DrainBlocked"  # a pod does not leave; the note names what holds it
    DRAINED = "Drained"  # a fresh list shows no pod that must leave
    ROTATION_SUCCEEDED = "RotationSucceeded"  # the machine was replaced
    ROTATION_FAILED = "RotationFailed"  # the Rotation ended without success
    ROTATION_ABORTED = "RotationAborted"  # the Rotation was called off
    QUARANTINED = "Quarantined"  # a machine was isolated
    EVIDENCE_CAPTURED = "EvidenceCaptured"  # a collector finished
    EVIDENCE_CAPTURE_FAILED = "EvidenceCaptureFailed"  # a collector failed; it is retried
    EVIDENCE_SEALED = "EvidenceSealed"  # the manifest was written, read back and verified
    QUARANTINE_TAMPERED = "QuarantineTampered"  # somebody took off our marks; they are put back
    MACHINE_ID_SHARED = "MachineIDShared"  # a new machine has the machineID of a quarantined one: no proof
    QUARANTINE_HOLD_EXPIRING = "QuarantineHoldExpiring"  # the hold time is over; a person must decide
    QUARANTINE_RELEASED = "QuarantineReleased"  # the quarantine ended
    SEAT_GRANTED = "SeatGranted"  # a licence seat was granted
    SEAT_RECLAIMED = "SeatReclaimed"  # a licence seat came back
    LICENSE_POOL_EXHAUSTED = "LicensePoolExhausted"  # no seat is left
    LICENSE_AGENT_NOT_FOUND = "LicenseAgentNotFound"  # no pod of the agent that a licence pool names was ever seen
    POLICY_INVALID = "PolicyInvalid"  # a policy cannot be used; the note names the field
    POLICY_HELD = "PolicyHeld"  # an edit waits for an acknowledgement
    BRAKE_ENGAGED = "BrakeEngaged"  # a brake of the fleet holds starts
    BRAKE_RELEASED = "BrakeReleased"  # it lets go
    SURPLUS_INSTANCE = "SurplusInstance"  # a machine was launched and is not needed
    FLEET_GUARD_DELETED = "FleetGuardDeleted"  # the brakes were deleted: re-created paused


class EndReason(StrEnum):
    """Why an operation ended (reason of its final condition)."""

    REPLACED = "Replaced"  # Rotation succeeded: the old machine is gone and a good one is there
    INSTANCE_GONE = "InstanceGone"  # the machine was gone by another's hand
    DUPLICATE = "Duplicate"  # another one of the kind comes first: an older one, or one that carries out a release
    CALLED_OFF = "CalledOff"  # a person aborted or deleted it
    NO_LONGER_WANTED = "NoLongerWanted"  # no enforcing policy wants it any more
    SUPERSEDED_BY_QUARANTINE = "SupersededByQuarantine"  # a Quarantine took the machine over
    REPLACEMENT_FAILED = "ReplacementFailed"  # the replacement never became good
    NO_REPLACEMENT = "NoReplacement"  # nobody refilled the pool in time
    DRAIN_TIMEOUT = "DrainTimeout"  # pods did not leave in time
    PROVIDER_REFUSED = "ProviderRefused"  # the provider says no for good
    RELEASED = "Released"  # Quarantine: released by a person or by its hold time
    PASSED_ON = "PassedOn"  # Quarantine: the same machine is held under its new UID
