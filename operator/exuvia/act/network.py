"""The NetworkPolicy of a Quarantine in one namespace: made, mended, taken away; and reading everybody's policies."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from exuvia import errors, ports
from exuvia.act.answers import outcome_of
from exuvia.kube.sharing import SharedReads
from exuvia.model import marks, resources
from exuvia.model.actions import AllowNetwork, DenyNetwork, Outcome, OutcomeKind
from exuvia.model.permissions import Duty, Permission
from exuvia.model.quarantine_views import NetworkPolicyFacts
from exuvia.model.specs.common import LabelSelector

PERMISSIONS = (
    Permission(
        duty=Duty.QUARANTINE,
        group="networking.k8s.io",
        resource="networkpolicies",
        verbs=("get", "list", "create", "patch", "delete"),
    ),
)
_DIRECTIONS = ("Ingress", "Egress")
KEPT = 256
"""Namespaces of which is kept what was read of them last."""


def policy_body(action: DenyNetwork) -> dict[str, Any]:
    """Selects the pods that bear the Quarantine's UID and allows nothing, in either direction."""
    label = {marks.QUARANTINE_POD_LABEL: action.quarantine_uid}
    return {
        "apiVersion": resources.NETWORK_POLICIES.api_version,
        "kind": resources.NETWORK_POLICIES.kind,
        "metadata": {
            "name": action.name,
            "namespace": action.namespace,
            "labels": label,
            "annotations": {marks.OPERATION_ANNOTATION: action.quarantine_name},
        },
        "spec": {"podSelector": {"matchLabels": label}, "policyTypes": list(_DIRECTIONS)},
    }


async def deny_network(cluster: ports.Cluster, action: DenyNetwork, *, dry_run: bool = False) -> Outcome:
    """Create it. One of ours that was changed is mended; a foreign object of that name is left alone and told."""
    try:
        await cluster.create(
            resources.NETWORK_POLICIES, policy_body(action), namespace=action.namespace, dry_run=dry_run
        )
    except errors.AlreadyExists:
        return await _mended(cluster, action, dry_run)
    except errors.NotFound:
        message = f"namespace {action.namespace} is gone"
        return Outcome(action=action, kind=OutcomeKind.ALREADY, message=message)
    except errors.ClusterError as trouble:
        return outcome_of(action, trouble, f"network policy {action.namespace}/{action.name}")
    return Outcome(action=action, kind=OutcomeKind.DONE)


async def _mended(cluster: ports.Cluster, action: DenyNetwork, dry_run: bool) -> Outcome:
    what = f"network policy {action.namespace}/{action.name}"
    wanted = policy_body(action)
    try:
        found = await cluster.get(resources.NETWORK_POLICIES, action.name, namespace=action.namespace)
        if found is None:
            return Outcome(action=action, kind=OutcomeKind.FAILED, message=f"{what} vanished while it was looked at")
        if _label(found) != action.quarantine_uid:
            message = f"{what} is somebody else's object; remove it, so that the pods can be isolated"
            return Outcome(action=action, kind=OutcomeKind.REFUSED, message=message)
        if _denies(found, action.quarantine_uid):
            return Outcome(action=action, kind=OutcomeKind.ALREADY)
        body = {
            "metadata": {"uid": found["metadata"]["uid"], "resourceVersion": found["metadata"]["resourceVersion"]},
            "spec": {**wanted["spec"], "ingress": None, "egress": None},
        }
        body["spec"]["podSelector"] = {**wanted["spec"]["podSelector"], "matchExpressions": None}
        await cluster.merge_patch(
            resources.NETWORK_POLICIES, action.name, body, namespace=action.namespace, dry_run=dry_run
        )
    except errors.ClusterError as trouble:
        return outcome_of(action, trouble, what)
    return Outcome(action=action, kind=OutcomeKind.DONE, message=f"{what} was changed by somebody and is mended")


