"""Machines are judged with what was learnt of them; one that was never judged waits a moment for what is not read yet,
and one that dies before anything was reported of it is counted."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

from exuvia.app.examining import Examiner
from exuvia.app.learning import PATIENCE_SECONDS
from exuvia.app.sweep import Sweep
from exuvia.model.facts import DeathReason
from exuvia.model.findings import Result
from exuvia.model.instances import Instance
from exuvia.model.learnt import Doubt, RiskFigure, SeatSign, SeatState
from exuvia.model.specs.security_policy import RuleType
from tests.app import stage
from tests.evaluate.world import node, policy, rule

SEAT = rule(RuleType.LICENSE_SEAT, {"pool": "antivirus"})
RISK = rule(RuleType.RISK_SCORE, {"max": 70})
HELD = SeatSign(state=SeatState.HELD)


class Scene:
    """One machine, and an examiner of it."""

    def __init__(self, *rules: dict[str, Any]) -> None:
        self.told: list[Any] = []
        self.tallied: list[tuple[str, ...]] = []
        self.services = stage.services(
            reactions={},
            scribe=SimpleNamespace(note=self.told.append),
            events=SimpleNamespace(say=lambda event: None),
            tallies=SimpleNamespace(add=lambda *labels: self.tallied.append(labels)),
            durations=SimpleNamespace(observe=lambda *some: None),
            chronicle=SimpleNamespace(
                ready_once=set(), loaded=True, gone=self.gone, reason_of=lambda last, _: (DeathReason.UNKNOWN, "")
            ),
        )
        self.services.policies.refresh([policy(*rules)])
        self.learnings = self.services.learnings
        self.machine: Instance = node(pool="desktops")
        self.examiner = Examiner(self.services, stage.fleet(self.services, self.machine))

    def gone(self, *_: Any, scanned: bool) -> bool:
        self.scanned = scanned
        return True

    async def examine(self, after: float = 0) -> list[str]:
        self.services.clock.seconds += after
        return await self.examiner.examine([self.machine.uid])

    def results(self) -> list[Result]:
        judgement = self.services.judgements.by_uid.get(self.machine.uid)
        return [one.result for one in judgement.assessments["workers"].findings] if judgement else []

    def die(self) -> list[tuple[str, ...]]:
        self.examiner.died(self.machine)
        return [one for one in self.tallied if one[0] == "exuvia_instances_unscanned_at_death_total"]


async def test_rules_see_what_was_learnt() -> None:
    scene = Scene(SEAT, RISK)
    scene.learnings.seat_of = lambda pool, uid: HELD
    scene.learnings.risk_of = lambda uid: RiskFigure(worst=Fraction("9.8"), present=1)
    assert await scene.examine() == []
    assert scene.results() == [Result.PASS, Result.FAIL]


async def test_a_new_machine_waits_for_what_is_not_read_yet_and_nothing_is_told_twice() -> None:
    scene = Scene(SEAT)
    assert await scene.examine() == [scene.machine.uid]
    assert scene.results() == [] and scene.told == []
    scene.learnings.seat_of = lambda pool, uid: HELD
    assert await scene.examine(1) == []
    assert [one.body["result"] for one in scene.told] == ["compliant"]


async def test_it_does_not_wait_for_ever() -> None:
    scene = Scene(RISK)
    assert await scene.examine() and await scene.examine(PATIENCE_SECONDS - 1)
    assert await scene.examine(1) == []
    assert scene.results() == [Result.ERROR]


async def test_what_is_not_known_for_a_reason_is_not_waited_for() -> None:
    scene = Scene(RISK)
    scene.learnings.risk_of = lambda uid: Doubt(message="the ledger cannot be read")
    assert await scene.examine() == []
    assert scene.results() == [Result.ERROR]


async def test_one_that_was_judged_before_is_judged_by_less_as_well() -> None:
    scene = Scene(SEAT)
    scene.learnings.seat_of = lambda pool, uid: HELD
    await scene.examine()
    scene.learnings.seat_of = lambda pool, uid: SeatSign(state=SeatState.UNKNOWN, message="?", awaited=True)
    assert await scene.examine() == []
    assert scene.results() == [Result.ERROR]


async def test_where_no_rule_asks_nobody_waits() -> None:
    scene = Scene(rule(RuleType.MAX_AGE, {"limit": "2h"}))
    assert await scene.examine() == []
    assert scene.results() == [Result.PASS]


def test_a_death_before_any_report_is_counted_by_pool() -> None:
    scene = Scene(RISK)
    scene.learnings.scanner = True
    assert scene.die() == [("exuvia_instances_unscanned_at_death_total", "desktops")]
    assert scene.scanned is False, "the ledger keeps it, for the counter of the next leader"


def test_without_a_scanner_every_death_is_one() -> None:
    scene = Scene(RISK)
    scene.learnings.scanner = False
    assert len(scene.die()) == 1


def test_a_scanned_machine_and_one_of_which_that_is_not_known_are_not_counted() -> None:
    scene = Scene(RISK)
    scene.learnings.scanner = True
    scene.learnings.note_scanned(scene.machine.uid)
    assert scene.die() == [] and scene.learnings.scanned == set() and scene.scanned
    assert Scene(RISK).die() == [], "nobody knows yet whether there are reports"


async def test_the_sweep_comes_back_to_who_waits() -> None:
    scene = Scene(RISK)
    sweep: Any = Sweep.__new__(Sweep)
    sweep._services, sweep._fleet, sweep._examiner = scene.services, stage.fleet(scene.services), scene.examiner
    sweep._ripening = []
    await sweep._judge({scene.machine.uid})
    now = scene.services.clock.now()
    assert sweep._ripe(now) == set()
    assert sweep._ripe(now + timedelta(seconds=PATIENCE_SECONDS)) == {scene.machine.uid}
