"""Entries are found in the order in which they were recorded, however many chains there are, and never all at once."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, text

from exuvia import errors
from exuvia.model import facts
from exuvia.record import appending, opening, queries, searching
from exuvia.record.places import Place
from exuvia.record.reading import reading
from exuvia.record.searching import Search
from tests.record import world
from tests.record.world import at


def enter(place: Place, cluster: str, *told: tuple[facts.Fact, float]) -> None:
    """Facts of one chain, each with the minute at which it was recorded."""
    engine = opening.open_for_writing(place)
    try:
        with engine.begin() as connection:
            writer = appending.Writer(cluster=cluster, epoch=1)
            for fact, minute in told:
                head = appending.head(connection, cluster)
                appending.add(connection, head, fact, writer, recorded=facts.microseconds(at(minute)))
    finally:
        engine.dispose()


def entered(place: Place) -> None:
    enter(
        place,
        "berlin",
        (world.birth("A", 0), 1),
        (world.birth("B", 50), 51),
        (world.death("A", 60), 61),
        (world.death("B", 70), 90),
    )
    enter(place, "", (world.birth("C", 5), 6), (world.birth("D", 55), 56), (world.death("C", -1), 57))
    enter(place, "bonn", (world.birth("E", 52), 52), (world.birth("F", 10), 95))


def said(connection: Connection, limit: int = 0, **asked: object) -> list[tuple[str, int]]:
    found = searching.found(connection, Search(**asked), limit=limit)  # type: ignore[arg-type]
    return [(one.cluster, one.seq) for one in found]


ALL = [
    ("berlin", 1),
    ("", 1),
    ("berlin", 2),
    ("bonn", 1),
    ("", 2),
    ("berlin", 3),
    ("berlin", 4),
    ("bonn", 2),
]


def test_several_chains_in_the_order_of_what_was_learnt(place: Place) -> None:
    entered(place)
    with reading(place) as connection:
        assert said(connection) == ALL
        assert said(connection, limit=99) == ALL
        assert [said(connection, limit=count) for count in range(1, 5)] == [ALL[-count:] for count in range(1, 5)]


def test_one_cluster_and_the_one_without_a_name(place: Place) -> None:
    entered(place)
    with reading(place) as connection:
        assert said(connection, cluster="bonn") == [("bonn", 1), ("bonn", 2)]
        assert said(connection, cluster="") == [("", 1), ("", 2)], "the death before the birth is in no chain"
        assert said(connection, cluster="elsewhere") == []


def test_by_kind_by_whom_and_since_when_it_was_so(place: Place) -> None:
    entered(place)
    with reading(place) as connection:
        assert said(connection, kind="death") == [("berlin", 3), ("berlin", 4)]
        assert said(connection, kind="death", limit=1) == [("berlin", 4)]
        assert said(connection, uids={"A", "F"}) == [("berlin", 1), ("berlin", 3), ("bonn", 2)]
        assert said(connection, uids={"A", "F"}, limit=2, cluster="berlin") == [("berlin", 1), ("berlin", 3)]
        assert said(connection, uids=set()) == []
        late = [("bonn", 1), ("", 2), ("berlin", 3), ("berlin", 4)]
        assert said(connection, since=at(52)) == late, (
            "when it was so counts, to the microsecond, not when it was learnt"
        )
        assert said(connection, since=at(52) + timedelta(microseconds=1)) == late[1:]
        assert said(connection, since=at(52), limit=2) == late[-2:]
        assert said(connection, since=at(-(9**6))) == ALL


def test_moments_before_1970_are_moments(place: Place) -> None:
    old = at(-60 * 24 * 365 * 80)
    enter(place, "c", (facts.birth(instance={"uid": "A", "kind": "Node", "name": "a"}, at=old), 0))
    with reading(place) as connection:
        assert said(connection, since=old) == [("c", 1)]
        assert said(connection, since=old + timedelta(seconds=1)) == []


def test_the_last_ones_are_read_from_the_end_and_no_more_of_them(tmp_path: Path) -> None:
    """A limit reads no whole chain, and none sorts one."""
    entered(tmp_path / "l.db")
    asked = list[tuple[str, object]]()
    with reading(tmp_path / "l.db") as connection:
        event.listen(connection, "before_cursor_execute", lambda *given: asked.append((given[2], given[3])))
        assert said(connection, limit=1, kind="death") and said(connection, since=at(0)) and said(connection, limit=1)
        walks = [one for one in asked if "ORDER BY" in one[0]]
        plans = [
            str(row[-1])
            for statement, values in walks
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)  # type: ignore[arg-type]
        ]
    assert len(walks) == 9
    assert not [plan for plan in plans if "TEMP B-TREE" in plan], plans


def test_many_are_walked_page_by_page(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other questions may be asked on the way, and whoever stops early leaves nothing open."""
    monkeypatch.setattr(searching, "PAGE", 10)
    enter(place, "c", *((world.birth(f"N{number:03}", number), number) for number in range(105)))
    with reading(place) as connection:
        walked = searching.found(connection, Search())
        first = next(walked)
        assert queries.clusters(connection) == ("c",)
        assert [first.seq, *(one.seq for one in walked)] == list(range(1, 106))
        walked = searching.found(connection, Search())
        next(walked)
        walked.close()  # type: ignore[attr-defined]
        if connection.dialect.name == "postgresql":
            assert not connection.scalar(text("SELECT count(*) FROM pg_cursors WHERE statement LIKE '%entries.body%'"))


@pytest.mark.parametrize("body", ["no JSON", "[]", '{"at":1}', '{"at":1,"body":3,"recorded":1,"type":"birth"}'])
def test_an_entry_that_was_changed_is_named(tmp_path: Path, body: str) -> None:
    path = tmp_path / "l.db"
    enter(path, "c", (world.birth("A"), 0), (world.birth("B"), 0))
    world.unguarded(path)
    with closing(sqlite3.connect(path)) as changed, changed:
        changed.execute("UPDATE entries SET body = ? WHERE seq = 2", (body,))
    with reading(path) as connection:
        walked = searching.found(connection, Search())
        assert next(walked).seq == 1
        with pytest.raises(errors.LedgerCorrupt, match=r"Entry 2 .* was changed\. See by `exuvia ledger verify`"):
            next(walked)
        list(searching.found(connection, Search(since=at(0))))
