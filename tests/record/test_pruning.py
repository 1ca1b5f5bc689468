"""Pruning takes what is over and leaves all that is asked about a time after the cut as it was, chain and tables."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, func, select

from exuvia import errors
from exuvia.evaluate.risk.accumulate import accumulate
from exuvia.evaluate.risk.scores import History
from exuvia.evaluate.risk.scores import histories as stepped
from exuvia.model import facts
from exuvia.model.facts import Fact, microseconds
from exuvia.model.risks import Closing, RiskReport, Window
from exuvia.record import (
    chain,
    chains,
    checkpoints,
    comparing,
    counts,
    exporting,
    guarding,
    histories,
    holds,
    importing,
    opening,
    queries,
    recall,
    removal,
    standing,
    tables,
    telling,
    trust,
    who,
)
from exuvia.record.pruning import Kept
from exuvia.record.reading import reading
from tests.record import lives, world
from tests.record.test_importing import instance, parsed, rfc, said
from tests.record.world import at

CUT = 100.0
LATER = datetime(2027, 6, 1, tzinfo=UTC)


def line(text: str) -> Fact:
    """A line from elsewhere as a fact."""
    (one,) = parsed(text)
    return Fact(kind=facts.FactKind(one.type), at=at(0), body=one.body)


def prune(path: Path, minutes: float = CUT, cluster: str = "c") -> removal.Pruned:
    return removal.prune(path, cut=at(minutes), keep="400d", by="alice", at=LATER, cluster=cluster)


def verified(path: Path, cluster: str = "c") -> chain.Verified:
    with reading(path) as connection:
        return chain.verify(queries.links(connection, cluster))


def tamper(path: Path, statement: str) -> None:
    world.unguarded(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def deep(path: Path) -> list[tuple[str, str]]:
    with reading(path) as connection:
        return list(comparing.differences(connection))


def history(path: Path, *lines: str) -> Path:
    importing.load(path, parsed(*lines), cluster="c")
    return path


def life(uid: str, born: float, died: float | None) -> list[str]:
    """A machine with all that may be known of it."""
    until = None if died is None else rfc(died)
    return [
        instance(uid, born, died, born if died is None else died, name=uid.lower()),
        said("presence", uid=uid, vulnerability="V", from_=rfc(born), to=until, recordedAt=rfc(born)),
        said("session", uid=uid, user=f"user-{uid}", from_=rfc(born), to=until, recordedAt=rfc(born)),
        said("placement", uid=uid, podUid=f"P-{uid}", from_=rfc(born), to=until, recordedAt=rfc(born)),
        said("frozen", uid=uid, from_=rfc(born), to=until, recordedAt=rfc(born)),
    ]


def test_what_is_over_goes_and_the_rest_verifies_under_a_checkpoint(tmp_path: Path) -> None:
    path = history(tmp_path / "l.db", *life("A", 0, 50), *life("B", 60, None), *life("C", 70, 90))
    found = prune(path)
    assert (found.entries, found.checkpoint, dict(found.kept)) == (5, 16, {Kept.LIVING: 5, Kept.NEEDED: 5})
    sound = verified(path)
    assert (sound.first_bad, sound.entries, sound.pruned) == (None, 16, 5), "the last entry stays: others know it"
    with reading(path) as connection:
        (_, body) = checkpoints.last(connection, "c")[-1]
        assert (body["by"], body["keep"], body["entries"], body["last"]) == ("alice", "400d", 5, 5)
        assert who.bore(connection, "name", "a", at(10)) == ()
        assert [one.uid for one in who.bore(connection, "name", "b", at(200))] == ["B"]
        assert len(lives.life(connection, "B")) == 5 and lives.life(connection, "A") == []
    assert deep(path) == []


def test_nothing_goes_twice_and_a_second_pruning_joins_the_gaps(tmp_path: Path) -> None:
    path = history(tmp_path / "l.db", *life("A", 0, 50), *life("B", 60, 150), *life("C", 70, None))
    assert prune(path).entries == 5
    assert prune(path).entries == 0
    assert verified(path).entries == 16, "and no second checkpoint"
    assert prune(path, 200).entries == 5
    with reading(path) as connection:
        (gap,) = checkpoints.gaps(connection, "c").values()
        assert (gap.first, gap.last) == (1, 10)
    assert (verified(path).first_bad, verified(path).pruned) == (None, 10)
    assert deep(path) == []


@pytest.mark.parametrize("broken", ["hash", "before", "first", "entries"])
def test_a_gap_that_was_forged_is_found(tmp_path: Path, broken: str) -> None:
    path = history(tmp_path / "l.db", *life("B", 0, None), *life("A", 0, 50), *life("C", 70, None))
    prune(path)
    with world.written(path) as connection:
        known = list(queries.links(connection, "c"))
        (gap,) = [one.gap for one in known if one.gap]
        forged = {
            "hash": chain.Gap(first=gap.first, last=gap.last, before=gap.before, hash=bytes(32)),
            "before": chain.Gap(first=gap.first, last=gap.last, before=bytes(32), hash=gap.hash),
            "first": chain.Gap(first=gap.first - 1, last=gap.last, before=gap.before, hash=gap.hash),
            "entries": chain.Gap(first=gap.first, last=gap.last + 1, before=gap.before, hash=gap.hash),
        }[broken]
        links = [chain.across(forged) if one.gap else one for one in known]
    assert chain.verify(links).first_bad in (gap.first, gap.last + 1, gap.last + 2)


def test_more_may_not_go_than_the_checkpoint_says(tmp_path: Path) -> None:
    path = history(tmp_path / "l.db", *life("A", 0, 50), *life("B", 60, None))
    prune(path)
    tamper(path, "DELETE FROM entries WHERE seq = 6")
    assert verified(path).first_bad == 6


def test_what_is_open_sealed_or_unknown_stays(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    with world.written(
        path,
        world.birth("A", 0),
        world.operation("R1", "started", 1),
        world.intent("R1", 2),
        world.death("A", 3),
        world.birth("B", 0),
        facts.evidence(operation="Q1", instance="B", digest="d", path="p", at=at(1)),
        world.death("B", 2),
        world.verdict("ghost", "violating", 1),
        world.birth("C", 0),
        facts.seat({"uid": "pool", "pool": "p", "event": "returned", "instance": "C", "order": 1, "owed": True}, at(0)),
        world.death("C", 1),
        facts.accepted(by="alice", reason="r", at=at(1)),
        facts.brake(name="storm", engaged=True, reason="r", at=at(1)),
        facts.brake(name="storm", engaged=False, reason="r", at=at(2)),
        world.birth("D", 0),
        world.death("D", 1),
        world.birth("E", 0),
    ):
        pass
    found = removal.prune(path, cut=LATER, keep="1d", by="alice", at=LATER, cluster="c")
    kept = {Kept.OPEN: 4 + 3, Kept.SEALED: 3, Kept.LIVING: 1, Kept.NEEDED: 3}
    assert (found.entries, dict(found.kept)) == (3, kept)
    assert verified(path).first_bad is None and deep(path) == []


def test_what_is_young_stays_whole(tmp_path: Path) -> None:
    """One correction that came after the cut keeps all of the machine."""
    path = history(tmp_path / "l.db", *life("A", 0, 50), instance("A", 0, 55, 150, name="a"), *life("B", 0, None))
    assert prune(path).kept[Kept.YOUNG] == 6


def score(value: str, valid: float, recorded: float, source: str = "cvss", **more: Any) -> str:
    moments = {"validFrom": rfc(valid), "recordedAt": rfc(recorded)}
    return said("score", vulnerability="V", source=source, value=value, **moments, **more)


def test_superseded_scores_go_and_what_may_hold_again_stays(tmp_path: Path) -> None:
    path = history(
        tmp_path / "l.db",
        score("1", 0, 0),  # corrected
        score("2", 0, 10),
        score("3", 20, 20),
        score("4", 20, 150),  # a correction after the cut
        score("5", 15, 20),
        score("0.1", 0, 0, "epss"),  # two days behind
        score("0.2", 20, 20, "epss"),
        score("0.3", 40, 40, "epss"),
        *life("B", 0, None),
    )
    assert prune(path).entries == 2
    with reading(path) as connection:
        found = [one.value for one in histories.scores(connection, 2**60)]
    assert found == ["2", "5", "3", "4", "0.2", "0.3"]
    assert deep(path) == []


def test_an_epss_score_that_ended_stays_ended(tmp_path: Path) -> None:
    ended = score("0", 40, 40, "epss", change="withdrawn")
    path = history(
        tmp_path / "l.db", score("0.1", 0, 0, "epss"), score("0.2", 20, 20, "epss"), ended, *life("B", 0, None)
    )
    assert prune(path).entries == 1
    with reading(path) as connection:
        known = list(histories.scores(connection, 2**60))
    assert [one.value for one in known] == ["0.2", "0"]
    assert [_holding(known, minutes, 200)[2] for minutes in (30, 50, 150)] == ["0.2", "0", "0"]
    assert deep(path) == []


_ROWS = st.lists(
    st.tuples(st.integers(1, 9), st.integers(0, 120), st.integers(0, 60), st.booleans()), min_size=1, max_size=7
)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), rows=_ROWS, days=_ROWS)
def test_a_later_withdrawal_finds_what_held_before(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, rows: list[Any], days: list[Any]
) -> None:
    """Of any scores, and of one day of EPSS: what holds at a time after the cut is what it would be without pruning."""
    told = [_row(one, "cvss") for one in rows] + [_row(one, "epss") for one in days]
    gone = [(valid, "cvss") for valid in data.draw(st.sets(st.sampled_from([one[1] for one in rows])))]
    gone += [(day, "epss") for day in data.draw(st.sets(st.sampled_from([one[1] for one in days]), max_size=1))]
    taken_back = [score("0", valid, 190, source, withdrawn=True) for valid, source in sorted(gone)]
    found = []
    for pruned in (False, True):
        path = history(tmp_path_factory.mktemp("scores") / "l.db", *told, *life("B", 0, None))
        if pruned:
            prune(path)
        history(path, *taken_back)
        with reading(path) as connection:
            known = list(histories.scores(connection, 2**60))
        found.append([_holding(known, minutes, until) for minutes in range(100, 200, 9) for until in (100, 180, 200)])
        assert deep(path) == []
    assert found[0] == found[1]


def _row(one: tuple[int, int, int, bool], source: str) -> str:
    value, valid, late, withdrawn = one
    return score(f"0.{value}", valid, valid + late, source, withdrawn=withdrawn)


def _holding(known: list[Any], minutes: float, until: float) -> list[str | None]:
    steps = stepped(known, microseconds(at(until))).get("V", History())
    at_once = (one.at(microseconds(at(minutes))) for one in (steps.now, steps.then, steps.epss))
    return [one and one.value for one in at_once]


@pytest.mark.parametrize(
    "hold",
    [
        holds.Hold(name="h", by="alice", reason="r", instance="A"),
        holds.Hold(name="h", by="alice", reason="r", since=microseconds(at(40)), until=microseconds(at(60))),
    ],
)
def test_a_hold_beats_retention_until_it_is_released(tmp_path: Path, hold: holds.Hold) -> None:
    path = history(tmp_path / "l.db", *life("A", 0, 50), *life("C", 0, 10), *life("B", 60, None))
    holds.add(path, hold, at=at(80))
    assert removal.foresee(path, cut=at(CUT), cluster="c").kept[Kept.HELD] == 5
    assert prune(path).entries == 5
    holds.release(path, "h", by="bob", reason="over", at=at(90))
    assert prune(path).entries == 5
    assert verified(path).first_bad is None and deep(path) == []


def test_holds_have_a_name_of_their_own_and_may_have_no_reason(tmp_path: Path) -> None:
    path = history(tmp_path / "l.db", *life("A", 0, 50))
    hold = holds.Hold(name="h", by="alice", reason="r", instance="A")
    holds.add(path, hold, at=at(80))
    with pytest.raises(errors.InvalidObject, match="there already"):
        holds.add(path, hold, at=at(80))
    with pytest.raises(errors.InvalidObject, match=r"There is no hold x\. Held is: h"):
        holds.release(path, "x", by="alice", reason="r", at=at(80))
    holds.release(path, "h", by="alice", reason=" ", at=at(80))
    holds.add(path, replace(hold, reason=""), at=at(80))
    with reading(path) as connection:
        assert [(one.name, one.reason) for one in holds.active(connection)] == [("h", "")]


def test_counters_do_not_go_back(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    with world.written(
        path,
        *(world.birth("A", 0), world.verdict("A", "violating", 0), world.death("A", 10), world.birth("B", 20)),
        *(world.birth("C", 20), world.death("C", 30, scanned=False)),
    ):
        pass
    with reading(path) as connection:
        before = counts.counts(connection, LATER, cluster="c")
    removal.prune(path, cut=LATER, keep="1d", by="alice", at=LATER, cluster="c")
    with reading(path) as connection:
        after = counts.counts(connection, LATER, cluster="c")
    assert after.records == before.records | {"checkpoint": 1}
    assert replace(after, records=before.records) == before
    assert sum(after.unscanned.values()) == 1


def test_a_chain_that_is_not_sound_is_not_pruned(tmp_path: Path) -> None:
    path = history(tmp_path / "l.db", *life("A", 0, 50), *life("B", 0, None))
    tamper(path, "UPDATE entries SET hash = zeroblob(32) WHERE seq = 3")
    with pytest.raises(errors.LedgerCorrupt, match="entry 3 was changed"):
        prune(path)


def test_an_entry_that_was_pruned_is_not_missed(tmp_path: Path) -> None:
    path = history(tmp_path / "l.db", *life("A", 0, 50), *life("B", 0, None))
    prune(path)
    with reading(path) as connection:
        assert trust.known_missing(connection, "c", 3, "ab" * 32)
        assert not trust.known_missing(connection, "c", 99, "ab" * 32)


def test_a_pruned_chain_is_exported_and_imported_again(tmp_path: Path) -> None:
    path = history(tmp_path / "l.db", *life("B", 0, None), *life("A", 0, 50), *life("C", 0, None))
    prune(path)
    with reading(path) as connection:
        lines = list(exporting.lines(connection, "c"))
    target = tmp_path / "target.db"
    taken = chains.load(target, lines)
    assert (taken.entered, taken.head.seq) == (11, 16)
    assert (verified(target).first_bad, verified(target).pruned) == (None, 5)
    changed = [one for one in lines if json.loads(one)["seq"] != 11]
    with pytest.raises(errors.InvalidObject, match="entry 11 is missing"):
        chains.load(tmp_path / "other.db", changed)


def test_chains_of_other_clusters_are_left_alone(tmp_path: Path) -> None:
    path = history(tmp_path / "l.db", *life("A", 0, 50), *life("B", 0, None))
    importing.load(path, parsed(*life("X", 0, 50), instance("A", 0, 50, 50)), cluster="other")
    assert prune(path).kept == {Kept.SHARED: 5, Kept.LIVING: 4, Kept.NEEDED: 1}
    assert verified(path, "other").entries == 6


def test_what_is_written_while_it_is_found_out_what_goes_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A correction, a hold, another pruning that come between the look and the deed; what is about others does not."""
    hold = holds.Hold(name="h", by="x", reason="r", instance="A")
    between: dict[str, tuple[Callable[[Path], object], int]] = {
        "others": (lambda path: history(path, *life("D", 80, None)), 5),
        "correction": (lambda path: history(path, instance("A", 0, 55, 150, name="a")), 0),
        "hold": (lambda path: holds.add(path, hold, at=at(90)), 0),
        "pruning": (prune, 0),
        "elsewhere": (lambda path: importing.load(path, parsed(instance("A", 0, 5, 9)), cluster="other"), 0),
    }
    drafted = removal._drafted
    for what, (write, expected) in between.items():
        path = history(tmp_path / f"{what}.db", *life("A", 0, 50), *life("B", 60, None))
        looks = list[int]()

        def looked(place: Any, connection: Any, *more: Any, looks: list[int] = looks, write: Any = write) -> Any:
            found = drafted(place, connection, *more)
            looks.append(1)
            if len(looks) == 1:
                monkeypatch.setattr(removal, "_drafted", drafted)
                write(place)
                monkeypatch.setattr(removal, "_drafted", looked)
            return found

        monkeypatch.setattr(removal, "_drafted", looked)
        assert (prune(path).entries, len(looks)) == (expected, 1 if expected else 2), what
        monkeypatch.setattr(removal, "_drafted", drafted)
        assert verified(path).first_bad is None and deep(path) == [], what


