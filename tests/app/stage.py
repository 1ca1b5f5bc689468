"""The parts that the loops of `app` share, without a cluster: a view that is filled by hand, and real thinking."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from exuvia import errors
from exuvia.app.fleet import Fleet
from exuvia.app.judging import Judgements
from exuvia.app.learning import Learnings
from exuvia.app.policies import Policies
from exuvia.app.recollection import Recollection
from exuvia.app.settings import Settings
from exuvia.decide.planner import Planner
from exuvia.evaluate import judge
from exuvia.model.instances import Instance
from exuvia.model.quarantine_views import OwnPlace
from exuvia.observe.cluster_view import ClusterView

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


class HandClock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


class Objects:
    """As much of an API server as keeps some objects by their names."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, Any]] = {}
        self.writes = 0
        self.trouble: Exception | None = None

    async def get(self, resource: Any, name: str, *, namespace: str = "") -> Any:
        if self.trouble is not None:
            raise self.trouble
        return self.kept.get(name)

    async def create(self, resource: Any, body: Any, *, namespace: str = "") -> Any:
        name = body["metadata"]["name"]
        if name in self.kept:
            raise errors.AlreadyExists(name)
        return self._put(name, dict(body))

    async def merge_patch(self, resource: Any, name: str, body: Any, *, namespace: str = "") -> Any:
        found = self.kept.get(name)
        if found is None:
            raise errors.NotFound(name)
        if body["metadata"].get("resourceVersion") != found["metadata"]["resourceVersion"]:
            raise errors.Conflict(name)
        return self._put(name, {**found, **body})

    async def delete(self, resource: Any, name: str, *, uid: str, namespace: str = "") -> None:
        if self.kept.pop(name, None) is None:
            raise errors.NotFound(name)

    def _put(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        self.writes += 1
        self.kept[name] = {**body, "metadata": {"name": name, "uid": name, "resourceVersion": str(self.writes)}}
        return self.kept[name]


def services(**parts: Any) -> Any:
    """What a test does not name is real where it needs no cluster."""
    clock = HandClock()
    given = {
        "settings": Settings(),
        "clock": clock,
        "view": ClusterView(None, clock),  # type: ignore[arg-type]
        "policies": Policies(),
        "judgements": Judgements(clock.monotonic),
        "planner": Planner(),
        "chronicle": SimpleNamespace(ready_once=set(), loaded=True),
        "own": OwnPlace(),
        "recollection": Recollection(),
        "learnings": Learnings(),
        "providers": {},
        "client": None,
        "past_trouble": "",
    }
    return SimpleNamespace(**(given | parts))


def fleet(of: Any, *machines: Instance) -> Fleet:
    """The fleet of those services, with these machines in it."""
    for one in machines:
        of.view.nodes.store.put(one, "1")
    return Fleet(of)


def judged(of: Any, *machines: Instance) -> None:
    """Let all policies judge these machines."""
    compiled = tuple(of.policies.compiled.values())
    for one in machines:
        of.judgements.put(judge.judge_all(compiled, one, {}, of.clock.now()))
