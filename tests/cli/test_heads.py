"""What `exuvia doctor` says of the heads that are noted in the cluster, and a key that the operator cannot use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exuvia.cli import heads
from exuvia.cli.examining import State
from exuvia.record import anchors, importing
from tests.app.test_anchoring import noted
from tests.cli.calling import call
from tests.record import world
from tests.record.test_importing import parsed
from tests.record.test_pruning import life


def note(cluster: str, seq: int) -> str:
    return anchors.written(anchors.Anchor(cluster=cluster, seq=seq, hash="ab" * 32, time="2026-11-25T12:00:00Z"))


@pytest.mark.parametrize(("cluster", "seq"), [("c", 3), ("other", 1)])
async def test_a_persons_note_is_looked_for_in_the_chain_that_it_names(tmp_path: Path, cluster: str, seq: int) -> None:
    path = tmp_path / "l.db"
    importing.load(path, parsed(*life("A", 0, None)), cluster="c")
    client: Any = noted({"anchor": note(cluster, seq)})
    (found,) = await heads.check(client, "exuvia-system", path)
    assert found.state is State.PROBLEM
    assert f"misses entry {seq}, which the note under `anchor`" in found.message


def test_a_key_that_cannot_be_used_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "private.pem").write_text("no key")
    options = ("run", "--ledger", tmp_path / "l.db", "--anchor-public-key")
    assert "is no public Ed25519 key in PEM" in call(*options, tmp_path / "private.pem", code=2).stderr
    assert "none.pem cannot be read" in call(*options, tmp_path / "none.pem", code=2).stderr
    assert not (tmp_path / "l.db").exists()


def test_of_a_chain_without_entries_nothing_is_noted(tmp_path: Path) -> None:
    """A note of nothing would be missing in every ledger."""
    with world.written(tmp_path / "l.db"):
        pass
    asked = ("ledger", "anchor", "--ledger", tmp_path / "l.db", "--to", tmp_path / "head.json")
    assert "has no entry in the chain without a name yet" in call(*asked, code=2).stderr
    assert not (tmp_path / "head.json").exists()
