"""Names of people are sealed in the chain; a key that is destroyed forgets the name and leaves the chain whole."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia import errors
from exuvia.model.facts import microseconds
from exuvia.record import (
    chain,
    chains,
    comparing,
    erasing,
    exporting,
    holds,
    importing,
    opening,
    personal,
    pruning,
    queries,
    removal,
    who,
)
from exuvia.record.reading import reading
from tests.record import lives, world
from tests.record.test_importing import instance, parsed, rfc, said
from tests.record.world import at

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def session(uid: str, user: str, began: float = 0, recorded: float = 100, **more: object) -> str:
    return said("session", uid=uid, user=user, from_=rfc(began), recordedAt=rfc(recorded), **more)


def ledger(path: Path, *lines: str) -> Path:
    importing.load(path, parsed(instance("A", 0, None, 0, name="a"), *lines), cluster="c")
    return path


def on(path: Path, minutes: float = 50, name: str = "a") -> list[str]:
    with reading(path) as connection:
        return [visit.user for one in who.bore(connection, "name", name, at(minutes)) for visit in one.sessions]


def erase(path: Path, name: str) -> None:
    erasing.erase(path, name, by="bob", reason="asked to", at=NOW)


def stored(path: Path) -> list[str]:
    with reading(path) as connection:
        life = lives.life(connection, "A")
        return [one["body"]["user"] for one in life if one["type"] == "session"]


def sound(path: Path) -> None:
    with reading(path) as connection:
        assert chain.verify(queries.links(connection, "c")).first_bad is None
        assert list(comparing.differences(connection)) == []


def test_the_chain_holds_no_name_and_who_still_tells_it(tmp_path: Path) -> None:
    path = ledger(tmp_path / "l.db", session("A", "alice"), session("A", "bob", 10))
    assert on(path) == ["alice", "bob"]
    assert all(one.startswith("enc:v1:") for one in stored(path))
    assert b"alice" not in written(path)
    sound(path)


def written(path: Path) -> bytes:
    """The file and its journal."""
    wal = path.with_name(f"{path.name}-wal")
    return path.read_bytes() + (wal.read_bytes() if wal.exists() else b"")


def test_the_same_name_has_the_same_token_and_others_have_others(tmp_path: Path) -> None:
    path = ledger(tmp_path / "l.db", session("A", "alice"), session("A", "alice", 10), session("A", "bob", 10))
    one, again, other = (personal.subject(text) for text in stored(path))
    assert one == again != other


def test_an_erased_name_is_gone_for_good_and_the_chain_whole(tmp_path: Path) -> None:
    path = ledger(tmp_path / "l.db", session("A", "alice"), session("A", "bob", 10))
    before = stored(path)
    erase(path, "alice")
    assert on(path) == ["erased", "bob"] and stored(path) == before
    sound(path)
    with reading(path) as connection:
        (entry,) = [json.loads(one.canonical) for one in queries.links(connection, "c") if b'"erased"' in one.canonical]
        assert entry["body"] == {"subject": personal.subject(before[0]), "by": "bob", "reason": "asked to"}
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM subjects").fetchone() == (1,)


def test_no_byte_of_the_key_stays_in_the_file(tmp_path: Path) -> None:
    path = ledger(tmp_path / "l.db", session("A", "alice"))
    with closing(sqlite3.connect(path)) as connection:
        (key,) = connection.execute("SELECT key FROM subjects").fetchone()
    assert key in written(path)
    erase(path, "alice")
    assert key not in written(path)


def test_a_key_that_stays_in_the_journal_is_told_and_goes_when_it_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "PATIENCE_MS", 200)
    path = ledger(tmp_path / "l.db", session("A", "alice"))
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        (key,) = reader.execute("SELECT key FROM subjects").fetchone()
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM entries").fetchone()
        with pytest.raises(errors.LedgerLocked, match=r"'alice' was erased by entry \d+, but its key .*l\.db-wal"):
            erase(path, "alice")
        assert key in written(path)
        with pytest.raises(errors.LedgerLocked, match=r"knows nobody of the name 'alice' .any more., but its key"):
            erase(path, "alice")
        reader.execute("COMMIT")
        with pytest.raises(errors.InvalidObject, match="erased already"):
            erase(path, "alice")
        assert key not in written(path)


def test_every_writer_overwrites_what_it_deletes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where SQLite was built without that."""
    connect = sqlite3.dbapi2.connect

    def careless(*words: Any, **named: Any) -> sqlite3.Connection:
        made = connect(*words, **named)
        made.execute("PRAGMA secure_delete = OFF")
        return made

    monkeypatch.setattr(sqlite3.dbapi2, "connect", careless)
    engine = opening.open_for_writing(tmp_path / "l.db")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA secure_delete").scalar() == 1
    engine.dispose()


def test_who_comes_again_after_an_erasure_is_somebody_new(tmp_path: Path) -> None:
    path = ledger(tmp_path / "l.db", session("A", "alice"))
    erase(path, "alice")
    importing.load(path, parsed(session("A", "alice", 20)), cluster="c")
    assert on(path) == ["erased", "alice"]
    one, other = (personal.subject(text) for text in stored(path))
    assert one != other
    sound(path)