def test_many_gaps_stand_in_several_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "GAPS", 2)
    told = [
        text for number in range(5) for text in (instance(f"D{number}", 0, 5, 9), instance(f"L{number}", 0, None, 9))
    ]
    path = history(tmp_path / "l.db", *told)
    found = prune(path)
    assert (found.entries, found.checkpoint) == (5, 13)
    history(path, *(instance(f"L{number}", 0, 6, 10) for number in (1, 2)), instance("X", 0, None, 9))
    assert (prune(path).entries, verified(path).pruned) == (4, 9)
    assert verified(path).first_bad is None and deep(path) == []
    with reading(path) as connection:
        whole = [body for _, body in checkpoints.last(connection, "c")]
    assert [one["part"] for one in whole] == list(range(1, len(whole) + 1)) and len(whole) > 1
    assert "carried" in whole[-1] and "carried" not in whole[0]


def test_a_chain_without_a_name_is_pruned_beside_another(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    importing.load(path, parsed(*life("A", 0, 50), *life("B", 0, None)))
    importing.load(path, parsed(*life("X", 0, 50), *life("Y", 0, None)), cluster="other")
    assert prune(path, cluster="").entries == 5
    assert (verified(path, "").pruned, verified(path, "other").pruned) == (5, 0)
    assert verified(path, "").first_bad is None and verified(path, "other").first_bad is None


_MACHINES = st.lists(
    st.tuples(st.integers(0, 200), st.one_of(st.none(), st.integers(0, 150)), st.integers(0, 60)),
    min_size=1,
    max_size=6,
)


@settings(max_examples=25, deadline=None)
@given(machines=_MACHINES, cut=st.integers(0, 250), ask=st.integers(0, 300))
def test_what_is_asked_of_a_time_after_the_cut_stays_the_same(
    tmp_path_factory: pytest.TempPathFactory, machines: list[tuple[int, int | None, int]], cut: int, ask: int
) -> None:
    path = tmp_path_factory.mktemp("pruned") / "l.db"
    told = list[str]()
    for number, (born, lived, late) in enumerate(machines):
        died = None if lived is None else born + lived
        told += life(f"M{number}", born, died)
        told.append(instance(f"M{number}", born, died, (died or born) + late, name="n"))
    history(path, *told)
    moment = cut + ask

    def asked() -> list[Any]:
        with reading(path) as connection:
            until = microseconds(at(moment))
            alive = [one for one in histories.pasts(connection, until) if _alive(one, cut)]
            return [
                who.bore(connection, "name", "n", at(moment), until=until),
                recall.lives(connection, "c"),
                standing.placements(connection, "c"),
                alive,
            ]

    before = asked()
    prune(path, cut)
    assert asked() == before
    assert verified(path).first_bad is None
    assert deep(path) == []


def _alive(past: Any, cut: int) -> bool:
    """Whether it lived after the cut, by what holds last."""
    return bool(past.lives) and (past.lives[-1].died is None or past.lives[-1].died >= microseconds(at(cut)))


def test_a_report_over_the_cut_invents_no_closure(tmp_path: Path) -> None:
    """What was pruned is not known to have been closed, and by what: only `undead` counts it, from the cut on."""
    path = history(tmp_path / "l.db", *life("A", 0, 50), *life("B", 0, 50), *life("C", 60, 120))
    history(path, said("score", vulnerability="V", source="cvss", value="6", validFrom=rfc(0), recordedAt=rfc(0)))
    after = reported(path, CUT, 200)
    prune(path)
    assert reported(path, CUT, 200) == after, "nothing that is asked about a time after the cut changes"
    spanning = reported(path, 0, 200)
    assert sum(spanning.closures.values()) == spanning.closures[Closing.UNKNOWN] == 1, "that of C, which says no reason"
    assert spanning.mean_exposure_hours == spanning.restricted_mean_hours == 1, "that of C"
    assert float(spanning.instance_hours) == pytest.approx(1, abs=1e-6)
    assert float(spanning.exposures.undead) == pytest.approx(6 * (2 * 100 + 80) / 60, abs=1e-6), "C was frozen"


def reported(path: Path, began: float, ended: float) -> RiskReport:
    window = Window(began=microseconds(at(began)), ended=microseconds(at(ended)))
    with reading(path) as connection:
        scores = histories.scores(connection, window.ended)
        return accumulate(telling.pages(connection, window.ended), scores, window=window, as_of=window.ended)


def test_superseded_scores_are_taken_out_by_their_keys(tmp_path: Path) -> None:
    """A feed supersedes hundreds of thousands a day: none of them may cost a walk through all."""
    importing.load(tmp_path / "l.db", parsed(*(score("5", one, one) for one in range(50))), cluster="c")
    asked = list[str]()
    engine = opening.open_for_writing(tmp_path / "l.db")
    try:
        with engine.begin() as connection, guarding.removing(connection):
            event.listen(connection, "before_cursor_execute", lambda *said: asked.append(said[2]))
            moment = microseconds(at(7))
            removal._take_out_scores(connection, [("V", "cvss", moment, moment)])
            told = connection.exec_driver_sql(f"explain query plan {asked[0]}", ("V", "cvss", moment, moment)).all()
            assert connection.scalar(select(func.count()).select_from(tables.scores)) == 49
    finally:
        engine.dispose()
    assert ["SEARCH" in str(row) and "recorded=?" in str(row) for row in told] == [True], told
