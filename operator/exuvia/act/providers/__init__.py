"""Providers: what can replace or remove a machine. Adding one is one file and one line in `PROVIDERS`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from exuvia import ports
from exuvia.act.providers import node_delete, simulated
from exuvia.act.providers.base import Closing, Leading, ProviderKind, Surroundings
from exuvia.act.providers.resolve import resolve
from exuvia.model.permissions import Permission

PROVIDERS: tuple[ProviderKind, ...] = (
    simulated.PROVIDER,
    node_delete.PROVIDER,
)
PERMISSIONS: tuple[Permission, ...] = tuple(right for one in PROVIDERS for right in one.card.permissions)

__all__ = [
    "PERMISSIONS",
    "PROVIDERS",
    "ProviderKind",
    "Surroundings",
    "close_providers",
    "configured",
    "resolve",
]


def configured(
    *, cluster: ports.Cluster, simulated_cloud: str = "", leadership: Leading | None = None
) -> dict[str, ports.Provider]:
    """The providers that can be served here, by name. Those that lack a setting are left out; `resolve` says why.
    With `leadership`, nothing is asked of a provider unless we lead."""
    given = Surroundings(cluster=cluster, simulated_cloud=simulated_cloud)
    if leadership is not None:
        given = replace(given, fence=leadership.check)
    made = ((str(one.name), one.make(given)) for one in PROVIDERS)
    return {name: provider for name, provider in made if provider is not None}


async def close_providers(providers: Mapping[str, ports.Provider]) -> None:
    """Give connections back, at the end of the process."""
    for one in providers.values():
        if isinstance(one, Closing):
            await one.close()
