"""Lives alone are those of the whole past: the same versions hold, as of every moment."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.model.facts import microseconds
from exuvia.record import importing, lines, lived
from exuvia.record.reading import reading
from tests.record.conftest import Fresh
from tests.record.world import at

moments = st.integers(0, 5)
told = st.builds(
    lambda uid, born, died, recorded, more: {"uid": uid, "born": born, "died": died, "recorded": recorded, **more},
    uid=st.sampled_from("AB"),
    born=moments,
    died=st.none() | st.integers(5, 9),
    recorded=moments,
    more=st.sampled_from([{}, {"withdrawn": True}, {"pool": "p", "persistent": False}, {"reason": "spot"}]),
)


def written(minutes: int) -> str:
    return at(minutes).isoformat()


def line(one: dict[str, Any]) -> lines.Line:
    said = {"type": "instance", **{key: one[key] for key in one if key not in ("born", "died", "recorded")}}
    died = None if one["died"] is None else written(one["died"])
    said |= {"born": written(one["born"]), "died": died, "recordedAt": written(one["recorded"])}
    return lines.of(said, recorded=0)


@settings(max_examples=25, deadline=None)
@given(found=st.lists(told, max_size=6), until=moments)
def test_what_holds_of_each_machine_as_of_a_moment(fresh: Fresh, found: list[dict[str, Any]], until: int) -> None:
    place, parsed = fresh(), [line(one) for one in found]
    if parsed:
        importing.load(place, parsed, cluster="berlin")
    importing.load(place, [line({"uid": "C", "born": 0, "died": None, "recorded": 0})], cluster="")
    known = [one.version for one in parsed if one.version.recorded <= microseconds(at(until))]
    with reading(place) as connection:
        lives = dict[str, Any]((life.uid, (of, life)) for of, life in lived.lives(connection, microseconds(at(until))))
        mine = [life.uid for _, life in lived.lives(connection, microseconds(at(until)), cluster="berlin")]
    assert lives.pop("C")[0] == ""
    assert sorted(lives) == mine == sorted(lives, key=str)
    for uid in "AB":
        versions = [one for one in known if one.uid == uid]
        last = [one for one in versions if one.recorded == max(each.recorded for each in versions)]
        if uid in lives:
            of, life = lives[uid]
            assert of == "berlin" and not life.withdrawn and life in last
        else:
            assert not last or any(one.withdrawn for one in last)


def test_the_name_of_a_machine_is_the_one_that_was_told_last_and_some_have_none(fresh: Fresh) -> None:
    place, more = fresh(), [f"m-{one}" for one in range(1200)]
    some = [{"uid": "A", "name": "old"}, {"uid": "A", "name": "new", "recorded": 1, "died": 1}, {"uid": "B"}]
    some += [{"uid": one, "name": one} for one in more]
    importing.load(place, [line({"born": 0, "died": None, "recorded": 0, **one}) for one in some], cluster="berlin")
    with reading(place) as connection:
        assert lived.names(connection, ["A", "B", "nobody", "A"]) == {"A": "new"}
        assert lived.names(connection, more) == dict(zip(more, more, strict=True))
        assert lived.names(connection, []) == {}
