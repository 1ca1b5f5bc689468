"""Facts: what the ledger is told, as plain data. Bodies hold strings, booleans, null, integers, lists and maps only.

Decimals are strings with their source text (history.md, Ledger), so that the canonical JSON of an entry is the same for
everybody who checks the chain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any


class FactKind(StrEnum):
    """What a fact is about. The words are stored: they do not change."""

    BIRTH = "birth"  # an instance was first seen
    DEATH = "death"  # an instance is gone
    IDENTITY = "identity"  # an instance's identity changed (providerID, machineID, bootID, name, addresses)
    VERDICT = "verdict"  # a policy's verdict about an instance changed
    INTENT = "intent"  # a step of an operation will be done
    OUTCOME = "outcome"  # what came of it: one an intent
    OPERATION = "operation"  # an operation was opened, started or ended
    PLACEMENT = "placement"  # a pod began or ceased to run on an instance
    BRAKE = "brake"  # a brake of the fleet engaged or let go
    EVIDENCE = "evidence"  # evidence was sealed, with the digest of its manifest
    CUSTODY = "custody"  # somebody decided about a quarantined machine
    ACCEPTED = "accepted"  # a person accepted a ledger that misses entries
    SEAT = "seat"  # a licence seat was granted, returned, waited for or refused
    INSTANCE = "instance"  # a whole life, as one line from elsewhere tells it
    PRESENCE = "presence"  # a vulnerability was on an instance
    SCORE = "score"  # a source gave a vulnerability a score
    FROZEN = "frozen"  # an instance was frozen by a quarantine
    SESSION = "session"  # somebody was on an instance
    GAP = "gap"  # a living instance was not Ready, or its Lease was not renewed
    HOLD = "hold"  # a person held back, or let go, what pruning and erasing would take
    CHECKPOINT = "checkpoint"  # entries were pruned; what is needed to check the rest
    ERASED = "erased"  # the key to a person's name was destroyed


class DeathReason(StrEnum):
    """Why an instance died, as far as it can honestly be known."""

    EXUVIA = "exuvia"  # an operation of ours
    SCALE_DOWN = "scale-down"  # an autoscaler
    SPOT = "spot"  # the cloud took it back
    PERSON = "person"  # somebody deleted it
    UNKNOWN = "unknown"  # it cannot be known


class GapKind(StrEnum):
    """What was missing of a living instance. The words are stored: they do not change."""

    NOT_READY = "NotReady"  # its condition Ready was not True
    LEASE = "Lease"  # its kubelet did not renew its Lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One fact. `at` is when it was so (valid time); the ledger adds when we learnt it (recorded time)."""

    kind: FactKind
    at: datetime
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Where the last of some facts stands in the chain. `hash` in hex. It is durable."""

    seq: int
    hash: str


class LedgerState(StrEnum):
    """How the ledger is."""

    FINE = "Fine"  # durable and trusted
    LOCKED = "Locked"  # somebody else holds it; for up to 10 s that is normal
    DOWN = "Down"  # it cannot be written
    NOT_TRUSTED = "NotTrusted"  # entries that must be there are missing


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerHealth:
    """How the ledger is, why, and since when. `missing`: entries that it must hold and does not, `number:hash`;
    `losses`: how often one was found missing since it was opened."""

    state: LedgerState
    message: str = ""
    since: datetime | None = None
    missing: tuple[str, ...] = ()
    losses: int = 0


def birth(*, instance: Mapping[str, Any], at: datetime) -> Fact:
    """An instance was born: uid, kind, name, pool, zone, providerID, machineID, bootID, addresses."""
    return Fact(kind=FactKind.BIRTH, at=at, body=dict(instance))


def death(
    *,
    uid: str,
    reason: DeathReason,
    at: datetime,
    by: str = "",
    not_before: datetime | None = None,
    scanned: bool = True,
) -> Fact:
    """An instance died at `at`; with `not_before` it is only known to have been between the two. `scanned` False: it is
    known that no report of an image on it was ever there."""
    body: dict[str, Any] = {"uid": uid, "reason": reason.value, "by": by}
    if not scanned:
        body["scanned"] = False
    if not_before is not None:
        body["notBefore"] = microseconds(not_before)
    return Fact(kind=FactKind.DEATH, at=at, body=body)


def identity(*, uid: str, attribute: str, value: str, former: str, at: datetime) -> Fact:
    """One identity of a living instance changed."""
    body = {"uid": uid, "attribute": attribute, "value": value, "former": former}
    return Fact(kind=FactKind.IDENTITY, at=at, body=body)


def verdict(*, uid: str, policy: str, policy_uid: str, result: str, severity: str, rules: str, at: datetime) -> Fact:
    """A policy's verdict about an instance changed; `rules` names what fails or errs, comma-separated."""
    body = {
        "uid": uid,
        "policy": policy,
        "policyUID": policy_uid,
        "result": result,
        "severity": severity,
        "rules": rules,
    }
    return Fact(kind=FactKind.VERDICT, at=at, body=body)


def intent(
    *, operation: str, kind: str, step: str, instance: str, policy: str, generation: int, epoch: int, at: datetime
) -> Fact:
    """A step of an operation will be done (safety.md, 1)."""
    body = {
        "operation": operation,
        "kind": kind,
        "step": step,
        "instance": instance,
        "policy": policy,
        "generation": generation,
        "epoch": epoch,
    }
    return Fact(kind=FactKind.INTENT, at=at, body=body)


