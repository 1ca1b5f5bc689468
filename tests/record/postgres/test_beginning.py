"""An import into a database that holds nothing: prepared on the way where the role may, and said."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from exuvia import errors
from exuvia.cli import feeding
from exuvia.record import chain, importing, preparing, queries
from exuvia.record.reading import reading
from tests.cli.calling import answer, call
from tests.record import world
from tests.record.postgres.server import OWNER, PASSWORD, WRITER, Postgres
from tests.record.test_importing import instance, parsed

EPSS = "#model_version:v2025.03.14,score_date:2025-03-15T12:55:00+0000\ncve,epss,percentile\nCVE-2025-0001,0.5,0.5\n"


@pytest.fixture
def empty(postgres: Postgres) -> Iterator[str]:
    """A database with no table, and the owner's role may make some."""
    name = postgres.empty()
    yield name
    assert "public" in schemas(postgres, name), "nothing of it was taken away"


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    path = tmp_path / "facts.ndjson"
    path.write_text("\n".join((instance("A", 0, 5, 0), instance("B", 0, 9, 0))))
    return path


@pytest.fixture
def epss(tmp_path: Path) -> Path:
    path = tmp_path / "epss.csv"
    path.write_text(EPSS)
    return path


def schemas(postgres: Postgres, name: str) -> set[str]:
    with postgres.connect(name) as connection:
        return {one for (one,) in connection.execute("SELECT nspname::text FROM pg_namespace")}


def tables(postgres: Postgres, name: str) -> set[str]:
    with postgres.connect(name) as connection:
        said = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'"
        return {one for (one,) in connection.execute(said)}


def told(postgres: Postgres, name: str) -> str:
    where = postgres.place(name)
    return f"{where} was empty: a ledger was prepared in it, which stays there if nothing is imported\n"


def test_the_first_import_prepares_and_says_so(postgres: Postgres, empty: str, facts: Path) -> None:
    command = ("ledger", "import", facts, "--ledger", postgres.url(empty))
    done = call(*command)
    assert done.stderr.startswith(told(postgres, empty)) and PASSWORD not in done.output
    assert "2 lines imported" in done.stdout
    assert call(*command).stderr == "", "only the first"
    with (
        psycopg.connect(postgres.url(empty), autocommit=True) as owner,
        pytest.raises(psycopg.errors.RestrictViolation, match="keeps its history"),
    ):
        owner.execute("DELETE FROM entries")
    preparing.prepare(postgres.place(empty), writer=WRITER)
    with world.written(postgres.place(empty, WRITER), world.birth("C")) as connection:
        assert connection.scalar(text("select count(*) from lives")) == 3


def test_a_chain_and_a_feed_prepare_too(postgres: Postgres, facts: Path, epss: Path, tmp_path: Path) -> None:
    first, second, third = (postgres.empty() for _ in range(3))
    call("ledger", "import", facts, "--ledger", postgres.url(first))
    exported = tmp_path / "chain.ndjson"
    exported.write_text(call("ledger", "export", "--ledger", postgres.url(first)).stdout)
    assert call("ledger", "import", exported, "--ledger", postgres.url(second)).stderr.startswith(
        told(postgres, second)
    )
    done = call("feed", "import", "epss", epss, "--all", "--ledger", postgres.url(third))
    assert done.stderr.startswith(told(postgres, third))
    assert [answer("ledger", "verify", "--ledger", postgres.url(one))["entries"] for one in (first, second, third)] == [
        2,
        2,
        1,
    ]


def test_a_feed_that_adds_nothing_prepares_nothing(postgres: Postgres, empty: str, epss: Path) -> None:
    feed = ("feed", "import", "epss", epss, "--ledger", postgres.url(empty))
    assert "nothing was added" in call(*feed, "--all", "--dry-run").stderr
    assert f"there is no ledger at {postgres.place(empty)}" in call(*feed).stderr
    epss.write_text("nonsense")
    call(*feed, "--all", code=2)
    assert tables(postgres, empty) == set()


