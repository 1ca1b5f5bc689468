"""The risk of every living machine now, kept in memory as one figure each and reckoned anew when the ledger was told
something: for the rule RiskScore and for metrics. Everything is read off the event loop.

A figure is what `exuvia risk at` would say of that machine alone. What any writer tells counts: facts of the operator
itself within a second, what a person imports within some seconds, scores at most half a minute later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from fractions import Fraction

from sqlalchemy import Connection

from exuvia import errors
from exuvia.app import reckoning
from exuvia.app.exposure import Exposure
from exuvia.app.learning import NOT_READ
from exuvia.app.pacing import Pace
from exuvia.app.services import Services
from exuvia.decide.brakes.times import LARGEST_SKEW
from exuvia.evaluate.risk import moment
from exuvia.evaluate.risk.scores import History, histories
from exuvia.model.facts import Fact, microseconds
from exuvia.model.learnt import Doubt, RiskFigure
from exuvia.record import appending, exposed
from exuvia.record.reading import reading
from exuvia.report.metrics import Sample

log = logging.getLogger(__name__)

PERIOD_SECONDS = 1.0
NEWS_SECONDS = 5.0
"""How often the ledger is asked what others told: some milliseconds of work."""

SCORES_SECONDS = 30.0
"""How often at most changed scores are reckoned with, since they may be on every machine."""

FULL_SECONDS = 600.0
"""How often every figure is reckoned anew: a score may begin to be valid without anybody telling anything."""

TROUBLE_SECONDS = 30.0
AHEAD = LARGEST_SKEW // timedelta(microseconds=1)
NOTHING = RiskFigure()
UNSCORED = History()


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What was read at one moment: figures of who was asked about, up to which entry, and whether scores changed."""

    figures: Mapping[str, RiskFigure]
    asked: frozenset[str]
    head: int
    scores: bool = False


