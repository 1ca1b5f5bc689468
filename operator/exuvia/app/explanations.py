"""What is to be said of one machine now, as plain data: its rules, what holds it, the pods in the way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from exuvia.decide.drain import Judged
from exuvia.model.findings import Judgement, Verdict, Wish
from exuvia.model.instances import Instance
from exuvia.model.pods import DisruptionBudget
from exuvia.model.rotation_views import ProviderFacts
from exuvia.model.specs.operation import FrozenSettings
from exuvia.model.specs.quarantine import Quarantine, QuarantinePhase
from exuvia.model.specs.rotation import Rotation, RotationPhase


@dataclass(frozen=True, slots=True, kw_only=True)
class BrakeAnswer:
    """One brake and whether it holds a start now. `change`: the field or command with which a person changes that."""

    title: str
    holds: bool
    reason: str = ""
    message: str = ""
    change: str = ""
    next: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PodInTheWay:
    """A pod that must leave before the machine is removed, and what holds it, if anything does."""

    judged: Judged
    budgets: tuple[DisruptionBudget, ...]

    @property
    def held_by(self) -> str:
        """What holds it now, in words, or ""."""
        if self.judged.message:
            return self.judged.message
        if len(self.budgets) > 1:
            names = ", ".join(one.key for one in self.budgets)
            return f"several PodDisruptionBudgets cover it ({names}): it cannot be evicted; let one cover it"
        for one in self.budgets:
            if one.allowed < 1:
                return f"PDB {one.key} allows {one.allowed} disruptions (needs {one.desired}, has {one.healthy})"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything that is to be said of one machine now."""

    instance: Instance
    taken: datetime
    judgement: Judgement
    unusable: tuple[tuple[str, str], ...]  # policies that are not evaluated, and why
    wish: Wish | None  # what the enforcing policies want of it
    would: Wish | None  # what those in Audit would want
    settings: FrozenSettings
    provider: ProviderFacts
    operations: tuple[Rotation | Quarantine, ...]  # open ones of this machine
    kind: str  # which start the brakes are asked about
    brakes: tuple[BrakeAnswer, ...]
    pods: tuple[PodInTheWay, ...]
    pods_known: bool
    leads: str  # who leads, or why nobody acts; "" where that may not be read
    idle: str  # why no operator acts, with the next step; "" where one does, as far as is known
    notes: tuple[str, ...]

    @property
    def holding(self) -> tuple[BrakeAnswer, ...]:
        """The brakes that hold."""
        return tuple(one for one in self.brakes if one.holds)

    @property
    def next(self) -> datetime | None:
        """When time alone lets a brake go, at the earliest."""
        return min((one.next for one in self.holding if one.next is not None), default=None)

    @property
    def started(self) -> Rotation | Quarantine | None:
        """The operation that is past Pending, if there is one; a Quarantine before a Rotation."""
        return next((one for one in self.operations if not waits(one)), None)

    @property
    def verdict(self) -> Verdict | None:
        """The worst verdict of all policies; None when none selects it."""
        order = (Verdict.VIOLATING, Verdict.UNKNOWN, Verdict.EXEMPT, Verdict.COMPLIANT)
        found = {one.verdict for one in self.judgement.assessments.values()}
        return next((one for one in order if one in found), None)


def waits(operation: Rotation | Quarantine) -> bool:
    """Whether it has not begun."""
    return operation.status.phase in (RotationPhase.PENDING, QuarantinePhase.PENDING)
