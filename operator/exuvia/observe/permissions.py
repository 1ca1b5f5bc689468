"""Rights of the eyes: what is listed and watched, and what a step reads afresh. Nothing here writes."""

from __future__ import annotations

from exuvia.model import marks
from exuvia.model.permissions import Duty, Permission

_SEE = ("get", "list", "watch")

PERMISSIONS: tuple[Permission, ...] = (
    Permission(duty=Duty.OBSERVE, resource="nodes", verbs=_SEE),
    Permission(duty=Duty.OBSERVE, resource="pods", verbs=_SEE),
    Permission(duty=Duty.OBSERVE, group="policy", resource="poddisruptionbudgets", verbs=_SEE),
    Permission(duty=Duty.OBSERVE, group=marks.GROUP, resource="securitypolicies", verbs=_SEE),
    Permission(duty=Duty.OBSERVE, group=marks.GROUP, resource="fleetguards", verbs=_SEE),
    Permission(duty=Duty.OBSERVE, group=marks.GROUP, resource="rotations", verbs=_SEE),
    Permission(duty=Duty.OBSERVE, group=marks.GROUP, resource="quarantines", verbs=_SEE),
    Permission(duty=Duty.OBSERVE, group=marks.GROUP, resource="licensepools", verbs=_SEE),
    # Node leases live in kube-node-lease: how many look expired tells whether it is we who are cut off.
    Permission(duty=Duty.OBSERVE, group="coordination.k8s.io", resource="leases", verbs=("list",)),
    Permission(duty=Duty.OBSERVE, group="storage.k8s.io", resource="volumeattachments", verbs=("list",)),
    Permission(duty=Duty.OBSERVE, resource="persistentvolumes", verbs=("get",)),  # whose an attached volume is
    Permission(duty=Duty.OBSERVE, group="apps", resource="daemonsets", verbs=("get",)),
    # What trivy-operator found in the images that run, where it is installed.
    Permission(duty=Duty.OBSERVE, group="aquasecurity.github.io", resource="vulnerabilityreports", verbs=_SEE),
)
