"""A chain is walked entry by entry: its length is no matter of memory, though the server could send it whole."""

from __future__ import annotations

from sqlalchemy import text

from exuvia.record import chain, queries
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
        assert connection.scalar(text("SELECT count(*) FROM pg_cursors WHERE statement LIKE '%entries%'")) == 1
        found = chain.verify([first, *links])
    assert (found.first_bad, found.entries) == (None, queries.PAGE + 10)
