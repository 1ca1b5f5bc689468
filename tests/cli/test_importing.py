"""`exuvia ledger import`: what files it takes, what it says meanwhile and afterwards, and what it leaves behind."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import RootTransaction

from exuvia.cli import main, progress, texts
from exuvia.observe.feeds import unpacking
from exuvia.record import importing
from tests.cli.calling import call
from tests.observe.feeds.files import epss
from tests.record.test_importing import instance, rfc, said

FACTS = "\n".join((instance("A", 0, 10, 10, name="a"), said("session", uid="A", user="alice", from_=rfc(1), to=None)))


def import_(file: Path, ledger: Path, *more: object, code: int = 0) -> Any:
    return call("ledger", "import", file, "--ledger", ledger, *more, code=code)


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    file = tmp_path / "facts.ndjson"
    file.write_text(FACTS)
    return file


def test_gzip_is_known_by_its_first_bytes(facts: Path, tmp_path: Path) -> None:
    """Of facts and of a chain, whatever the name of the file."""
    facts.write_bytes(gzip.compress(FACTS.encode()))
    assert import_(facts, tmp_path / "l.db").stdout.startswith("2 lines imported")
    chain = tmp_path / "chain"
    chain.write_bytes(gzip.compress(call("ledger", "export", "--ledger", tmp_path / "l.db").stdout.encode()))
    told = import_(chain, tmp_path / "other.db").stdout
    assert told.startswith("the chain without a name is sound: 2 entries imported; its head is 2:")
    packed = gzip.compress(FACTS.encode())
    facts.write_bytes(packed[:-9])
    told = import_(facts, tmp_path / "third.db", code=2).stderr
    assert "the gzip ends in the middle, the file was cut. Copy or write it again.\n" in told
    facts.write_bytes(packed[:20] + b"\x00" + packed[21:])
    assert "the gzip is damaged: " in import_(facts, tmp_path / "third.db", code=2).stderr
    assert not (tmp_path / "third.db").exists()


def test_a_small_file_that_would_fill_the_memory_is_not_read_on(
    facts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is a single line, and one of very many."""
    facts.write_bytes(gzip.compress(b" " * (20 * unpacking.MIB)))
    told = import_(facts, tmp_path / "l.db", code=2).stderr
    assert "line 1: the line is longer than 16 MiB, unpacked. Write one fact on each line" in told
    facts.write_bytes(gzip.compress(b" \n" * unpacking.MIB))
    small = unpacking.Limits(most=unpacking.MIB, longest=unpacking.MIB, remedy="Split it.", text="", again="")
    monkeypatch.setattr(texts, "HISTORY", small)
    told = import_(facts, tmp_path / "l.db", code=2).stderr
    assert "line 524289: the file is longer than 1 MiB, unpacked. Split it." in told


