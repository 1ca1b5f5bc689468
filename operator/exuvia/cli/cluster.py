"""How a command reaches the cluster: its options, one client for its life, clear words when something is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click

from exuvia import errors, ports
from exuvia.model import marks, resources
from exuvia.model.instances import Instance
from exuvia.model.resources import Resource
from exuvia.observe import nodes

if TYPE_CHECKING:
    from exuvia.kube.client import Client

PATIENCE = timedelta(seconds=10)

_Command = TypeVar("_Command", bound=Callable[..., Any])
_Answer = TypeVar("_Answer")


def cluster_options(command: _Command) -> _Command:
    """`--kubeconfig` and `--context`, as kubectl has them."""
    command = click.option("--context", default="", metavar="NAME", help="Context of the kubeconfig.")(command)
    return click.option(
        "--kubeconfig", default="", metavar="FILE", help="Default: $KUBECONFIG, the pod's account, ~/.kube/config."
    )(command)


lease_option = click.option(
    "--lease-name",
    metavar="NAME",
    default=marks.LEASE,
    show_default=True,
    help="The Lease of the operator, as it was given to `exuvia run`.",
)


def run(kubeconfig: str, context: str, work: Callable[[Client], Awaitable[_Answer]]) -> _Answer:
    """Do some work with a client that lives as long as it. Raises `errors.ExuviaError` with the next step."""
    from exuvia.kube.client import Client  # only where a cluster is asked: it takes a second to load

    async def go() -> _Answer:
        async with await Client.connect(kubeconfig, context, timeout=PATIENCE) as client:
            return await work(client)

    return asyncio.run(go())


async def every(cluster: ports.Cluster, resource: Resource) -> list[ports.Body]:
    """All objects of one of our kinds. Where the kind is not installed the error says how to install it."""
    try:
        return [body async for page in cluster.pages(resource) for body in page]
    except errors.NotFound as trouble:
        raise not_installed(resource) from trouble


async def named(cluster: ports.Cluster, resource: Resource, name: str) -> ports.Body:
    """One object of one of our kinds. Raises `errors.NotFound` that says how to see which there are."""
    body = await cluster.get(resource, name)
    if body is None:
        await every(cluster, resource)
        raise errors.NotFound(
            f"There is no {resource.kind} {name}.",
            remedy=f"See `kubectl get {resource.full_name}` for those there are.",
        )
    return body


async def machine(cluster: ports.Cluster, name: str) -> Instance:
    """The live machine that bears a name now."""
    body = await cluster.get(resources.NODES, name)
    if body is None:
        raise errors.NotFound(
            f"There is no Node {name}.",
            remedy=f"See `kubectl get nodes`; for one that is gone `exuvia ledger who --name {name} --at TIME`.",
        )
    return nodes.from_body(body)


async def whoami(cluster: ports.Cluster) -> str:
    """The full user name that the API server knows us by."""
    review = resources.SELF_SUBJECT_REVIEWS
    answer = await cluster.create(review, {"apiVersion": review.api_version, "kind": review.kind})
    return str(((answer.get("status") or {}).get("userInfo") or {}).get("username") or "")


def not_installed(resource: Resource) -> errors.NotFound:
    """The kind is unknown to this cluster."""
    return errors.NotFound(
        f"This cluster does not know {resource.full_name}.",
        remedy=f"Install exuvia's kinds with `{resources.APPLY_KINDS}`, or name another cluster by --context.",
    )
