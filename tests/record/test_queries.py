"""Questions about the past: who bore what when, whole lives, counts; and the tables that answer them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select, text

from exuvia.model import facts
from exuvia.record import appending, counts, queries, recall, standing, tables, who
from exuvia.record.places import Place
from tests.record import lives, world
from tests.record.conftest import Fresh
from tests.record.world import at, written


def bearers(connection: Connection, attribute: str, value: str, minutes: float) -> list[str]:
    return [one.uid for one in who.bore(connection, attribute, value, at(minutes))]


def test_a_reused_name_is_borne_by_one_at_a_time(place: Place) -> None:
    told = [
        world.birth("A", 0, name="vdi-07", addresses=["10.0.0.7"]),
        world.death("A", 60),
        world.birth("B", 60, name="vdi-07", addresses=["10.0.0.8"]),
        world.birth("C", 61, name="vdi-08", addresses=["10.0.0.7"]),
    ]
    with written(place, *told) as connection:
        assert bearers(connection, "name", "vdi-07", -1) == []
        assert bearers(connection, "name", "vdi-07", 0) == ["A"], "from its birth on"
        assert bearers(connection, "name", "vdi-07", 59.999) == ["A"]
        assert bearers(connection, "name", "vdi-07", 60) == ["B"], "half-open: at its death it bears nothing"
        assert bearers(connection, "address", "10.0.0.7", 30) == ["A"]
        assert bearers(connection, "address", "10.0.0.7", 60.5) == []
        assert bearers(connection, "address", "10.0.0.7", 61) == ["C"]
        first = who.bore(connection, "name", "vdi-07", at(30))[0]
        assert (first.name, first.born, first.died, first.certainty) == ("vdi-07", at(0), at(60), "certain")


def test_an_end_known_within_an_interval_is_uncertain_there(place: Place) -> None:
    with written(place, world.birth("A", 0, name="a"), world.death("A", 60, not_before=50)) as connection:
        assert [one.certainty for one in who.bore(connection, "name", "a", at(49))] == ["certain"]
        assert [one.certainty for one in who.bore(connection, "name", "a", at(50))] == ["uncertain"]
        assert who.bore(connection, "name", "a", at(60)) == ()


def test_several_bearers_are_ambiguous(place: Place) -> None:
    told = [world.birth("A", 0, name="x"), world.birth("B", 5, name="x")]
    with written(place, *told) as connection:
        said = who.bore(connection, "name", "x", at(10))
        assert [(one.uid, one.certainty) for one in said] == [("A", "ambiguous"), ("B", "ambiguous")]


def test_a_changed_identity_has_its_own_interval(place: Place) -> None:
    told = [
        world.birth("A", 0, bootID="b1"),
        facts.identity(uid="A", attribute="bootID", value="b2", former="b1", at=at(10)),
        facts.identity(uid="A", attribute="address", value="10.0.0.9", former="", at=at(11)),
        facts.identity(uid="A", attribute="address", value="", former="10.0.0.9", at=at(12)),
        facts.identity(uid="A", attribute="address", value="10.0.0.9", former="", at=at(12)),
    ]
    with written(place, *told) as connection:
        assert [bearers(connection, "bootID", "b1", n) for n in (9, 10)] == [["A"], []]
        assert [bearers(connection, "bootID", "b2", n) for n in (9, 10)] == [[], ["A"]]
        assert [bearers(connection, "address", "10.0.0.9", n) for n in (10, 11, 12, 99)] == [[], ["A"], ["A"], ["A"]]


def test_the_same_address_twice_is_one(place: Place) -> None:
    told = [
        world.birth("A", 0, addresses=["10.0.0.1", "10.0.0.1"]),
        world.birth("A", 1, addresses=["10.0.0.1"]),
        facts.identity(uid="A", attribute="address", value="10.0.0.1", former="", at=at(5)),
    ]
    with written(place, *told) as connection:
        assert bearers(connection, "address", "10.0.0.1", 6) == ["A"]
        assert counts.counts(connection, at(9), cluster="c").births == {("Node", "p"): 1}


def test_which_machine_a_pod_ran_on(place: Place) -> None:
    told = [
        world.birth("A"),
        world.birth("B"),
        world.placement("1", "A", "from", 1, name="db-0", serviceAccount="db", owner="StatefulSet/db"),
        world.placement("1", "A", "to", 10, name="db-0"),
        world.placement("2", "B", "from", 10, name="db-0"),
        world.placement("3", "A", "from", 2, name="cart"),
        world.death("A", 20),
    ]
    with written(place, *told) as connection:
        on = {n: [one.uid for one in who.ran(connection, "shop", "db-0", at(n))] for n in (0, 1, 9, 10, 99)}
        assert on == {0: [], 1: ["A"], 9: ["A"], 10: ["B"], 99: ["B"]}
        assert [one.uid for one in who.ran(connection, "shop", "cart", at(19))] == ["A"]
        assert who.ran(connection, "shop", "cart", at(20)) == (), "it died with its machine"
        ran = who.bore(connection, "name", "a", at(5))[0].placements
        assert [(one.name, one.began, one.ended) for one in ran] == [("cart", at(2), at(20)), ("db-0", at(1), at(10))]
        assert (ran[1].service_account, ran[1].owner, ran[1].images) == ("db", "StatefulSet/db", ("sha256:1",))
        assert set(standing.placements(connection, "c")) == {"2"}


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ([world.birth("A", 10), world.death("A", 9)], "died"),
        ([world.birth("A"), world.placement("1", "A", "from", 10), world.placement("1", "A", "to", 9)], "ended"),
        ([world.birth("A"), world.intent(), world.outcome(2), world.outcome(2)], "has its outcome, entry 3"),
        ([world.birth("A"), world.outcome(1)], "there is no intent 1"),
    ],
)
def test_what_cannot_be_so_goes_to_the_dead_letters(place: Place, told: list[facts.Fact], why: str) -> None:
    with written(place, *told) as connection:
        letters = connection.execute(select(tables.dead_letters)).all()
        assert len(letters) == 1
        assert why in letters[0].reason
        assert f'"type":"{told[-1].kind.value}"' in letters[0].body
        assert connection.scalar(text("select count(*) from entries")) == len(told) - 1
        assert set(recall.lives(connection, "c")) == {"A"}


def test_an_intent_has_one_outcome_at_most(place: Place) -> None:
    told = [world.intent("R1"), world.intent("R1"), world.outcome(1, "R1"), world.outcome(1, "R1"), world.intent("R2")]
    with written(place, *told) as connection:
        assert lives.unfinished_intents(connection, "R1") == [2]
        assert lives.unfinished_intents(connection, "R2") == [4]
        assert connection.scalar(text("select count(*) from entries where kind = 'outcome'")) == 1


def test_a_life_holds_all_that_names_it(place: Place) -> None:
    told = [
        world.birth("A"),
        world.birth("B"),
        world.verdict("A", "violating", 1),
        world.operation("R1", "started", 2),
        world.intent("R1", 2),
        world.outcome(5, "R1", 3),
        facts.evidence(operation="R1", instance="A", digest="d", path="p", at=at(4)),
        facts.custody(operation="R1", by="alice", what="released", at=at(5)),
        facts.custody(operation="R2", by="bob", what="of another, names R1 only in passing", at=at(5)),
        world.placement("1", "A", "from", 1),
        world.death("A", 6),
    ]
    with written(place, *told) as connection:
        assert [one["seq"] for one in lives.life(connection, "A")] == [1, 3, 4, 5, 6, 7, 8, 10, 11]
        assert [one["type"] for one in lives.life(connection, "B")] == ["birth"]
        assert lives.life(connection, "%") == []


def test_starts_are_counted_for_rates(place: Place) -> None:
    told = [
        world.operation("R1", "started", 0),
        world.operation("R1", "ended", 5, "Succeeded/Replaced"),
        world.operation("R2", "opened", 1),
        world.operation("R3", "started", 30),
        world.operation("R3", "started", 99),
        world.operation("Q1", "started", 31, kind="Quarantine"),
    ]
    with written(place, *told) as connection:
        assert queries.starts(connection, "Rotation", at(0), cluster="c") == [("R1", at(0)), ("R3", at(30))]
        assert queries.starts(connection, "Rotation", at(0.001), cluster="c") == [("R3", at(30))]
        assert queries.starts(connection, "Quarantine", at(0), cluster="c") == [("Q1", at(31))]


def test_what_other_clusters_of_the_ledger_did_counts_there_only(place: Place) -> None:
    def told(name: str) -> list[facts.Fact]:
        ended = [world.operation(f"{name}1", "ended", 5, "Succeeded/Replaced")]
        if name == "c":
            return [world.operation("c1", "started", 0), *ended, world.birth("c"), world.verdict("c", "violating", 0)]
        others = [world.operation(f"{name}{number}", "started", 0) for number in (1, 2, 3)]
        return [world.verdict(name, "violating", 0), *others, *ended]  # of a machine that nobody knows the birth of

    with written(place, *told("c")) as connection:
        other = appending.Writer(cluster="other", epoch=1)
        for fact in told("o"):
            appending.add(connection, appending.head(connection, "other"), fact, other)
        assert queries.starts(connection, "Rotation", at(0), cluster="c") == [("c1", at(0))]
        assert (recall.started(connection, "c"), recall.ended(connection, "c")) == ({"c1"}, {"c1"})
        assert [one.uid for one in recall.called_off(connection, "Succeeded/Replaced", at(0), "c")] == ["c1"]
        assert queries.open_verdicts(connection, "c") == {("c", "workers"): "violating"}
        found = counts.counts(connection, at(10), cluster="c")
        assert found.rotations == {("workers", "Succeeded"): 1}
        assert found.noncompliant_seconds == {("workers", "High"): 600.0}
        assert len(queries.starts(connection, "Rotation", at(0), cluster="other")) == 3


def test_counts_begin_where_history_stands(place: Place) -> None:
    told = [
        world.birth("A", pool="x"),
        world.birth("B", pool="x"),
        world.birth("C", pool="y"),
        world.verdict("A", "violating", 0),
        world.verdict("A", "compliant", 10),
        world.verdict("A", "violating", 20),
        world.verdict("B", "violating", 0, severity="Low"),
        world.verdict("C", "unknown", 0),
        world.death("B", 5, reason=facts.DeathReason.EXUVIA, by="exuvia"),
        world.operation("R1", "started", 0),
        world.operation("R1", "ended", 5, "Succeeded/Replaced"),
        world.operation("R2", "ended", 5, "Failed/DrainTimeout"),
        world.operation("R3", "ended", 6, "Failed/NoReplacement"),
    ]
    with written(place, *told) as connection:
        found = counts.counts(connection, at(30), cluster="c")
        assert found.births == {("Node", "x"): 2, ("Node", "y"): 1}
        assert found.deaths == {("Node", "x", "exuvia"): 1}
        assert found.rotations == {("workers", "Succeeded"): 1, ("workers", "Failed"): 2}
        assert found.noncompliant_seconds == {("workers", "High"): 1200.0, ("workers", "Low"): 300.0}
        assert found.records == {"birth": 3, "verdict": 5, "death": 1, "operation": 4}
        assert queries.open_verdicts(connection, "c") == {("A", "workers"): "violating", ("C", "workers"): "unknown"}
        assert set(recall.lives(connection, "c")) == {"A", "C"}


def test_deaths_before_any_report_are_counted_by_pool(place: Place) -> None:
    told = [
        *(
            world.birth("A", pool="x"),
            world.birth("B", pool="x"),
            world.birth("C", pool="y"),
            world.birth("D", pool="y"),
        ),
        *(world.death("A", 5, scanned=False), world.death("B", 5, scanned=False), world.death("C", 5)),
        world.death("D", 5, by='"scanned":false'),  # who did it says so, not the entry
    ]
    with written(place, *told) as connection:
        assert counts.counts(connection, at(30), cluster="c").unscanned == {"x": 2}
        assert counts.counts(connection, at(30), cluster="other").unscanned == {}


def test_an_empty_ledger_answers_too(place: Place) -> None:
    with written(place) as connection:
        assert counts.counts(connection, at(0), cluster="c").records == {}
        assert queries.last_recorded(connection, "c") is None
        assert appending.greatest_epoch(connection, "c") == 0
        assert who.bore(connection, "name", "x", at(0)) == ()


def test_when_it_was_learnt_is_kept_beside_when_it_was_so(place: Place) -> None:
    before = datetime.now(UTC)
    with written(place, world.birth("A")) as connection:
        entry = lives.life(connection, "A")[0]
        assert entry["at"] == facts.microseconds(at(0))
        assert facts.microseconds(before) <= entry["recorded"] <= facts.microseconds(datetime.now(UTC))
        learnt = queries.last_recorded(connection, "c")
        assert learnt is not None and learnt >= before


moments = st.integers(0, 50)
told = st.lists(
    st.one_of(
        st.builds(lambda n: world.birth("A", n), moments),
        st.builds(lambda n: world.death("A", n), moments),
        st.builds(
            lambda n, r: world.verdict("A", r, n), moments, st.sampled_from(["violating", "compliant", "unknown", ""])
        ),
        st.builds(lambda n, e: world.placement("1", "A", e, n), moments, st.sampled_from(["from", "to"])),
        st.builds(
            lambda n, v, f: facts.identity(uid="A", attribute="bootID", value=v, former=f, at=at(n)),
            moments,
            st.sampled_from(["b1", "b2", ""]),
            st.sampled_from(["b1", "b2", ""]),
        ),
    ),
    max_size=12,
)


@settings(max_examples=30, deadline=None)
@given(told)
def test_no_order_of_facts_makes_a_negative_interval(fresh: Fresh, entries: list[facts.Fact]) -> None:
    with written(fresh(), *entries) as connection:
        for table in (tables.identities, tables.placements):
            for row in connection.execute(select(table.c.began, table.c.ended)):
                assert row.ended is None or row.ended >= row.began
        assert len(queries.open_verdicts(connection, "c")) <= 1
        assert all(spent >= 0 for spent in counts.counts(connection, at(0), cluster="c").noncompliant_seconds.values())


def test_the_last_verdict_of_one_moment_holds(place: Place) -> None:
    entries = [world.verdict("A", "violating", 1), world.verdict("A", "compliant", 1)]
    with written(place, *entries) as connection:
        assert queries.open_verdicts(connection, "c") == {("A", "workers"): "compliant"}
