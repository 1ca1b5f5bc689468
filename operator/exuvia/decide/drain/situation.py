"""What a drain knows beside the pods: settings, time limits, the taint, and whom it belongs to. Nothing of who asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from exuvia.decide.freezing import selects
from exuvia.model import marks
from exuvia.model.instances import Instance
from exuvia.model.pods import DisruptionBudget, Pod
from exuvia.model.quarantine_views import OwnPlace
from exuvia.model.specs.security_policy import DrainSettings

MINIMAL_GRACE = timedelta(seconds=1)
SETTLE = timedelta(seconds=5)
"""How long after the taint a list of pods is believed: what was bound just before it shows by then."""
UNREACHABLE_TAINT = "node.kubernetes.io/unreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """One drain. `deadline`: when Force ends it (None: it never forces)."""

    settings: DrainSettings = field(default_factory=DrainSettings)
    taint: str = marks.ROTATING_TAINT
    tainted_at: datetime | None = None  # None: not yet; every pod was there before it
    unreachable: bool = False  # the kubelet is not heard of
    deadline: datetime | None = None
    own: OwnPlace = field(default_factory=OwnPlace)
    daemon_sets: Mapping[tuple[str, str], bool | None] = field(default_factory=dict)
    budgets: tuple[DisruptionBudget, ...] = ()
    regardless: frozenset[str] = frozenset()  # UIDs of pods that leave whatever knobs and opt-outs say
    ignore_knobs: bool = False  # all of them do

    def grace_of(self, pod: Pod) -> timedelta:
        """How long the pod gets to end, by the settings or its own."""
        if self.unreachable:
            return MINIMAL_GRACE
        asked = self.settings.grace_period_seconds
        return max(MINIMAL_GRACE, timedelta(seconds=pod.grace_seconds if asked < 0 else asked))

    def asked_grace(self, pod: Pod) -> timedelta | None:
        """The grace that an eviction names; None leaves it to the pod."""
        return None if self.settings.grace_period_seconds < 0 and not self.unreachable else self.grace_of(pod)

    def forced(self, pod: Pod, now: datetime) -> bool:
        """Whether the pod's time is up: the time limit minus its grace has come."""
        return self.deadline is not None and now >= self.deadline - self.grace_of(pod)

    def budgets_of(self, pod: Pod) -> tuple[DisruptionBudget, ...]:
        """The PodDisruptionBudgets that cover the pod, by name."""
        mine = (one for one in self.budgets if one.namespace == pod.namespace and selects(one, pod))
        return tuple(sorted(mine, key=lambda one: one.key))

    def misconfigured(self, pod: Pod) -> bool:
        """More than one budget covers it: the Eviction API cannot serve it, and Force must not pass it."""
        return len(self.budgets_of(pod)) > 1


def is_unreachable(instance: Instance) -> bool:
    """Whether the control plane has lost the kubelet: Ready is Unknown, or the taint says so."""
    ready = instance.condition("Ready")
    lost = ready is not None and ready.status == "Unknown"
    return lost or instance.taint(UNREACHABLE_TAINT) is not None


def whole_second(moment: datetime) -> datetime:
    """The next whole second: times of the API have no fractions, and what must last must not begin too early."""
    return moment if not moment.microsecond else moment.replace(microsecond=0) + timedelta(seconds=1)
