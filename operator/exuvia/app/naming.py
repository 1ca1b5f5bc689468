"""Brakes in words: what each is called for people, and the field or command with which it is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from exuvia.decide.brakes import (
    acting,
    budgets,
    control_plane,
    health,
    knowledge,
    machine,
    pause,
    rates,
    windows,
    zones,
)
from exuvia.decide.brakes.picture import QUARANTINE
from exuvia.decide.brakes.table import Brake
from exuvia.model.reasons import BlockedReason

GUARD = "FleetGuard default, spec."
POLICY = "the policy's spec."
MACHINE = "INSTANCE"
"""Stands for the name of the machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrakeName:
    """`told`: the brake in FleetGuard's status that says it for the operator, where only the operator can know.
    `ways`: what to do where the reason decides which it is; `unasked`: the reason of what the operator told itself."""

    title: str
    change: str
    told: str = ""
    unasked: BlockedReason | None = None
    for_quarantine: str = ""
    ways: Mapping[BlockedReason, str] = field(default_factory=dict)

    def way(self, kind: str, reason: BlockedReason | None, machine: str) -> str:
        """What to do about it for this start of this machine."""
        known = self.ways.get(reason) if reason is not None else None
        said = known or (self.for_quarantine if kind == QUARANTINE else "") or self.change
        return said.replace(MACHINE, machine)


BRAKES: Mapping[Brake, BrakeName] = {
    acting.acts: BrakeName(
        title="the operator acts",
        change="`exuvia run` without --read-only; `exuvia resume` where it was uninstalled",
        told="readOnly",
        unasked=BlockedReason.READ_ONLY,
        ways={BlockedReason.READ_ONLY: acting.WAY_OUT, BlockedReason.UNINSTALLED: "`exuvia resume`"},
    ),
    pause.not_paused: BrakeName(title="pause", change=f"{GUARD}pauseRequests; `exuvia resume`"),
    knowledge.known_guard: BrakeName(title="fleet guard readable", change="FleetGuard default"),
    knowledge.known_view: BrakeName(title="view of the cluster", change="`exuvia doctor`", told="view"),
    knowledge.right_clock: BrakeName(title="clock", change="the clock of exuvia's machine", told="clock"),
    knowledge.ledger_for_rotation: BrakeName(title="ledger", change="`exuvia doctor`", told="ledger"),
    knowledge.ledger_for_quarantine: BrakeName(title="ledger", change="`exuvia doctor`"),
    machine.not_quarantined: BrakeName(title="quarantine of the machine", change="`exuvia release QUARANTINE`"),
    machine.node_agrees: BrakeName(title="opt-out of the node", change="its labels and annotations"),
    machine.not_pinned: BrakeName(title="exuvia's own machine", change="the volume of exuvia's ledger"),
    machine.not_backing_off: BrakeName(
        title="back-off",
        change=f"nothing; or by hand: `exuvia rotate {MACHINE}`",
        for_quarantine=f"nothing; or by hand: `exuvia quarantine {MACHINE}`",
    ),
    machine.pool_not_halted: BrakeName(title="halted pool", change="`exuvia resume --pool POOL`"),
    machine.replaceable: BrakeName(title="provider", change=f"{POLICY}rotation.provider and .strategy"),
    machine.pods_agree: BrakeName(title="opt-out of a pod", change="the pod's labels and annotations"),
    control_plane.quorum_kept: BrakeName(title="control plane quorum", change="nothing; the others must be healthy"),
    control_plane.one_at_a_time: BrakeName(title="control plane", change="nothing; one at a time"),
    health.calm: BrakeName(title="storm", change=f"{GUARD}minHealthy and .stormCooldown"),
    health.leases_fresh: BrakeName(title="expired leases", change=f"{GUARD}maxLeaseExpiry"),
    health.above_floor: BrakeName(title="health floor", change=f"{GUARD}minHealthy"),
    windows.window_open: BrakeName(title="windows", change=f"{POLICY}disruption.windows, or .bypass"),
    rates.interval_passed: BrakeName(title="interval", change=f"{POLICY}disruption.minInterval"),
    rates.within_rotation_rate: BrakeName(title="rotations per hour", change=f"{GUARD}maxPerHour"),
    rates.within_quarantine_rate: BrakeName(title="quarantines per hour", change=f"{GUARD}quarantine.maxPerHour"),
    budgets.within_max_unavailable: BrakeName(title="fleet cap", change=f"{GUARD}maxUnavailable"),
    budgets.within_quarantine_cap: BrakeName(title="quarantine cap", change=f"{GUARD}quarantine.maxAtOnce"),
    budgets.within_budgets: BrakeName(title="budgets", change=f"{POLICY}disruption.budgets"),
    zones.same_zone: BrakeName(title="one zone at a time", change=f"{GUARD}oneZoneAtATime"),
}


def name_of(brake: Brake) -> BrakeName:
    """Its words; a brake without any is called by its function."""
    return BRAKES.get(brake) or BrakeName(title=getattr(brake, "__name__", str(brake)), change="")
