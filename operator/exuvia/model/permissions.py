"""Rights on the API server that a piece of the operator needs. Declared where they are used; RBAC is made from them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Duty(StrEnum):
    """Which ClusterRole a right belongs to."""

    OBSERVE = "observe"  # watching, judging, reporting
    ROTATE = "rotate"  # replacing machines
    QUARANTINE = "quarantine"  # freezing machines and keeping evidence
    EXPLAIN = "explain"  # where nothing may be done: saying why operations wait
    INTAKE = "intake"  # where others tell exuvia something: asking who they are


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """Verbs on one resource (`plural` may be `pods/eviction`). `namespaced`: only in exuvia's own namespace."""

    duty: Duty
    group: str = ""
    resource: str
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()
    own_namespace: bool = False
