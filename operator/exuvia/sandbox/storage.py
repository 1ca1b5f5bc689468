"""Where the world's objects lie: revisions, UIDs, deletion with grace and finalizers, and the history for watches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from exuvia.model import resources
from exuvia.model.resources import Resource
from exuvia.sandbox import kinds, objects
from exuvia.sandbox.objects import Body

DEFAULT_GRACE = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One line of the history. `kind`: ADDED, MODIFIED or DELETED."""

    revision: int
    resource: Resource
    kind: str
    body: Body


class Storage:
    """Objects by kind, namespace and name. What is stored is never changed in place, only replaced."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self._objects: dict[Resource, dict[tuple[str, str], Body]] = {}
        self._made = 0
        self.revision = 1
        self.compacted = 0
        self.history: list[Change] = []

    def get(self, resource: Resource, name: str, namespace: str = "") -> Body | None:
        """One object, or None."""
        found = self._objects.get(resource, {}).get((namespace, name))
        return None if found is None else copied(found)

    def look(self, resource: Resource, namespace: str = "") -> list[Body]:
        """All of a kind, or of one namespace, by namespace and name; not copied, so not to be changed."""
        found = self._objects.get(resource, {})
        return [found[key] for key in sorted(found) if not namespace or key[0] == namespace]

    def list(self, resource: Resource, namespace: str = "") -> list[Body]:
        """The same, copied."""
        return [copied(body) for body in self.look(resource, namespace)]

    def kinds(self) -> tuple[Resource, ...]:
        """Of which kinds there ever was something."""
        return tuple(self._objects)

    def make(self, resource: Resource, body: Mapping[str, Any]) -> Body:
        """A new object with all that the server sets, not stored yet."""
        made: Body = objects.merged({}, body)
        self._made += 1
        meta = dict(made.get("metadata") or {})
        meta.setdefault("name", f"{meta.pop('generateName', '')}{self._made:05x}")
        meta.setdefault("uid", f"{self._made:08x}-0000-4000-8000-000000000000")
        meta.setdefault("creationTimestamp", objects.stamp(self.now()))
        if resource in kinds.COUNTS_GENERATIONS:
            meta.setdefault("generation", 1)
        made |= {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta}
        if resource == resources.NAMESPACES:
            meta.setdefault("finalizers", ["kubernetes"])
            made.setdefault("status", {"phase": "Active"})
        if resource == resources.PODS:
            made["spec"] = {"terminationGracePeriodSeconds": DEFAULT_GRACE, **(made.get("spec") or {})}
            made.setdefault("status", {"phase": "Pending"})
        return tidied(resource, made)

    def add(self, resource: Resource, body: Mapping[str, Any]) -> Body:
        """Make and store. KeyError when the name is taken."""
        made = self.make(resource, body)
        if _key(made) in self._objects.get(resource, {}):
            raise KeyError(f"{resource.full_name} {_key(made)} is there already")
        return self._store(resource, made, "ADDED")

    def put(self, resource: Resource, body: Mapping[str, Any]) -> Body:
        """Replace an object. The same again is no write; one that may go now (no finalizer left) goes."""
        wanted = tidied(resource, copied(body))
        former = self._objects.get(resource, {}).get(_key(wanted))
        if former is None:
            raise KeyError(f"{resource.full_name} {_key(wanted)} is not there")
        meta = wanted["metadata"]
        meta["resourceVersion"] = former["metadata"]["resourceVersion"]
        if wanted == former:
            return copied(former)
        if resource in kinds.COUNTS_GENERATIONS and wanted.get("spec") != former.get("spec"):
            meta["generation"] = former["metadata"].get("generation", 1) + 1
        stored = self._store(resource, wanted, "MODIFIED")
        if meta.get("deletionTimestamp") and not meta.get("finalizers") and not meta.get("deletionGracePeriodSeconds"):
            self.remove(resource, stored)
        return stored

    def remove(self, resource: Resource, body: Mapping[str, Any]) -> None:
        """Take it out now, whatever its grace or finalizers."""
        found = self._objects.get(resource, {}).pop(_key(body), None)
        if found is not None:
            self.revision += 1
            gone = {**found, "metadata": {**found["metadata"], "resourceVersion": str(self.revision)}}
            self.history.append(Change(revision=self.revision, resource=resource, kind="DELETED", body=gone))

    def ask_deletion(self, resource: Resource, body: Mapping[str, Any], grace: timedelta | None = None) -> None:
        """What a DELETE comes to: gone at once, or marked and left to its kubelet and its finalizers."""
        seconds = _grace_of(resource, body, grace)
        meta = body["metadata"]
        if not seconds and not meta.get("finalizers"):
            self.remove(resource, body)
            return
        former = meta.get("deletionGracePeriodSeconds")
        if meta.get("deletionTimestamp") and (former is None or former <= seconds):
            return
        asked = self._asked_at(body)
        marks = {
            "deletionTimestamp": objects.stamp(asked + timedelta(seconds=seconds)),
            "deletionGracePeriodSeconds": seconds,
        }
        self.put(resource, {**body, "metadata": {**meta, **marks}})

    def compact(self) -> None:
        """Forget the history: watches that are behind get 410."""
        self.compacted = self.revision
        self.history.clear()

    def _asked_at(self, body: Mapping[str, Any]) -> datetime:
        """A shorter grace counts from when deletion was asked for first."""
        meta = body["metadata"]
        deadline = objects.moment(meta.get("deletionTimestamp"))
        if deadline is None:
            return self.now()
        return deadline - timedelta(seconds=meta.get("deletionGracePeriodSeconds") or 0)

    def _store(self, resource: Resource, body: Body, kind: str) -> Body:
        self.revision += 1
        body["metadata"]["resourceVersion"] = str(self.revision)
        self._objects.setdefault(resource, {})[_key(body)] = body
        self.history.append(Change(revision=self.revision, resource=resource, kind=kind, body=copied(body)))
        return copied(body)


def copied(body: Mapping[str, Any]) -> Body:
    """A deep copy of JSON."""
    fresh: Body = msgspec.json.decode(msgspec.json.encode(body))
    return fresh


def tidied(resource: Resource, body: Body) -> Body:
    """Without what the server does not keep: empty maps and lists of metadata, and a Node's false and empty fields."""
    meta = body["metadata"]
    for key in ("labels", "annotations", "finalizers", "ownerReferences"):
        if key in meta and not meta[key]:
            del meta[key]
    if resource == resources.NODES:
        spec = body.setdefault("spec", {})
        for key in ("unschedulable", "taints", "providerID"):
            if key in spec and not spec[key]:
                del spec[key]
    return body


def _key(body: Mapping[str, Any]) -> tuple[str, str]:
    meta = body["metadata"]
    return meta.get("namespace", ""), meta["name"]


def _grace_of(resource: Resource, body: Mapping[str, Any], grace: timedelta | None) -> int:
    """Only pods that run somewhere have a grace."""
    if resource != resources.PODS or objects.is_finished(body) or not body["spec"].get("nodeName"):
        return 0
    if grace is not None:
        return int(grace.total_seconds())
    return int(body["spec"].get("terminationGracePeriodSeconds", DEFAULT_GRACE))
