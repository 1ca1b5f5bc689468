"""Every right that the code declares, gathered. A room that declares none cannot ask the API server for anything."""

from __future__ import annotations

from exuvia.act import hands
from exuvia.act.evidence import COLLECTORS
from exuvia.app import intake
from exuvia.app import permissions as app_permissions
from exuvia.model.permissions import Permission
from exuvia.observe import permissions as observe_permissions
from exuvia.report import permissions as report_permissions


def permissions() -> tuple[Permission, ...]:
    """All of them, in the order of the data path. The same right may be declared by several rooms."""
    return (
        *observe_permissions.PERMISSIONS,
        *app_permissions.PERMISSIONS,
        *intake.PERMISSIONS,
        *hands.PERMISSIONS,
        *(right for one in COLLECTORS for right in one.card.permissions),
        *report_permissions.PERMISSIONS,
    )
