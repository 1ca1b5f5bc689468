"""A file of facts that is imported again adds nothing; what was told otherwise meanwhile is told anew."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from exuvia.record import chain, histories, importing, queries, settling
from exuvia.record.places import Place
from exuvia.record.reading import reading
from tests.record import world
from tests.record.conftest import Fresh
from tests.record.test_importing import ALWAYS, instance, named, parsed, rfc, said

SPAN = {"uid": "A", "from_": rfc(1), "to": rfc(2)}
KINDS = {
    "instance": {"uid": "A", "born": rfc(0), "died": rfc(9), "name": "a", "addresses": ["10.0.0.7"]},
    "presence": {**SPAN, "vulnerability": "V", "closed": "rotated", "note": {"cost": 1.5}},
    "score": {"vulnerability": "V", "source": "cvss", "value": 9.8, "validFrom": rfc(0)},
    "frozen": SPAN,
    "placement": {**SPAN, "podUid": "P", "images": ["sha256:1"]},
    "session": {**SPAN, "user": "alice"},
}


def load(place: Place, *texts: str, recorded: float = 1000, cluster: str = "c") -> tuple[int, int]:
    """(entered, known)."""
    found = importing.load(place, parsed(*texts, recorded=recorded), cluster=cluster)
    return found.entered, found.known


@pytest.mark.parametrize("learnt", [{}, {"recordedAt": rfc(5)}])
def test_every_kind_of_line_is_entered_once(place: Place, learnt: dict[str, Any]) -> None:
    texts = [said(kind, **body, **learnt) for kind, body in KINDS.items()]
    assert load(place, *texts) == (6, 0)
    assert load(place, *texts) == (0, 6)
    assert load(place, *texts[:3], said("frozen", **{**SPAN, "from_": rfc(0)}), *texts[3:]) == (1, 6)
    with reading(place) as connection:
        assert chain.verify(queries.links(connection, "c")).entries == 7


def test_a_line_that_stands_there_twice_is_entered_once(place: Place) -> None:
    one = said("frozen", **SPAN)
    assert load(place, one, one, said("frozen", **SPAN, recordedAt=rfc(5)), one) == (2, 2)


def test_other_words_of_the_same_thing_and_another_moment_are_no_repetition(place: Place) -> None:
    assert load(place, instance("A", 0, 60, 5, name="a")) == (1, 0)
    assert load(place, instance("A", 0, 60, 6, name="a")) == (1, 0), "learnt at another moment"
    assert load(place, instance("A", 0, 60, 6, name="a", note="x")) == (1, 0), "a key more"
    assert load(place, instance("A", 0, 60, 5, name="a")) == (0, 1), "the older moment has its line"


def test_what_is_so_again_is_told_again(place: Place) -> None:
    """Without `recordedAt` a line says what is so as of now: it is a repetition only while nothing else was told."""
    first, other = (said("instance", uid="A", born=rfc(0), name=name) for name in ("first", "other"))
    assert [load(place, one) for one in (first, first, other, first, first)] == [(1, 0), (0, 1), (1, 0), (1, 0), (0, 1)]
    assert (named(place, "first", 5, until=10**8), named(place, "other", 5, until=10**8)) == (["A"], [])
    withdrawn = said("instance", uid="A", born=rfc(0), name="first", withdrawn=True)
    assert [load(place, one) for one in (withdrawn, first)] == [(1, 0), (1, 0)]
    assert named(place, "first", 5, until=10**8) == ["A"]


def test_the_operators_own_facts_are_no_lines(place: Place) -> None:
    with world.written(place, world.birth("A", 0)):
        pass
    line = said("instance", uid="A", born=rfc(0), name="a", kind="Node")
    assert [load(place, line), load(place, line)] == [(1, 0), (0, 1)]


def test_each_chain_holds_what_was_told_to_it(place: Place) -> None:
    line = said("score", **KINDS["score"], recordedAt=rfc(5))
    assert [load(place, line, cluster=one) for one in ("c", "d", "d")] == [(1, 0), (1, 0), (0, 1)]


def test_dead_letters_are_named_each_time_and_kept_once(place: Place) -> None:
    for _ in range(2):
        found = importing.load(place, parsed(instance("A", 10, 5, 0), instance("B", 0, 5, 0)), cluster="c")
        assert found.dead == ((1, "died before it was born"),)
    with reading(place) as connection:
        assert connection.scalar(text("select count(*) from dead_letters")) == 1


LINES = st.lists(
    st.builds(
        lambda uid, end, closed, recorded: said(
            "presence", uid=uid, vulnerability="V", from_=rfc(0), to=rfc(end), closed=closed, recordedAt=rfc(recorded)
        ),
        st.sampled_from("AB"),
        st.integers(0, 2),
        st.sampled_from(["patched", "retracted"]),
        st.integers(0, 2),
    ),
    max_size=8,
)


@settings(max_examples=25, deadline=None)
@given(LINES)
def test_whatever_a_file_says_importing_it_again_changes_no_answer(fresh: Fresh, texts: list[str]) -> None:
    place = fresh()
    importing.load(place, parsed(instance("A", 0, None, 0), instance("B", 0, None, 0), *texts), cluster="c")
    with reading(place) as connection:
        before = list(histories.pasts(connection, ALWAYS))
    again = importing.load(place, parsed(*texts), cluster="c")
    moments = {(one["uid"], one["recordedAt"]) for one in map(json.loads, texts)}
    assert again.known >= len(moments), "of each thing and moment at least the line that holds is known"
    with reading(place) as connection:
        assert list(histories.pasts(connection, ALWAYS)) == before


def a_line(kind: str, uid: str, value: int, learnt: int | None) -> str:
    """One of few, so that lines of one file meet in the same thing and moment. A moment may be still to come."""
    moment = {} if learnt is None else {"recordedAt": rfc(learnt)}
    match kind:
        case "instance":
            died = [None, rfc(60), rfc(-60)][value]  # the last one cannot have been
            return said("instance", uid=uid, born=rfc(0), died=died, name="a", **moment)
        case "session":
            user = ["J\u00f6rg", "Jo\u0308rg", "ann"][value]
            return said("session", uid=uid, user=user, from_=rfc(0), to=rfc(value), **moment)
        case "score":
            thing = {"vulnerability": uid, "source": "cvss", "validFrom": rfc(0)}
            return said("score", **thing, value=value, withdrawn=value == 2, **moment)
        case _:
            return said("presence", uid=uid, vulnerability="V", from_=rfc(0), to=rfc(5 + value), **moment)


FILES = st.lists(
    st.builds(
        a_line,
        st.sampled_from(["instance", "presence", "session", "score"]),
        st.sampled_from("AB"),
        st.integers(0, 2),
        st.sampled_from([None, None, 1, 2, 2**23]),
    ),
    min_size=1,
    max_size=9,
)


def answers(place: Place) -> tuple[Any, ...]:
    """The chain, what is told of machines and scores, and the dead letters."""
    with reading(place) as connection:
        return (
            chain.verify(queries.links(connection, "c")).head,
            list(histories.pasts(connection, ALWAYS)),
            histories.scores(connection, ALWAYS),
            connection.execute(text("select * from sessions order by uid, began, recorded, rank")).all(),
            connection.scalar(text("select count(*) from dead_letters")),
        )


@settings(max_examples=60, deadline=None)
@given(FILES, FILES, st.sampled_from([2, 500]))
def test_the_same_file_again_adds_nothing_ever(fresh: Fresh, texts: list[str], before: list[str], page: int) -> None:
    """Whatever was there before, however often it is imported, and though its lines say otherwise of one thing."""
    place = fresh()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settling, "PAGE", page)
        load(place, *before)
        first = importing.load(place, parsed(*texts), cluster="c")
        once = answers(place)
        for _ in range(2):
            again = importing.load(place, parsed(*texts), cluster="c")
            assert (again.entered, again.dead) == (0, first.dead)
            assert again.known == first.known + first.entered and again.outweighed == first.outweighed
            assert answers(place) == once


@settings(max_examples=30, deadline=None)
@given(st.permutations([None, 30, 60]), st.sampled_from([1, 2, 500]))
def test_of_a_file_that_says_otherwise_of_one_thing_the_greater_line_holds(
    fresh: Fresh, ends: list[int | None], page: int
) -> None:
    """In whatever order its lines stand; the others are counted, and say nothing."""
    place = fresh()
    texts = [said("instance", uid="A", born=rfc(0), died=None if one is None else rfc(one)) for one in ends]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settling, "PAGE", page)
        found = importing.load(place, parsed(*texts), cluster="c")
    assert (found.entered, found.known, found.outweighed) == (1, 0, 2)
    with reading(place) as connection:
        (past,) = histories.pasts(connection, ALWAYS)
    assert [one.died for one in past.lives] == [None], "n of null comes after the quote of a time"
