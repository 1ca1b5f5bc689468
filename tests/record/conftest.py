"""Ledgers of both kinds: a test that asks for `place` or `fresh` runs on a file and on a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from exuvia.record.places import Place
from tests.record.postgres import server as servers
from tests.record.postgres.server import Postgres

Fresh = Callable[[], Place]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all; each test has a database of its own."""
    with servers.running() as running:
        yield running


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def fresh(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fresh]:
    """Makes a place with no entry yet, as often as it is called. On the server it is the writer's, who may only add."""
    if request.param == "sqlite":
        yield lambda: tmp_path_factory.mktemp("ledger") / "l.db"
        return
    server: Postgres = request.getfixturevalue("postgres")
    made: list[str] = []

    def database() -> Place:
        made.append(server.database())
        return server.place(made[-1], servers.WRITER)

    yield database
    for name in made:
        server.drop(name)


@pytest.fixture
def place(fresh: Fresh) -> Place:
    """One with no entry yet."""
    return fresh()
