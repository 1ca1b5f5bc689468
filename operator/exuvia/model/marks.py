"""The marks that exuvia sets on machines and pods, and the opt-outs of others that it honours. Public names."""

from __future__ import annotations

GROUP = "exuvia.dev"
FINALIZER = "exuvia.dev/finalizer"
SYSTEM_NAMESPACE = "exuvia-system"
LEASE = "exuvia-leader"
LEDGER_HEAD = "exuvia-ledger-head"
SERVICE_ACCOUNT_USER = "system:serviceaccount:exuvia-system:exuvia"

ROTATING_TAINT = "exuvia.dev/rotating"
QUARANTINED_TAINT = "exuvia.dev/quarantined"
TAINT_EFFECT = "NoSchedule"  # never NoExecute: it kills running evidence and ignores PodDisruptionBudgets

STATE_LABEL = "exuvia.dev/state"
STATE_ROTATING = "rotating"
STATE_QUARANTINED = "quarantined"
KUBELET_PROOF_LABEL = "node-restriction.kubernetes.io/exuvia-quarantine"
EXCLUDE_LOAD_BALANCERS_LABEL = "node.kubernetes.io/exclude-from-external-load-balancers"
OPERATION_ANNOTATION = "exuvia.dev/operation"
POOL_LABEL = "exuvia.dev/pool"
QUARANTINE_POD_LABEL = "exuvia.dev/quarantine"

POD_DRAIN_LABELS = ("exuvia.dev/drain", "cluster.x-k8s.io/drain")

DO_NOT_DISRUPT = "exuvia.dev/do-not-disrupt"
SAFE_TO_EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict"
FOREIGN_OPT_OUTS = (
    "karpenter.sh/do-not-disrupt",
    "cluster-autoscaler.kubernetes.io/scale-down-disabled",
    "cluster.x-k8s.io/paused",
    "cluster.x-k8s.io/skip-remediation",
)
OPT_OUTS = (DO_NOT_DISRUPT, *FOREIGN_OPT_OUTS)

POOL_LABELS = (
    POOL_LABEL,
    "karpenter.sh/nodepool",
    "cloud.google.com/gke-nodepool",
    "eks.amazonaws.com/nodegroup",
    "kubernetes.azure.com/agentpool",
    "cluster.x-k8s.io/deployment-name",
    "kops.k8s.io/instancegroup",
)
ZONE_LABEL = "topology.kubernetes.io/zone"
CONTROL_PLANE_LABELS = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