def test_nobody_of_that_name_is_refused(tmp_path: Path) -> None:
    path = ledger(tmp_path / "l.db", session("A", "alice"))
    with pytest.raises(errors.InvalidObject, match="knows nobody of the name 'carol'"):
        erase(path, "carol")
    erase(path, "alice")
    with pytest.raises(errors.InvalidObject, match="erased already"):
        erase(path, "alice")
    with pytest.raises(errors.InvalidObject, match="knows nobody"):
        erase(ledger(tmp_path / "none.db"), "alice")


@pytest.mark.parametrize("what", ["subject", "instance", "span"])
def test_a_hold_refuses_until_it_is_released(tmp_path: Path, what: str) -> None:
    path = ledger(tmp_path / "l.db", session("A", "alice", 10, to=rfc(20)), session("A", "bob", 30, to=rfc(40)))
    with reading(path) as connection:
        token = personal.known(connection, "alice")
    hold = {
        "subject": holds.Hold(name="h", by="x", reason="r", subject=token),
        "instance": holds.Hold(name="h", by="x", reason="r", instance="A"),
        "span": holds.Hold(name="h", by="x", reason="r", since=microseconds(at(0)), until=microseconds(at(15))),
    }[what]
    holds.add(path, hold, at=NOW)
    with pytest.raises(errors.InvalidObject, match="may not be erased: held is h"):
        erase(path, "alice")
    with pytest.raises(errors.InvalidObject, match="may not be erased: held is h"):
        erase(path, "bob")  # the hold keeps the machine, and with it whoever was on it
    assert on(path, 15) == ["alice"]
    holds.release(path, "h", by="x", reason="over", at=NOW)
    erase(path, "alice")
    assert on(path, 15) == ["erased"]


SPAN = holds.Hold(name="h", by="x", reason="r", since=microseconds(at(119)), until=microseconds(at(180)))
KEPT = {
    "the machine outlived the session": [instance("D", 0, 120, 120), session("D", "mallory", to=rfc(60))],
    "the machine lives": [instance("D", 0, None, 0), session("D", "mallory", to=rfc(60))],
    "only a pod was there so late": [
        instance("D", 0, 100, 100),
        session("D", "mallory", to=rfc(60)),
        said("placement", uid="D", podUid="P", from_=rfc(0), to=rfc(130), recordedAt=rfc(130)),
    ],
    "the session was taken back": [
        instance("D", 0, 120, 120),
        session("D", "mallory", to=rfc(60)),
        session("D", "mallory", to=rfc(60), recorded=101, withdrawn=True),
    ],
    "the session cannot have been": [instance("D", 0, 120, 120), session("D", "mallory", 60, to=rfc(50))],
    "nothing else is told of the machine": [session("D", "mallory", to=rfc(60))],
    "nothing else is told, and that cannot have been": [session("D", "mallory", 60, to=rfc(50))],
}


@pytest.mark.parametrize("case", KEPT)
def test_a_span_keeps_the_names_on_every_machine_that_it_keeps(tmp_path: Path, case: str) -> None:
    path = tmp_path / "l.db"
    others = [instance("E", 0, 100, 100), session("E", "eve", to=rfc(60)), instance("Z", 0, None, 0)]
    importing.load(path, parsed(*KEPT[case], *others), cluster="c")
    holds.add(path, SPAN, at=NOW)
    with pytest.raises(errors.InvalidObject, match="may not be erased: held is h"):
        erase(path, "mallory")
    erase(path, "eve")  # her machine was over before
    holds.release(path, "h", by="x", reason="over", at=NOW)
    erase(path, "mallory")


def test_a_hold_on_an_operation_of_the_machine_or_on_another_person_there_keeps_the_name_too(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    told = [instance("A", 0, 50, 50), session("A", "mallory", to=rfc(10)), session("A", "alice", 20, to=rfc(30))]
    importing.load(path, parsed(*told, instance("B", 0, 50, 50), session("B", "bob", to=rfc(10))), cluster="c")
    with world.written(path, world.operation("R1", "started", 40), world.operation("R1", "ended", 50)) as connection:
        alice = personal.known(connection, "alice")
    for hold in (
        holds.Hold(name="h", by="x", reason="r", instance="R1"),
        holds.Hold(name="h", by="x", reason="r", subject=alice),
    ):
        holds.add(path, hold, at=NOW, cluster="c")
        with pytest.raises(errors.InvalidObject, match="may not be erased: held is h"):
            erasing.erase(path, "mallory", by="bob", reason="asked to", at=NOW, cluster="c")
        holds.release(path, "h", by="x", reason="over", at=NOW, cluster="c")
    holds.add(path, holds.Hold(name="h", by="x", reason="r", subject=alice), at=NOW, cluster="c")
    erasing.erase(path, "bob", by="bob", reason="asked to", at=NOW, cluster="c")


@settings(max_examples=30, deadline=None)
@given(
    spans=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=4),
    since=st.integers(0, 100),
    wide=st.integers(1, 60),
    target=st.sampled_from(["span", "instance", "subject"]),
)
def test_a_name_never_goes_from_a_machine_that_pruning_leaves_as_held(
    tmp_path_factory: pytest.TempPathFactory, spans: list[tuple[int, int]], since: int, wide: int, target: str
) -> None:
    path = tmp_path_factory.mktemp("held") / "l.db"
    told = [instance("Z", 0, None, 0)]
    for number, (born, lived) in enumerate(spans):
        uid = f"M{number}"
        told += [instance(uid, born, born + lived, born + lived), session(uid, f"user-{number}", born, to=rfc(born))]
        told += [session(uid, "alice", born, to=rfc(born))] if number % 2 else []
    importing.load(path, parsed(*told), cluster="c")
    with reading(path) as connection:
        token = personal.known(connection, "user-0")
    given_ = {
        "span": {"since": microseconds(at(since)), "until": microseconds(at(since + wide))},
        "instance": {"instance": "M0"},
        "subject": {"subject": token},
    }[target]
    holds.add(path, holds.Hold(name="h", by="x", reason="r", **given_), at=NOW)
    with reading(path) as connection:
        gone = pruning.plan(connection, "c", microseconds(NOW)).uids
    for number in range(len(spans)):
        held = f"M{number}" not in gone
        try:
            erase(path, f"user-{number}")
            assert not held, f"user-{number} went, though M{number} is held"
        except errors.InvalidObject:
            assert held, f"user-{number} stays, though M{number} may go"


