"""Rights of the composition root: our own kinds, the Lease, and the writes that actions come down to.

A status is written on the subresource alone. What freezes machines works without the rights that replace them, so what
both need is said for both.
"""

from __future__ import annotations

from exuvia.model import marks
from exuvia.model.permissions import Duty, Permission

_OPERATION = ("create", "patch", "delete")  # patch: our finalizer


def _ours(duty: Duty, resource: str, *verbs: str) -> Permission:
    return Permission(duty=duty, group=marks.GROUP, resource=resource, verbs=verbs)


_LEADING: tuple[Permission, ...] = (
    Permission(
        duty=Duty.OBSERVE, group="coordination.k8s.io", resource="leases", verbs=("create",), own_namespace=True
    ),
    Permission(
        duty=Duty.OBSERVE,
        group="coordination.k8s.io",
        resource="leases",
        names=(marks.LEASE,),
        verbs=("get", "patch"),
        own_namespace=True,
    ),
)
_JUDGING: tuple[Permission, ...] = (
    _ours(Duty.OBSERVE, "securitypolicies/status", "patch"),
    _ours(Duty.OBSERVE, "fleetguards/status", "patch"),
    _ours(Duty.OBSERVE, "fleetguards", "create"),  # with its defaults, or paused when it was deleted
)
_ROTATING: tuple[Permission, ...] = (
    _ours(Duty.ROTATE, "rotations", *_OPERATION),
    _ours(Duty.ROTATE, "rotations/status", "patch"),
    Permission(duty=Duty.ROTATE, resource="nodes", verbs=("patch", "delete")),  # delete: provider NodeDelete
    Permission(duty=Duty.ROTATE, resource="pods/eviction", verbs=("create",)),
    Permission(duty=Duty.ROTATE, resource="pods", verbs=("delete",)),  # only past a deadline in Force mode
)
_FREEZING: tuple[Permission, ...] = (
    _ours(Duty.QUARANTINE, "quarantines", *_OPERATION),
    _ours(Duty.QUARANTINE, "quarantines/status", "patch"),
    # A Quarantine ends an open Rotation of its machine, and a release with the verdict Rotate creates one.
    _ours(Duty.QUARANTINE, "rotations", *_OPERATION),
    _ours(Duty.QUARANTINE, "rotations/status", "patch"),
    Permission(duty=Duty.QUARANTINE, resource="nodes", verbs=("patch",)),
    Permission(duty=Duty.QUARANTINE, resource="pods/eviction", verbs=("create",)),
)

PERMISSIONS: tuple[Permission, ...] = (*_LEADING, *_JUDGING, *_ROTATING, *_FREEZING)
