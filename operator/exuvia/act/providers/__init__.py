"""Providers: what can replace or remove a machine. Adding one is one file and one line in `PROVIDERS`."""

from __future__ import annotations

from collections.abc import Mapping

from exuvia import ports
from exuvia.act.providers import node_delete, simulated
from exuvia.act.providers.base import Closing, ProviderKind, Surroundings
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
    "open_providers",
    "resolve",
]


def open_providers(surroundings: Surroundings) -> dict[str, ports.Provider]:
    """The providers that can be served here, by name. Those that lack a setting are left out; `resolve` says why."""
    made = ((str(one.name), one.make(surroundings)) for one in PROVIDERS)
    return {name: provider for name, provider in made if provider is not None}


async def close_providers(providers: Mapping[str, ports.Provider]) -> None:
    """Give connections back, at the end of the process."""
    for one in providers.values():
        if isinstance(one, Closing):
            await one.close()
