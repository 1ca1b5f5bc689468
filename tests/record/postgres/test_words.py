"""A URL with a password may stand on a command line: no command repeats it."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from click.testing import CliRunner

from exuvia.cli.main import exuvia
from exuvia.record import importing, places
from tests.record.postgres.server import PASSWORD, Postgres
from tests.record.test_importing import instance, parsed

COMMANDS = (
    ("ledger", "verify"),
    ("ledger", "verify", "--deep"),
    ("ledger", "verify", "--head", f"1:{'0' * 64}"),
    ("ledger", "anchor"),
    ("ledger", "export"),
    ("ledger", "query"),
    ("ledger", "dead-letters"),
    ("ledger", "who", "--name", "a"),
    ("ledger", "prune", "--keep", "1d", "--dry-run"),
    ("ledger", "hold", "list"),
    ("ledger", "accept", "--reason", "none", "--by", "alice"),
    ("risk", "report", "--from", "30d"),
    ("risk", "report", "--from", "30d", "-o", "html"),
    ("license", "history", "--from", "30d"),
)


@pytest.mark.parametrize("damaged", [False, True])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_repeats_the_password(postgres: Postgres, command: tuple[str, ...], damaged: bool) -> None:
    url = postgres.url(postgres.database())
    importing.load(places.place(url), parsed(instance("A", 0, None, 0)), cluster="c")
    if damaged:
        with postgres.connect(url.rpartition("/")[2].partition("?")[0]) as connection:
            connection.execute("ALTER TABLE entries DISABLE TRIGGER ALL")
            connection.execute("UPDATE entries SET body = '{}'")
    done = CliRunner(env={"NO_COLOR": "1"}).invoke(exuvia, [*command, "--ledger", url])
    assert done.output
    assert PASSWORD not in done.output and quote(PASSWORD, safe="") not in done.output
    assert "not foreseen" not in done.output
