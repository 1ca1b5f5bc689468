"""Rights of the voice: Events with series. A series that a former process began is read and counted on."""

from __future__ import annotations

from exuvia.model.permissions import Duty, Permission

PERMISSIONS: tuple[Permission, ...] = (
    Permission(duty=Duty.OBSERVE, group="events.k8s.io", resource="events", verbs=("create", "get", "patch")),
)
