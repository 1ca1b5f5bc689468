"""Whether the intake, where the Deployment opens it, can ask who its callers are (`exuvia doctor`).

Only the Deployment tells whether it is open: of an operator that runs in another way nothing can be said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from exuvia import errors
from exuvia.app.manifests import declared, names
from exuvia.cli import examining, reviewing
from exuvia.cli.examining import Check
from exuvia.kube.client import Client
from exuvia.model.permissions import Duty
from exuvia.model.resources import Resource

SUBJECT = "intake"
SERVICE = f"{names.NAME}-intake"
_OPTION, _VARIABLE = "--intake-cert", "EXUVIA_INTAKE_CERT"
_APPLY = "kubectl apply -k deploy/overlays/intake"
_DEPLOYMENTS = Resource(group="apps", version="v1", plural="deployments", kind="Deployment", namespaced=True)
_SERVICES = Resource(plural="services", kind="Service", namespaced=True)


async def check(client: Client, namespace: str, *, as_me: bool) -> list[Check]:
    """One line, or none where no Deployment says anything of an intake."""
    try:
        deployment = await client.get(_DEPLOYMENTS, names.NAME, namespace=namespace)
        if deployment is None:
            return []
        if opens(deployment):
            return [await _open(client, namespace, as_me)]
        left = await client.get(_SERVICES, SERVICE, namespace=namespace)
        return [_closed(left is not None)]
    except errors.Forbidden:
        said = f"whether the Deployment {names.NAME} opens it may not be read here"
        return [examining.unknown(SUBJECT, said, "Run it as somebody who may read Deployments and Services.")]


def opens(deployment: Mapping[str, Any]) -> bool:
    """Whether it starts exuvia with a certificate for the intake, by an argument or by a variable."""
    return any(_named(one) for one in deployment["spec"]["template"]["spec"]["containers"])


def _named(container: Mapping[str, Any]) -> bool:
    told = any(one == _OPTION or one.startswith(f"{_OPTION}=") for one in _arguments(container))
    return told or any(one.get("name") == _VARIABLE for one in container.get("env") or ())


def _arguments(container: Mapping[str, Any]) -> Iterator[str]:
    yield from container.get("command") or ()
    yield from container.get("args") or ()


async def _open(client: Client, namespace: str, as_me: bool) -> Check:
    user = await examining.whose(client, namespace, as_me)
    wanted = [one for one in declared.permissions() if one.duty is Duty.INTAKE]
    lacking = await reviewing.missing(client, wanted, user=user, namespace=namespace)
    who = user or "you"
    if lacking:
        said = f"it is open, and {who} may not {'; '.join(lacking)}: every sender is refused"
        return examining.problem(SUBJECT, said, f"Bind the role {names.NAME}-{Duty.INTAKE}: {_APPLY}")
    return examining.ok(SUBJECT, f"it is open, and {who} may ask who its senders are")


def _closed(left: bool) -> Check:
    if left:
        said = f"the Service {SERVICE} is there, and the Deployment names no {_OPTION}: nobody answers behind it"
        return examining.problem(SUBJECT, said, f"Open it: {_APPLY}; or delete the Service.")
    return examining.ok(SUBJECT, f"it is closed: the Deployment names no {_OPTION}")
