"""What a look at one licence pool needs of the cluster: living machines, the agent on each, who is quarantined."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from exuvia.act.reclaim_hook import host
from exuvia.app.services import Services
from exuvia.model.instances import Instance
from exuvia.model.pods import Pod
from exuvia.model.problems import Problem
from exuvia.model.seat_views import AgentSign, PoolView
from exuvia.model.seats import Seats
from exuvia.model.specs.choices import TargetKind
from exuvia.model.specs.license_pool import (
    Agent,
    HighWaterStatus,
    LicensePool,
    LicensePoolStatus,
    SeatCounts,
)
from exuvia.model.specs.quarantine import QuarantinePhase
from exuvia.observe.cluster_view import ClusterView

FRESH = timedelta(seconds=60)


def trusted(services: Services) -> bool:
    """Whether what is not in the view is really gone: no seat is granted or returned by half a picture."""
    view, now = services.view, services.clock.now()
    complete = view.nodes.synced and view.quarantines.synced and not view.nodes.unreadable
    return complete and _fresh(view.nodes.last_heard, now)


def _fresh(heard: datetime | None, now: datetime) -> bool:
    """A quiet watch is heard of by its bookmarks, and when it ends in order."""
    return heard is not None and now - heard <= FRESH


def hears(services: Services) -> bool:
    """Whether pods can be seen now: else silence says nothing."""
    return _heard(services.view, services.clock.now())


def runs_anywhere(services: Services, pool: LicensePool) -> bool:
    """Whether a pod of the agent is on any machine that the pool selects."""
    agent, view, selector = pool.spec.agent, services.view, pool.spec.target.selector
    chosen = (one for one in view.nodes.store if selector.matches(one.labels))
    return agent is not None and any(_sign(agent, one, view.pods_on(one.name)) is not None for one in chosen)


def _heard(view: ClusterView, now: datetime) -> bool:
    return view.pods.synced and _fresh(view.pods.last_heard, now)


def not_supported(pool: LicensePool, hosts: str) -> tuple[Problem, ...]:
    """Fields that this operator does not serve. A pool that writes one is not served. `hosts`: which may be called."""
    found = []
    if pool.spec.target.kind is not TargetKind.NODE:
        text = f"{pool.spec.target.kind} is not served yet."
        found.append(Problem(reason="NotSupported", place="target.kind", message=text, remedy="Use Node."))
    if pool.spec.reclaim.webhook is not None:
        called = host(pool.spec.reclaim.webhook.url)
        if not called or called not in {one.strip().lower() for one in hosts.split(",")}:
            text, remedy = f"this operator may not call {called or 'it'}.", f"Run it with --reclaim-hosts {called}."
            found.append(Problem(reason="NotSupported", place="reclaim.webhook.url", message=text, remedy=remedy))
    return tuple(found)


def view_of(
    services: Services,
    pool: LicensePool,
    seats: Seats,
    deaths: Mapping[str, datetime],
    last: tuple[SeatCounts, HighWaterStatus],
) -> PoolView:
    """The view of one pool. `last` is what the last look counted: newer than the pool's status as we see it."""
    view = services.view
    instances = tuple(view.nodes.store)
    counts, high_water = last
    status = LicensePoolStatus(conditions=pool.status.conditions, seats=counts, high_water=high_water)
    return PoolView(
        pool=pool.model_copy(update={"status": status}),
        seats=seats,
        instances=instances,
        agents=_agents(view, pool, instances, services.clock.now()),
        quarantined=frozenset(
            one.spec.instance.uid for one in view.open_quarantines() if one.status.phase is not QuarantinePhase.PENDING
        ),
        deaths=deaths,
    )


def _agents(
    view: ClusterView, pool: LicensePool, instances: Iterable[Instance], now: datetime
) -> Mapping[str, AgentSign] | None:
    """None: there is no agent, or its pods cannot be seen now, so that silence says nothing."""
    agent = pool.spec.agent
    if agent is None or not _heard(view, now):
        return None
    signs = ((one.uid, _sign(agent, one, view.pods_on(one.name))) for one in instances)
    return {uid: sign for uid, sign in signs if sign is not None}


def _sign(agent: Agent, instance: Instance, pods: Iterable[Pod]) -> AgentSign | None:
    """The agent's pod on a machine; of several a ready one, then the youngest. A pod older than its machine is of a
    former machine of that name."""
    mine = [one for one in pods if one.created >= instance.born and _runs(agent, one)]
    if not mine:
        return None
    pod = max(mine, key=lambda one: (one.ready, one.created, one.uid))
    return AgentSign(
        ready=pod.ready,
        since=pod.ready_changed or pod.created,
        started=pod.containers_started or pod.started or pod.created,
    )


def _runs(agent: Agent, pod: Pod) -> bool:
    if agent.pods is not None:
        return pod.namespace == agent.pods.namespace and agent.pods.selector.matches(pod.labels)
    owner = pod.owner
    return owner is not None and owner.kind == "DaemonSet" and f"{pod.namespace}/{owner.name}" == agent.daemon_set