async def allow_network(cluster: ports.Cluster, action: AllowNetwork, *, dry_run: bool = False) -> Outcome:
    """Delete it, by its UID. Gone already is success; what is not ours stays."""
    what = f"network policy {action.namespace}/{action.name}"
    try:
        found = await cluster.get(resources.NETWORK_POLICIES, action.name, namespace=action.namespace)
        if found is None or not _label(found):
            return Outcome(action=action, kind=OutcomeKind.ALREADY)
        await cluster.delete(
            resources.NETWORK_POLICIES,
            action.name,
            uid=found["metadata"]["uid"],
            namespace=action.namespace,
            dry_run=dry_run,
        )
    except errors.NotFound:
        return Outcome(action=action, kind=OutcomeKind.ALREADY)
    except errors.ClusterError as trouble:
        return outcome_of(action, trouble, what)
    return Outcome(action=action, kind=OutcomeKind.DONE)


class PolicyLists:
    """NetworkPolicies by namespace, read now. Those who ask for a namespace at the same moment share one list, and what
    is at the version that was seen before is not parsed once more: every Quarantine adds a policy for all to read."""

    def __init__(self, cluster: ports.Cluster) -> None:
        self._cluster = cluster
        self._lists: SharedReads[tuple[NetworkPolicyFacts, ...]] = SharedReads(self._list)
        self._known: dict[str, dict[tuple[str, str], NetworkPolicyFacts]] = {}

    async def read(self, namespaces: Iterable[str]) -> tuple[NetworkPolicyFacts, ...]:
        """All NetworkPolicies of these namespaces. Raises `errors.ClusterError`; never a partial answer."""
        listed = await asyncio.gather(*(self._lists.ask(one) for one in sorted(set(namespaces))))
        return tuple(one for some in listed for one in some)

    async def _list(self, namespace: str) -> tuple[NetworkPolicyFacts, ...]:
        known, found = self._known.get(namespace, {}), dict[tuple[str, str], NetworkPolicyFacts]()
        async for page in self._cluster.pages(resources.NETWORK_POLICIES, namespace=namespace):
            for one in page:
                seen = (one["metadata"].get("uid", ""), one["metadata"].get("resourceVersion", ""))
                found[seen] = known[seen] if all(seen) and seen in known else facts_of(one)
        self._keep(namespace, found)
        return tuple(found.values())

    def _keep(self, namespace: str, found: dict[tuple[str, str], NetworkPolicyFacts]) -> None:
        """For the next list; of so many namespaces, those that were asked for last."""
        self._known.pop(namespace, None)
        if found:
            self._known[namespace] = found
        while len(self._known) > KEPT:
            del self._known[next(iter(self._known))]


def facts_of(body: Mapping[str, Any]) -> NetworkPolicyFacts:
    """From decoded JSON. A selector that cannot be read counts as selecting everything."""
    spec = body.get("spec") or {}
    return NetworkPolicyFacts(
        namespace=body["metadata"].get("namespace", ""),
        name=body["metadata"]["name"],
        uid=body["metadata"].get("uid", ""),
        selector=_selector(spec.get("podSelector") or {}),
        allows=bool(spec.get("ingress") or spec.get("egress")),
        quarantine=_label(body) if _sound(body) else "",
    )


def _selector(body: Mapping[str, Any]) -> LabelSelector:
    try:
        return LabelSelector.model_validate(body)
    except ValidationError:
        return LabelSelector()


def _label(body: Mapping[str, Any]) -> str:
    return str((body["metadata"].get("labels") or {}).get(marks.QUARANTINE_POD_LABEL, ""))


def _sound(body: Mapping[str, Any]) -> bool:
    """One that says it is ours and no longer denies counts as somebody else's: it must be mended."""
    return bool(_label(body)) and _denies(body, _label(body))


def _denies(body: Mapping[str, Any], quarantine_uid: str) -> bool:
    spec = body.get("spec") or {}
    return (
        spec.get("podSelector") == {"matchLabels": {marks.QUARANTINE_POD_LABEL: quarantine_uid}}
        and set(spec.get("policyTypes") or ()) == set(_DIRECTIONS)
        and not spec.get("ingress")
        and not spec.get("egress")
    )
