"""RBAC from declared rights: a ClusterRole for each duty, a Role in our own namespace, and one ServiceAccount.

A read-only installation is without the bindings of `exuvia-rotate` and `exuvia-quarantine`, and alone has the one of
`exuvia-explain`. One that only rotates is without `exuvia-quarantine`, one that only quarantines is without
`exuvia-rotate`. Only one with the intake has `exuvia-intake`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from exuvia.app.manifests import names
from exuvia.model import marks, resources
from exuvia.model.permissions import Duty, Permission

_API = "rbac.authorization.k8s.io"
_VERBS = ("get", "list", "watch", "create", "update", "patch", "delete")
_ABOUT = {
    Duty.OBSERVE: "exuvia watches, judges and reports: no right to change a node or a pod",
    Duty.ROTATE: "exuvia replaces machines: marks and deletes nodes, evicts pods",
    Duty.QUARANTINE: "exuvia freezes machines: marks nodes, relabels and evicts pods, denies network, reads logs",
    Duty.EXPLAIN: "exuvia says in the status of operations why they wait; bound only where it runs with --read-only",
    Duty.INTAKE: "exuvia asks who sends it something, and whether that one may; bound only where the intake is open",
}

INSTALLED = (Duty.OBSERVE, Duty.ROTATE, Duty.QUARANTINE)
"""The duties of a whole installation. With `explain` beside only some of them, exuvia could begin what it may not go on
with: a start is a write of the status."""

Rule = dict[str, Any]


def role_name(duty: Duty) -> str:
    """`exuvia-observe`, say: role and binding bear the same name."""
    return f"{names.NAME}-{duty.value}"


def rules(permissions: Iterable[Permission]) -> list[Rule]:
    """RBAC rules: the verbs of one resource joined, then resources of one group with equal verbs joined."""
    verbs: dict[tuple[str, str, tuple[str, ...]], set[str]] = {}
    for one in permissions:
        verbs.setdefault((one.group, one.resource, one.names), set()).update(one.verbs)
    joined: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for (group, resource, only), said in sorted(verbs.items()):
        joined.setdefault((group, only, tuple(sorted(said, key=_VERBS.index))), []).append(resource)
    return [_rule(group, found, only, said) for (group, only, said), found in joined.items()]


def _rule(group: str, found: list[str], only: tuple[str, ...], verbs: tuple[str, ...]) -> Rule:
    rule: Rule = {"apiGroups": [group], "resources": found}
    if only:
        rule["resourceNames"] = list(only)
    return rule | {"verbs": list(verbs)}


def cluster_roles(permissions: Iterable[Permission], duties: Iterable[Duty] = INSTALLED) -> list[dict[str, Any]]:
    """A ClusterRole for each duty."""
    wide = [one for one in permissions if not one.own_namespace]
    return [
        names.head(f"{_API}/v1", "ClusterRole", role_name(duty), about=_ABOUT[duty])
        | {"rules": rules(one for one in wide if one.duty is duty)}
        for duty in duties
    ]


def view_role() -> dict[str, Any]:
    """Whoever may `view` may see our kinds too."""
    role = names.head(f"{_API}/v1", "ClusterRole", f"{names.NAME}-view", about="added to `view`: see exuvia's kinds")
    role["metadata"]["labels"][f"{_API}/aggregate-to-view"] = "true"
    plurals = [one.plural for one in resources.OURS]
    rule = {"apiGroups": [marks.GROUP], "resources": plurals, "verbs": ["get", "list", "watch"]}
    return role | {"rules": [rule]}


def bindings(duties: Iterable[Duty] = INSTALLED) -> list[dict[str, Any]]:
    """A ClusterRoleBinding for each duty."""
    return [
        names.head(f"{_API}/v1", "ClusterRoleBinding", role_name(duty)) | _bound("ClusterRole", role_name(duty))
        for duty in duties
    ]


def own_namespace(permissions: Iterable[Permission]) -> list[dict[str, Any]]:
    """Role and RoleBinding for what exuvia may do in its own namespace only: its Lease."""
    near = [one for one in permissions if one.own_namespace]
    about = "exuvia elects its leader by a Lease"
    role = names.head(f"{_API}/v1", "Role", names.NAME, namespaced=True, about=about) | {"rules": rules(near)}
    binding = names.head(f"{_API}/v1", "RoleBinding", names.NAME, namespaced=True) | _bound("Role", names.NAME)
    return [role, binding]


def service_account() -> dict[str, Any]:
    """The one identity of the operator."""
    return names.head("v1", "ServiceAccount", names.NAME, namespaced=True)


def _bound(kind: str, name: str) -> dict[str, Any]:
    return {"roleRef": {"apiGroup": _API, "kind": kind, "name": name}, "subjects": [dict(names.ACCOUNT)]}
