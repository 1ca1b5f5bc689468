"""Ledgers of both kinds: a test that asks for `place` or `fresh` runs on a file and on a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from exuvia.record.places import Place, Server
from tests.record.postgres import server as servers
from tests.record.postgres.server import Postgres

Fresh = Callable[[], Place]
Owner = Callable[[Place], Place]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all; each test has a database to itself."""
    with servers.running() as running:
        yield running


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def fresh(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fresh]:
    """Gives a place with no entry yet, as often as it is called. On the server it is the same one, emptied, and the
    writer's, who may only add."""
    if request.param == "sqlite":
        yield lambda: tmp_path_factory.mktemp("ledger") / "l.db"
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = server.database()

    def emptied() -> Place:
        server.clear(name)
        return server.place(name, servers.WRITER)

    yield emptied


@pytest.fixture
def place(fresh: Fresh) -> Place:
    """One with no entry yet."""
    return fresh()


@pytest.fixture
def owner(request: pytest.FixtureRequest) -> Owner:
    """The same ledger, as the one who owns it: of a file, whoever may write it."""

    def owned(place: Place) -> Place:
        if not isinstance(place, Server):
            return place
        server: Postgres = request.getfixturevalue("postgres")
        return server.place(dict(place.parameters)["dbname"])

    return owned
