"""Whether the agent that a licence pool names is anywhere: a name that was mistyped ends every seat by silence.

Said only, by a condition and once by an Event and a line; who gets a seat does not depend on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from exuvia.app import pool_views, seat_telling
from exuvia.app.services import Services
from exuvia.model.instances import Instance
from exuvia.model.specs.license_pool import Agent, LicensePool
from exuvia.report.conditions import Said

FOUND = "AgentFound"


class PoolAgents:
    """Once a pod of an agent was seen that is kept, by the condition too: machines come and go, and so do its pods."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._seen: dict[str, Agent] = {}
        self._told: dict[str, Agent] = {}

    def said(self, pool: LicensePool) -> list[Said]:
        """The condition; nothing where nothing new can be known."""
        agent = pool.spec.agent
        if agent is None:
            gone = Said(type=FOUND, status=None, reason="NoAgent", message="the pool names no agent any more")
            return [gone] if any(one.type == FOUND for one in pool.status.conditions) else []
        if self._knows(pool, agent):
            return [Said(type=FOUND, status=True, reason="AgentSeen", message=f"a pod of {_named(agent)} was seen")]
        if not pool_views.hears(self._services):
            return []
        return [self._missed(pool, agent)]

    def _knows(self, pool: LicensePool, agent: Agent) -> bool:
        """Whether a pod of it was ever seen."""
        seen = self._seen.get(pool.uid) == agent or _was(pool, "True") or pool_views.runs_anywhere(self._services, pool)
        if seen:
            self._seen[pool.uid] = agent
        return seen

    def _missed(self, pool: LicensePool, agent: Agent) -> Said:
        """Whoever is younger than heartbeatTimeout may only not have it yet."""
        text = f"no pod of {_named(agent)} was ever seen on a machine of the pool"
        if not _late(pool, self._services.view.nodes.store, self._services.clock.now()):
            return Said(type=FOUND, status=None, reason="AgentNotSeenYet", message=text)
        text += "; each seat ends after heartbeatTimeout (cause expiry): correct `agent`, or take it off"
        if self._told.get(pool.uid) != agent and not _was(pool, "False"):
            seat_telling.agent_missing(self._services, pool, text)
        self._told[pool.uid] = agent
        return Said(type=FOUND, status=False, reason="AgentNotFound", message=text)


def _late(pool: LicensePool, instances: Iterable[Instance], now: datetime) -> bool:
    """Whether the pool, and a machine of it, are there for as long as silence is borne."""
    since = now - pool.spec.heartbeat_timeout
    if pool.metadata.creation_timestamp > since:
        return False
    return any(one.born <= since and pool.spec.target.selector.matches(one.labels) for one in instances)


def _was(pool: LicensePool, status: str) -> bool:
    """Whether the condition said so of this generation of the pool: an earlier one may have named another agent."""
    known = next((one for one in pool.status.conditions if one.type == FOUND), None)
    return known is not None and known.status == status and known.observed_generation == pool.metadata.generation


def _named(agent: Agent) -> str:
    """For a sentence."""
    if agent.pods is not None:
        return f"the agent (`agent.pods`, namespace {agent.pods.namespace})"
    return f"DaemonSet {agent.daemon_set}"
