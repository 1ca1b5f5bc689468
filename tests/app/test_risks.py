"""The risk of living machines in memory: as `exuvia risk at` says it, from whatever any writer told the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from exuvia import errors
from exuvia.app import risks as module
from exuvia.app.pacing import PERIOD_SECONDS, SOON_SECONDS
from exuvia.app.risks import FULL_SECONDS, NEWS_SECONDS, SCORES_SECONDS, Risks
from exuvia.app.settings import Settings
from exuvia.evaluate.risk import moment
from exuvia.model.facts import Fact, FactKind, LedgerHealth, LedgerState, microseconds, text
from exuvia.model.learnt import Doubt, RiskFigure
from exuvia.model.risks import Aggregation
from exuvia.model.specs.security_policy import RuleType
from exuvia.record import histories, importing, lines
from exuvia.record.reading import reading
from exuvia.record.versions import INSTANT
from tests.app import stage
from tests.app.stage import NOW
from tests.cli.calling import answer
from tests.evaluate import world
from tests.evaluate.world import node

HOUR = timedelta(hours=1)
BORN, LONG_AGO = text(NOW - 10 * HOUR), text(NOW - 100 * HOUR)


def life(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "instance", "uid": f"uid-{name}", "name": name, "born": BORN, "recordedAt": BORN, **more}


def presence(name: str, vulnerability: str, **more: Any) -> dict[str, Any]:
    line = {"type": "presence", "uid": f"uid-{name}", "vulnerability": vulnerability, "from": BORN, "to": None}
    return {**line, "recordedAt": BORN, **more}


def score(vulnerability: str, value: float, source: str = "cvss", **more: Any) -> dict[str, Any]:
    line = {"type": "score", "vulnerability": vulnerability, "source": source, "value": value, "basis": "threat"}
    return {**line, "validFrom": LONG_AGO, "recordedAt": LONG_AGO, **more}


class Stage:
    """Two machines, a policy that asks for their risk, and a ledger into which lines are imported."""

    def __init__(self, folder: Path, *first: dict[str, Any]) -> None:
        self.path = folder / "ledger.db"
        self.state = LedgerState.FINE
        self.services = stage.services(
            settings=Settings(cluster_name="c"),
            ledger=SimpleNamespace(place=self.path),
            ledger_down=lambda: self.state is not LedgerState.FINE,
            ledger_health=lambda: LedgerHealth(state=self.state, message="the disk is full"),
            chronicle=SimpleNamespace(ready_once=set(), loaded=True, loads=1),
        )
        self.services.policies.refresh([world.policy(world.rule(RuleType.RISK_SCORE, {"max": 70}))])
        self.machines = [node("w", born=NOW - 10 * HOUR), node("x", born=NOW - 10 * HOUR)]
        self.fleet = stage.fleet(self.services, *self.machines)
        self.tell(life("w"), life("x"), *first)
        self.risks = Risks(self.services)

    def tell(self, *some: dict[str, Any]) -> None:
        texts = (json.dumps(one) for one in some)
        importing.load(self.path, lines.read(texts, recorded=microseconds(NOW)), cluster="c")

    def committed(self) -> None:
        self.risks.committed([Fact(kind=FactKind.PRESENCE, at=NOW)])

    async def look(self, after: float = 1) -> set[str]:
        """The machines to be judged anew then."""
        self.services.clock.seconds += after
        await self.risks.look()
        return self.services.learnings.take(self.services.policies)

    def figure(self, name: str = "w") -> RiskFigure:
        found = self.risks.of(f"uid-{name}")
        assert isinstance(found, RiskFigure), found
        return found

    def doubt(self, name: str = "w") -> str:
        found = self.risks.of(f"uid-{name}")
        assert isinstance(found, Doubt), found
        return found.message

    def samples(self) -> dict[tuple[str, tuple[str, ...]], float]:
        return {(one.name, one.labels): one.value for one in self.risks.samples()}


@pytest.fixture
def at_work(tmp_path: Path) -> Stage:
    return Stage(tmp_path, presence("w", "CVE-1"), presence("w", "CVE-2"), score("CVE-1", 9.8), score("CVE-2", 5.0))


async def test_nothing_is_known_before_the_ledger_was_read(at_work: Stage) -> None:
    assert "not read yet" in at_work.doubt()
    assert at_work.samples() == {}
    assert await at_work.look() == {"uid-w", "uid-x"}
    assert at_work.figure().worst == Fraction("9.8") and at_work.figure().total == Fraction("14.8")
    assert (at_work.figure("x").worst, at_work.figure("x").scanned) == (0, False)


async def test_a_figure_is_what_risk_at_says_of_the_machine_alone(at_work: Stage) -> None:
    at_work.tell(score("CVE-1", 3.0, source="vex"), score("CVE-2", 0.9, source="epss"))
    await at_work.look()
    with reading(at_work.path) as connection:
        machines = list(histories.pasts(connection, INSTANT, uid="uid-w"))
        facts = histories.scores(connection, INSTANT)
    for aggregation, value in ((Aggregation.MAX, at_work.figure().worst), (Aggregation.SUM, at_work.figure().total)):
        said = moment.risk(machines, facts, time=microseconds(NOW), as_of=INSTANT, aggregation=aggregation)
        assert said == value
    assert at_work.figure().worst == 5


async def test_the_command_and_the_metric_say_the_same_of_one_moment(at_work: Stage) -> None:
    await at_work.look()
    stage.judged(at_work.services, *at_work.machines)
    found = at_work.samples()
    for aggregation in ("max", "sum"):
        words = ("risk", "at", "--ledger", at_work.path, "--time", text(NOW), "--agg", aggregation)
        said = answer(*words)
        assert found["exuvia_risk_score", ("workers", aggregation)] == pytest.approx(said["risk"])


async def test_what_is_told_counts_for_the_machine_that_it_is_about(at_work: Stage) -> None:
    await at_work.look()
    at_work.tell(presence("x", "CVE-2"))
    at_work.committed()
    assert await at_work.look() == {"uid-x"}
    assert at_work.figure("x").worst == 5


async def test_without_news_nothing_is_read(at_work: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    await at_work.look()
    asked = list[Any]()

    def counting(place: Any) -> Any:
        asked.append(place)
        return reading(place)

    monkeypatch.setattr(module, "reading", counting)
    at_work.risks.committed([Fact(kind=FactKind.VERDICT, at=NOW), Fact(kind=FactKind.PLACEMENT, at=NOW)])
    for _ in range(4):
        assert await at_work.look() == set()
    assert asked == []
    for _ in range(60):
        await at_work.look()
    assert len(asked) == 60 // NEWS_SECONDS, "but what others told is asked for now and then"


async def test_what_a_person_imports_counts_within_some_seconds(at_work: Stage) -> None:
    await at_work.look()
    at_work.tell(presence("x", "CVE-1"))
    assert await at_work.look(NEWS_SECONDS) == {"uid-x"}


async def test_scores_that_a_person_imports_count_as_soon_but_all_is_reckoned_anew_twice_a_minute_at_most(
    at_work: Stage,
) -> None:
    await at_work.look()
    await at_work.look(SCORES_SECONDS)
    at_work.tell(score("CVE-2", 6.5, recordedAt=text(NOW)))
    assert (await at_work.look(NEWS_SECONDS), await at_work.look()) == (set(), {"uid-w"})
    at_work.tell(score("CVE-1", 9.9, recordedAt=text(NOW)))
    assert await at_work.look(SCORES_SECONDS - 1) == set()
    assert await at_work.look() == {"uid-w"}


async def test_a_score_that_changes_counts_for_every_machine_that_bears_it(at_work: Stage) -> None:
    at_work.tell(presence("x", "CVE-2"))
    await at_work.look()
    at_work.tell(score("CVE-2", 6.5, recordedAt=text(NOW)))
    changed = await at_work.look(SCORES_SECONDS) | await at_work.look(SCORES_SECONDS)
    assert changed == {"uid-w", "uid-x"} and at_work.figure("x").worst == Fraction("6.5")


async def test_a_score_that_begins_to_be_valid_counts_in_time(at_work: Stage) -> None:
    at_work.tell(presence("x", "CVE-3"), score("CVE-3", 8.0, validFrom=text(NOW + timedelta(minutes=5))))
    await at_work.look()
    assert (at_work.figure("x").worst, at_work.figure("x").unscored) == (0, 1)
    await at_work.look(FULL_SECONDS)
    assert (at_work.figure("x").worst, at_work.figure("x").unscored) == (8, 0)


async def test_what_is_closed_or_retracted_is_gone_and_the_machine_was_scanned(at_work: Stage) -> None:
    await at_work.look()
    at_work.tell(presence("w", "CVE-1", to=text(NOW), closed="patched", recordedAt=text(NOW)))
    at_work.tell(presence("w", "CVE-2", closed="retracted", recordedAt=text(NOW)))
    at_work.committed()
    assert await at_work.look() == {"uid-w"}
    assert (at_work.figure().worst, at_work.figure().present, at_work.figure().scanned) == (0, 0, True)


async def test_a_frozen_machine_is_at_no_risk(at_work: Stage) -> None:
    at_work.tell({"type": "frozen", "uid": "uid-w", "from": BORN, "to": None, "recordedAt": BORN})
    await at_work.look()
    assert (at_work.figure().worst, at_work.figure().present) == (0, 2)


async def test_while_the_ledger_is_down_nothing_is_known_and_everybody_is_judged_anew(at_work: Stage) -> None:
    await at_work.look()
    at_work.state = LedgerState.DOWN
    assert await at_work.look() == {"uid-w", "uid-x"}
    assert "the disk is full" in at_work.doubt()
    assert await at_work.look() == set(), "that is said once"
    at_work.state = LedgerState.FINE
    assert await at_work.look() == {"uid-w", "uid-x"}
    assert at_work.figure().worst == Fraction("9.8")


async def test_a_read_that_fails_leaves_what_was_known(at_work: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    await at_work.look()

    def fails(_: Any) -> Iterator[Any]:
        raise errors.LedgerDown("the disk is gone")

    with monkeypatch.context() as patched:
        patched.setattr(module, "reading", fails)
        at_work.committed()
        assert await at_work.look() == set()
    at_work.tell(presence("x", "CVE-2"))
    assert await at_work.look() == {"uid-x"}, "the news are read once they can be"


async def test_who_dies_is_forgotten(at_work: Stage) -> None:
    await at_work.look()
    await at_work.risks.report()
    at_work.services.learnings.drop("uid-w")
    at_work.services.view.nodes.store.drop("uid-w")
    await at_work.look()
    before = at_work.risks.exposure.totals()
    at_work.services.clock.seconds += 3600
    assert at_work.risks.exposure.totals() == before
    assert at_work.figure().present == 0


async def test_a_report_of_an_image_makes_a_clean_machine_known(at_work: Stage) -> None:
    await at_work.look()
    at_work.services.learnings.note_scanned("uid-x")
    at_work.services.view.wake.clear()
    await at_work.risks.look()
    assert at_work.services.view.wake.is_set()
    assert at_work.services.learnings.take(at_work.services.policies) == {"uid-x"}
    assert at_work.figure("x").scanned


async def test_policies_that_do_not_ask_for_risk_are_left_alone(at_work: Stage) -> None:
    at_work.services.policies.refresh([world.policy(world.rule(RuleType.MAX_AGE, {"limit": "1h"}), generation=2)])
    at_work.services.view.wake.clear()
    assert await at_work.look() == set()
    assert not at_work.services.view.wake.is_set()
    assert at_work.services.learnings.of(at_work.machines[0], at_work.services.policies) is at_work.machines[0]


async def test_exposure_goes_on_from_the_ledger(at_work: Stage) -> None:
    await at_work.look()
    assert at_work.risks.exposure.totals() == {}, "unknown until the past was reckoned"
    await at_work.risks.report()
    name = "exuvia_exposure_score_seconds_total"
    lived = 10 * 3600 + 1
    found = at_work.samples()
    assert found[name, ("Critical",)] == pytest.approx(9.8 * lived)
    assert found[name, ("Medium",)] == pytest.approx(5.0 * lived)
    assert found[name, ("High",)] == found[name, ("Low",)] == 0
    at_work.services.clock.seconds += 100
    assert at_work.samples()[name, ("Critical",)] == pytest.approx(9.8 * (lived + 100))


async def test_exposure_after_a_restart_is_what_it_was(at_work: Stage) -> None:
    await at_work.look()
    await at_work.risks.report()
    at_work.services.clock.seconds += 500
    before = at_work.risks.exposure.totals()
    at_work.risks = Risks(at_work.services)
    await at_work.look(0)
    await at_work.risks.report()
    assert at_work.risks.exposure.totals() == pytest.approx(before)


async def test_exposure_follows_what_changes(at_work: Stage) -> None:
    await at_work.look()
    await at_work.risks.report()
    at_work.tell(presence("w", "CVE-1", to=text(NOW), closed="patched", recordedAt=text(NOW)))
    at_work.committed()
    await at_work.look(0)
    before = at_work.samples()
    at_work.services.clock.seconds += 100
    after = at_work.samples()
    name = "exuvia_exposure_score_seconds_total"
    assert after[name, ("Critical",)] == before[name, ("Critical",)]
    assert after[name, ("Medium",)] - before[name, ("Medium",)] == pytest.approx(500)


async def test_skew_is_that_of_the_report_and_reckoned_each_hour(at_work: Stage) -> None:
    at_work.tell(score("CVE-1", 4.9, validFrom=text(NOW - 5 * HOUR), recordedAt=text(NOW - 5 * HOUR)))
    await at_work.look(0)
    await at_work.risks.report()
    at = text(NOW)
    began = text(NOW - timedelta(days=30))
    said = answer("risk", "report", "--ledger", at_work.path, "--from", began, "--to", at, "--as-of", at)
    found = {labels[0]: value for (name, labels), value in at_work.samples().items() if name.endswith("skew_ratio")}
    assert found == {model: pytest.approx(one["ratio"]) for model, one in said["skew"].items()}
    assert found["rescore"] < 0
    at_work.tell(score("CVE-1", 9.9, validFrom=at, recordedAt=at))
    at_work.services.clock.seconds += PERIOD_SECONDS / 2
    await at_work.risks.report()
    assert at_work.samples()["exuvia_risk_skew_ratio", ("rescore",)] == found["rescore"]
    at_work.services.clock.seconds += PERIOD_SECONDS
    await at_work.risks.report()
    assert at_work.samples()["exuvia_risk_skew_ratio", ("rescore",)] > found["rescore"]


async def test_where_nothing_was_exposed_there_is_no_skew_and_no_risk(tmp_path: Path) -> None:
    empty = Stage(tmp_path)
    await empty.look()
    await empty.risks.report()
    stage.judged(empty.services, *empty.machines)
    assert set(empty.samples()) == {
        ("exuvia_exposure_score_seconds_total", (band,)) for band in ("Low", "Medium", "High", "Critical")
    }
    empty.services.learnings.note_scanned("uid-w")
    assert empty.samples()["exuvia_risk_score", ("workers", "max")] == 0


async def _minutes(world: Stage, minutes: int) -> list[float]:
    """The seconds after which the skew was known, where an operator looks and reports now and then for so long."""
    began, known = world.services.clock.seconds, list[float]()
    for _ in range(int(minutes * 60 / NEWS_SECONDS)):
        await world.look(NEWS_SECONDS)
        await world.risks.report()
        if any(name == "exuvia_risk_skew_ratio" for name, _ in world.samples()):
            known.append(world.services.clock.seconds - began)
    return known


@pytest.fixture
def reckoned(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the skew was asked of, each time."""
    asked, skew = list[Any](), module.reckoning.skew

    def counting(one: Any) -> Any:
        asked.append(one)
        return skew(one)

    monkeypatch.setattr(module.reckoning, "skew", counting)
    return asked


