"""The ledger's head is noted outside the ledger, seldom; and a ledger that does not hold it is not trusted."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from exuvia import errors
from exuvia.app import anchoring
from exuvia.app.anchoring import Anchoring
from exuvia.app.history import History
from exuvia.model import facts, marks
from exuvia.model.facts import LedgerHealth, LedgerState
from exuvia.record import anchors, appending, importing, missing, removal
from exuvia.record.accepting import accept
from exuvia.record.ledger import Ledger
from exuvia.record.reading import reading
from exuvia.record.trust import Noted
from tests.app import stage
from tests.app.stage import NOW, Objects
from tests.record.test_importing import parsed
from tests.record.test_pruning import life
from tests.record.world import at

HEAD = {"seq": "7", "hash": "ab" * 32}


def noted(data: dict[str, str]) -> Objects:
    """A cluster in which that stands as the head."""
    made = Objects()
    made.kept[marks.LEDGER_HEAD] = {"metadata": {"name": "x", "uid": "x", "resourceVersion": "1"}, "data": data}
    return made


async def compared(
    path: Path, cluster: Objects, *, accepts: bool = False, **settings: str
) -> tuple[LedgerHealth, bool, Any]:
    """What a new leader finds of that ledger; with `accepts` a person accepts what is missing."""
    ledger = Ledger(path, epoch=lambda: 2)
    ledger.start()
    scribe = SimpleNamespace(overflowed=None, flush=lambda: asyncio.sleep(0, True), note=lambda *facts: None)
    services = stage.services(
        ledger=ledger,
        scribe=scribe,
        cluster=cluster,
        past_known=False,
        leadership=SimpleNamespace(epoch=2, notes={}),
        chronicle=SimpleNamespace(load=lambda *some: None, settle=lambda *some: [], ready_once=set(), loaded=False),
        settings=stage.Settings(ledger=str(path), **settings),
        tallies=SimpleNamespace(begin=lambda *some: None, add=lambda *some: None),
    )
    for one in services.view.reflectors:
        one.synced = True
    history = History(services, stage.fleet(services))
    running = asyncio.create_task(history.run())
    try:
        await asyncio.wait_for(_answered(history, services), 5)
        if accepts:
            noted = [Noted(seq=one.seq, hash=one.hash) for one in await anchoring.ours(cluster, services.settings)]
            accept(path, by="alice", reason="the volume is lost", at=NOW, noted=noted)
            while not history.compared:
                await asyncio.sleep(0.05)
        return ledger.health(), history.compared, services
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await asyncio.to_thread(ledger.close)


async def _answered(history: History, services: Any) -> None:
    while not (history.compared or services.past_trouble or services.ledger.health().state is LedgerState.NOT_TRUSTED):
        await asyncio.sleep(0.02)


async def written(path: Path, *names: str) -> facts.Receipt:
    """A ledger that tells of these births; returns its head."""
    ledger = Ledger(path, epoch=lambda: 1)
    ledger.start()
    while ledger.health().state is not LedgerState.FINE:
        await asyncio.sleep(0.01)
    for name in names:
        body = {"uid": name, "kind": "Node", "name": name, "pool": "", "zone": ""}
        receipt = await ledger.append(facts.birth(instance=body, at=NOW))
    await asyncio.to_thread(ledger.close)
    return receipt


async def test_a_ledger_that_holds_the_noted_head_is_trusted(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    head = await written(path, "a")
    await written(path, "b")
    health, fine, _ = await compared(path, noted({"seq": str(head.seq), "hash": head.hash}))
    assert fine and health.state is LedgerState.FINE


@pytest.mark.parametrize("lost", ["all", "tail", "other"])
async def test_a_ledger_without_the_noted_head_is_not_trusted_until_a_person_accepts(tmp_path: Path, lost: str) -> None:
    path, backup = tmp_path / "ledger.db", tmp_path / "backup.db"
    head = await written(path, "a")
    shutil.copy(path, backup)
    if lost != "other":
        head = await written(path, "b")
    path.unlink()
    if lost == "tail":
        shutil.copy(backup, path)
    elif lost == "other":
        await written(path, "x", "y")
    cluster = noted({"seq": str(head.seq), "hash": head.hash})
    health, fine, _ = await compared(path, cluster)
    assert not fine and health.state is LedgerState.NOT_TRUSTED
    which = missing.lost(0 if lost == "all" else head.seq - 1, head.seq, "ConfigMap exuvia-system/exuvia-ledger-head")
    assert f"misses {which}: " in health.message
    health, fine, _ = await compared(path, cluster, accepts=True)
    assert fine and health.state is LedgerState.FINE
    health, fine, _ = await compared(path, cluster)
    assert fine, "accepted once is accepted at the next start as well"


async def test_without_a_note_a_ledger_counts_for_itself(tmp_path: Path) -> None:
    health, fine, _ = await compared(tmp_path / "ledger.db", Objects())
    assert fine and health.state is LedgerState.FINE


@pytest.mark.parametrize("data", [{}, {"seq": "x", "hash": "ab"}, {"seq": "1", "hash": "no hex"}, {"seq": "1"}])
async def test_a_note_that_says_nothing_is_unknown_and_not_absent(tmp_path: Path, data: dict[str, str]) -> None:
    _, fine, services = await compared(tmp_path / "ledger.db", noted(data))
    assert not fine
    assert "names no head of a ledger" in services.past_trouble


async def test_a_note_that_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    cluster = Objects()
    cluster.trouble = errors.Forbidden("no right to read configmaps")
    _, fine, services = await compared(tmp_path / "ledger.db", cluster)
    assert not fine
    assert "no right to read configmaps" in services.past_trouble


def note(seq: int, hash_: str, key: Ed25519PrivateKey | None = None, cluster: str = "") -> str:
    """As `exuvia ledger anchor` writes it."""
    return anchors.written(anchors.Anchor(cluster=cluster, seq=seq, hash=hash_, time="2026-11-25T12:00:00Z"), key)


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("lost", ["all", "tail", "nothing"])
async def test_a_persons_note_counts_as_much_as_the_operators(tmp_path: Path, lost: str, own: bool) -> None:
    """Who may write the ConfigMap moves the operator's own note back with the ledger, or takes it away."""
    path, backup = tmp_path / "ledger.db", tmp_path / "backup.db"
    first = await written(path, "a")
    shutil.copy(path, backup)
    head = await written(path, "b")
    if lost != "nothing":
        path.unlink()
    if lost == "tail":
        shutil.copy(backup, path)
    known = {"seq": str(first.seq), "hash": first.hash} if own and lost != "all" else {}
    cluster = noted({**known, "anchor": note(head.seq, head.hash)})
    health, fine, _ = await compared(path, cluster)
    if lost == "nothing":
        assert fine and health.state is LedgerState.FINE
        return
    assert not fine and health.state is LedgerState.NOT_TRUSTED
    where = "the note under `anchor` in ConfigMap exuvia-system/exuvia-ledger-head"
    assert f"misses {missing.lost(0 if lost == 'all' else 1, head.seq, where)}: " in health.message
    health, fine, _ = await compared(path, cluster, accepts=True)
    assert fine and health.state is LedgerState.FINE


