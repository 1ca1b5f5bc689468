"""Rights of the composition root: the Lease, our own kinds, their status and our finalizer on them.

A status is written on the subresource alone. What freezes machines works without the rights that replace them, so what
both need is said for both. Whoever may write the status of operations can start them, so each duty may write only that
of what it can also finish.
"""

from __future__ import annotations

from exuvia.model import marks
from exuvia.model.permissions import Duty, Permission

_KEEP = ("patch", "delete")  # our finalizer on and off; what ended long ago is removed


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
_ANCHORING: tuple[Permission, ...] = (  # the ledger's head, outside the ledger
    Permission(duty=Duty.OBSERVE, resource="configmaps", verbs=("create",), own_namespace=True),
    Permission(
        duty=Duty.OBSERVE,
        resource="configmaps",
        names=(marks.LEDGER_HEAD,),
        verbs=("get", "patch", "delete"),
        own_namespace=True,
    ),
)
_PLACING: tuple[Permission, ...] = (  # whether the ledger's volume ties exuvia to its machine
    Permission(duty=Duty.OBSERVE, resource="persistentvolumeclaims", verbs=("get",), own_namespace=True),
    Permission(duty=Duty.OBSERVE, resource="persistentvolumes", verbs=("get",)),
)
_JUDGING: tuple[Permission, ...] = (
    _ours(Duty.OBSERVE, "securitypolicies/status", "patch"),
    _ours(Duty.OBSERVE, "fleetguards/status", "patch"),
    _ours(Duty.OBSERVE, "licensepools/status", "patch"),
    _ours(Duty.OBSERVE, "fleetguards", "create"),  # with its defaults, or paused when it was deleted
)
_EXPLAINING: tuple[Permission, ...] = (  # bound only where the operator is told to watch only
    _ours(Duty.EXPLAIN, "rotations/status", "patch"),
    _ours(Duty.EXPLAIN, "quarantines/status", "patch"),
)
_ROTATING: tuple[Permission, ...] = (
    _ours(Duty.ROTATE, "rotations", *_KEEP),
    _ours(Duty.ROTATE, "rotations/status", "patch"),
)
_FREEZING: tuple[Permission, ...] = (
    _ours(Duty.QUARANTINE, "quarantines", *_KEEP),
    _ours(Duty.QUARANTINE, "quarantines/status", "patch"),
    # Our network policies are watched while a machine is cut off by them.
    Permission(duty=Duty.QUARANTINE, group="networking.k8s.io", resource="networkpolicies", verbs=("watch",)),
)

PERMISSIONS: tuple[Permission, ...] = (
    *_LEADING,
    *_ANCHORING,
    *_PLACING,
    *_JUDGING,
    *_EXPLAINING,
    *_ROTATING,
    *_FREEZING,
)
