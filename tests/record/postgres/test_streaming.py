"""A chain is walked entry by entry: its length is no matter of memory, though the server could send it whole."""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from sqlalchemy import Connection, text

from exuvia.model import facts
from exuvia.record import chain, exposed, histories, importing, lines, queries, sayings, seat_entries, versions
from exuvia.record.reading import reading
from tests.record import world
from tests.record.postgres.server import WRITER, Postgres


def test_a_chain_is_read_by_a_cursor_of_the_server(postgres: Postgres) -> None:
    place = postgres.place(postgres.database(), WRITER)
    with world.written(place, *(world.birth(f"N{number}") for number in range(queries.PAGE + 10))):
        pass
    with reading(place) as connection:
        links = queries.links(connection, "c")
        first = next(links)
        assert _cursors(connection) == 1
        found = chain.verify([first, *links])
    assert (found.first_bad, found.entries) == (None, queries.PAGE + 10)


SCORE = {"type": "score", "source": "kev", "value": "1", "validFrom": "2026-01-01T00:00:00Z"}
SEAT = {"event": "queued", "pool": "antivirus"}


@pytest.mark.parametrize(
    "walk", [sayings.sayings, lambda connection: seat_entries.of_pool(connection, "P", "c")], ids=["sayings", "seats"]
)
def test_a_walk_that_ends_early_leaves_no_cursor(postgres: Postgres, walk: Callable[[Connection], Any]) -> None:
    """Nor is any other statement of the connection read by one."""
    place = postgres.place(postgres.database(), WRITER)
    seats = [facts.seat({**SEAT, "uid": "P", "instance": uid}, datetime(2026, 1, 1, tzinfo=UTC)) for uid in "ABC"]
    with world.written(place, *seats):
        pass
    importing.load(place, [lines.of({**SCORE, "vulnerability": one}, recorded=0) for one in "ABC"], cluster="c")
    with reading(place) as connection:
        walked = cast(Generator[Any, None, None], walk(connection))
        next(walked)
        assert _cursors(connection) == 1
        walked.close()
        assert _cursors(connection) == 0


@pytest.mark.parametrize(
    "walk",
    [lambda connection: histories.pasts(connection, versions.INSTANT), exposed.scores_of_all],
    ids=["pasts", "scores"],
)
def test_what_reads_the_past_of_machines_leaves_no_cursor(
    postgres: Postgres, walk: Callable[[Connection], Any]
) -> None:
    place = postgres.place(postgres.database(), WRITER)
    told = [{"type": "instance", "uid": uid, "born": "2026-01-01T00:00:00Z"} for uid in "AB"]
    found = {"from": "2026-01-01T00:00:00Z", "type": "presence", "vulnerability": "A"}
    told += [{**found, "uid": uid} for uid in "AB"] + [
        {**SCORE, "source": source, "vulnerability": "A"} for source in ("cvss", "nvd")
    ]
    importing.load(place, [lines.of(one, recorded=0) for one in told], cluster="c")
    with reading(place) as connection:
        walked = cast(Generator[Any, None, None], walk(connection))
        next(walked)
        assert connection.scalar(_OPEN) > 0
        walked.close()
        assert connection.scalar(_OPEN) == 0


_OPEN = text("SELECT count(*) FROM pg_cursors WHERE name <> ''")


def _cursors(connection: Connection) -> int:
    return int(connection.scalar(text("SELECT count(*) FROM pg_cursors WHERE statement LIKE '%entries%'")) or 0)
