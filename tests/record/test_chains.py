"""An exported chain goes into another ledger as it is, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exuvia import errors
from exuvia.record import chain, chains, exporting, importing, queries, who
from exuvia.record.reading import reading
from tests.record import lives, world
from tests.record.test_importing import instance, parsed
from tests.record.world import at

HISTORY = (world.birth("A"), world.verdict("A", "violating", 1), world.death("A", 5), world.birth("B", 6))


def exported(path: Path, cluster: str = "c") -> list[str]:
    with reading(path) as connection:
        return list(exporting.lines(connection, cluster))


def load(path: Path, lines: list[str], cluster: str | None = None) -> chains.Taken:
    return chains.load(path, lines, cluster=cluster)


def length(path: Path, cluster: str = "c") -> int:
    with reading(path) as connection:
        found = chain.verify(queries.links(connection, cluster))
        assert found.first_bad is None
        return found.entries


@pytest.fixture
def source(tmp_path: Path) -> Path:
    with world.written(tmp_path / "source.db", *HISTORY):
        return tmp_path / "source.db"


def test_a_chain_comes_in_as_it_is_and_answers_the_same_questions(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target.db"
    taken = load(target, exported(source))
    assert (taken.cluster, taken.entered, taken.known, taken.head.seq) == ("c", 4, 0, 4)
    assert exported(target) == exported(source)
    with reading(target) as connection:
        assert [one.uid for one in who.bore(connection, "name", "a", at(2))] == ["A"]
        assert [one["type"] for one in lives.life(connection, "A")] == ["birth", "verdict", "death"]


def test_it_stands_beside_the_chains_of_other_clusters(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target.db"
    importing.load(target, parsed(instance("X", 0, 1, 0)), cluster="other")
    load(target, exported(source))
    with reading(target) as connection:
        assert queries.clusters(connection) == ("c", "other")


def test_what_follows_is_taken_and_what_is_known_is_passed_over(source: Path, tmp_path: Path) -> None:
    target, lines = tmp_path / "target.db", exported(source)
    load(target, lines[:2])
    assert (load(target, lines[2:3]).entered, length(target)) == (1, 3)
    taken = load(target, lines)
    assert (taken.entered, taken.known, length(target)) == (1, 3, 4)


def test_a_chain_that_does_not_follow_is_refused(source: Path, tmp_path: Path) -> None:
    target, lines = tmp_path / "target.db", exported(source)
    load(target, lines[:1])
    with pytest.raises(errors.InvalidObject, match="the chain of c ends at entry 1, and this file begins at 3"):
        load(target, lines[2:])
    with pytest.raises(errors.InvalidObject, match="entry 1 is missing"):
        load(tmp_path / "empty.db", lines[2:])
    assert length(target) == 1


def test_another_chain_of_the_same_cluster_is_refused(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target.db"
    importing.load(target, parsed(instance("X", 0, 1, 0)), cluster="c")
    with pytest.raises(
        errors.InvalidObject,
        match="holds the chain of c already, and it is another one: its entry 1 is not the one on line 1",
    ):
        load(target, exported(source))
    assert length(target) == 1


@pytest.mark.parametrize("place", range(4))
def test_one_changed_line_refuses_all_and_is_named(source: Path, tmp_path: Path, place: int) -> None:
    lines = exported(source)
    changed = json.loads(lines[place])
    changed["entry"]["at"] += 1
    lines[place] = json.dumps(changed)
    with pytest.raises(errors.InvalidObject, match=f"entry {place + 1} was changed"):
        load(tmp_path / "target.db", lines)
    assert not (tmp_path / "target.db").exists(), "nothing is left of a ledger that was made for it"


@pytest.mark.parametrize(
    "line",
    [
        '{"seq":2,"hash":"00","entry":',
        '{"seq":"2","hash":"00","entry":{}}',
        '{"seq":2,"hash":"xy","entry":{}}',
        '{"seq":2,"hash":"00","entry":{"type":"rumour"}}',
        '{"type":"instance","uid":"A","born":"2026-01-01T00:00:00Z"}',
        "[]",
    ],
)
def test_a_broken_line_is_named(source: Path, tmp_path: Path, line: str) -> None:
    with pytest.raises(errors.InvalidObject, match="line 2: no line of an exported chain"):
        load(tmp_path / "target.db", [exported(source)[0], line])
    assert list(tmp_path.glob("*target*")) == []


def test_an_older_leader_stays_locked_out(source: Path, tmp_path: Path) -> None:
    load(tmp_path / "target.db", exported(source))
    with reading(tmp_path / "target.db") as connection:
        assert importing.writer_for(connection, "c").epoch == 1


def rehashed(lines: list[str]) -> list[str]:
    """A chain that fits, whatever its entries say."""
    former, found = chain.GENESIS, []
    for line in map(json.loads, lines):
        former = chain.next_hash(former, chain.canonical(line["entry"]))
        found.append(json.dumps(line | {"hash": former.hex()}))
    return found


def test_an_entry_that_does_not_say_what_it_must_is_named(source: Path, tmp_path: Path) -> None:
    lines = [json.loads(one) for one in exported(source)]
    del lines[1]["entry"]["body"]["policy"]
    with pytest.raises(
        errors.InvalidObject, match="line 2: entry 2 does not say what a verdict must: 'policy' is miss"
    ):
        load(tmp_path / "target.db", rehashed([json.dumps(one) for one in lines]))
    del lines[1]["entry"]["recorded"]
    with pytest.raises(errors.InvalidObject, match="line 2: no line of an exported chain: 'recorded' is missing"):
        load(tmp_path / "target.db", [json.dumps(one) for one in lines])


def test_lines_that_can_be_read_only_once_are_a_mistake_of_the_caller(source: Path, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="read only once"):
        chains.load(tmp_path / "target.db", iter(exported(source)))


class Told(list[str]):
    """Lines of a chain; something is done before each time that they are read."""

    def __init__(self, lines: list[str], meanwhile: Callable[[], object], times: int = 2) -> None:
        super().__init__(lines)
        self.meanwhile, self.times = meanwhile, times

    def __iter__(self) -> Iterator[str]:
        if self.times:
            self.times -= 1
            self.meanwhile()
        return super().__iter__()


def test_while_a_chain_is_looked_through_and_checked_others_write(source: Path, tmp_path: Path) -> None:
    target, written = tmp_path / "target.db", list[int]()
    load(target, exported(source)[:2])

    def meanwhile() -> None:
        found = importing.load(target, parsed(instance(f"X{len(written)}", 0, 1, 0)), cluster="other")
        written.append(found.head.seq)

    assert load(target, Told(exported(source), meanwhile)).entered == 2
    assert (written, length(target), length(target, "other")) == ([1, 2], 4, 2)


def test_what_was_entered_while_a_chain_was_checked_counts(source: Path, tmp_path: Path) -> None:
    target, lines = tmp_path / "target.db", exported(source)
    load(target, lines[:1])
    taken = load(target, Told(lines, lambda: load(target, lines[:3])))
    assert (taken.entered, taken.known, length(target)) == (1, 3, 4)
    other = tmp_path / "other.db"
    importing.load(other, parsed(instance("X", 0, 1, 0)), cluster="x")
    with pytest.raises(errors.InvalidObject, match="it is another one"):
        load(other, Told(lines, lambda: importing.load(other, parsed(instance("X", 0, 1, 0)), cluster="c")))
    assert length(other) == 1
