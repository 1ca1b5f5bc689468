"""What an import reads ahead: each version of each thing once, however few things are asked for."""

from __future__ import annotations

from sqlalchemy import Connection, Row, select

from exuvia.model.facts import microseconds
from exuvia.record import batches, importing, opening, tables
from exuvia.record.batches import Batch
from exuvia.record.places import Place
from tests.record import world
from tests.record.test_importing import parsed, rfc, said

VERSIONS = 7


def told(uid: str, vulnerability: str, learnt: int) -> str:
    return said("presence", uid=uid, vulnerability=vulnerability, from_=rfc(0), to=None, recordedAt=rfc(learnt))


def rows(connection: Connection, things: list[batches.Thing]) -> list[Row[tuple[object, ...]]]:
    view = batches.of(tables.presences)
    return list(connection.execute(batches._among(view), batches._asked(view, things)).all())


def test_a_thing_with_many_versions_is_read_once(place: Place) -> None:
    for learnt in range(VERSIONS):
        importing.load(place, parsed(*(told(uid, "V", 5 + learnt) for uid in ("A", "B", "C"))), cluster="c")
    engine = opening.open_for_writing(place)
    try:
        with engine.begin() as connection:
            assert len(connection.execute(select(tables.presences)).all()) == 3 * VERSIONS
            began = microseconds(world.at(0))
            for uids in ("A", "AB", "ABCD"):
                asked = [(uid, "V", began) for uid in uids]
                assert len(rows(connection, asked)) == VERSIONS * len(set(uids) & set("ABC"))
                batch = Batch()
                batch.read_ahead(connection, batches.of(tables.presences), asked)
                latest = [batch.latest(connection, batches.of(tables.presences), *one) for one in asked]
                assert [one and one["recorded"] for one in latest] == [
                    microseconds(world.at(4 + VERSIONS)) if uid in "ABC" else None for uid in uids
                ]
    finally:
        engine.dispose()
