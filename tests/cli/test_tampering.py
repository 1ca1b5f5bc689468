"""Whatever is done to a ledger's file, `exuvia ledger verify` says so and names the first number that is not right."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exuvia.model.facts import DeathReason
from exuvia.record import appending, importing, opening
from tests.cli.calling import answer, call
from tests.record import world
from tests.record.test_importing import instance, parsed, rfc, said

COLUMNS = ("cluster", "seq", "hash", "kind", "recorded", "epoch", "body")
HISTORY = (
    world.birth("A", 0, addresses=["10.0.0.1"]),
    world.verdict("A", "violating", 1),
    world.operation("R1", "started", 2),
    world.intent("R1", 3),
    world.outcome(4, "R1", 4),
    world.placement("P", "A", "from", 5),
    world.death("A", 6, reason=DeathReason.EXUVIA),
)
LINES = (
    instance("B", 0, None, 9, name="b"),
    said("presence", uid="B", vulnerability="V", from_=rfc(0), to=None),
    said("score", vulnerability="V", source="cvss", value="9.8", validFrom=rfc(0)),
    said("frozen", uid="B", from_=rfc(0), to=None),
    said("session", uid="B", user="alice", from_=rfc(0), to=rfc(2)),
)
LENGTH = len(HISTORY) + len(LINES)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "l.db"
    with world.written(path, *HISTORY):
        pass
    importing.load(path, parsed(*LINES), cluster="c")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    world.unguarded(path)
    return path


@pytest.fixture
def file(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(sound, tmp_path / "l.db"))


def tamper(path: Path, statement: str, *parameters: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(statement, parameters).rowcount


def first_bad(path: Path, *more: object) -> int:
    """Of the chain that was tampered with, from the answer and from the sentence."""
    found = answer("ledger", "verify", "--ledger", path, *more, code=1)
    bad = next(one for one in found.get("chains", [found]) if one.get("cluster") == "c" or "chains" not in found)
    sentence = call("ledger", "verify", "--ledger", path, *more, code=1).stdout
    assert "is not sound" in sentence and "Put the last good copy in its place" in sentence
    assert "where there is none, move the file away" in sentence
    assert not bad["sound"] and f"{bad['firstBad']} " in bad["problem"], bad
    return int(bad["firstBad"])


def head(path: Path) -> str:
    return str(answer("ledger", "verify", "--ledger", path)["head"])


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("seq", range(1, LENGTH + 1))
def test_every_single_field_of_every_row(file: Path, column: str, seq: int) -> None:
    noted = head(file)
    value = {
        "cluster": "'other'",
        "seq": "seq + 1000",
        "hash": "zeroblob(32)",
        "kind": "'custody'",
        "recorded": "recorded + 1",
        "epoch": "epoch + 1",
        "body": "replace(body, '\"at\":1', '\"at\":2')",
    }[column]
    tamper(file, f"UPDATE entries SET {column} = {value} WHERE seq = ?", seq)
    assert first_bad(file, "--cluster", "c", "--head", noted) == seq


@pytest.mark.parametrize("value", [None, b"\xff\xfe", "", "{}", 5])
def test_a_body_that_is_no_entry_at_all(file: Path, value: object) -> None:
    if value is None:
        value = "null"
    tamper(file, "UPDATE entries SET body = ? WHERE seq = 5", value)
    assert first_bad(file) == 5


@pytest.mark.parametrize("seq", range(1, LENGTH + 1))
def test_a_row_deleted(file: Path, seq: int) -> None:
    noted = head(file)
    tamper(file, "DELETE FROM entries WHERE seq = ?", seq)
    assert first_bad(file, "--head", noted) == seq


@pytest.mark.parametrize("one", range(1, LENGTH))
def test_two_rows_swapped(file: Path, one: int) -> None:
    tamper(file, "UPDATE entries SET seq = -1 WHERE seq = ?", one)
    tamper(file, "UPDATE entries SET seq = ? WHERE seq = ?", one, one + 1)
    tamper(file, "UPDATE entries SET seq = ? WHERE seq = -1", one + 1)
    assert first_bad(file) == one


@pytest.mark.parametrize("left", range(LENGTH))
def test_the_tail_cut(file: Path, tmp_path: Path, left: int) -> None:
    note = tmp_path / "head.json"
    call("ledger", "anchor", "--ledger", file, "--to", note)
    tamper(file, "DELETE FROM entries WHERE seq > ?", left)
    assert first_bad(file, "--anchor", note) == left + 1


def test_a_machine_that_one_chain_bore_and_another_buried_is_no_cut_tail(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    importing.load(path, parsed(instance("A", 0, None, 0)), cluster="first")
    more = (instance(f"B{one}", 0, None, 1) for one in range(3))
    importing.load(path, parsed(*more), cluster="second")
    with opening.open_for_writing(path).begin() as connection:
        writer = appending.Writer(cluster="second", epoch=1)
        appending.add(connection, appending.head(connection, "second"), world.death("A", 2), writer)
    found = answer("ledger", "verify", "--ledger", path)["chains"]
    assert [(one["cluster"], one["firstBad"]) for one in found] == [("first", None), ("second", None)]


@pytest.mark.parametrize("left", range(LENGTH))
def test_the_tail_cut_without_a_note(file: Path, left: int) -> None:
    """Whoever cuts it and forgets the tables is found out by them."""
    tamper(file, "DELETE FROM entries WHERE seq > ?", left)
    if left:
        assert first_bad(file, "--cluster", "c") == left + 1
    else:
        assert "--cluster" in call("ledger", "verify", "--ledger", file, "--cluster", "c", code=2).stderr


def test_the_tail_of_a_chain_beside_others_cut(file: Path) -> None:
    importing.load(file, parsed(instance("D", 0, None, 9), instance("E", 0, None, 9)), cluster="d")
    assert answer("ledger", "verify", "--ledger", file)["chains"]
    world.unguarded(file)
    tamper(file, "DELETE FROM entries WHERE seq > 1 AND cluster = 'd'")
    found = answer("ledger", "verify", "--ledger", file, code=1)["chains"]
    assert {one["cluster"]: one["firstBad"] for one in found} == {"c": None, "d": 2}


def test_a_backup_restored(file: Path, tmp_path: Path) -> None:
    backup, note = Path(shutil.copy(file, tmp_path / "backup.db")), tmp_path / "head.json"
    importing.load(file, parsed(instance("C", 0, None, 9), instance("D", 0, None, 9)), cluster="c")
    call("ledger", "anchor", "--ledger", file, "--to", note)
    assert call("ledger", "verify", "--ledger", file, "--anchor", note).stdout.count("is sound") == 1
    said_ = answer("ledger", "verify", "--ledger", backup, "--anchor", note, code=1)
    assert (said_["firstBad"], said_["problem"]) == (
        LENGTH + 1,
        f"entries {LENGTH + 1} to {LENGTH + 2} are missing at the end",
    )


def test_a_backup_restored_and_written_on(file: Path, tmp_path: Path) -> None:
    backup, note = Path(shutil.copy(file, tmp_path / "backup.db")), tmp_path / "head.json"
    importing.load(file, parsed(instance("C", 0, None, 9)), cluster="c")
    call("ledger", "anchor", "--ledger", file, "--to", note)
    importing.load(backup, parsed(instance("D", 0, None, 9), instance("E", 0, None, 9)), cluster="c")
    assert first_bad(backup, "--anchor", note) == LENGTH + 1


def test_another_ledger_in_its_place(file: Path, tmp_path: Path) -> None:
    note = tmp_path / "head.json"
    call("ledger", "anchor", "--ledger", file, "--to", note)
    importing.load(tmp_path / "empty.db", parsed(instance("D", 0, None, 9)), cluster="elsewhere")
    assert first_bad(tmp_path / "empty.db", "--anchor", note) == 1


def _keys(folder: Path, name: str) -> tuple[Path, Path]:
    key = Ed25519PrivateKey.generate()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public


def test_an_anchor_that_is_not_ones_own(file: Path, tmp_path: Path) -> None:
    """Signed by nobody, by somebody else, or changed after it was signed."""
    (private, public), (foreign, _) = _keys(tmp_path, "ours"), _keys(tmp_path, "theirs")
    note, verify = tmp_path / "head.json", ("ledger", "verify", "--ledger", file, "--anchor", tmp_path / "head.json")
    call("ledger", "anchor", "--ledger", file, "--key", private, "--to", note)
    assert call(*verify, "--public-key", public).exit_code == 0
    text = note.read_text()
    for changed in (text.replace(f'"seq":{LENGTH}', '"seq":1'), text.replace('"cluster":"c"', '"cluster":"d"')):
        note.write_text(changed)
        assert "is not signed by" in call(*verify, "--public-key", public, code=2).stderr
    for key in ((), ("--key", foreign)):
        call("ledger", "anchor", "--ledger", file, *key, "--to", note)
        assert "is not signed by" in call(*verify, "--public-key", public, code=2).stderr


def test_what_was_checked_of_a_note_is_said(file: Path, tmp_path: Path) -> None:
    """Nobody shall take a signature for checked that was not."""
    (private, public), note = _keys(tmp_path, "ours"), tmp_path / "head.json"
    anchor = ("ledger", "anchor", "--ledger", file, "--to", note)
    verify = ("ledger", "verify", "--ledger", file, "--anchor", note)
    there = f"the anchor's entry {LENGTH} is there; "
    assert call(*anchor).stdout == f"entry {LENGTH} of the chain of c is noted in {note}, not signed\n"
    assert there + "it bears no signature" in call(*verify).stdout
    assert call(*anchor, "--key", private).stdout.endswith(f" is noted in {note}, signed\n")
    assert there + "its signature was not checked: name the key by --public-key" in call(*verify).stdout
    assert there + f"it is signed by {public}" in call(*verify, "--public-key", public).stdout
    tamper(file, "DELETE FROM entries WHERE seq = ?", LENGTH)
    assert "is there" not in call(*verify, code=1).stdout


def test_keys_and_anchors_that_are_none(file: Path, tmp_path: Path) -> None:
    private, public = _keys(tmp_path, "ours")
    note = tmp_path / "head.json"
    anchor, verify = ("ledger", "anchor", "--ledger", file), ("ledger", "verify", "--ledger", file)
    assert "openssl genpkey -algorithm ed25519" in call(*anchor, "--key", public, code=2).stderr
    assert "cannot be read" in call(*anchor, "--key", tmp_path / "none", code=2).stderr
    assert "cannot be written" in call(*anchor, "--to", tmp_path / "no" / "folder", code=2).stderr
    call(*anchor, "--to", note)
    assert "openssl pkey" in call(*verify, "--anchor", note, "--public-key", private, code=2).stderr
    assert "name it by --anchor" in call(*verify, "--public-key", public, code=2).stderr
    for text in ("", "[]", '{"type":"exuvia-ledger-head/v1"}', '{"type":"x"}', note.read_text().replace('"c"', "1")):
        note.write_text(text)
        assert "no anchor of a ledger" in call(*verify, "--anchor", note, code=2).stderr


def test_a_damaged_chain_is_not_anchored(file: Path) -> None:
    tamper(file, "UPDATE entries SET hash = zeroblob(32) WHERE seq = 3")
    assert "entry 3 was changed" in call("ledger", "anchor", "--ledger", file, code=2).stderr


def _cells(path: Path) -> Iterator[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            if table not in ("entries", "leadership", "dead_letters", "installation", "subjects", "alembic_version"):
                assert table.startswith("sqlite_") or connection.execute(f"SELECT 1 FROM {table}").fetchone(), table
                for column in connection.execute(f"PRAGMA table_info({table})").fetchall():
                    yield table, column[1]


def _shifted(path: Path, table: str, column: str) -> str:
    with closing(sqlite3.connect(path)) as connection:
        (value,) = connection.execute(f'SELECT "{column}" FROM "{table}" LIMIT 1').fetchone()
    if column in ("persistent", "withdrawn"):
        return f'1 - "{column}"'
    return f'"{column}" + 1000' if isinstance(value, int) else f"coalesce(\"{column}\", 0) || '1'"


def test_a_table_that_says_something_else_than_the_entries(sound: Path, tmp_path: Path) -> None:
    """The chain itself is sound then: only making all anew finds it, but for a number that no entry has."""
    file = tmp_path / "l.db"
    assert "is sound" in call("ledger", "verify", "--ledger", sound, "--deep").stdout
    seen = set[str]()
    for table, column in _cells(sound):
        if table.startswith("sqlite_") or column == "rank":  # a rank says nothing but which version holds
            continue
        shutil.copy(sound, file)
        tamper(file, f'UPDATE "{table}" SET "{column}" = {_shifted(file, table, column)}')
        plain = answer("ledger", "verify", "--ledger", file, code=int(column == "seq"))
        assert plain["firstBad"] == (LENGTH + 1 if column == "seq" else None)
        found: dict[str, Any] = answer("ledger", "verify", "--ledger", file, "--deep", code=1)
        assert [one["table"] for one in found["tables"]] == [table], column
        seen.add(table)
    assert len(seen) == 12
    shutil.copy(sound, file)
    tamper(file, "DELETE FROM presences")
    said_ = call("ledger", "verify", "--ledger", file, "--deep", code=1).stdout
    assert "the table presences is not what the entries say: the row of uid B, vulnerability V, began 20" in said_
    assert "is missing" in said_


def test_a_table_that_is_not_what_the_entries_say_is_not_sound_and_has_a_way_out(file: Path, tmp_path: Path) -> None:
    tamper(file, "DELETE FROM lives WHERE uid = 'A'")
    plain = call("ledger", "verify", "--ledger", file).stdout
    assert "is sound" in plain and "this is the chain only; --deep checks the tables that answers come from" in plain
    told = call("ledger", "verify", "--ledger", file, "--deep", code=1).stdout
    assert "is sound" not in told and "is not sound: its tables are not what its entries say." in told
    assert "the table lives is not what the entries say" in told and "Put the last good copy in its place" in told
    found = answer("ledger", "verify", "--ledger", file, "--deep", code=1)
    assert (found["sound"], found["deep"], found["firstBad"]) == (False, True, None)
    assert "the table lives" in found["problem"] and found["tables"][0]["table"] == "lives"
    chain = call("ledger", "export", "--ledger", file).stdout
    call("ledger", "import", "-", "--ledger", tmp_path / "anew.db", stdin=chain)
    anew = call("ledger", "verify", "--ledger", tmp_path / "anew.db", "--deep").stdout
    assert "is sound" in anew and "the tables that answers come from are what the entries say" in anew


def test_no_entries_beside_filled_tables_are_not_sound(file: Path) -> None:
    tamper(file, "DELETE FROM entries")
    told = call("ledger", "verify", "--ledger", file, "--deep", code=1).stdout
    assert "is sound" not in told and "is not sound" in told and "move the file away" in told
    assert not answer("ledger", "verify", "--ledger", file, "--deep", code=1)["sound"]


@pytest.mark.parametrize("index", ["identities_value", "subjects_subject"])
def test_an_index_that_does_not_lead_to_every_row(file: Path, index: str) -> None:
    """The tables hold every row, and an answer that is found by the index would be `none`."""
    with closing(sqlite3.connect(file)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (index,)).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    empty_leaf = b"\x0a" + bytes(4) + size.to_bytes(2, "big") + b"\x00"
    with file.open("r+b") as opened:
        opened.seek((root - 1) * size)
        opened.write(empty_leaf.ljust(size, b"\0"))
    call("ledger", "verify", "--ledger", file)
    done = call("ledger", "verify", "--deep", "--ledger", file, code=2)
    assert "is damaged: row 1 missing from index" in done.output
