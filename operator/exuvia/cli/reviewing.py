"""Which of the declared rights somebody lacks, by access reviews of the API server. Nothing is tried."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from exuvia import ports
from exuvia.model import resources
from exuvia.model.permissions import Permission
from exuvia.model.resources import Resource

SUBJECT_ACCESS_REVIEWS = Resource(
    group="authorization.k8s.io", plural="subjectaccessreviews", kind="SubjectAccessReview"
)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Right:
    """One verb on one resource; `name` and `namespace` "" mean any."""

    group: str
    resource: str
    verb: str
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        kind, slash, sub = self.resource.partition("/")
        full = f"{kind}.{self.group}" if self.group else kind
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.verb} {full}{slash}{sub}{where}"


def rights(permissions: Iterable[Permission], namespace: str) -> list[Right]:
    """Each right once, in order."""
    return sorted({one for permission in permissions for one in _rights(permission, namespace)})


async def missing(client: ports.Cluster, permissions: Iterable[Permission], *, user: str, namespace: str) -> list[str]:
    """The rights that `user` lacks ("": the caller), in words. `Forbidden`: rights of others may not be asked for."""
    wanted = rights(permissions, namespace)
    answers = await asyncio.gather(*(_allowed(client, one, user) for one in wanted))
    return [str(one) for one, allowed in zip(wanted, answers, strict=True) if not allowed]


def _rights(permission: Permission, namespace: str) -> Iterator[Right]:
    for verb in permission.verbs:
        for name in permission.names or ("",):
            yield Right(
                group=permission.group,
                resource=permission.resource,
                verb=verb,
                namespace=namespace if permission.own_namespace else "",
                name=name,
            )


async def _allowed(client: ports.Cluster, right: Right, user: str) -> bool:
    kind = SUBJECT_ACCESS_REVIEWS if user else resources.SELF_SUBJECT_ACCESS_REVIEWS
    main, _, sub = right.resource.partition("/")
    attributes = {"group": right.group, "resource": main, "verb": right.verb, "namespace": right.namespace}
    attributes |= {"subresource": sub} if sub else {}
    attributes |= {"name": right.name} if right.name else {}
    spec: dict[str, object] = {"resourceAttributes": attributes}
    if user:
        spec |= {"user": user, "groups": _groups(user)}
    answer = await client.create(kind, {"apiVersion": kind.api_version, "kind": kind.kind, "spec": spec})
    return bool((answer.get("status") or {}).get("allowed"))


def _groups(user: str) -> list[str]:
    """The groups that a service account is in by itself."""
    namespace = user.split(":")[2] if user.startswith("system:serviceaccount:") else ""
    own = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"] if namespace else []
    return [*own, "system:authenticated"]
