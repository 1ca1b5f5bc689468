"""What is wrong with a file that is told, or with the ledger itself, is one sentence with the next step; nothing is
half imported."""

from __future__ import annotations

import re
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from exuvia.record import importing
from tests.cli.calling import answer, call
from tests.record.test_importing import instance, parsed, rfc, said

GOOD = (instance("N1", 0, 10, 10, name="n1"), said("session", uid="N1", user="alice", from_=rfc(1), to=None))
BROKEN = {
    "no JSON": ('{"type":"instance","uid":"X"', "no JSON", "Write one JSON object on each line."),
    "a list": ("[1,2]", "this is no JSON object", "Write one JSON object on each line."),
    "another type": ('{"type":"rumour"}', "unknown type 'rumour'", "Known are instance, presence, score"),
    "no type": ("{}", "unknown type None", "Known are instance"),
    "no uid": ('{"type":"instance","born":"2026-01-01T00:00:00Z"}', "uid: this is missing", "Write 'uid' as a"),
    "a null uid": ('{"type":"instance","uid":null}', "uid: nothing is written here (null)", "Write 'uid' as a"),
    "no time": ('{"type":"instance","uid":"X","born":"then"}', "born: 'then' is no time", "2026-01-01T00:00:00Z"),
    "no zone": (
        '{"type":"instance","uid":"X","born":"2026-01-01T00:00:00"}',
        "names no zone",
        "with its zone, like 2026",
    ),
    "twice": ('{"type":"instance","uid":"X","uid":"Y","born":"2026-01-01T00:00:00Z"}', "'uid' stands there twice", ""),
    "no score": (said("score", vulnerability="V", source="s", value="high", validFrom=rfc(0)), "no score", "from 0 to"),
    "cvss above 10": (
        said("score", vulnerability="V", source="cvss", value=11, validFrom=rfc(0)),
        "value: 11 is above 10, the most that a value of 'cvss' can be",
        "Write a number from 0 to 10.",
    ),
    "epss above 1": (
        said("score", vulnerability="V", source="epss", value=1.5, validFrom=rfc(0)),
        "value: 1.5 is above 1, the most that a value of 'epss' can be",
        "Write a number from 0 to 1.",
    ),
    "below 0": (
        said("score", vulnerability="V", source="cvss", value=-1, validFrom=rfc(0)),
        "no score",
        "from 0 to 10",
    ),
    "not a number": ('{"type":"score","value":NaN}', "NaN is no number of JSON", "Write one JSON object on each line."),
    "too deep": ("[" * 100_000, "no JSON: it is nested too deeply", "Write one JSON object on each line."),
    "a long name": (instance("N" * 129, 0, None, 0), "uid: 129 characters are too many", "keeps 128 of 'uid' at most"),
    "no flag": (instance("N", 0, None, 0, persistent="no"), "persistent: 'no' is neither true", "Write true or false"),
    "no list": (instance("N", 0, None, 0, addresses="1"), "addresses: '1' is no list of strings", "Write one like ["),
    "a NUL": (instance("N", 0, None, 0, name="a\0b"), "name: this holds what is no character", "Leave out NUL"),
    "half a pair": (instance("N", 0, None, 0, note=["\ud800"]), "note: this holds what is no character", "Leave out"),
    "a huge number": (instance("N", 0, None, 0, note=2**60), "note: 1152921504606846976 is not below 2^53", "a string"),
    "too long ago": (
        '{"type":"instance","uid":"X","born":"0001-01-01T00:00:00Z"}',
        "born: this time is too far",
        "1700",
    ),
    "a key of ours": (
        said("placement", uid="N1", podUid="P", from_=rfc(0), event="to"),
        "event: this key is what exuvia's own placements are known by",
        "another name",
    ),
    "true as a score": (
        said("score", vulnerability="V", source="s", value=True, validFrom=rfc(0)),
        "value: true is no score",
        "from 0 to 10",
    ),
    "a sealed name": (said("session", uid="N1", user="enc:v1:a:b", from_=rfc(0)), "user: ", "may not begin with"),
}
WRITERS = {
    "import": ("import", "FACTS"),
    "prune": ("prune", "--keep", "1h", "--by", "x"),
    "hold": ("hold", "add", "h", "--instance", "A", "--reason", "r", "--by", "x"),
    "erase": ("erase", "--subject", "alice", "--reason", "r", "--by", "x"),
}
READERS = {
    "query": ("query",),
    "who": ("who", "--name", "a", "--at", "2026-01-01T00:05:00Z"),
    "verify": ("verify",),
    "deep": ("verify", "--deep"),
    "export": ("export",),
    "events": ("export", "--format", "ocsf"),
    "anchor": ("anchor",),
    "holds": ("hold", "list"),
    "dry run": ("prune", "--keep", "1h", "--dry-run"),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    told = [instance(f"M{number}", 0, 10, 10, name="m") for number in range(200)]
    session = said("session", uid="A", user="alice", from_=rfc(1), to=None)
    importing.load(tmp_path / "l.db", parsed(instance("A", 0, None, 10, name="a"), session, *told), cluster="c")
    return tmp_path / "l.db"


def command(words: tuple[str, ...], file: Path, folder: Path) -> list[object]:
    facts = folder / "facts.ndjson"
    facts.write_text("\n".join(GOOD))
    return ["ledger", *(str(facts) if one == "FACTS" else one for one in words), "--ledger", file]


def refused(*words: object) -> str:
    """The one line that it says; it ends with a next step."""
    result = call(*words, code=2)
    (line,) = result.stderr.splitlines()
    assert re.fullmatch(r"error: [^\n]+[.:] ?[A-Z`][^\n]+\.?", line), line
    return line


def entries(file: Path) -> int:
    return int(answer("ledger", "verify", "--ledger", file)["entries"])


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("number", [1, 3])
def test_one_broken_line_refuses_the_file_and_is_named(file: Path, tmp_path: Path, what: str, number: int) -> None:
    line, problem, remedy = BROKEN[what]
    lines = [*GOOD[: number - 1], line, *GOOD[number - 1 :]]
    (tmp_path / "facts.ndjson").write_text("\n".join(lines))
    before = entries(file)
    told = call("ledger", "import", tmp_path / "facts.ndjson", "--ledger", file, code=2).stderr
    assert told.startswith(f"error: line {number}") and problem in told and remedy in told
    assert told.count("\n") == 1
    assert entries(file) == before


def test_died_before_born_goes_to_the_dead_letters_and_the_rest_comes_in(file: Path, tmp_path: Path) -> None:
    (tmp_path / "facts.ndjson").write_text("\n".join([GOOD[0], instance("X", 10, 5, 10), GOOD[1]]))
    before = entries(file)
    importing_ = ("ledger", "import", tmp_path / "facts.ndjson", "--ledger", file)
    told = call(*importing_, code=1).stdout.splitlines()
    assert told[0].startswith("2 lines imported")
    assert told[1:] == ["line 2 went to the dead letters: died before it was born"]
    assert answer(*importing_, code=1)["deadLetters"] == [{"line": 2, "reason": "died before it was born"}]
    assert entries(file) == before + 2


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_an_empty_file_is_nothing(file: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "facts.ndjson").write_bytes(content)
    assert "0 lines imported" in call("ledger", "import", tmp_path / "facts.ndjson", "--ledger", file).stdout


def test_what_is_no_file_of_text(file: Path, tmp_path: Path) -> None:
    before = entries(file)
    (tmp_path / "facts.ndjson").write_bytes(GOOD[0].encode() + b"\n\xff\xfe")
    assert "is no UTF-8" in refused("ledger", "import", tmp_path / "facts.ndjson", "--ledger", file)
    assert "cannot be read: No such file" in refused("ledger", "import", tmp_path / "none", "--ledger", file)
    assert "cannot be read: Is a directory" in refused("ledger", "import", tmp_path, "--ledger", file)
    assert entries(file) == before


def test_a_broken_chain_is_named_by_its_line(file: Path, tmp_path: Path) -> None:
    lines = call("ledger", "export", "--ledger", file).stdout.splitlines()
    target, chain = tmp_path / "target.db", tmp_path / "chain.ndjson"
    chain.write_text("\n".join([*lines[:50], lines[50][:-20], *lines[51:]]))
    assert "line 51: no line of an exported chain" in refused("ledger", "import", chain, "--ledger", target)
    chain.write_text("\n".join([*lines[:50], *lines[51:]]))
    assert "entry 51 is missing. Nothing was imported." in refused("ledger", "import", chain, "--ledger", target)
    assert not target.exists()
    chain.write_text("\n".join(lines))
    assert f"{len(lines)} entries imported" in call("ledger", "import", chain, "--ledger", target).stdout


@contextmanager
def every_connection(*pragmas: str) -> Iterator[None]:
    def set_(connection: Any, _: Any) -> None:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    event.listen(Engine, "connect", set_)
    try:
        yield
    finally:
        event.remove(Engine, "connect", set_)


@pytest.mark.parametrize("what", WRITERS)
def test_a_file_that_is_read_only(file: Path, tmp_path: Path, what: str) -> None:
    before = entries(file)
    with every_connection("query_only = ON"):
        told = refused(*command(WRITERS[what], file, tmp_path))
    assert "attempt to write a readonly database. Mend the volume or its rights" in told
    assert entries(file) == before


def test_a_full_disk(file: Path, tmp_path: Path) -> None:
    """The least that SQLite takes as a limit is what the file has already."""
    facts, before = tmp_path / "facts.ndjson", entries(file)
    facts.write_text("\n".join(instance(f"X{one}", 0, 9, 9, name="x" * 200) for one in range(99)))
    with every_connection("max_page_count = 1"):
        told = refused("ledger", "import", facts, "--ledger", file)
    assert "cannot grow: database or disk is full. Free disk space" in told
    assert entries(file) == before
    assert "99 lines imported" in call("ledger", "import", facts, "--ledger", file).stdout


def test_a_full_disk_where_a_ledger_is_to_be_made(tmp_path: Path) -> None:
    (tmp_path / "facts.ndjson").write_text("\n".join(GOOD))
    with every_connection("max_page_count = 5"):
        told = refused("ledger", "import", tmp_path / "facts.ndjson", "--ledger", tmp_path / "l.db")
    assert f"The ledger {tmp_path}/l.db cannot grow: database or disk is full. Free disk space" in told
    assert [one.name for one in tmp_path.iterdir()] == ["facts.ndjson"]
    folder = refused("ledger", "import", tmp_path / "facts.ndjson", "--ledger", tmp_path)
    assert f"{tmp_path} is a folder, no ledger. Name a file by --ledger." in folder


def test_a_write_that_the_system_refuses(tmp_path: Path) -> None:
    """A limit of the process on the size of a file: for SQLite a failing disk."""
    facts, ledger = tmp_path / "facts.ndjson", tmp_path / "l.db"
    importing.load(ledger, parsed(*GOOD), cluster="c")
    before = entries(ledger)
    facts.write_text("\n".join(instance(f"X{one}", 0, 9, 9, name="x" * 200) for one in range(2000)))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))

    done = subprocess.run(
        [sys.executable, "-m", "exuvia.cli.main", "ledger", "import", str(facts), "--ledger", str(ledger)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
    )
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert "Mend the volume or its rights" in line or "Free disk space" in line, line
    assert entries(ledger) == before


@pytest.mark.parametrize("what", READERS | WRITERS)
def test_a_schema_that_is_newer_than_the_program(file: Path, tmp_path: Path, what: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    told = refused(*command((READERS | WRITERS)[what], file, tmp_path))
    assert "was written by a newer exuvia (schema 9999). Update exuvia." in told


@pytest.mark.parametrize("what", [one for one in READERS | WRITERS if one not in ("who", "holds")])
def test_a_page_that_is_corrupt(file: Path, tmp_path: Path, what: str) -> None:
    """Its tables are there, and what is in them cannot be read."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        roots = {row[0] for row in connection.execute("SELECT rootpage FROM sqlite_master WHERE name IN ('entries')")}
    content = bytearray(file.read_bytes())
    for page in roots:
        content[(page - 1) * size : page * size] = b"\xa5" * size
    file.write_bytes(content)
    told = refused(*command((READERS | WRITERS)[what], file, tmp_path))
    assert "is damaged: " in told and "Put the last good copy in its place" in told
    assert "where there is none, move the file away" in told and "`exuvia ledger accept --reason TEXT`" in told


@pytest.mark.parametrize("what", READERS | WRITERS)
@pytest.mark.parametrize("content", [b"this is no database, but it is long enough for one" * 100, b""])
def test_what_is_no_ledger(tmp_path: Path, what: str, content: bytes) -> None:
    file = tmp_path / "l.db"
    file.write_bytes(content)
    if content or what != "import":
        told = refused(*command((READERS | WRITERS)[what], file, tmp_path))
        assert "is damaged" in told or "is no ledger of exuvia" in told
    assert file.read_bytes() == content or what == "import" or not content


@pytest.mark.parametrize("what", [one for one in READERS | WRITERS if one != "import"])
def test_no_ledger_at_all(tmp_path: Path, what: str) -> None:
    told = refused(*command((READERS | WRITERS)[what], tmp_path / "none.db", tmp_path))
    assert "There is no ledger at" in told and "Name it by --ledger." in told
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    "text", ["", "just words", "- a\n- list\n", "clusters: 7\n", "current-context: 7\ncontexts: x\n"]
)
def test_a_broken_kubeconfig_is_named_without_the_words_of_a_language(text: str, tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    said = call("status", "--kubeconfig", file, code=2).stderr
    assert f"The kubeconfig {file} cannot be used: " in said
    assert "object" not in said and "attribute" not in said and "kubectl config view" in said