class Risks:
    """Runs with a term."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._figures: dict[str, RiskFigure] = {}
        self._loads = -1
        self._head = 0
        self._told = False
        self._scored = False
        self._known = False
        self._tailed = self._whole = float("-inf")
        self._pace = Pace()
        self._trouble = ""
        self._skew: Mapping[str, float] = {}
        self.exposure = Exposure(services.clock.monotonic)
        services.learnings.risk_of = self.of

    async def run(self) -> None:
        """For ever."""
        while True:
            await self.look()
            await asyncio.sleep(PERIOD_SECONDS)

    def committed(self, facts: Iterable[Fact]) -> None:
        """These facts are durable: look soon, where they concern the risk of machines."""
        self._told = self._told or any(one.kind in exposed.CONCERNS for one in facts)

    def of(self, uid: str) -> RiskFigure | Doubt:
        """The risk of a living machine now, or why it is not known."""
        if self._services.ledger_down():
            message = f"the ledger cannot be read: {self._services.ledger_health().message}"
            return Doubt(message=message, awaited=self._loads < 0)
        if self._loads < 0:
            return NOT_READ
        found = self._figures.get(uid, NOTHING)
        return replace(found, scanned=True) if uid in self._services.learnings.scanned else found

    async def look(self) -> None:
        """Reckon with what was told since the last look."""
        services = self._services
        self._note_who_is_gone()
        self._say_whether_known(not services.ledger_down())
        if not (self._known and services.chronicle.loaded):
            return
        try:
            await self._reckon()
            self._trouble = ""
        except errors.LedgerError as trouble:
            self._told = True  # what was not read is read by the next look
            if str(trouble) != self._trouble:
                self._trouble = str(trouble)
                log.warning("the risk of machines waits for the ledger: %s", trouble)

    async def _reckon(self) -> None:
        loads, monotonic = self._services.chronicle.loads, self._services.clock.monotonic()
        whole = SCORES_SECONDS if self._scored else FULL_SECONDS
        if loads != self._loads or monotonic - self._whole >= whole:
            self._told = False
            read = await asyncio.to_thread(self._read_all, self._living())
            self._scored, self._tailed, self._whole = False, monotonic, monotonic
            self._take(read, asked=read.asked | self._figures.keys())
            self._begin(loads)
        elif self._told or monotonic - self._tailed >= NEWS_SECONDS:
            self._told = False
            read = await asyncio.to_thread(self._read_news, self._head, self._living())
            self._scored, self._tailed = self._scored or read.scores, monotonic
            self._take(read, asked=read.asked)

    def _begin(self, loads: int) -> None:
        """The past is known (anew): exposure goes on from it once that was reckoned."""
        if loads == self._loads:
            return
        self._loads = loads
        self._pace = Pace()
        self.exposure.begin()
        self._changed(self._living())

    def _living(self) -> set[str]:
        return {one.uid for one in self._services.view.nodes.store}

    def _take(self, read: Read, asked: Collection[str]) -> None:
        living, changed = self._services.view.nodes.store, set[str]()
        self._head = read.head
        for uid in asked:
            former, now = self._figures.pop(uid, None), read.figures.get(uid)
            if now is not None and living.get(uid) is not None:
                self._figures[uid] = now
                if now.scanned:
                    self._services.learnings.note_scanned(uid)
            if former != self._figures.get(uid):
                self.exposure.change(former, self._figures.get(uid))
                changed.add(uid)
        self._changed(changed)

    def _note_who_is_gone(self) -> None:
        """A death may be told later than it is seen; and what is known anew of others wakes who judges them."""
        for uid in self._services.learnings.take_gone():
            self.exposure.change(self._figures.pop(uid, None), None)
        if self._services.learnings.risks_wait and self._services.policies.needs_risk:
            self._services.view.wake.set()

    def _say_whether_known(self, known: bool) -> None:
        if known is not self._known:
            self._known = known
            if self._loads >= 0:
                self._changed(self._living())

    def _changed(self, uids: set[str]) -> None:
        if uids and self._services.policies.needs_risk:
            self._services.learnings.risks_changed(uids)
            self._services.view.wake.set()

    def _read_all(self, living: set[str]) -> Read:
        with reading(self._services.ledger.place) as connection:
            head = appending.head(connection, self._services.settings.cluster_name).seq
            return Read(figures=self._figured(connection, living), asked=frozenset(living), head=head)

    def _read_news(self, since: int, living: set[str]) -> Read:
        """Of machines that live: an import may tell of a million that do not."""
        with reading(self._services.ledger.place) as connection:
            news = exposed.news(connection, self._services.settings.cluster_name, since, living)
            figures = self._figured(connection, news.uids)
        return Read(figures=figures, asked=news.uids, head=news.head, scores=news.scores)

    def _figured(self, connection: Connection, uids: Collection[str]) -> dict[str, RiskFigure]:
        return figures(connection, uids, microseconds(self._services.clock.now()))

    async def run_reports(self) -> None:
        """For ever: the past as a whole, each time that the ledger was read anew; and the skew each hour, or soon where
        nothing was exposed and something is now."""
        while True:
            await asyncio.sleep(PERIOD_SECONDS)
            try:
                await self.report()
            except errors.LedgerError as trouble:
                log.warning("the risk of the past waits for the ledger: %s", trouble)
                await asyncio.sleep(TROUBLE_SECONDS)

    async def report(self) -> None:
        """Reckon what is due. Nothing while the ledger is away, or was not read yet."""
        services, monotonic = self._services, self._services.clock.monotonic()
        if self._loads < 0 or services.ledger_down():
            return
        if not self._pace.due(monotonic, missed=self.exposure.grows and not self._skew):
            return
        loads = self._loads
        asked = reckoning.Asked(
            place=services.ledger.place,
            cluster=services.settings.cluster_name,
            now=microseconds(services.clock.now()),
        )
        if not self.exposure.totals():
            self.exposure.begin()
            past = await asyncio.to_thread(reckoning.exposure, asked)
            if loads == self._loads:
                self.exposure.base(past)
        self._skew = await asyncio.to_thread(reckoning.skew, asked)
        if loads == self._loads:
            self._pace.done(monotonic, found=bool(self._skew))

    def samples(self) -> Iterator[Sample]:
        """What is known now, for the scrape; from another thread."""
        for band, seconds in self.exposure.totals().items():
            name = "exuvia_exposure_score_seconds_total"
            yield Sample(name=name, value=seconds, labels=(str(band),))
        for model, ratio in self._skew.items():
            yield Sample(name="exuvia_risk_skew_ratio", value=ratio, labels=(model,))
        if self._known and self._loads >= 0:
            yield from self._of_policies()

    def _of_policies(self) -> Iterator[Sample]:
        """The worst score and all scores together of the machines that a policy selects, where any of them is known."""
        by_uid, found = self._services.judgements.by_uid, dict[str, tuple[Fraction, Fraction]]()
        known = dict.fromkeys(list(self._services.learnings.scanned), NOTHING) | self._figures
        for uid, figure in known.items():
            judgement = by_uid.get(uid)
            for name in judgement.assessments if judgement is not None else ():
                worst, total = found.get(name, (Fraction(0), Fraction(0)))
                found[name] = max(worst, figure.worst), total + figure.total
        for name, values in found.items():
            for aggregation, value in zip(("max", "sum"), values, strict=True):
                yield Sample(name="exuvia_risk_score", value=float(value), labels=(name, aggregation))


def figures(connection: Connection, uids: Collection[str], now: int) -> dict[str, RiskFigure]:
    """The risk of each of these machines at that moment, as known then; of those of which anything was ever found.

    What is recorded later is not known yet, but for what a clock may have been ahead of ours: an operator whose clock
    was set back has told it.
    """
    found, known = dict[str, RiskFigure](), dict[str, History]()
    until = now + AHEAD
    asked = sorted(uids)
    for start in range(0, len(asked), exposed.CHUNK):
        some = asked[start : start + exposed.CHUNK]
        pasts = [one for one in exposed.pasts(connection, some, until) if one.presences]
        there = {each.vulnerability for one in pasts for each in one.presences} - known.keys()
        known |= dict.fromkeys(there, UNSCORED) | histories(exposed.scores(connection, there), until)
        found |= {one.uid: moment.figure(one, known, time=now, as_of=until) for one in pasts}
    return found
