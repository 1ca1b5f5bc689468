"""Births, deaths and placements as facts; and that no clock of ours makes a life end before it began."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from exuvia.app.chronicle import Chronicle
from exuvia.model import facts
from exuvia.model.facts import DeathReason, Fact, FactKind
from exuvia.record import tables
from exuvia.record.recall import Life
from exuvia.record.standing import Placed
from tests.app.stage import NOW
from tests.decide.quarantine.world import pod
from tests.evaluate.world import node
from tests.record import world


def chronicle(now: datetime) -> tuple[Chronicle, list[Fact]]:
    told: list[Fact] = []
    made = Chronicle(lambda *some: told.extend(some), lambda: now)
    made.load({}, {}, (), {})
    return made, told


def ends(told: list[Fact]) -> list[tuple[datetime, Any]]:
    found = [one for one in told if one.kind is FactKind.DEATH or one.body.get("event") == "to"]
    return [(one.at, one.body.get("notBefore")) for one in found]


BORN = NOW + timedelta(seconds=20)  # by the server's clock; ours is behind


@pytest.mark.parametrize("behind", [True, False])
def test_what_ends_while_our_clock_is_behind_ends_when_it_began_and_is_marked_as_uncertain(behind: bool) -> None:
    now = NOW if behind else NOW + timedelta(minutes=1)
    made, told = chronicle(now)
    machine, running = node("w", born=BORN), replace(pod("cart"), created=BORN, started=None)
    made.seen(machine)
    made.placed(running, machine.uid)
    made.unplaced(running.uid)
    made.gone(machine, DeathReason.UNKNOWN, "")
    expected = (BORN, facts.microseconds(NOW)) if behind else (now, None)
    assert ends(told) == [expected, expected]


def test_a_life_shorter_than_our_clock_lags_is_no_dead_letter(tmp_path: Path) -> None:
    made, told = chronicle(NOW)
    machine = node("w", born=BORN)
    made.seen(machine)
    made.gone(machine, DeathReason.UNKNOWN, "")
    with world.written(tmp_path / "ledger.db", *told) as connection:
        assert connection.scalar(select(func.count()).select_from(tables.dead_letters)) == 0
        died = set(connection.scalars(select(tables.lives.c.died).where(tables.lives.c.died.is_not(None))))
        assert died == {facts.microseconds(BORN)}


def test_deaths_that_nobody_saw_are_told_with_their_interval_and_given_back_for_the_counters() -> None:
    made, told = chronicle(NOW)
    life = Life(kind="Node", pool="p", born=NOW - timedelta(hours=1))
    placed = Placed(instance="gone", began=NOW + timedelta(seconds=5))
    made.load({"gone": life, "ours": life}, {"u1": placed}, (), {})
    last = NOW - timedelta(minutes=5)
    found = made.settle({}, set(), last, {"ours": "rotation-1"})
    assert found == [(life, DeathReason.UNKNOWN), (life, DeathReason.EXUVIA)]
    assert ends(told) == [(NOW, facts.microseconds(last))] * 2 + [(NOW + timedelta(seconds=5), facts.microseconds(NOW))]
    assert made.settle({}, set(), last, {}) == []


def test_a_death_that_nobody_saw_was_after_the_birth_where_nobody_noted_a_later_moment() -> None:
    made, told = chronicle(NOW)
    young, old = NOW - timedelta(minutes=1), NOW - timedelta(hours=1)
    made.load(
        {"young": Life(kind="Node", pool="p", born=young), "old": Life(kind="Node", pool="p", born=old)}, {}, (), {}
    )
    made.settle({}, set(), None, {})
    assert ends(told) == [(NOW, facts.microseconds(young)), (NOW, facts.microseconds(old))]


def test_a_death_that_nobody_saw_was_before_the_birth_of_who_bears_the_name_now() -> None:
    made, told = chronicle(NOW)
    life, heir = Life(kind="Node", pool="p", born=NOW - timedelta(hours=1)), NOW - timedelta(seconds=30)
    made.load({"former": life}, {}, (), {"former": {"name": {"w"}}})
    last = NOW - timedelta(minutes=1)
    made.settle({"heir": replace(node("w", born=heir), uid="heir")}, set(), last, {})
    assert ends(told) == [(heir, facts.microseconds(last))]


def test_a_name_that_is_taken_again_within_a_second_belongs_to_one_machine_at_a_time() -> None:
    made, told = chronicle(NOW)
    former, heir = node("w", born=NOW - timedelta(hours=1)), node("w", born=NOW - timedelta(milliseconds=300))
    made.seen(replace(former, uid="former"))
    made.gone(replace(former, uid="former"), DeathReason.UNKNOWN, "")
    made.seen(replace(heir, uid="heir"))
    births = [one.at for one in told if one.kind is FactKind.BIRTH]
    assert births[-1] == NOW == ends(told)[0][0]


def test_who_was_born_later_than_its_heir_by_whole_seconds_lived_for_no_time_at_all() -> None:
    made, told = chronicle(NOW)
    second = NOW - timedelta(seconds=10)
    made.load({}, {}, (), {}, (), {"w": second + timedelta(milliseconds=400)})
    one = replace(node("w", born=second), uid="one")
    made.seen(one)
    made.missed(one, DeathReason.UNKNOWN, "", second, second)
    born = second + timedelta(milliseconds=400)
    assert ends(told) == [(born, facts.microseconds(born))]


def test_that_holds_also_where_the_former_leader_told_of_the_death() -> None:
    made, told = chronicle(NOW)
    died, born = NOW - timedelta(milliseconds=500), NOW - timedelta(milliseconds=900)
    made.load({}, {}, (), {}, (), {"w": died, "x": NOW - timedelta(hours=1)})
    made.seen(replace(node("w", born=born), uid="heir"))
    made.seen(replace(node("x", born=born), uid="other"))
    assert [one.at for one in told if one.kind is FactKind.BIRTH] == [died, born]


def test_a_life_that_nobody_told_of_yet_is_told_whole_at_its_end_and_once() -> None:
    made, told = chronicle(NOW)
    made.load({}, {}, (), {}, ["told"])
    assert made.gone(replace(node("w", born=NOW), uid="new"), DeathReason.UNKNOWN, "")
    assert not made.gone(replace(node("w", born=NOW), uid="told"), DeathReason.UNKNOWN, "")
    kinds = [one.kind for one in told if one.body["uid"] == "new"]
    assert (kinds[0], kinds[-1]) == (FactKind.BIRTH, FactKind.DEATH)
    assert [one for one in told if one.body["uid"] == "told"] == []


def test_images_that_become_known_after_the_pod_was_bound_are_told_once_as_its_whole_placement(tmp_path: Path) -> None:
    made, told = chronicle(NOW)
    bound, runs = pod("cart"), replace(pod("cart"), image_digests=("shop/cart@sha256:aa",))
    made.seen(node("w", born=NOW))
    for one in (bound, bound, runs, runs):
        made.placed(one, "uid-w")
    made.unplaced(bound.uid)
    placements = [one for one in told if one.kind is FactKind.PLACEMENT]
    assert [one.body["images"] for one in placements[:2]] == [[], ["shop/cart@sha256:aa"]]
    assert len(placements) == 3
    with world.written(tmp_path / "ledger.db", *told) as connection:
        table = tables.placements
        row = connection.execute(select(table).order_by(table.c.recorded.desc(), table.c.rank.desc())).first()
        assert row is not None
        assert (row.uid, row.images, row.ended) == ("uid-w", '["shop/cart@sha256:aa"]', facts.microseconds(NOW))


def test_images_are_found_again_after_a_restart_and_told_no_more() -> None:
    made, told = chronicle(NOW)
    runs = replace(pod("cart"), image_digests=("shop/cart@sha256:aa",))
    placed = Placed(instance="uid-w", began=NOW, images=runs.image_digests)
    made.load({}, {runs.uid: placed}, (), {})
    made.placed(runs, "uid-w")
    assert told == []
    assert made.placements.machines_with("sha256:aa") == {"uid-w"}
