"""Which cluster a question is about, where a ledger holds the chains of several."""

from __future__ import annotations

from pathlib import Path

import pytest

from exuvia import errors
from exuvia.cli import clusters
from exuvia.record import importing, lines, reading


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


def test_words_for_a_sentence() -> None:
    assert [clusters.within(named) for named in (None, "berlin", "")] == [
        "",
        " in cluster berlin",
        " in the chain without a name",
    ]