def test_a_ledger_that_was_made_is_said(facts: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "l.db"
    assert import_(facts, ledger).stderr == f"a new ledger was made at {ledger}\n"
    assert import_(facts, ledger).stderr == ""
    (tmp_path / "epss.csv").write_text(epss())
    feed = ("feed", "import", "epss", tmp_path / "epss.csv", "--all", "--ledger")
    assert call(*feed, tmp_path / "f.db").stderr == f"a new ledger was made at {tmp_path / 'f.db'}\n"
    chain = tmp_path / "chain"
    chain.write_text(call("ledger", "export", "--ledger", ledger).stdout)
    assert import_(chain, tmp_path / "c.db", "-o", "json").stderr == f"a new ledger was made at {tmp_path / 'c.db'}\n"


def test_a_path_that_was_mistyped_makes_no_folder(facts: Path, tmp_path: Path) -> None:
    told = import_(facts, tmp_path / "legder" / "l.db", code=2).stderr
    assert told == (
        f"error: There is no ledger at {tmp_path}/legder/l.db, nor a folder {tmp_path}/legder. Name the right file by"
        " --ledger; for a new one make the folder first.\n"
    )
    (tmp_path / "epss.csv").write_text(epss())
    feed = ("feed", "import", "epss", tmp_path / "epss.csv", "--ledger")
    assert "nor a folder" in call(*feed, tmp_path / "legder" / "l.db", code=2).stderr
    told = call(*feed, tmp_path / "l.db").stderr
    assert told.startswith(f"nothing of it was ever seen on a machine: there is no ledger at {tmp_path}/l.db; --all")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["epss.csv", "facts.ndjson"]


def test_a_name_that_was_mistyped_is_seen(facts: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "l.db"
    assert "; the head of the chain of north is 2:" in import_(facts, ledger, "--cluster", "north").stdout
    assert import_(facts, ledger, "--cluster", "nroth").stderr == "a new chain was begun: the chain of nroth\n"
    assert import_(facts, ledger, "--cluster", "north").stderr == ""


def test_where_nobody_looks_on_a_line_is_written_now_and_then(
    facts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "importing" not in import_(facts, tmp_path / "l.db").stderr, "what is over soon says nothing"
    monkeypatch.setattr(progress, "PERIOD", 0.0)
    facts.write_text("\n".join(instance(f"N{number}", 0, 10, 10) for number in range(1200)))
    told = import_(facts, tmp_path / "l.db", "-o", "json")
    assert "importing: 1 line, " in told.stderr and "importing: 1,200 lines, 100 %\n" in told.stderr
    assert told.stdout.startswith("{"), "and what programs read is left alone"
    chain = call("ledger", "export", "--ledger", tmp_path / "l.db").stdout
    told = call("ledger", "import", "-", "--ledger", tmp_path / "c.db", stdin=chain).stderr
    for what in ("importing: 1,202 lines\n", "looking through: 1,202 lines, 100 %\n", "checking: ", "entering: "):
        assert what in told, "how much comes from standard input nobody knows"


def interrupted(told: Iterator[Any], after: int) -> Iterator[Any]:
    """A Ctrl-C after so many."""
    yield from islice(told, after)
    raise KeyboardInterrupt


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("after", [0, 1])
def test_an_interrupted_import_says_that_nothing_was_entered(
    facts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool, after: int
) -> None:
    ledger, original = tmp_path / "l.db", texts._read
    if there:
        import_(facts, ledger)
    monkeypatch.setattr(texts, "_read", lambda *what: interrupted(original(*what), after))
    facts.write_text(instance("X", 0, 10, 10) + "\n" + instance("Y", 0, 10, 10))
    told = call("ledger", "import", facts, "--ledger", ledger, code=130)
    assert (told.stdout, told.stderr) == ("", "interrupted: nothing was entered\n")
    assert ledger.exists() == there


def test_interrupted_when_it_is_made_durable_nobody_can_tell(
    facts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = importing._enter

    def commits(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def entered(*what: Any) -> importing.Imported:
        found = original(*what)
        monkeypatch.setattr(RootTransaction, "commit", commits)
        return found

    import_(facts, tmp_path / "l.db")
    monkeypatch.setattr(importing, "_enter", entered)
    facts.write_text(instance("X", 0, 10, 10))
    told = call("ledger", "import", facts, "--ledger", tmp_path / "l.db", code=130).stderr
    assert told == "interrupted: all was entered or nothing: run it again, which enters nothing twice\n"


def test_of_dead_letters_alone_no_head_is_shown(tmp_path: Path) -> None:
    facts = tmp_path / "dead.ndjson"
    facts.write_text(instance("A", 5, 0, 0))
    said_ = call("ledger", "import", facts, "--ledger", tmp_path / "l.db", code=1).stdout
    assert said_.startswith("0 lines imported; no entry was made\nline 1 went to the dead letters: ")


def test_a_person_at_a_terminal_sees_a_bar(facts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_watched_by_a_person", lambda: True)
    told = call("ledger", "import", facts, "--ledger", tmp_path / "l.db", env={"FORCE_COLOR": "1"})
    assert "importing" in told.stderr and "2 lines imported" in told.stdout


def test_the_bar_is_gone_before_an_error_is_said(facts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the sentence hangs on it, on the same line."""
    over: list[str] = []
    original = progress._bar

    @contextmanager
    def watched(what: str, total: int) -> Iterator[tuple[progress._Show, float]]:
        try:
            with original(what, total) as found:
                yield found
        finally:
            over.append(what)

    monkeypatch.setattr(progress, "_watched_by_a_person", lambda: True)
    monkeypatch.setattr(progress, "_bar", watched)
    monkeypatch.setattr(main, "_say", lambda *_, **__: over.append("error"))
    facts.write_text(facts.read_text() + "{}\n" + instance("N", 0, 10, 10))
    call("ledger", "import", facts, "--ledger", tmp_path / "l.db", code=2)
    assert over == ["importing", "error"]


def test_a_name_that_came_from_elsewhere_writes_no_control_sequence(tmp_path: Path) -> None:
    facts, ledger = tmp_path / "facts.ndjson", tmp_path / "l.db"
    bad = "\x1b[2K\x1b[31mroot\u202e"
    facts.write_text(
        "\n".join(
            (
                instance("A", 0, 10, 10, name=bad),
                said("session", uid="A", user=bad, from_=rfc(1), to=None),
                said("placement", uid="A", pod=bad, podUid="P", namespace="shop", from_=rfc(1), to=None),
                instance(bad, 9, 5, 10),
            )
        )
    )
    told = import_(facts, ledger, code=1).output
    told += call("ledger", "who", "--name", bad, "--at", rfc(2), "--ledger", ledger).output
    told += call("ledger", "query", "--ledger", ledger).output
    told += call("ledger", "dead-letters", "--ledger", ledger, code=1).output
    told += call("ledger", "who", "--ip", bad, "--ledger", ledger, code=2).output
    told += call("ledger", "verify", "--cluster", bad, "--ledger", ledger, code=2).output
    assert all(one.isprintable() or one == "\n" for one in told), ascii(told)
    assert "\\x1b[2K\\x1b[31mroot" in told
    found = json.loads(call("ledger", "who", "--name", bad, "--at", rfc(2), "--ledger", ledger, "-o", "json").stdout)
    assert found["instances"][0]["name"] == bad, "programs get it as it is"


def test_lines_that_say_otherwise_of_one_thing_are_counted(tmp_path: Path) -> None:
    facts, ledger = tmp_path / "facts.ndjson", tmp_path / "l.db"
    facts.write_text("\n".join(said("instance", uid="A", born=rfc(0), name=name) for name in "abc"))
    for _ in range(2):
        told = import_(facts, ledger).stdout
        assert ", 2 are outweighed by another line about the same thing; the ledger's head is 1:" in told
    assert told.startswith("0 lines imported, 1 was there already, 2 are")
    assert json.loads(import_(facts, ledger, "-o", "json").stdout)["outweighed"] == 2