def outcome(*, operation: str, intent: int, result: str, message: str, at: datetime) -> Fact:
    """What came of the intent with that sequence number."""
    body = {"operation": operation, "intent": intent, "result": result, "message": message[:1024]}
    return Fact(kind=FactKind.OUTCOME, at=at, body=body)


def operation(
    *,
    uid: str,
    kind: str,
    name: str,
    event: str,
    instance: str,
    policy: str,
    rule: str,
    pool: str,
    result: str,
    by: str,
    at: datetime,
    late: bool = False,
    verdict: str = "",
    released_by: str = "",
) -> Fact:
    """An operation was `started` or `ended` (then `result` is phase and reason, `Failed/DrainTimeout`)."""
    body: dict[str, Any] = {
        "uid": uid,
        "kind": kind,
        "name": name,
        "event": event,
        "instance": instance,
        "policy": policy,
        "rule": rule,
        "pool": pool,
        "result": result,
        "by": by,
    }
    if late:
        body["late"] = True
    if verdict:
        body |= {"verdict": verdict, "releasedBy": released_by}
    return Fact(kind=FactKind.OPERATION, at=at, body=body)


def placement(*, pod: Mapping[str, Any], instance: str, event: str, at: datetime) -> Fact:
    """A pod began (`from`) or ceased (`to`) to run on an instance."""
    return Fact(kind=FactKind.PLACEMENT, at=at, body={**pod, "instance": instance, "event": event})


def stay(*, pod: Mapping[str, Any], instance: str, began: datetime) -> Fact:
    """A placement as a whole: what is known of a pod that runs takes the place of what was known when it began."""
    body = {key: value for key, value in pod.items() if key not in ("uid", "name")}
    body |= {"uid": instance, "podUid": pod["uid"], "pod": pod["name"], "from": text(began), "to": None}
    return Fact(kind=FactKind.PLACEMENT, at=began, body=body)


def frozen(*, uid: str, began: datetime, ended: datetime | None = None) -> Fact:
    """An instance was frozen by a quarantine; with `ended` None it is still."""
    return Fact(kind=FactKind.FROZEN, at=began, body={"uid": uid, **_interval(began, ended)})


def gap(*, uid: str, what: GapKind, began: datetime, ended: datetime | None = None) -> Fact:
    """Something was missing of a living instance; with `ended` None it is still. Its death ends it too."""
    body = {"uid": uid, "what": what.value, **_interval(began, ended)}
    return Fact(kind=FactKind.GAP, at=began if ended is None else ended, body=body)


def presence(
    *,
    uid: str,
    vulnerability: str,
    began: datetime,
    ended: datetime | None = None,
    closed: str = "",
    **more: str,
) -> Fact:
    """A vulnerability was on an instance; with `ended` None it is still. `more` is kept with it: image and workload."""
    body = {"uid": uid, "vulnerability": vulnerability, **_interval(began, ended), "closed": closed, **more}
    return Fact(kind=FactKind.PRESENCE, at=began, body=body)


def score(*, vulnerability: str, source: str, value: str, basis: str, valid_from: datetime, **more: str) -> Fact:
    """A source gave a vulnerability a score, as the decimal that it wrote, valid from a moment."""
    body = {"vulnerability": vulnerability, "source": source, "value": value, "basis": basis}
    return Fact(kind=FactKind.SCORE, at=valid_from, body={**body, "validFrom": text(valid_from), **more})


def _interval(began: datetime, ended: datetime | None) -> dict[str, str | None]:
    return {"from": text(began), "to": None if ended is None else text(ended)}


def brake(*, name: str, engaged: bool, reason: str, at: datetime) -> Fact:
    """A brake of the fleet engaged or let go."""
    return Fact(kind=FactKind.BRAKE, at=at, body={"brake": name, "engaged": engaged, "reason": reason[:1024]})


def evidence(*, operation: str, instance: str, digest: str, path: str, at: datetime) -> Fact:
    """Evidence was sealed."""
    body = {"operation": operation, "instance": instance, "digest": digest, "manifest": path}
    return Fact(kind=FactKind.EVIDENCE, at=at, body=body)


def custody(*, operation: str, by: str, what: str, at: datetime) -> Fact:
    """Somebody decided about a quarantined machine."""
    return Fact(kind=FactKind.CUSTODY, at=at, body={"operation": operation, "by": by, "what": what[:1024]})


def accepted(*, by: str, reason: str, at: datetime, missing: Sequence[str] = ()) -> Fact:
    """A person accepted a ledger that misses entries. `missing` (`number:hash`): what it is about."""
    body: dict[str, Any] = {"by": by, "reason": reason[:1024]}
    if missing:
        body["missing"] = list(missing)
    return Fact(kind=FactKind.ACCEPTED, at=at, body=body)


def seat(body: Mapping[str, Any], at: datetime) -> Fact:
    """A licence seat was granted, returned, waited for or refused; what exactly is made by `decide.seats.entries`."""
    return Fact(kind=FactKind.SEAT, at=at, body=dict(body))


def text(moment: datetime) -> str:
    """RFC 3339 in UTC, to the microsecond: as lines of history hold moments."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def microseconds(moment: datetime) -> int:
    """Whole microseconds since 1970 UTC: exact, and below 2^53 until the year 2255."""
    delta = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