async def test_the_skew_is_known_soon_after_the_first_machine_is_at_risk(tmp_path: Path, reckoned: list[Any]) -> None:
    """On a new ledger nothing was there when it was first reckoned; it is not absent for an hour then."""
    new = Stage(tmp_path)
    assert await _minutes(new, 2) == []
    assert len(reckoned) == 1, "while nothing is there it is not asked for again"
    new.tell(presence("w", "CVE-1"), score("CVE-1", 9.8))
    known = await _minutes(new, 5)
    assert SOON_SECONDS <= known[0] <= SOON_SECONDS + 3 * NEWS_SECONDS
    assert len(reckoned) == 2, "what comes meanwhile is told with it, and then it is told each hour"


async def test_a_skew_that_stays_unknown_is_asked_for_less_and_less(tmp_path: Path, reckoned: list[Any]) -> None:
    """A machine that the ledger has under another cluster is at risk, and in no report of this one."""
    new = Stage(tmp_path)
    new.machines.append(node("theirs", born=NOW - 10 * HOUR))
    new.services.view.nodes.store.put(new.machines[-1], "1")
    texts = (json.dumps(one) for one in (life("theirs"), presence("theirs", "CVE-1"), score("CVE-1", 9.8)))
    importing.load(new.path, lines.read(texts, recorded=microseconds(NOW)), cluster="d")
    assert await _minutes(new, 15) == []
    assert new.figure("theirs").worst == Fraction("9.8")
    assert 3 < len(reckoned) <= 6