def test_what_only_reads_or_adds_to_a_ledger_prepares_nothing(postgres: Postgres, empty: str) -> None:
    by = ("--by", "alice")
    commands: tuple[tuple[str, ...], ...] = (
        ("query",), ("verify",), ("export",), ("prune", "--keep", "1d", *by), ("erase", "--subject", "x", *by),
        ("hold", "add", "--instance", "A", *by),
    )  # fmt: skip
    for words in commands:
        assert "holds no ledger yet" in call("ledger", *words, "--ledger", postgres.url(empty), code=2).stderr
    assert tables(postgres, empty) == set()


def test_a_file_that_is_refused_leaves_an_empty_ledger_and_that_is_said(
    postgres: Postgres, empty: str, facts: Path
) -> None:
    facts.write_text(facts.read_text() + "\nnonsense\n")
    command = ("ledger", "import", facts, "--ledger", postgres.url(empty))
    said = call(*command, code=2).stderr
    assert said.startswith(told(postgres, empty)) and "line 3" in said
    with reading(postgres.place(empty)) as connection:
        assert queries.clusters(connection) == ()


def test_who_may_not_make_tables_is_sent_to_the_owner(postgres: Postgres, empty: str, facts: Path, epss: Path) -> None:
    with postgres.connect(empty) as connection:
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    for words in (("ledger", "import", facts), ("feed", "import", "epss", epss, "--all")):
        said = call(*words, "--ledger", postgres.url(empty, WRITER), code=2).stderr
        assert "holds no ledger yet. Prepare it as the owner" in said and "prepared in it" not in said
    assert tables(postgres, empty) == set()


def test_a_database_of_something_else_is_left_alone(postgres: Postgres, empty: str, facts: Path) -> None:
    with postgres.connect(empty) as connection:
        connection.execute(f"CREATE TABLE others (id int); ALTER TABLE others OWNER TO {OWNER}")
    said = call("ledger", "import", facts, "--ledger", postgres.url(empty), code=2).stderr
    assert "holds no ledger yet" in said
    assert tables(postgres, empty) == {"others"}


def test_imports_at_once_prepare_once_and_all_come_in(postgres: Postgres, empty: str) -> None:
    place = postgres.place(empty)

    def imported(cluster: str) -> tuple[bool, int]:
        made = preparing.begin(place)
        return made, importing.load(place, parsed(instance(cluster, 0, 5, 0)), cluster=cluster).entered

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(imported, "abcd"))
    assert sorted(made for made, _ in done) == [False, False, False, True]
    assert [entered for _, entered in done] == [1] * 4
    with reading(place) as connection:
        assert all(chain.verify(queries.links(connection, one)).entries == 1 for one in "abcd")


def test_a_feed_does_not_enter_what_it_compared_with_nothing_into_a_ledger_that_somebody_made(
    postgres: Postgres, empty: str, epss: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, compare = postgres.place(empty), feeding.comparing.compare

    def meanwhile(*given: Any) -> Any:
        preparing.prepare(place)
        return compare(*given)

    monkeypatch.setattr(feeding.comparing, "compare", meanwhile)
    feed = ("feed", "import", "epss", epss, "--all", "--ledger", postgres.url(empty))
    said = call(*feed, code=2).stderr
    assert "Somebody else began a ledger in" in said and "nothing was imported. Run it again." in said
    assert "prepared in it" not in said
    monkeypatch.undo()
    assert call(*feed).stdout


def test_a_server_that_is_away_is_said_as_ever(postgres: Postgres, facts: Path) -> None:
    gone = postgres.url("nowhere")
    assert "There is no such database" in call("ledger", "import", facts, "--ledger", gone, code=2).stderr
    with pytest.raises(errors.LedgerDown):
        preparing.begin(postgres.place("nowhere"))
