"""Which cluster a question is about, where a ledger holds the chains of several."""

from __future__ import annotations

from pathlib import Path

import pytest

from exuvia import errors
from exuvia.cli import clusters
from exuvia.record import importing, lines, reading
from tests.cli.calling import answer, call


def load(file: Path, uid: str, cluster: str) -> None:
    told = {"type": "instance", "uid": uid, "name": uid, "born": "2026-01-01T00:00:00Z"}
    importing.load(file, [lines.of(told, recorded=0)], cluster=cluster)


def test_all_one_and_the_one_without_a_name(tmp_path: Path) -> None:
    load(tmp_path / "l.db", "A", "berlin")
    with reading.reading(tmp_path / "l.db") as connection:
        assert not clusters.several(connection)
        with pytest.raises(errors.SettingsError, match=r"no chain without a name\. Its chains: berlin\."):
            clusters.chosen(connection, "")
    load(tmp_path / "l.db", "B", "")
    with reading.reading(tmp_path / "l.db") as connection:
        assert clusters.several(connection)
        assert [clusters.chosen(connection, named) for named in (None, "", "berlin")] == [None, "", "berlin"]
        with pytest.raises(
            errors.SettingsError, match=r"no chain of bonn\. Its chains: '' \(the one without a name\), berlin\."
        ):
            clusters.chosen(connection, "bonn")


def test_a_machine_is_one_whoever_tells_of_it(tmp_path: Path) -> None:
    """Asked of one cluster: its machines only, by all that is known of them."""
    file = tmp_path / "l.db"
    load(file, "B", "north")
    told = {"type": "instance", "uid": "A", "name": "A", "born": "2026-01-01T00:00:00Z"}
    for cluster, said in (
        ("berlin", {"recordedAt": "2026-01-01T00:00:00Z"}),
        ("north", {"recordedAt": "2026-01-01T02:00:00Z", "died": "2026-01-01T02:00:00Z"}),
    ):
        importing.load(file, [lines.of(told | said, recorded=0)], cluster=cluster)
    asked = ("ledger", "who", "--ledger", file, "--at", "2026-01-01T01:00:00Z", "--cluster", "berlin")
    (found,) = answer(*asked, "--name", "A")["instances"]
    assert (found["uid"], found["died"]) == ("A", "2026-01-01T02:00:00Z")
    assert answer(*asked, "--name", "B")["answer"] == "none"
    window = ("--from", "2026-01-01T00:00:00Z", "--to", "2026-01-01T10:00:00Z")
    assert answer("risk", "report", "--ledger", file, "--cluster", "berlin", *window)["instanceHours"] == 2
    for command in (("ledger", "who"), ("risk", "report"), ("risk", "at"), ("risk", "explain")):
        said = " ".join(call(*command, "--help").stdout.split())
        assert "Only machines that this cluster told of." in said, command


def test_words_for_a_sentence() -> None:
    assert [clusters.within(named) for named in (None, "berlin", "")] == [
        "",
        " in cluster berlin",
        " in the chain without a name",
    ]
