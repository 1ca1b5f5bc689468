"""`exuvia run` that dies by SIGKILL after its N-th write took effect: `python -m tests.e2e.crashing N run ...`.

Counted are the writes that an operation is made of: creating it, its status, its finalizer, Nodes, pods, evictions,
network policies, and requests to the simulated cloud. Leases, Events and other statuses of ours are not.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from exuvia import ports
from exuvia.act.providers import simulated
from exuvia.kube.client import Client
from exuvia.model import resources
from exuvia.model.resources import Resource

COUNTED = (
    resources.ROTATIONS,
    resources.QUARANTINES,
    resources.NODES,
    resources.PODS,
    resources.NETWORK_POLICIES,
)


class Fuse:
    """Burns down with each counted write; at zero the process is gone."""

    def __init__(self, writes: int) -> None:
        self._left = writes

    def burn(self) -> None:
        """One more write took effect."""
        self._left -= 1
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


def arm(fuse: Fuse) -> None:
    """Let every write of the client and of the provider burn the fuse."""
    for name in ("create", "merge_patch", "delete"):
        setattr(Client, name, _burning(getattr(Client, name), fuse))
    Client.evict = _after(Client.evict, fuse)  # type: ignore[method-assign]
    for name in ("request", "remove"):
        setattr(simulated.Simulated, name, _after(getattr(simulated.Simulated, name), fuse))


def _burning(write: Callable[..., Any], fuse: Fuse) -> Callable[..., Any]:
    async def burn(self: Client, resource: Resource, *arguments: Any, **options: Any) -> ports.Body:
        answer: ports.Body = await write(self, resource, *arguments, **options)
        if resource in COUNTED:
            fuse.burn()
        return answer

    return burn


def _after(write: Callable[..., Any], fuse: Fuse) -> Callable[..., Any]:
    async def burn(self: Any, *arguments: Any, **options: Any) -> Any:
        answer = await write(self, *arguments, **options)
        fuse.burn()
        return answer

    return burn


def main() -> None:
    """Arm the fuse, then be `exuvia`."""
    from exuvia.cli.main import exuvia

    arm(Fuse(int(sys.argv[1])))
    exuvia(args=sys.argv[2:], prog_name="exuvia")


if __name__ == "__main__":
    main()
