"""What every provider is: a card, and a factory that makes it from what the process was told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from exuvia import ports
from exuvia.model.cards import Card
from exuvia.model.specs.security_policy import ProviderName


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What providers are made from. `simulated_cloud`: URL of the simulated cloud, "" when there is none; `fence`
    raises `errors.Fenced` once we do not lead any more, and is asked before everything that changes something."""

    cluster: ports.Cluster
    simulated_cloud: str = ""
    fence: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderKind:
    """A provider as the table of providers lists it. `make` gives None where a setting is missing."""

    name: ProviderName
    card: Card
    make: Callable[[Surroundings], ports.Provider | None]


class Leading(Protocol):
    """Whoever knows whether we lead."""

    def check(self) -> None:
        """Raise `errors.Fenced` unless we lead now."""


@runtime_checkable
class Closing(Protocol):
    """A provider that holds connections."""

    async def close(self) -> None:
        """Give them back."""
