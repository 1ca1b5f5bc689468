"""Whatever the order in which lines, and whole chains, come into one ledger: its answers are the same, and so are the
tables that are made anew from its entries."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from exuvia.model import facts
from exuvia.model.facts import Fact, FactKind, microseconds
from exuvia.record import appending, comparing, guarding, histories, importing, versions, who
from exuvia.record.batches import Batch
from exuvia.record.lines import Line
from exuvia.record.places import Place
from exuvia.record.reading import reading
from tests.record import lives, world
from tests.record.conftest import Fresh
from tests.record.test_importing import instance, parsed, rfc, said
from tests.record.world import at

RECORDED = datetime(2026, 2, 1, tzinfo=UTC)
CLUSTERS = ("berlin", "", "york")


def score(value: str, valid: float, recorded: float, **more: Any) -> str:
    moments = {"validFrom": rfc(valid), "recordedAt": rfc(recorded)}
    return said("score", vulnerability="V", source="cvss", value=value, **moments, **more)


def presence(closed: str, recorded: float, **more: Any) -> str:
    return said(
        "presence", uid="A", vulnerability="V", from_=rfc(0), to=rfc(5), closed=closed, recordedAt=rfc(recorded), **more
    )


LINES = st.one_of(
    st.builds(score, st.sampled_from(["1.0", "9.9"]), st.sampled_from([0, 1]), st.sampled_from([0, 1])),
    st.builds(lambda gone: score("5.0", 0, 0, withdrawn=gone), st.booleans()),
    st.builds(presence, st.sampled_from(["patched", "rotated", "retracted"]), st.sampled_from([0, 1])),
    st.builds(
        lambda name, died, recorded, note: instance("A", 0, died, recorded, name=name, note=note),
        st.sampled_from(["a", "b"]),
        st.sampled_from([None, 5]),
        st.sampled_from([0, 1]),
        st.integers(0, 2),
    ),
    st.builds(lambda to: said("frozen", uid="A", from_=rfc(1), to=rfc(to), recordedAt=rfc(3)), st.sampled_from([2, 4])),
)


def written(place: Place, told: Sequence[tuple[str, Line]]) -> None:
    """Lines into the chains of their clusters, in this order, each in a transaction of its own."""
    for cluster, line in told:
        with world.written(place) as connection:
            importing.enter(connection, [line], appending.Writer(cluster=cluster, epoch=1))


def answers(place: Place) -> list[Any]:
    with reading(place) as connection:
        return list(_answers(connection))


def _answers(connection: Connection) -> Iterator[Any]:
    for until in (microseconds(at(0)), microseconds(at(1)), versions.INSTANT):
        yield [_last(past) for past in histories.pasts(connection, until)]
        yield {(one.vulnerability, one.valid_from): one for one in histories.scores(connection, until)}
        yield [who.bore(connection, "name", name, at(2), until=until) for name in "ab"]


def _last(past: Any) -> list[Any]:
    """Of the versions of each thing at each moment the one that holds."""
    told = (*past.lives, *past.presences, *past.freezes)
    return list({(type(one), one.key, one.recorded): one for one in told}.values())


def deep(place: Place) -> list[tuple[str, str]]:
    with reading(place) as connection:
        return list(comparing.differences(connection))


@settings(max_examples=25, deadline=None)
@given(data=st.data(), texts=st.lists(LINES, min_size=2, max_size=7))
def test_the_order_in_which_chains_come_says_nothing(data: st.DataObject, texts: list[str]) -> None:
    """The same chains, line for line, in two interleavings."""
    told = [(data.draw(st.sampled_from(CLUSTERS)), line) for line in parsed(*texts)]
    mixed = data.draw(st.permutations(range(len(told))))
    queues = {name: [line for cluster, line in told if cluster == name] for name in CLUSTERS}
    other = [(told[one][0], queues[told[one][0]].pop(0)) for one in mixed]
    with tempfile.TemporaryDirectory() as folder:
        one, two = Path(folder) / "one.db", Path(folder) / "two.db"
        written(one, told)
        written(two, other)
        assert answers(one) == answers(two)
        assert deep(one) == [] and deep(two) == [], "and so are the tables that are made from the entries anew"


@settings(max_examples=20, deadline=None)
@given(data=st.data(), texts=st.lists(LINES, min_size=2, max_size=6, unique=True))
def test_the_order_and_the_chain_in_which_lines_come_say_nothing(data: st.DataObject, texts: list[str]) -> None:
    """The same lines, in another order and in other chains: but for whose chain it is, every answer is the same."""
    chosen = st.sampled_from(CLUSTERS)
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for number in range(2):
            place = Path(folder) / f"{number}.db"
            written(place, [(data.draw(chosen), line) for line in parsed(*data.draw(st.permutations(texts)))])
            with reading(place) as connection:
                found.append((histories_of(connection), deep(place)))
        assert found[0] == found[1]
        assert found[0][1] == []


def histories_of(connection: Connection) -> list[Any]:
    return [
        (
            [_last(past) for past in histories.pasts(connection, until)],
            {(one.vulnerability, one.valid_from): one for one in histories.scores(connection, until)},
        )
        for until in (microseconds(at(0)), microseconds(at(1)), versions.INSTANT)
    ]


def test_of_several_chains_the_greater_line_holds_in_every_order(fresh: Fresh) -> None:
    """On both databases. The entries of one number in two chains are not taken for one another."""
    said_so = [("x", score("9.9", 0, 0)), ("y", presence("patched", 0)), ("y", score("1.0", 0, 0))]
    for order in permutations(range(3)):
        if order.index(1) > order.index(2):
            continue  # the order within a chain is that of its numbers
        place = fresh()
        written(place, [(said_so[one][0], parsed(said_so[one][1])[0]) for one in order])
        with reading(place) as connection:
            *_, last = histories.scores(connection, versions.INSTANT)
        assert last.value == "9.9", order


def test_what_two_chains_tell_alike_holds_in_tables_made_anew_too(fresh: Fresh) -> None:
    """All are the first of their chain: while tables are made anew the alike ones must not wait for one another."""
    said_so = [("", score("1.0", 0, 0)), *((one, score("5.0", 0, 0, withdrawn=True)) for one in ("berlin", "york"))]
    for order in permutations(said_so):
        place = fresh()
        written(place, [(cluster, parsed(line)[0]) for cluster, line in order])
        assert deep(place) == [], [cluster for cluster, _ in order]


def test_a_life_that_two_chains_tell_alike_is_of_the_same_cluster_in_every_order(fresh: Fresh) -> None:
    line = parsed(instance("A", 0, None, 0, name="a"))[0]
    for clusters in permutations(("x", "y", "z")):
        place = fresh()
        written(place, [(one, line) for one in clusters])
        with reading(place) as connection:
            assert [one.cluster for one in who.bore(connection, "name", "a", at(1))] == ["z"], clusters
        assert deep(place) == []


@pytest.mark.parametrize("together", [1, 2, 100])
def test_many_at_once_are_as_one_by_one(fresh: Fresh, together: int) -> None:
    """What waits in a batch counts as if it were in its table: the same rows, whatever is entered together."""
    told = [
        world.birth("A", 0, addresses=["10.0.0.1"]),
        world.placement("P", "A", "from", 1),
        facts.identity(uid="A", attribute="bootID", value="b1", former="", at=at(2)),
        world.death("A", 3),
        world.death("A", 4),
        world.birth("A", 5),
        world.placement("P", "A", "to", 0),
        world.placement("P", "A", "to", 6),
        world.placement("P", "A", "to", 7),
        world.death("B", 1),
        world.birth("B", 2),
        world.death("B", 1),
        world.operation("R1", "started", 1),
        world.operation("R1", "started", 2),
        world.intent("R1", 1),
        *(Fact(kind=FactKind(line.type), at=at(0), body=line.body) for line in parsed(*_corrected())),
    ]
    place = fresh()
    with world.written(place) as connection:
        writer, head = appending.Writer(cluster="c", epoch=1), appending.Head()
        for start in range(0, len(told), together):
            batch, some = Batch(), told[start : start + together]
            for number, fact in enumerate(some, start + 1):
                made = appending.add(
                    connection, head, fact, writer, recorded=microseconds(RECORDED) + number, batch=batch
                )
                head = made or head
            batch.flush(connection)
        assert lives.life(connection, "A")
    assert head.seq == len(told) - 2, "two were dead letters"
    assert deep(place) == []
    assert _rows(place) == EXPECTED


def _corrected() -> list[str]:
    return [
        presence("patched", 0),
        presence("rotated", 0),
        presence("died", 0),
        presence("rotated", 9),
        presence("patched", 5),
        instance("C", 0, 9, 1, name="c"),
        instance("C", 0, 8, 1, name="c"),
        instance("C", 0, 7, 0, name="b"),
    ]


def _rows(place: Place) -> dict[str, list[tuple[Any, ...]]]:
    """What of each thing was told, in short."""
    with reading(place) as connection:
        pasts = list(histories.pasts(connection, versions.INSTANT))
    return {
        past.uid: [
            *(("life", _minute(one.born), _minute(one.died)) for one in past.lives),
            *((one.closed, _minute(one.recorded)) for one in past.presences),
        ]
        for past in pasts
    }


def _minute(moment: int | None) -> int | None:
    return None if moment is None else (moment - microseconds(at(0))) // 60_000_000


EXPECTED = {
    "A": [
        ("life", 0, None),
        ("life", 0, 3),
        ("patched", 0),
        ("rotated", 0),
        ("patched", 5),
        ("rotated", 9),
    ],
    "B": [("life", 2, None)],
    "C": [("life", 0, 7), ("life", 0, 9)],
}


def test_a_name_that_an_outweighed_line_says_is_told_by_whichever_came_first(tmp_path: Path) -> None:
    """Nobody asks for it, so whose it is says nothing of the ledger; what the line that holds says is compared."""
    path, (first, other) = tmp_path / "l.db", (instance("A", 0, None, 1, name=name) for name in "ab")
    written(path, [("", *parsed(score("1.0", 0, 0))), ("york", *parsed(first)), ("", *parsed(first))])
    written(path, [("", *parsed(other))])
    assert deep(path) == []
    with world.written(path) as connection:
        guarding.unguard(connection)
        connection.execute(text("update identities set declared = 1 where value = 'b'"))
        guarding.guard(connection)
    assert [table for table, _ in deep(path)] == ["identities"]