def test_a_hold_on_a_person_keeps_the_machines_that_the_person_was_on(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    told = [instance("A", 0, 50, 50), session("A", "alice"), instance("B", 0, 50, 50), session("B", "bob")]
    importing.load(path, parsed(*told, instance("C", 0, None, 0)), cluster="c")
    with reading(path) as connection:
        token = personal.known(connection, "alice")
    holds.add(path, holds.Hold(name="h", by="x", reason="r", subject=token), at=NOW)
    assert removal.prune(path, cut=NOW, keep="1d", by="x", at=NOW, cluster="c").entries == 2
    with reading(path) as connection:
        assert lives.life(connection, "A") and not lives.life(connection, "B")


def test_names_are_told_in_an_export_only_where_they_are_asked_for(tmp_path: Path) -> None:
    path = ledger(tmp_path / "l.db", session("A", "alice"))
    with reading(path) as connection:
        token = personal.known(connection, "alice")
        assert "alice" not in "".join(exporting.lines(connection, "c"))
        (_, event) = exporting.events(connection, "c")
        assert json.loads(event)["user"] == {"name": token}


def test_a_chain_from_elsewhere_keeps_its_names_sealed(tmp_path: Path) -> None:
    source, target = ledger(tmp_path / "l.db", session("A", "alice")), tmp_path / "target.db"
    with reading(source) as connection:
        chains.load(target, list(exporting.lines(connection, "c")))
    assert on(target) == ["sealed"]


def test_a_name_that_was_exchanged_is_not_told_as_anothers(tmp_path: Path) -> None:
    path = ledger(tmp_path / "l.db", session("A", "alice"), session("A", "bob", 10))
    world.unguarded(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        keys = connection.execute("SELECT lookup, key FROM subjects").fetchall()
        for (lookup, _), (_, key) in zip(keys, reversed(keys), strict=True):
            connection.execute("UPDATE subjects SET key = ? WHERE lookup = ?", (key, lookup))
    assert on(path) == ["sealed", "sealed"]


@pytest.mark.parametrize("name", ["enc:v1:x:y", "é" * 200])
def test_a_name_that_cannot_be_sealed_is_refused_with_its_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(errors.InvalidObject, match="line 2, user: "):
        ledger(tmp_path / "l.db", session("A", name))
    assert not (tmp_path / "l.db").exists(), "and nothing is left behind"


def test_dead_letters_hold_no_name_either(tmp_path: Path) -> None:
    path = ledger(tmp_path / "l.db", session("A", "alice", 10, to=rfc(5)))
    with closing(sqlite3.connect(path)) as connection:
        (body,) = connection.execute("SELECT body FROM dead_letters").fetchone()
    assert "alice" not in body and "enc:v1:" in body


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(4)), gone=st.booleans())
def test_corrections_of_sessions_say_the_same_in_every_order(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], gone: bool
) -> None:
    """Of the same moment the greater line holds; sealed names weigh as plain ones do."""
    told = [
        session("A", "alice", to=rfc(20)),
        session("A", "alice", to=rfc(30)),
        session("A", "alice", to=rfc(30), zone="z"),
        session("A", "alice", to=rfc(10), aaa="1"),
    ]
    path = tmp_path_factory.mktemp("order") / "l.db"
    ledger(path, *(told[one] for one in order))
    if gone:
        erase(path, "alice")
    plain = max(told, key=lambda line: chain.canonical({k: v for k, v in json.loads(line).items() if k != "type"}))
    with reading(path) as connection:
        (visit,) = who.bore(connection, "name", "a", at(5))[0].sessions
    assert (visit.user, rfc((visit.ended - at(0)).total_seconds() / 60)) == (
        "erased" if gone else "alice",
        json.loads(plain)["to"],
    )
