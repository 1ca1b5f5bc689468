"""What the loops of one term of leadership share. Made in one place (`app.term`), handed to each loop whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from exuvia import ports
from exuvia.act.evidence import Custodian
from exuvia.act.hands import Hands
from exuvia.app.chronicle import Chronicle
from exuvia.app.expressions import Evaluator
from exuvia.app.fencing import FencedCluster
from exuvia.app.judging import Judgements
from exuvia.app.leader import Leadership
from exuvia.app.learning import Learnings
from exuvia.app.policies import Policies
from exuvia.app.recollection import Recollection
from exuvia.app.scribe import Scribe
from exuvia.app.settings import Settings
from exuvia.decide.brakes.knowledge import LOCK_PATIENCE
from exuvia.decide.planner import Planner
from exuvia.kube.client import Client
from exuvia.model.facts import LedgerHealth, LedgerState
from exuvia.model.quarantine_views import OwnPlace
from exuvia.observe.cluster_view import ClusterView
from exuvia.record.ledger import Ledger
from exuvia.report.events import Recorder
from exuvia.report.metrics import Durations, Tallies


@dataclass(slots=True, kw_only=True)
class Services:
    """The parts, by what they are for."""

    settings: Settings
    clock: ports.Clock
    client: Client  # reads, and the clock skew; never writes
    cluster: FencedCluster  # every write
    leadership: Leadership
    view: ClusterView
    ledger: Ledger
    scribe: Scribe
    chronicle: Chronicle
    events: Recorder
    tallies: Tallies
    durations: Durations
    providers: Mapping[str, ports.Provider]
    hands: Hands
    custodian: Custodian
    evaluator: Evaluator
    policies: Policies
    judgements: Judgements
    planner: Planner
    own: OwnPlace
    recollection: Recollection = field(default_factory=Recollection)
    learnings: Learnings = field(default_factory=Learnings)
    reactions: dict[str, float] = field(default_factory=dict)
    """Instance UID -> the monotonic moment at which the fact was seen that an operation now answers."""

    past_known: bool = False
    """Whether the ledger's past was read, and holds what open operations name. Before that nothing may start by it."""

    past_trouble: str = ""
    """Why it was not read yet, in words; "" where nothing is wrong."""

    def ledger_health(self) -> LedgerHealth:
        """How the ledger is for whoever decides: as good as away until its past is known."""
        health = self.ledger.health()
        if health.state is LedgerState.FINE and not self.past_known:
            message = self.past_trouble or "its past is being read"
            return LedgerHealth(state=LedgerState.DOWN, message=message, since=health.since)
        return health

    def ledger_down(self) -> bool:
        """Whether no intent can be written to the ledger now. One that is locked is waited for, 10 s at most."""
        health = self.ledger_health()
        if health.state is LedgerState.LOCKED:
            return health.since is not None and self.clock.now() - health.since >= LOCK_PATIENCE
        return health.state is not LedgerState.FINE
