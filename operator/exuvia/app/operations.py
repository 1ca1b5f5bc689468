"""Rotations and Quarantines together, as the view shows them."""

from __future__ import annotations

from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from exuvia.observe.cluster_view import ClusterView

Operation = Rotation | Quarantine


def everything(view: ClusterView) -> list[Operation]:
    """All that parse, open and ended."""
    return [*view.all_rotations(), *view.all_quarantines()]


def under_way(view: ClusterView) -> list[Operation]:
    """Those that are not over."""
    return [one for one in everything(view) if one.open]


def find(view: ClusterView, kind: str, uid: str) -> Operation | None:
    """One by its UID, or None."""
    found = view.rotations.store.get(uid) if kind == Rotation.KIND else view.quarantines.store.get(uid)
    return found if isinstance(found, Rotation | Quarantine) else None


def named(view: ClusterView, kind: str, name: str) -> Operation | None:
    """One by its name, or None."""
    found = view.rotations.store.named(name) if kind == Rotation.KIND else view.quarantines.store.named(name)
    return found if isinstance(found, Rotation | Quarantine) else None