async def test_a_note_that_was_pruned_under_a_checkpoint_is_not_missed(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    told = [*life("A", 0, 50), *life("B", 0, None)]
    importing.load(path, parsed(*told), cluster="")
    with reading(path) as connection:
        hash_ = appending.hash_at(connection, "", 5)
    assert hash_ is not None
    assert removal.prune(path, cut=at(100), keep="1d", by="x", at=NOW, cluster="").entries == 5
    health, fine, _ = await compared(path, noted({"anchor": note(5, hash_.hex())}))
    assert fine and health.state is LedgerState.FINE


@pytest.mark.parametrize("text", ["", "{}", "7:abab", '{"type":"exuvia-ledger-head/v1"}'])
async def test_a_persons_note_that_says_nothing_is_unknown_and_not_absent(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ledger.db"
    head = await written(path, "a")
    cluster = noted({"seq": str(head.seq), "hash": head.hash, "anchor": text})
    _, fine, services = await compared(path, cluster)
    assert not fine
    assert "`anchor` in ConfigMap exuvia-system/exuvia-ledger-head names no head" in services.past_trouble
    assert "take that key away" in services.past_trouble


async def test_a_note_about_another_chain_or_an_empty_one_says_nothing_of_ours(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, fine, _ = await compared(tmp_path / "ledger.db", noted({"anchor": note(7, "ab" * 32, cluster="berlin")}))
    assert fine and "counts for nothing: it is about the chain of berlin" in caplog.text
    _, fine, _ = await compared(tmp_path / "ledger.db", noted({"anchor": note(0, "00" * 32)}))
    assert fine


async def test_where_a_note_must_be_signed_only_one_that_is_and_is_ours_counts(tmp_path: Path) -> None:
    path, public, key = tmp_path / "ledger.db", tmp_path / "public.pem", Ed25519PrivateKey.generate()
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    head = await written(path, "a")
    own = {"seq": str(head.seq), "hash": head.hash}
    moved = note(head.seq, head.hash, key).replace(f'"seq":{head.seq}', f'"seq":{head.seq - 1}')
    refused = {
        "holds no signed note under `anchor`": own,
        "is not signed by": own | {"anchor": note(head.seq, head.hash)},
        f"is not signed by {public}": own | {"anchor": note(head.seq, head.hash, Ed25519PrivateKey.generate())},
        f"exuvia-ledger-head is not signed by {public}": own | {"anchor": moved},
        "is about the chain of berlin, not the chain without a name": own
        | {"anchor": note(head.seq, head.hash, key, "berlin")},
        "is about a chain without entries": own | {"anchor": note(0, "00" * 32, key)},
    }
    for why, data in refused.items():
        _, fine, services = await compared(path, noted(data), anchor_public_key=str(public))
        assert not fine and why in services.past_trouble, why
        assert "exuvia ledger anchor --key KEY --config-map" in services.past_trouble
    _, fine, services = await compared(path, Objects(), anchor_public_key=str(public))
    assert not fine and "holds no signed note" in services.past_trouble
    _, fine, services = await compared(path, noted(own), anchor_public_key=str(tmp_path / "none.pem"))
    assert not fine and "none.pem cannot be read" in services.past_trouble
    signed = {"anchor": note(head.seq, head.hash, key)}
    health, fine, _ = await compared(path, noted(own | signed), anchor_public_key=str(public))
    assert fine and health.state is LedgerState.FINE
    health, fine, _ = await compared(tmp_path / "new.db", noted(signed), anchor_public_key=str(public))
    assert not fine and health.state is LedgerState.NOT_TRUSTED, "an empty ledger, and the operator's note taken away"


async def test_a_signed_note_that_comes_later_ends_the_wait(tmp_path: Path) -> None:
    path, public, key = tmp_path / "ledger.db", tmp_path / "public.pem", Ed25519PrivateKey.generate()
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    head = await written(path, "a")
    settings = stage.Settings(anchor_public_key=str(public))
    cluster: Any = noted({"seq": str(head.seq), "hash": head.hash})
    with pytest.raises(errors.InvalidObject, match="holds no signed note"):
        await anchoring.ours(cluster, settings)
    cluster.kept[marks.LEDGER_HEAD]["data"]["anchor"] = note(head.seq, head.hash, key)
    assert [one.seq for one in await anchoring.ours(cluster, settings)] == [head.seq, head.seq]


class Writing:
    """An Anchoring over a ledger whose head is set by hand."""

    def __init__(self) -> None:
        self.cluster = Objects()
        self.seq, self.state, self.wanted = 1, LedgerState.FINE, True
        ledger = SimpleNamespace(
            head=lambda: {"seq": self.seq, "hash": f"{self.seq:064x}"}, health=lambda: LedgerHealth(state=self.state)
        )
        leadership = SimpleNamespace(epoch=3)
        services = stage.services(ledger=ledger, cluster=self.cluster, leadership=leadership)
        self.anchoring = Anchoring(services, lambda: self.wanted)

    async def noted(self) -> int | None:
        found = await anchoring.read(self.cluster, "exuvia-system")  # type: ignore[arg-type]
        return found[0].seq if found else None


async def test_the_head_is_noted_when_it_moved_and_only_then() -> None:
    one = Writing()
    assert await one.anchoring.write() and await one.noted() == 1
    assert not await one.anchoring.write()
    one.seq = 2
    assert await one.anchoring.write() and await one.noted() == 2
    assert one.cluster.writes == 2
    assert one.cluster.kept[marks.LEDGER_HEAD]["data"]["at"] == "2026-11-25T12:00:00Z"


async def test_nothing_is_noted_of_a_ledger_that_was_not_compared_is_empty_or_not_fine() -> None:
    one = Writing()
    one.wanted = False
    assert not await one.anchoring.write()
    one.wanted, one.state = True, LedgerState.NOT_TRUSTED
    assert not await one.anchoring.write()
    one.state, one.seq = LedgerState.FINE, 0
    assert not await one.anchoring.write()
    assert one.cluster.kept == {}


async def test_one_that_somebody_took_away_or_changed_is_noted_anew() -> None:
    one = Writing()
    await one.anchoring.write()
    await anchoring.remove(one.cluster, "exuvia-system")  # type: ignore[arg-type]
    one.seq = 2
    assert not await one.anchoring.write()
    assert await one.anchoring.write() and await one.noted() == 2
    one.cluster.kept[marks.LEDGER_HEAD]["metadata"]["resourceVersion"] = "99"
    one.seq = 3
    assert not await one.anchoring.write()
    assert await one.anchoring.write() and await one.noted() == 3
