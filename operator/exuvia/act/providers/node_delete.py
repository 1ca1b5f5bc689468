"""NodeDelete: delete the Node object and leave the rest to the machine's owner, who cleans up and refills the pool.

Never chosen by `Auto`: who deletes the Node of a machine that nobody cleans up leaves a machine that runs on unseen.
"""

from __future__ import annotations

from collections.abc import Callable

from exuvia import errors, ports
from exuvia.act.providers.base import ProviderKind, Surroundings
from exuvia.model import resources
from exuvia.model.cards import Card
from exuvia.model.instances import Instance, Kind, Reference
from exuvia.model.permissions import Duty, Permission
from exuvia.model.specs.security_policy import ProviderName

PERMISSIONS = (Permission(duty=Duty.ROTATE, resource="nodes", verbs=("delete",)),)
CARD = Card(
    name=ProviderName.NODE_DELETE,
    description="Deletes the Node object; the machine's owner cleans up and brings a new one. DrainFirst only.",
    permissions=PERMISSIONS,
    example="rotation: {provider: NodeDelete, strategy: DrainFirst}",
)


class NodeDelete:
    """The provider."""

    card = CARD
    adds_first = False
    brings_replacement = False

    def __init__(self, cluster: ports.Cluster, fence: Callable[[], None] = lambda: None) -> None:
        self._cluster = cluster
        self._fence = fence

    def owns(self, instance: Instance) -> bool:
        """Nothing is surely its own: it must be named."""
        return False

    async def request(self, *, pool: str, key: str, like: Reference) -> ports.Machine:
        """Always refused: the owner of the pool brings the replacement."""
        raise errors.ProviderError(
            f"Provider NodeDelete cannot add a machine to pool {pool!r} for {like.name}.",
            definite=True,
            remedy="Its owner refills the pool; or name another provider in `spec.rotation.provider`.",
        )

    async def find(self, *, pool: str, key: str) -> ports.Machine:
        """It was never asked for one."""
        return ports.Machine(state=ports.MachineState.UNKNOWN, message="NodeDelete asks nobody for machines")

    async def remove(self, *, pool: str, instance: Reference) -> None:
        """Delete the Node with its UID as precondition. Gone, or another of that name, is success."""
        if instance.kind is not Kind.NODE:
            raise errors.ProviderError(f"{instance.kind} {instance.name} is not a Node.", definite=True)
        self._fence()
        try:
            await self._cluster.delete(resources.NODES, instance.name, uid=instance.uid)
        except (errors.NotFound, errors.Conflict):
            return
        except (errors.Unreachable, errors.ServerTrouble) as trouble:
            raise errors.ProviderError(trouble.message, definite=False, remedy=trouble.remedy) from trouble
        except errors.ClusterError as trouble:
            raise errors.ProviderError(trouble.message, definite=True, remedy=trouble.remedy) from trouble


def make(surroundings: Surroundings) -> ports.Provider:
    """It needs nothing but the API server."""
    return NodeDelete(surroundings.cluster, surroundings.fence)


PROVIDER = ProviderKind(name=ProviderName.NODE_DELETE, card=CARD, make=make)
