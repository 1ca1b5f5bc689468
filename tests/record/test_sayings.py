"""What sources said last, read back with all that their lines said."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import event

from exuvia.model.facts import microseconds
from exuvia.record import importing, lines, reading, sayings
from exuvia.record.places import Place

LEARNT = microseconds(datetime(2026, 1, 1, tzinfo=UTC))


def score(vulnerability: str, source: str = "kev", **more: Any) -> dict[str, Any]:
    said = {"type": "score", "vulnerability": vulnerability, "source": source, "value": "1", "basis": "threat"}
    return said | {"validFrom": "2026-01-01T00:00:00Z"} | more


def load(place: Place, *bodies: dict[str, Any], cluster: str = "") -> None:
    importing.load(place, [lines.of(one, recorded=LEARNT) for one in bodies], cluster=cluster)


def test_the_last_version_comes_with_its_own_words(place: Place) -> None:
    load(place, score("A", dueDate="soon", recordedAt="2026-01-02T00:00:00Z"), score("B", "epss"))
    load(place, score("A", dueDate="sooner", withdrawn=True, recordedAt="2026-01-03T00:00:00Z"))
    with reading.reading(place) as connection:
        (only,) = sayings.sayings(connection, of=("kev",))
        assert (only.score.withdrawn, only.score.recorded) == (True, microseconds(datetime(2026, 1, 3, tzinfo=UTC)))
        assert only.body["dueDate"] == "sooner"
        assert [one.score.source for one in sayings.sayings(connection, but=("kev",))] == ["epss"]
        assert len(list(sayings.sayings(connection))) == 2


def test_chains_of_several_clusters_are_not_mixed_up(place: Place) -> None:
    load(place, score("A", document="a"), score("B", document="b"), cluster="east")
    load(place, score("C", document="c"), score("D", document="d"), cluster="west")
    with reading.reading(place) as connection:
        found = {one.score.vulnerability: one.body["document"] for one in sayings.sayings(connection)}
    assert found == {"A": "a", "B": "b", "C": "c", "D": "d"}


def test_what_was_seen_on_a_machine(place: Place) -> None:
    load(place, {"type": "presence", "uid": "U", "vulnerability": "A", "from": "2026-01-01T00:00:00Z"}, score("B"))
    with reading.reading(place) as connection:
        assert sayings.seen(connection) == {"A"}


def test_each_entry_is_found_by_its_key(tmp_path: Path) -> None:
    """Without the name of the chain each score would look through all entries."""
    load(tmp_path / "l.db", score("A"))
    asked = list[tuple[str, Any]]()
    with reading.reading(tmp_path / "l.db") as connection:
        event.listen(connection, "before_cursor_execute", lambda *given: asked.append((given[2], given[3])))
        assert len(list(sayings.sayings(connection))) == 1
        statement, values = asked[-1]
        plan = [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
    assert any("entries" in step and "cluster=? AND seq=?" in step for step in plan), plan
