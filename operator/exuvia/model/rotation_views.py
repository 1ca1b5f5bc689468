"""What a Rotation's step is decided from: one picture of everything that concerns it, as data.

`decide.rotation.step` reads it; `app.advance` gathers it. What is None is unknown, never empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from exuvia.model.blocking import Blocked
from exuvia.model.instances import Instance
from exuvia.model.pods import AttachedVolume, DisruptionBudget, Pod
from exuvia.model.quarantine_views import CapacityFacts, OwnPlace
from exuvia.model.specs.operation import FrozenSettings
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from exuvia.model.steps import Look


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderFacts:
    """Which provider serves a machine, by its resolved name (never Auto), and what it can do. `problem`: why there is
    none, or why it cannot be asked; then nothing may be started that needs it."""

    name: str = ""
    adds_first: bool = False  # it can bring a replacement before the old machine is removed
    brings_replacement: bool = False  # one must be asked for; False: the machine's owner refills the pool by itself
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationView:
    """Everything that concerns one Rotation at one moment."""

    rotation: Rotation
    instance: Instance | None  # the machine by its UID; None: it is not there (see `instance_known`)
    instance_known: bool = True  # False: the view of machines cannot be trusted, `instance` says nothing
    namesake: Instance | None = None  # another living machine that bears its name
    fresh: frozenset[Look] = frozenset()  # what was read from its source in this very round
    failed: Mapping[Look, str] = field(default_factory=dict)  # what could not be read, and why
    pods: tuple[Pod, ...] | None = None  # all pods bound to the machine's name
    daemon_sets: Mapping[tuple[str, str], bool | None] = field(default_factory=dict)  # whether they exist; with PODS
    budgets: tuple[DisruptionBudget, ...] = ()
    volumes: tuple[AttachedVolume, ...] | None = None  # persistent volumes that are attached to the machine's name
    provider: ProviderFacts = ProviderFacts()
    capacity: CapacityFacts | None = None  # of the replacement: what provider and cluster say; None: not looked at
    replacement_pods: tuple[Pod, ...] | None = None  # all pods bound to its name; with MACHINE, once it ends
    candidates: Sequence[Instance] = ()  # other live machines of the pool
    newcomers: Callable[[datetime], Sequence[Instance]] | None = None  # candidates born then or later; None: pick them
    failing: Mapping[str, str] = field(default_factory=dict)  # UID of a candidate -> policy and rule it fails or errs
    rotations: tuple[Rotation, ...] = ()  # all other Rotations, open and ended
    quarantines: tuple[Quarantine, ...] = ()  # all Quarantines, open and ended
    settings: FrozenSettings | None = None  # what it would get if it started now
    wanted: bool = True  # an enforcing policy still wants Rotate or Quarantine for it (True for a manual one)
    policy_deleted: bool = False  # its policy is not there any more
    hold: Blocked | None = None  # why no disruptive write may be made now
    eviction_hold: Blocked | None = None  # why nothing may be evicted or removed now (storm, leases; `hold` counts too)
    removal_hold: Blocked | None = None  # why the machine may not be removed now (control plane; the others count too)
    own: OwnPlace = field(default_factory=OwnPlace)
    standby: bool = False  # another replica of exuvia stands by
    ledger_down: bool = False
