"""An acceptance counts for what was missing when it was made; and what a chain proves that lost its end."""

from __future__ import annotations

import logging
import sqlite3
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from exuvia import errors
from exuvia.model import facts
from exuvia.record import appending, importing, trust
from exuvia.record.accepting import accept
from exuvia.record.lines import TYPES
from exuvia.record.missing import Missing
from exuvia.record.trust import NEVER, Noted
from tests.record import world
from tests.record.test_importing import parsed, rfc, said

WRITER = appending.Writer(cluster="c", epoch=1)
LOST = Noted(seq=90, hash="ab" * 32)


class Story:
    """A ledger file, a backup of it, and all that was ever acknowledged. `let_go`: what was accepted as missing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.backup = path.with_name("backup.db")
        self.known = dict[str, Noted]()
        self.let_go = set[str]()
        with world.written(path):
            pass
        self.copy(path, self.backup)

    def copy(self, source: Path, target: Path) -> None:
        for journal in target.parent.glob(f"{target.name}*"):
            journal.unlink()
        with sqlite3.connect(source) as here, sqlite3.connect(target) as there:
            here.backup(there)
        here.close()
        there.close()

    def step(self, what: str, number: int) -> None:
        if what == "append":
            with world.written(self.path, world.birth(f"m{number}")) as connection:
                head = appending.head(connection, "c")
            self.known[f"{head.seq}:{head.hash.hex()}"] = Noted(seq=head.seq, hash=head.hash.hex())
        elif what == "accept":
            try:
                _, lost = accept(self.path, by="a", reason="r", at=world.at(0), noted=self.known.values(), cluster="c")
            except errors.Refused:
                return
            self.let_go |= set(lost)
        elif what == "back up":
            self.copy(self.path, self.backup)
        else:
            self.copy(self.backup, self.path)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["append", "append", "back up", "restore", "accept"]), max_size=12))
def test_an_acceptance_never_counts_for_a_loss_that_came_after_it(steps: list[str]) -> None:
    """Of all that was ever acknowledged only that is settled which is there, or which a person accepted as missing: an
    entry that was not yet written, or was there, when the acceptance was made is never let go by it."""
    with tempfile.TemporaryDirectory() as folder:
        story = Story(Path(folder) / "ledger.db")
        for number, what in enumerate(steps):
            story.step(what, number)
        with world.written(story.path) as connection:
            for name, one in story.known.items():
                there = appending.hash_at(connection, "c", one.seq) == bytes.fromhex(one.hash)
                assert not settled(connection, one) or there or name in story.let_go


def settled(connection: Connection, one: Noted) -> bool:
    head, lost = appending.head(connection, "c"), {one.seq: bytes.fromhex(one.hash)}
    return trust.settle(connection, head, lost, Missing(entries=lost), "c") is not None


def test_an_acceptance_that_a_restored_backup_holds_says_nothing_of_what_was_lost_since(tmp_path: Path) -> None:
    story = Story(tmp_path / "ledger.db")
    for number, what in enumerate(["append", "accept", "back up", "append", "restore"]):
        story.step(what, number)
    with world.written(story.path) as connection:
        assert [settled(connection, one) for one in story.known.values()] == [True, False]


def test_what_names_nothing_was_entered_by_a_former_version_and_counts_for_nothing_new(tmp_path: Path) -> None:
    old = facts.accepted(by="alice", reason="once", at=world.at(1))
    with world.written(tmp_path / "l.db", world.birth("A"), old) as connection:
        assert not settled(connection, LOST)


def test_a_chain_that_lost_entries_proves_what_a_leader_wrote_before_the_loss(tmp_path: Path) -> None:
    """What people enter proves nothing, and what came after the loss not either."""
    began = datetime(2026, 1, 1, tzinfo=UTC)
    held = facts.Fact(kind=facts.FactKind.EVIDENCE, at=began, body={})
    story = [world.birth("A"), held, accepted(), accepted(), world.birth("B"), accepted()]
    with world.written(tmp_path / "l.db") as connection:
        heads = [appending.Head()]
        for number, fact in enumerate(story):
            moment = facts.microseconds(began + timedelta(minutes=number))
            made = appending.add(connection, heads[-1], fact, WRITER, recorded=moment)
            assert made is not None
            heads.append(made)
        after = {number: f"{one.seq}:{one.hash.hex()}" for number, one in enumerate(heads)}
        first, second = began, began + timedelta(minutes=4)
        assert trust.last_acceptance(connection, "c") == after[6]
        assert trust.last_acceptance(connection, "c", until=began + timedelta(minutes=4)) == after[4]
        assert trust.proven(connection, "c", NEVER) == first
        assert trust.proven(connection, "c", after[3]) == first
        assert trust.proven(connection, "c", after[4]) == second
        assert trust.proven(connection, "c", f"3:{'cd' * 32}") == second, "that acceptance is lost itself"
        assert trust.proven(connection, "other", f"3:{'cd' * 32}") is None
        assert trust.last_acceptance(connection, "other") == NEVER


def test_what_was_imported_after_the_last_look_proves_nothing(tmp_path: Path) -> None:
    """Of whatever kind: an import says what was so elsewhere, and is made while nobody watches."""
    path = tmp_path / "l.db"
    with world.written(path, world.birth("A")) as connection:
        watched = trust.proven(connection, "c", NEVER)
    body = {"from_": rfc(1), "to": rfc(2), "born": rfc(0), "podUid": "P", "pod": "p", "user": "ann"}
    score = {"vulnerability": "V", "source": "cvss", "value": 5, "validFrom": rfc(0)}
    texts = [said(kind, uid="A", **body, **score) for kind in TYPES]
    assert importing.load(path, parsed(*texts), cluster="c").entered == len(TYPES)
    with world.written(path, accepted()) as connection:
        assert watched is not None and trust.proven(connection, "c", NEVER) == watched


def accepted() -> facts.Fact:
    return facts.accepted(by="alice", reason="r", at=world.at(0), missing=[f"{LOST.seq}:{LOST.hash}"])


async def test_a_ledger_that_was_only_opened_is_not_said_to_be_fine(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether it holds what it must is asked later: nobody reads that all is well just before that it is not."""
    with caplog.at_level(logging.INFO, "exuvia.record.condition"):
        async with world.running(tmp_path / "l.db") as ledger:
            ledger.distrust(9, "ab" * 32)
    opened, missed = [one.getMessage() for one in caplog.records if one.name == "exuvia.record.condition"]
    assert opened == "ledger is open" and "misses entries 1 to 9: " in missed
