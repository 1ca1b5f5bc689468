"""Where a ledger is, as people write it: paths, URLs, and the spellings that SQLAlchemy has."""

from __future__ import annotations

from pathlib import Path

import pytest

from exuvia import errors
from exuvia.record import places
from exuvia.record.places import Server
from tests.cli.calling import answer, call
from tests.record.test_importing import instance


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("fleet.db", "fleet.db"),
        ("sqlite:///fleet.db", "fleet.db"),
        ("sqlite:///sub/fleet.db", "sub/fleet.db"),
        ("sqlite:////var/lib/fleet.db", "/var/lib/fleet.db"),
        ("sqlite:///50%25.db", "50%25.db"),
    ],
)
def test_a_file_may_be_written_as_a_url(text: str, path: str) -> None:
    assert places.place(text) == Path(path)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_database_may_name_the_driver_that_is_used(scheme: str) -> None:
    found = places.place(f"{scheme}://me:p%40ss@db.example:5433/fleet?sslmode=verify-full")
    assert isinstance(found, Server) and str(found) == "postgresql://me@db.example:5433/fleet"
    assert {**dict(found.parameters)}.items() >= {"password": "p@ss", "sslmode": "verify-full"}.items()


@pytest.mark.parametrize("rest", ["", "/", "/:memory:", "me:secret@host/x.db", "fleet.db", "/fleet.db?mode=ro"])
def test_what_names_no_file_is_said_without_a_password(rest: str) -> None:
    with pytest.raises(errors.SettingsError) as caught:
        places.place(f"sqlite://{rest}")
    assert str(caught.value) == (
        "This sqlite:// URL does not name a file and nothing else."
        " Write the path of the file, or sqlite:/// and the path."
    )


@pytest.mark.parametrize("scheme", ["mysql", "sqlite+aiosqlite", "postgresql+psycopg2", "http"])
def test_what_is_no_ledger_is_said_in_one_sentence(scheme: str) -> None:
    with pytest.raises(errors.SettingsError, match=r"is no ledger that exuvia knows. Name a file, or postgresql://"):
        places.place(f"{scheme}://me:secret@host/x")


def test_a_command_takes_such_a_url(tmp_path: Path) -> None:
    facts = tmp_path / "facts.ndjson"
    facts.write_text(instance("A", 0, 5, 0))
    url = f"sqlite:///{tmp_path / 'fleet.db'}"
    assert (
        f"a new ledger was made at {tmp_path / 'fleet.db'}" in call("ledger", "import", facts, "--ledger", url).stderr
    )
    assert answer("ledger", "verify", "--ledger", url)["entries"] == 1
