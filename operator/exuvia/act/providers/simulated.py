"""Simulated: the simulated cloud of `exuvia dev cloud`, over HTTP on loopback.

A request carries the operation's key, so that asking twice launches once. What the cloud refuses for good (409) is
definite; everything else (no answer, 5xx) leaves the outcome unknown, and `find` tells it later. No redirects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from exuvia import errors, ports
from exuvia.act.providers.base import ProviderKind, Surroundings
from exuvia.model.cards import Card
from exuvia.model.instances import Instance, Reference
from exuvia.model.permissions import Permission
from exuvia.model.specs.security_policy import ProviderName

PERMISSIONS: tuple[Permission, ...] = ()
SCHEME = "simulated://"
TIMEOUT = aiohttp.ClientTimeout(total=4, sock_connect=2)
CARD = Card(
    name=ProviderName.SIMULATED,
    description="Machines of the simulated cloud (`exuvia dev cloud`), for demonstrations, tests and benchmarks.",
    parameters=(("--simulated-cloud", "URL of the simulated cloud; without it this provider is not served"),),
    permissions=PERMISSIONS,
    example="rotation: {provider: Simulated, strategy: ReplaceFirst}",
)


def is_simulated(provider_id: str) -> bool:
    """Whether a machine is one of the simulated cloud."""
    return provider_id.startswith(SCHEME)


class Simulated:
    """The provider. Close it at the end."""

    card = CARD
    adds_first = True
    brings_replacement = True

    def __init__(self, url: str, fence: Callable[[], None] = lambda: None) -> None:
        self._url = url.rstrip("/")
        self._fence = fence
        self._session: aiohttp.ClientSession | None = None

    def owns(self, instance: Instance) -> bool:
        """By the scheme of its providerID."""
        return is_simulated(instance.provider_id)

    async def request(self, *, pool: str, key: str, like: Reference) -> ports.Machine:
        """One more machine of the pool. `ProviderError`, definite: the cloud will not bring it."""
        if not pool:
            raise errors.ProviderError(
                f"{like.name} belongs to no pool, so the simulated cloud cannot bring another of its kind.",
                definite=True,
                remedy="Set the label exuvia.dev/pool on its Node.",
            )
        self._fence()
        status, body = await self._ask("POST", f"/v1/pools/{_part(pool)}/machines", json={"key": key})
        if status in (200, 201, 202):
            return _machine(body, key)
        raise _trouble(f"launch in pool {pool}", status, body)

    async def find(self, *, pool: str, key: str) -> ports.Machine:
        """What became of the request with that key; `Unknown` when the cloud never saw it."""
        status, body = await self._ask("GET", f"/v1/pools/{_part(pool)}/requests/{_part(key)}")
        if status == 404:
            return ports.Machine(state=ports.MachineState.UNKNOWN, message=_said(body))
        if status == 200 or (status == 409 and body.get("state")):
            return _machine(body, key)
        raise _trouble(f"request {key} in pool {pool}", status, body)

    async def remove(self, *, pool: str, instance: Reference) -> None:
        """Terminate it by its providerID. Gone already is success."""
        if not is_simulated(instance.provider_id):
            raise errors.ProviderError(
                f"{instance.name} (providerID {instance.provider_id or 'not set'}) is no machine of the simulated "
                "cloud.",
                definite=True,
                remedy="Name its provider in `spec.rotation.provider`.",
            )
        self._fence()
        status, body = await self._ask("DELETE", "/v1/machines", params={"providerID": instance.provider_id})
        if status not in (200, 202, 204, 404):
            raise _trouble(f"removal of {instance.name} ({instance.provider_id})", status, body)

    async def close(self) -> None:
        """Give the connections back."""
        if self._session is not None:
            await self._session.close()

    async def _ask(
        self, verb: str, path: str, *, json: Mapping[str, str] | None = None, params: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, Any]]:
        """One request. No answer is no definite failure: the cloud may have done it."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=TIMEOUT)
        try:
            async with self._session.request(
                verb, self._url + path, json=json, params=params, allow_redirects=False
            ) as response:
                return response.status, _decoded(await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as trouble:
            why = str(trouble).strip() or "no answer in time"
            raise errors.ProviderError(
                f"The simulated cloud {self._url} does not answer {verb} {path}: {why}.",
                definite=False,
                remedy="Check that `exuvia dev cloud` runs and that --simulated-cloud names it.",
            ) from trouble


def _decoded(raw: bytes) -> Mapping[str, Any]:
    try:
        body = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return {"message": raw[:200].decode(errors="replace")}
    return body if isinstance(body, dict) else {}


def _machine(body: Mapping[str, Any], key: str) -> ports.Machine:
    """As the cloud reports it; its request is known by our key. A state that is not known says nothing."""
    known = {str(one): one for one in ports.MachineState}
    return ports.Machine(
        state=known.get(str(body.get("state")), ports.MachineState.UNKNOWN),
        provider_id=str(body.get("providerID") or ""),
        node_name=str(body.get("nodeName") or ""),
        request_id=key,
        message=_said(body),
    )


def _trouble(what: str, status: int, body: Mapping[str, Any]) -> errors.ProviderError:
    """4xx: refused, nothing was done. 408, 429 and 5xx say nothing of the kind."""
    definite = 400 <= status < 500 and status not in (408, 425, 429)
    return errors.ProviderError(
        f"The simulated cloud answers {status} to the {what}: {_said(body) or 'no message'}.", definite=definite
    )


def _said(body: Mapping[str, Any]) -> str:
    return str(body.get("message") or "").rstrip(".")


def _part(text: str) -> str:
    return quote(text, safe="")


def make(surroundings: Surroundings) -> ports.Provider | None:
    """None without a URL of the cloud."""
    url = surroundings.simulated_cloud
    return Simulated(url, surroundings.fence) if url else None


PROVIDER = ProviderKind(name=ProviderName.SIMULATED, card=CARD, make=make)