async def test_machines_of_another_cluster_say_nothing(at_work: Stage) -> None:
    texts = (json.dumps(one) for one in (life("theirs"), presence("theirs", "CVE-1")))
    importing.load(at_work.path, lines.read(texts, recorded=microseconds(NOW)), cluster="d")
    await at_work.look(0)
    await at_work.risks.report()
    found = at_work.samples()
    assert found["exuvia_exposure_score_seconds_total", ("Critical",)] == pytest.approx(9.8 * 36_000)
    assert set(at_work.risks._figures) == {"uid-w"}


@pytest.mark.parametrize(("ahead", "worst"), [(timedelta(seconds=30), "9.9"), (timedelta(days=27_000), "9.8")])
async def test_what_is_recorded_in_the_time_to_come_is_not_known_yet(
    at_work: Stage, ahead: timedelta, worst: str
) -> None:
    """But for what a clock may have been ahead: a line of 2099 neither takes a finding away nor scores it."""
    at_work.tell(score("CVE-1", 9.9, source="vex", recordedAt=text(NOW + ahead)))
    at_work.tell(presence("w", "CVE-2", closed="retracted", recordedAt=text(NOW + ahead)))
    await at_work.look()
    assert at_work.figure().worst == Fraction(worst)
    assert at_work.figure().present == (1 if ahead < HOUR else 2)
