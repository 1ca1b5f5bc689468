"""History from elsewhere: whole lines, corrections, two clocks; the order of import says nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from exuvia import errors
from exuvia.model.facts import DeathReason, microseconds
from exuvia.record import chain, histories, importing, lines, queries, who
from exuvia.record.places import Place
from exuvia.record.reading import reading
from tests.record import lives, world
from tests.record.conftest import Fresh
from tests.record.world import at

ALWAYS = 2**60


def rfc(minutes: float) -> str:
    return at(minutes).isoformat().replace("+00:00", "Z")


def said(type_: str, **body: Any) -> str:
    body = {key.rstrip("_"): value for key, value in body.items()}
    return json.dumps({"type": type_, **body})


def parsed(*texts: str, recorded: float = 1000) -> list[lines.Line]:
    return list(lines.read(texts, recorded=microseconds(at(recorded))))


def instance(uid: str, born: float, died: float | None, recorded: float, **more: Any) -> str:
    until = None if died is None else rfc(died)
    return said("instance", uid=uid, born=rfc(born), died=until, recordedAt=rfc(recorded), **more)


def named(place: Place, name: str, minutes: float, until: float = 10**6) -> list[str]:
    with reading(place) as connection:
        return bore(connection, name, minutes, until)


def bore(connection: Connection, name: str, minutes: float, until: float) -> list[str]:
    return [one.uid for one in who.bore(connection, "name", name, at(minutes), until=microseconds(at(until)))]


def test_what_is_imported_answers_questions_and_its_chain_verifies(place: Place) -> None:
    told = parsed(
        instance("A", 0, 60, 0, name="vdi-07", addresses=["10.0.0.7"], providerID="aws:///i-1", owner={"cost": 1.5}),
        said("session", uid="A", user="alice", from_=rfc(5), to=rfc(20)),
        said(
            "placement",
            uid="A",
            pod="cart",
            podUid="P1",
            namespace="shop",
            serviceAccount="cart",
            from_=rfc(1),
            to=None,
        ),
    )
    found = importing.load(place, told)
    assert (found.entered, found.dead, found.head.seq) == (3, (), 3)
    with reading(place) as connection:
        one = who.bore(connection, "address", "10.0.0.7", at(10))[0]
        assert (one.uid, one.name, one.died, one.certainty) == ("A", "vdi-07", at(60), "certain")
        assert [(visit.user, visit.ended) for visit in one.sessions] == [("alice", at(20))]
        assert [(pod.name, pod.ended) for pod in one.placements] == [("cart", at(60))], "it ended with its machine"
        assert [one.uid for one in who.ran(connection, "shop", "cart", at(59))] == ["A"]
        assert who.bore(connection, "providerID", "aws:///i-1", at(60)) == ()
        life = lives.life(connection, "A")
        assert [entry["type"] for entry in life] == ["instance", "session", "placement"]
        assert life[0]["body"]["owner"] == {"cost": "1.5"}, "unknown keys are kept, decimals as their source text"
        assert chain.verify(queries.links(connection, "")).first_bad is None


def test_a_later_line_corrects_the_earlier_from_its_recording_on(place: Place) -> None:
    importing.load(
        place,
        parsed(
            instance("A", 0, 60, 0, name="old"),
            instance("A", 0, 50, 70, name="new"),
            said("instance", uid="A", born=rfc(0), died=None, recordedAt=rfc(90), withdrawn=True),
        ),
    )
    assert named(place, "old", 10, until=69) == ["A"]
    assert named(place, "old", 10, until=70) == [], "the whole line is replaced, the name with it"
    assert named(place, "new", 10, until=70) == ["A"]
    assert named(place, "new", 55, until=89) == [], "it had died by then"
    assert named(place, "new", 10, until=90) == [], "taken back"
    assert named(place, "old", 10, until=89) == []


def test_of_the_same_recording_the_greater_canonical_line_holds(fresh: Fresh) -> None:
    both = [instance("A", 0, 60, 0, name="a"), instance("A", 0, 60, 0, name="b")]
    for texts in (both, both[::-1]):
        place = fresh()
        importing.load(place, parsed(*texts))
        assert (named(place, "a", 10), named(place, "b", 10)) == ([], ["A"])


def test_what_cannot_have_been_goes_to_the_dead_letters_and_the_rest_is_imported(place: Place) -> None:
    found = importing.load(place, parsed(instance("A", 10, 5, 0), "", instance("B", 0, 5, 0, name="b")))
    assert (found.entered, found.dead) == (1, ((1, "died before it was born"),))
    with reading(place) as connection:
        letter = connection.execute(text("select reason, body from dead_letters")).one()
    assert letter.reason == "died before it was born"
    assert '"uid":"A"' in letter.body
    assert named(place, "b", 1) == ["B"]


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("{", "line 2: no JSON"),
        ("[]", "line 2: this is no JSON object"),
        ('{"type":"ghost"}', "line 2, type: unknown type 'ghost'. Known are instance"),
        (instance("", 0, 1, 0), "line 2, uid: this is empty. Write what 'uid' is."),
        ('{"type":"instance","uid":"A"}', "line 2, born: this time is missing"),
        ('{"type":"instance","uid":"A","born":"yesterday"}', "line 2, born: 'yesterday' is no time"),
        ('{"type":"instance","uid":"A","born":"2026-01-01T00:00:00"}', "names no zone"),
        (
            '{"type":"score","vulnerability":"v","source":"s","value":"high","validFrom":"2026-01-01T00:00:00Z"}',
            "no score",
        ),
        (
            '{"type":"score","vulnerability":"v","source":"s","value":1e-999999999,"validFrom":"2026-01-01T00:00:00Z"}',
            "no score",
        ),
        ('{"type":"session","uid":"A","uid":"B","user":"x","from":"2026-01-01T00:00:00Z"}', "'uid' stands there twice"),
    ],
)
def test_one_broken_line_refuses_the_whole_file(place: Place, broken: str, words: str) -> None:
    texts = (instance("B", 0, 5, 0, name="b"), broken)
    with pytest.raises(errors.InvalidObject) as caught:
        importing.load(place, lines.read(texts, recorded=0))
    assert words in str(caught.value)
    if isinstance(place, Path):
        assert list(place.parent.iterdir()) == [], "no ledger is made for it"
        importing.load(place, parsed(instance("B", 0, 5, 0)))
        with pytest.raises(errors.InvalidObject):
            importing.load(place, lines.read(texts, recorded=0))
    with reading(place) as connection:
        assert connection.scalar(text("select count(*) from entries")) == isinstance(place, Path)


def test_a_ledger_is_made_only_in_a_folder_that_is_there_and_for_what_is_kept(tmp_path: Path) -> None:
    with pytest.raises(errors.SettingsError, match=r"nor a folder .*/mistyped. Name the right file by --ledger"):
        importing.load(tmp_path / "mistyped" / "l.db", parsed(instance("A", 0, 5, 0)))
    assert not importing.load(tmp_path / "l.db", parsed()).made
    assert list(tmp_path.iterdir()) == [], "there was nothing to put into it"
    assert importing.load(tmp_path / "l.db", parsed(instance("A", 0, 5, 0))).made
    assert not importing.load(tmp_path / "l.db", parsed(instance("B", 0, 5, 0))).made
    assert importing.load(tmp_path / "dead.db", parsed(instance("A", 5, 0, 0))).made, "a dead letter is kept"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["dead.db", "l.db"]


def test_two_who_make_the_same_ledger_do_not_overwrite_one_another(tmp_path: Path) -> None:
    def lines_of_one() -> Iterator[lines.Line]:
        importing.load(tmp_path / "l.db", parsed(instance("B", 0, 5, 0)))
        yield from parsed(instance("A", 0, 5, 0))

    with pytest.raises(errors.LedgerLocked, match=r"made a ledger at .* meanwhile: nothing was imported. Run it again"):
        importing.load(tmp_path / "l.db", lines_of_one())
    with reading(tmp_path / "l.db") as connection:
        assert [one["body"]["uid"] for one in lives.life(connection, "B")] == ["B"]
    assert not list(tmp_path.glob(".*"))


def test_while_a_file_is_read_others_write(place: Place) -> None:
    """Only what must be done at once is done while nobody else can write."""

    def lines_of_one() -> Iterator[lines.Line]:
        yield from parsed(instance("A", 0, 5, 0))
        assert importing.load(place, parsed(instance("B", 0, 5, 0)), cluster="c").head.seq == 1
        yield from parsed(instance("C", 0, 5, 0))

    importing.load(place, parsed(instance("X", 0, 5, 0)), cluster="d")
    found = importing.load(place, lines_of_one(), cluster="c")
    assert (found.entered, found.head.seq) == (2, 3), "it goes on behind what was written meanwhile"


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ('{"type":"instance","uid":"X"\n', "line 2: no JSON: Expecting ',' delimiter (character 30). Write one"),
        ("\ufeff{}\n", "line 2: no JSON: it begins with a byte order mark. Write it as UTF-8 without"),
    ],
)
def test_a_line_that_is_no_json_is_named_by_one_number(broken: str, words: str) -> None:
    with pytest.raises(errors.InvalidObject) as caught:
        list(lines.read((instance("B", 0, 5, 0), broken), recorded=0))
    assert words in str(caught.value) and "line 1" not in str(caught.value)
    assert str(caught.value).count("line 2") == 1, "one number of one line"


def test_a_score_that_is_out_of_bounds_can_still_be_taken_back(place: Place) -> None:
    """One that was entered when there were no bounds stays readable; only telling it anew is refused."""
    thing = {"vulnerability": "V", "source": "cvss", "validFrom": rfc(0)}
    importing.load(place, [lines.of({"type": "score", **thing, "value": "11", "recordedAt": rfc(1)}, recorded=0)])
    importing.load(place, parsed(said("score", **thing, value=11, recordedAt=rfc(2), withdrawn=True)))
    with reading(place) as connection:
        assert [one.withdrawn for one in histories.scores(connection, ALWAYS)] == [False, True]
    with pytest.raises(errors.InvalidObject, match="11 is above 10"):
        parsed(said("score", **thing, value=11, recordedAt=rfc(3)))


def test_an_import_takes_leadership_from_nobody(place: Place) -> None:
    with world.written(place, world.birth("N")) as connection:
        connection.execute(text("insert into leadership values ('c', 5)"))
    importing.load(place, parsed(instance("A", 0, 1, 0)))
    with reading(place) as connection:
        rows = connection.execute(text("select cluster, seq, epoch from entries order by seq")).all()
        assert chain.verify(queries.links(connection, "c")).entries == 2
    assert [tuple(row) for row in rows] == [("c", 1, 1), ("c", 2, 5)]


versions = st.lists(
    st.builds(
        lambda born, length, recorded, withdrawn: instance(
            "A", born, born + length, recorded, name="a", withdrawn=withdrawn
        ),
        st.integers(0, 3),
        st.integers(0, 3),
        st.integers(0, 3),
        st.booleans(),
    ),
    min_size=1,
    max_size=5,
)


def held(texts: list[str], until: float) -> dict[str, Any] | None:
    """By the words of the contract: the line recorded last, of equal ones the greater canonical JSON."""
    known = [json.loads(one) for one in texts]
    known = [one for one in known if one["recordedAt"] <= rfc(until)]
    best = max(known, key=lambda one: (one["recordedAt"], chain.canonical(one)), default=None)
    return None if best is None or best["withdrawn"] else best


@settings(max_examples=20, deadline=None)
@given(versions, st.randoms(use_true_random=False))
def test_whatever_the_order_of_import_the_same_line_holds(fresh: Fresh, texts: list[str], random: Any) -> None:
    random.shuffle(texts)
    place = fresh()
    cut = len(texts) // 2
    importing.load(place, parsed(*texts[:cut]))
    importing.load(place, parsed(*texts[cut:]))
    with reading(place) as connection:
        for until in range(4):
            expected = held(texts, until)
            for minutes in (0, 1, 2, 3, 4, 5):
                alive = expected is not None and expected["born"] <= rfc(minutes) < expected["died"]
                assert bore(connection, "a", minutes, until) == (["A"] if alive else []), (until, minutes)


def test_the_past_of_each_machine_is_streamed_in_order(place: Place) -> None:
    importing.load(
        place,
        parsed(
            said("presence", uid="B", vulnerability="CVE-1", from_=rfc(0), to=None, recordedAt=rfc(5)),
            said(
                "presence", uid="B", vulnerability="CVE-1", from_=rfc(0), to=rfc(9), closed="patched", recordedAt=rfc(9)
            ),
            instance("B", 0, None, 0, name="b"),
            instance("A", 0, 3, 2, persistent=False),
            said("frozen", uid="B", from_=rfc(1), to=rfc(2), recordedAt=rfc(1)),
            said("score", vulnerability="CVE-1", source="cvss", value="9.80", validFrom=rfc(0), recordedAt=rfc(1)),
        ),
    )
    with reading(place) as connection:
        found = list(histories.pasts(connection, ALWAYS))
        early = list(histories.pasts(connection, microseconds(at(5))))
        scores = histories.scores(connection, ALWAYS)
        only = list(histories.pasts(connection, ALWAYS, uid="A"))
    assert [one.uid for one in found] == ["A", "B"]
    assert [(one.ended, one.closed) for one in found[1].presences] == [(None, ""), (microseconds(at(9)), "patched")]
    assert [one.ended for one in early[1].presences] == [None]
    assert [one.persistent for one in found[0].lives] == [False]
    assert len(found[1].freezes) == 1
    assert [one.value for one in scores] == ["9.80"], "the decimal as the source wrote it"
    assert [one.uid for one in only] == ["A"]


def test_the_operators_own_facts_are_part_of_the_past(place: Place) -> None:
    with world.written(place, world.birth("A", 0), world.death("A", 9, not_before=7, reason=DeathReason.EXUVIA)):
        pass
    with reading(place) as connection:
        (past,) = histories.pasts(connection, ALWAYS)
    assert [(one.born, one.died) for one in past.lives] == [
        (microseconds(at(0)), None),
        (microseconds(at(0)), microseconds(at(9))),
    ]
    assert (past.lives[1].not_before, past.lives[1].reason) == (microseconds(at(7)), "exuvia")
