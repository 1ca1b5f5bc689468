"""Other controllers that take machines away: seen by what they write on machines, and by their own pods.

What is quarantined must say of each whether our marks keep it from destroying the evidence (api.md, Marks).
"""

from __future__ import annotations

from collections.abc import Iterable

from exuvia.app.services import Services
from exuvia.model.instances import Instance
from exuvia.model.pods import Pod

LOOK_SECONDS = 60.0

_ON_MACHINES = {
    "karpenter.sh/nodepool": "karpenter",
    "karpenter.sh/provisioner-name": "karpenter",
    "cluster.x-k8s.io/machine": "cluster-api",
    "machine.openshift.io/machine": "machine-api",
    "cloud.google.com/gke-nodepool": "gke-node-pool",
    "eks.amazonaws.com/nodegroup": "eks-node-group",
    "kubernetes.azure.com/agentpool": "aks-agent-pool",
    "remediation.medik8s.io/exclude-from-remediation": "medik8s",
}
"""Label or annotation of a Node -> whose it is."""

_BY_POD = ("cluster-autoscaler", "karpenter", "kured", "descheduler", "node-healthcheck")
"""What the service account or the controlling owner of their pods is called, in full or as a part."""


class Controllers:
    """Those that are seen in the cluster. Pods are looked through once a minute at most, and only when asked."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._running: tuple[float, frozenset[str]] | None = None

    def of(self, machine: Instance | None) -> tuple[str, ...]:
        """Those that may take this machine away, by name; nobody is named for a machine that is gone."""
        if machine is None:
            return ()
        return tuple(sorted(marked(machine) | self._by_pods()))

    def _by_pods(self) -> frozenset[str]:
        now = self._services.clock.monotonic()
        if self._running is None or now - self._running[0] >= LOOK_SECONDS:
            self._running = (now, running(self._services.view.pods.store))
        return self._running[1]


def marked(machine: Instance) -> frozenset[str]:
    """By what stands on the machine."""
    keys = machine.labels.keys() | machine.annotations.keys()
    return frozenset(whose for key, whose in _ON_MACHINES.items() if key in keys)


def running(pods: Iterable[Pod]) -> frozenset[str]:
    """By pods that run."""
    names = {name for pod in pods if not pod.finished for name in _names(pod)}
    return frozenset(one for one in _BY_POD if any(one in name for name in names))


def _names(pod: Pod) -> tuple[str, ...]:
    return (pod.service_account, pod.owner.name) if pod.owner else (pod.service_account,)
