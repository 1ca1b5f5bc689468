"""The chronicle: what the ledger is told of births, deaths, identities and placements, found by comparing view and
ledger. Level-based: what was missed while nobody looked is found by the next comparison, and marked as uncertain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from exuvia.app.askers import Askers
from exuvia.app.placements import Placements
from exuvia.model import facts
from exuvia.model.facts import DeathReason, Fact
from exuvia.model.instances import Instance
from exuvia.model.pods import Pod
from exuvia.record.recall import Life
from exuvia.record.standing import Placed
from exuvia.record.trust import NEVER

SCALE_DOWN_TAINTS = ("ToBeDeletedByClusterAutoscaler", "karpenter.sh/disrupted")
SPOT_TAINTS = ("aws-node-termination-handler/spot-itn", "cloud.google.com/impending-node-termination")
READY_ONCE = "readyOnce"
DELETED_BY = "deletedBy"  # a person who asked the API server for it: the machine may live on while it has finalizers
GRAIN = timedelta(seconds=1)  # of creation times
FREED = 1024  # names whose last death is remembered: others are taken again later than a second after it
VALUE_LENGTH = 512  # of a value, as the ledger keeps it

Borne = Mapping[str, Mapping[str, set[str]]]
"""UID -> attribute -> the values that a machine bears, as last recorded."""


class Chronicle:
    """Knows what the ledger holds of living machines and running pods; tells the difference as facts."""

    def __init__(self, note: Callable[..., None], now: Callable[[], datetime]) -> None:
        self._note = note
        self._now = now
        self._alive: dict[str, Instance | None] = {}
        self._lives: dict[str, Life] = {}
        self._borne: dict[str, Mapping[str, set[str]]] = {}
        self._told: set[str] = set()
        self._freed: dict[str, datetime] = {}
        self._askers = Askers()
        self.placements = Placements()
        self.ready_once: set[str] = set()
        self.loaded = False
        self.loads = 0
        self.accepted = NEVER  # the last acceptance of a loss in the ledger that was loaded

    def load(
        self,
        alive: Mapping[str, Life],
        placed: Mapping[str, Placed],
        ready_once: Iterable[str],
        borne: Borne,
        told: Iterable[str] = (),
        freed: Mapping[str, datetime] | None = None,
    ) -> None:
        """What the ledger says; at the start of a term, and again when it may have lost something. `placed`: by the UID
        of a pod. `told`: machines that are gone here, and whose lives it knows. `freed`: name -> when the last machine
        that bore it died."""
        self._alive = {uid: self._alive.get(uid) for uid in alive}
        self._lives = dict(alive)
        self._told = set(told)
        self._freed |= freed or {}
        self.placements.load(placed)
        self.ready_once |= set(ready_once)
        self._askers.know((uid, by) for uid, borne_ in borne.items() for by in sorted(borne_.get(DELETED_BY, ())))
        self._borne = {uid: borne[uid] for uid, known in self._alive.items() if known is None and uid in borne}
        self.loaded = True
        self.loads += 1

    def settle(
        self,
        living: Mapping[str, Instance],
        running: set[str],
        last_seen: datetime | None,
        removed: Mapping[str, str],
    ) -> list[tuple[Life, DeathReason]]:
        """Deaths and ends that happened while nobody looked: somewhere between `last_seen`, when everything that had
        happened was in the ledger, and now; None: since it was born. `removed`: UID of a machine that exuvia removed ->
        the Rotation that did. Returns the deaths."""
        found = []
        heirs = {one.name: one.born for one in living.values()}
        for uid in [one for one in self._alive if one not in living]:
            ours, life = removed.get(uid, ""), self._lives[uid]
            first = life.born if last_seen is None else max(life.born, last_seen)
            reason, by = (DeathReason.EXUVIA, ours) if ours else self._by_person(uid, first, self._now())
            found.append((life, reason))
            heir = min((heirs[name] for name in self._names(uid) if name in heirs), default=None)
            self._die(uid, reason, by, last_seen or life.born, heir)
            self._told.add(uid)
        for uid in set(self.placements) - running:
            self._end(uid, missed=True, last_seen=last_seen)
        return found

    def asked(self, uid: str, by: str, at: datetime) -> None:
        """A person asked the API server then to delete it: its deletion, if one begins soon, is that person's. Of a
        machine that does not live nothing is remembered."""
        if uid in self._alive:
            self._askers.note(uid, by, at)

    def deleted(self, uid: str, by: str) -> None:
        """A person deleted it: it lives on only for its finalizers."""
        self._askers.know([(uid, by)])

    def reason_of(self, last: Instance, since: datetime | None = None) -> tuple[DeathReason, str]:
        """Why a machine is gone that exuvia did not remove, and by whom: who asked for it is more than any mark. With
        `since` it may have been gone since then."""
        now = self._now()
        first, until = (since or now, now) if last.deleting_since is None else (last.deleting_since,) * 2
        reason, by = self._by_person(last.uid, first, until)
        return (reason, by) if by else (marked_reason(last), "")

    def _by_person(self, uid: str, first: datetime, last: datetime) -> tuple[DeathReason, str]:
        by = self._askers.of(uid, first, last)
        return (DeathReason.PERSON if by else DeathReason.UNKNOWN), by

    def _names(self, uid: str) -> Iterable[str]:
        known = self._alive[uid]
        return (known.name,) if known is not None else self._borne.get(uid, {}).get("name", ())

    def _die(
        self,
        uid: str,
        reason: DeathReason,
        by: str,
        not_before: datetime | None = None,
        heir: datetime | None = None,
        scanned: bool = True,
    ) -> None:
        """No life ends before it began: where our clock is behind the server's, it ended between the two moments. Nor
        does one last until after the birth of its `heir`, who bears the same name: a name is free by then."""
        names = tuple(self._names(uid))
        del self._alive[uid]
        born = self._lives.pop(uid).born
        at, earliest = _after(born, self._now(), not_before if not_before is None else max(born, not_before))
        if heir is not None and born - GRAIN < heir < at:
            at = max(born, heir)
            earliest = None if earliest is None else min(earliest, at)
        for name in names:
            self._freed[name] = at
        while len(self._freed) > FREED:
            del self._freed[next(iter(self._freed))]
        self._note(facts.death(uid=uid, reason=reason, at=at, by=by, not_before=earliest, scanned=scanned))

    def _end(self, pod_uid: str, *, missed: bool = False, last_seen: datetime | None = None) -> None:
        placed = self.placements.pop(pod_uid)
        if placed is None:
            return
        not_before = max(placed.began, last_seen or placed.began) if missed else None
        at, earliest = _after(placed.began, self._now(), not_before)
        self._note(_ended(pod_uid, at, earliest))

    def seen(self, instance: Instance) -> bool:
        """A machine as it is now: a birth (True), a changed identity, Ready for the first time, or nothing new."""
        if not self.loaded:
            return False
        born = instance.uid not in self._alive
        former = self._alive.get(instance.uid)
        since = self._born(instance) if born else self._lives[instance.uid].born
        if born:
            self._note(facts.birth(instance=_body(instance), at=since))
        elif former is not None:
            self._note(*_identities(former, instance, self._now()))
        elif instance.uid in self._borne:
            self._note(*_drifted(self._borne.pop(instance.uid), instance, self._now()))
        self._alive[instance.uid] = instance
        self._lives[instance.uid] = Life(kind=str(instance.kind), pool=instance.pool, born=since)
        if instance.ready and instance.uid not in self.ready_once:
            self.ready_once.add(instance.uid)
            fact = facts.identity(uid=instance.uid, attribute=READY_ONCE, value="true", former="", at=self._now())
            self._note(fact)
        return born

    def _born(self, instance: Instance) -> datetime:
        """A creation is told in whole seconds; the name was free by then, so it was after the death of who bore it."""
        freed = self._freed.pop(instance.name, instance.born)
        return freed if instance.born < freed < instance.born + GRAIN else instance.born

    def gone(
        self,
        last: Instance,
        reason: DeathReason,
        by: str,
        not_before: datetime | None = None,
        heir: datetime | None = None,
        *,
        scanned: bool = True,
    ) -> bool:
        """A machine is gone now; with `not_before` it may have been since then; `heir`: when another was born that
        bears its name; `scanned` False: no report of an image on it was ever there. False: its death was told already.
        Of one that nobody had told of yet the birth is told too."""
        if not self.loaded or (last.uid not in self._alive and last.uid in self._told):
            return False
        if last.uid not in self._alive:
            self.seen(last)
        self.ready_once.discard(last.uid)
        self._die(last.uid, reason, by, not_before, heir, scanned)
        return True

    def missed(
        self, last: Instance, reason: DeathReason, by: str, not_before: datetime, heir: datetime | None = None
    ) -> bool:
        """The same of a death that was found afterwards: nobody need tell it once more."""
        told = self.gone(last, reason, by, not_before, heir)
        self._told.add(last.uid)
        return told

    def placed(self, pod: Pod, instance: str) -> None:
        """A pod is bound to a machine; or runs images that were not known when it was bound."""
        if not self.loaded or pod.finished:
            return
        former = self.placements.get(pod.uid)
        if former is None:
            at = pod.started or pod.created
            self.placements.put(pod.uid, Placed(instance=instance, began=at, images=pod.image_digests))
            self._note(facts.placement(pod=_pod_body(pod), instance=instance, event="from", at=at))
        elif pod.image_digests and set(pod.image_digests) != set(former.images):
            now = Placed(instance=former.instance, began=former.began, images=pod.image_digests)
            self.placements.put(pod.uid, now)
            self._note(facts.stay(pod=_pod_body(pod), instance=former.instance, began=former.began))

    def unplaced(self, pod_uid: str) -> None:
        """A pod is gone, or has finished."""
        if self.loaded:
            self._end(pod_uid)


def marked_reason(last: Instance) -> DeathReason:
    """By the marks that others leave on a machine that they remove; honestly unknown without one."""
    if any(one.key in SCALE_DOWN_TAINTS for one in last.taints):
        return DeathReason.SCALE_DOWN
    if any(one.key in SPOT_TAINTS for one in last.taints):
        return DeathReason.SPOT
    return DeathReason.UNKNOWN


def _after(began: datetime, now: datetime, not_before: datetime | None) -> tuple[datetime, datetime | None]:
    """(when something ended, since when that may have been so; None: it is known exactly)."""
    if now < began:
        return began, now
    return now, min(not_before, now) if not_before is not None else None


def _ended(pod_uid: str, at: datetime, not_before: datetime | None) -> Fact:
    pod: dict[str, Any] = {"uid": pod_uid}
    if not_before is not None:
        pod["notBefore"] = facts.microseconds(not_before)
    return facts.placement(pod=pod, instance="", event="to", at=at)


def _body(one: Instance) -> dict[str, Any]:
    return {
        "uid": one.uid,
        "kind": str(one.kind),
        "name": one.name,
        "pool": one.pool,
        "zone": one.zone,
        "providerID": one.provider_id,
        "machineID": one.machine_id,
        "bootID": one.boot_id,
        "addresses": list(one.addresses),
    }


def _identities(former: Instance, now: Instance, at: datetime) -> Iterable[Fact]:
    before, after = _attributes(former), _attributes(now)
    for attribute, old in before.items():
        if old != after[attribute]:
            yield facts.identity(uid=now.uid, attribute=attribute, value=after[attribute], former=old, at=at)
    yield from _moved(now.uid, set(former.addresses), set(now.addresses), at)


def _drifted(borne: Mapping[str, set[str]], now: Instance, at: datetime) -> Iterable[Fact]:
    """The same against the ledger: what changed while nobody looked."""
    for attribute, new in _attributes(now).items():
        for old in sorted(borne.get(attribute) or {""}):
            if old != new[:VALUE_LENGTH]:
                yield facts.identity(uid=now.uid, attribute=attribute, value=new, former=old, at=at)
    addresses = {one[:VALUE_LENGTH] for one in now.addresses}
    yield from _moved(now.uid, borne.get("address") or set(), addresses, at)


def _attributes(one: Instance) -> dict[str, str]:
    return {"providerID": one.provider_id, "machineID": one.machine_id, "bootID": one.boot_id}


def _moved(uid: str, former: set[str], now: set[str], at: datetime) -> Iterable[Fact]:
    for old in sorted(former - now):
        yield facts.identity(uid=uid, attribute="address", value="", former=old, at=at)
    for new in sorted(now - former):
        yield facts.identity(uid=uid, attribute="address", value=new, former="", at=at)


def _pod_body(pod: Pod) -> dict[str, Any]:
    owner = f"{pod.owner.kind}/{pod.owner.name}" if pod.owner else ""
    return {
        "uid": pod.uid,
        "namespace": pod.namespace,
        "name": pod.name,
        "serviceAccount": pod.service_account,
        "owner": owner,
        "images": list(pod.image_digests),
    }
