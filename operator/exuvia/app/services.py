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
from exuvia.app.policies import Policies
from exuvia.app.scribe import Scribe
from exuvia.app.settings import Settings
from exuvia.decide.planner import Planner
from exuvia.kube.client import Client
from exuvia.model.facts import LedgerState
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
    reactions: dict[str, float] = field(default_factory=dict)
    """Instance UID -> the monotonic moment at which the fact was seen that an operation now answers."""

    def ledger_down(self) -> bool:
        """Whether no intent can be written to the ledger now."""
        return self.ledger.health().state in (LedgerState.DOWN, LedgerState.NOT_TRUSTED)
