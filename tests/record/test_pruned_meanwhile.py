"""Others import and prune while an operator runs: the entry that it knows as the last may go, and it works on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from exuvia import errors
from exuvia.model.facts import LedgerState
from exuvia.record import chain, guarding, importing, queries, removal
from exuvia.record import ledger as ledger_module
from exuvia.record.ledger import Ledger
from exuvia.record.places import Place
from exuvia.record.reading import reading
from tests.record import world
from tests.record.conftest import Owner
from tests.record.test_importing import instance, parsed, rfc, said
from tests.record.test_ledger import copied, put_in_place
from tests.record.world import running, state

LATER = datetime(2027, 6, 1, tzinfo=UTC)
SCORE = said("score", vulnerability="V", source="cvss", value=5, validFrom=rfc(0))


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trouble is looked at again soon; the ledger is looked at when a test says so."""
    monkeypatch.setattr(ledger_module, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(ledger_module, "LOOK_SECONDS", 0.05)


async def lived(ledger: Ledger) -> str:
    """A machine that is over, whose death is the last entry. Its hash."""
    return (await ledger.append(world.birth("A"), world.death("A", 1))).hash


def prune(place: Place) -> int:
    return removal.prune(place, cut=LATER, keep="1s", by="alice", at=LATER, cluster="c").entries


def sound(place: Place) -> bool:
    with reading(place) as connection:
        return chain.verify(queries.links(connection, "c")).first_bad is None


@pytest.mark.parametrize("idle", [True, False])
async def test_a_writer_whose_last_entry_was_pruned_goes_on(
    place: Place, owner: Owner, idle: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nothing to write it takes the last entry that is there for the head; else it finds it when it writes."""
    monkeypatch.setattr(ledger_module, "LOOK_SECONDS", 0.05 if idle else 60)
    async with running(place) as ledger:
        await lived(ledger)
        importing.load(place, parsed(SCORE), cluster="c")
        assert prune(owner(place)) == 2
        while idle and ledger.head()["seq"] != 4:
            assert ledger.health().state is LedgerState.FINE, ledger.health().message
            await asyncio.sleep(0.01)
        assert (await ledger.append(world.birth("B"))).seq == 5
        assert (ledger.health().state, ledger.health().losses) == (LedgerState.FINE, 0)
    assert sound(place)


async def test_two_prunings_with_nothing_between_them_take_it_too(place: Place, owner: Owner) -> None:
    async with running(place) as ledger:
        await ledger.append(world.birth("A"), world.death("A", 1))
        await ledger.append(world.birth("B"), world.death("B", 1))
        for entries in (2, 2):
            assert prune(owner(place)) == entries
        await asyncio.sleep(0.3)
        assert ledger.health().state is LedgerState.FINE, ledger.health().message
        assert (await ledger.append(world.birth("C"))).seq == 7
    assert sound(place)


async def test_a_pruned_copy_in_place_of_the_file_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "LOOK_SECONDS", 60)
    path, copy = tmp_path / "ledger" / "l.db", tmp_path / "copy.db"
    async with running(path) as ledger:
        await lived(ledger)
        copied(path, copy)
        importing.load(copy, parsed(SCORE), cluster="c")
        assert prune(copy) == 2
        put_in_place(path, copy)
        with pytest.raises(errors.LedgerDown, match="replaced"):
            await ledger.append(world.birth("B"))
        await state(ledger, LedgerState.FINE)
        assert (await ledger.append(world.birth("B"))).seq == 5
        assert ledger.health().losses == 0


async def test_what_is_missed_is_settled_once_a_checkpoint_vouches_for_it(place: Place, owner: Owner) -> None:
    """And nothing else: that the chain is broken no pruning mends, nor a loss behind all that was pruned."""
    async with running(place) as ledger:
        hash_ = await lived(ledger)
        importing.load(place, parsed(SCORE), cluster="c")
        prune(owner(place))
        ledger.distrust(2, hash_)
        await state(ledger, LedgerState.FINE)
        for seq, missed in ((2, "00" * 32), (9, "ab" * 32)):
            ledger.distrust(seq, missed)
            await asyncio.sleep(0.3)
            assert ledger.health().state is LedgerState.NOT_TRUSTED


async def test_a_pruning_of_what_came_after_a_loss_settles_nothing(tmp_path: Path) -> None:
    """A backup is put in its place; others enter and prune until a checkpoint covers the numbers that are missed."""
    path, copy = tmp_path / "ledger" / "l.db", tmp_path / "copy.db"
    async with running(path) as ledger:
        await ledger.append(world.birth("A"))
        copied(path, copy)
        for one in "BCDEF":
            await ledger.append(world.birth(one))
        put_in_place(path, copy)
        await state(ledger, LedgerState.NOT_TRUSTED)
        importing.load(path, parsed(*(instance(f"X{one}", 0, 1, 2) for one in range(8)), SCORE), cluster="c")
        assert prune(path) == 8
        await asyncio.sleep(0.3)
        assert ledger.health().state is LedgerState.NOT_TRUSTED


async def test_a_head_that_was_cut_off_without_a_checkpoint_is_missed(place: Place, owner: Owner) -> None:
    async with running(place) as ledger:
        await lived(ledger)
        importing.load(place, parsed(SCORE), cluster="c")
        with world.written(owner(place)) as connection, guarding.removing(connection):
            connection.execute(text("delete from entries where seq = 2"))
        await state(ledger, LedgerState.NOT_TRUSTED)
        with pytest.raises(errors.LedgerTruncated, match="misses entry 2"):
            await ledger.append(world.birth("B"))
