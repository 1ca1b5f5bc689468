"""Kinds that only the world's controllers touch, and which of them carry which behaviour."""

from __future__ import annotations

from exuvia.model import resources
from exuvia.model.resources import Resource

REPLICA_SETS = Resource(group="apps", plural="replicasets", kind="ReplicaSet", namespaced=True)
STATEFUL_SETS = Resource(group="apps", plural="statefulsets", kind="StatefulSet", namespaced=True)
NAMESPACES = ("default", "kube-system", "kube-node-lease", "exuvia-system")

COUNTS_GENERATIONS = (
    *resources.OURS,
    resources.POD_DISRUPTION_BUDGETS,
    resources.DAEMON_SETS,
    REPLICA_SETS,
    STATEFUL_SETS,
)
HAS_STATUS = (*COUNTS_GENERATIONS, resources.NODES, resources.PODS, resources.VOLUME_ATTACHMENTS, resources.NAMESPACES)
"""Kinds whose status is a subresource: a plain patch leaves it alone, a patch of the status leaves the rest alone."""
