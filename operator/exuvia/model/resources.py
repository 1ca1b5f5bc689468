"""The kinds of the API that exuvia reads or writes, by group, version and plural."""

from __future__ import annotations

from dataclasses import dataclass

from exuvia.model import marks


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One kind of the API server. `group` "" is the core group."""

    group: str = ""
    version: str = "v1"
    plural: str
    kind: str
    namespaced: bool = False

    @property
    def api_version(self) -> str:
        """`group/version`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def full_name(self) -> str:
        """`plural.group` as in RBAC messages and docs; the plural alone in the core group."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, name: str = "", *, namespace: str = "", subresource: str = "") -> str:
        """The URL path of the collection, one object, or a subresource of it. Names are DNS names, nothing to quote."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [root]
        if namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/".join(parts)


NODES = Resource(plural="nodes", kind="Node")
PODS = Resource(plural="pods", kind="Pod", namespaced=True)
NAMESPACES = Resource(plural="namespaces", kind="Namespace")
CONFIG_MAPS = Resource(plural="configmaps", kind="ConfigMap", namespaced=True)
CORE_EVENTS = Resource(plural="events", kind="Event", namespaced=True)
EVENTS = Resource(group="events.k8s.io", plural="events", kind="Event", namespaced=True)
APPLY_KINDS = "kubectl apply --server-side -k crds/"
"""How our kinds are installed, in these very words wherever somebody is told to."""

LEASES = Resource(group="coordination.k8s.io", plural="leases", kind="Lease", namespaced=True)
POD_DISRUPTION_BUDGETS = Resource(
    group="policy", plural="poddisruptionbudgets", kind="PodDisruptionBudget", namespaced=True
)
DAEMON_SETS = Resource(group="apps", plural="daemonsets", kind="DaemonSet", namespaced=True)
NETWORK_POLICIES = Resource(group="networking.k8s.io", plural="networkpolicies", kind="NetworkPolicy", namespaced=True)
PERSISTENT_VOLUME_CLAIMS = Resource(plural="persistentvolumeclaims", kind="PersistentVolumeClaim", namespaced=True)
PERSISTENT_VOLUMES = Resource(plural="persistentvolumes", kind="PersistentVolume")
VOLUME_ATTACHMENTS = Resource(group="storage.k8s.io", plural="volumeattachments", kind="VolumeAttachment")
VULNERABILITY_REPORTS = Resource(
    group="aquasecurity.github.io",
    version="v1alpha1",
    plural="vulnerabilityreports",
    kind="VulnerabilityReport",
    namespaced=True,
)
CUSTOM_RESOURCE_DEFINITIONS = Resource(
    group="apiextensions.k8s.io", plural="customresourcedefinitions", kind="CustomResourceDefinition"
)
TOKEN_REVIEWS = Resource(group="authentication.k8s.io", plural="tokenreviews", kind="TokenReview")
SUBJECT_ACCESS_REVIEWS = Resource(
    group="authorization.k8s.io", plural="subjectaccessreviews", kind="SubjectAccessReview"
)
SELF_SUBJECT_REVIEWS = Resource(group="authentication.k8s.io", plural="selfsubjectreviews", kind="SelfSubjectReview")
SELF_SUBJECT_ACCESS_REVIEWS = Resource(
    group="authorization.k8s.io", plural="selfsubjectaccessreviews", kind="SelfSubjectAccessReview"
)

SECURITY_POLICIES = Resource(group=marks.GROUP, version="v1alpha1", plural="securitypolicies", kind="SecurityPolicy")
FLEET_GUARDS = Resource(group=marks.GROUP, version="v1alpha1", plural="fleetguards", kind="FleetGuard")
ROTATIONS = Resource(group=marks.GROUP, version="v1alpha1", plural="rotations", kind="Rotation")
QUARANTINES = Resource(group=marks.GROUP, version="v1alpha1", plural="quarantines", kind="Quarantine")
LICENSE_POOLS = Resource(group=marks.GROUP, version="v1alpha1", plural="licensepools", kind="LicensePool")
OURS = (SECURITY_POLICIES, FLEET_GUARDS, ROTATIONS, QUARANTINES, LICENSE_POOLS)
