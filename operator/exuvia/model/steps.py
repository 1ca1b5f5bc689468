"""Steps: what an operation does next, as data; and what must be looked at before that can be said.

`decide.rotation.step` and `decide.quarantine.step` answer with one; `app.advance` carries it out: look, win the step
(one compare-and-swap of `status`, one ledger intent), act, note the outcome, look again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from exuvia.model.actions import Action
from exuvia.model.blocking import Blocked
from exuvia.model.reasons import EventReason


class Look(StrEnum):
    """What must be read from the API server (or the provider) now, because an older picture is not enough."""

    NODE = "node"  # the subject by GET
    PODS = "pods"  # a fresh, complete list of the pods on the node, and the DaemonSets that own some of them
    VOLUMES = "volumes"  # VolumeAttachments of the node
    MACHINE = "machine"  # the provider's answer about the replacement
    NETWORK_POLICIES = "networkPolicies"  # those of the namespaces of the machine's pods
    EVIDENCE = "evidence"  # what is on the evidence disk for this operation
    OTHERS = "others"  # other open operations and instances that name the same machine or replacement


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """An Event to write about the instance, or (`of_operation`) about the operation itself, where there is no such
    instance. The text holds no changing numbers or times."""

    reason: EventReason
    text: str
    warning: bool = False
    of_operation: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The next step of one operation. With `look`, everything else is empty: read that, then ask again.

    `status` is a JSON merge patch of `status` (camelCase) without `epoch` and `ledger`, which the shell adds.
    `disruptive` steps need a ledger intent and a last check of leadership and holds before their first action.
    """

    name: str = ""  # for status.steps and the ledger: "Cordoned", "Evict", ...
    look: frozenset[Look] = frozenset()
    status: Mapping[str, Any] = field(default_factory=dict)
    actions: tuple[Action, ...] = ()
    snapshot: bool = False  # Quarantine: take the machine's API objects into memory (5 s at most) before the actions
    collect: bool = False  # Quarantine: run the evidence collectors after the win
    disruptive: bool = False
    blocked: Blocked | None = None
    notes: tuple[Note, ...] = ()
    recheck_after: timedelta | None = None
    finished: bool = False  # terminal: the finalizer comes off after the win
