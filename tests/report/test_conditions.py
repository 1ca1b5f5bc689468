"""Conditions keep their transition time while their status stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from exuvia.report.conditions import Said, merged, stamp

NOW = datetime(2026, 11, 25, 12, 0, 0, 999, tzinfo=UTC)


def one(status: bool | None, type_: str = "Ready", message: str = "") -> Said:
    return Said(type=type_, status=status, reason="Because", message=message)


def test_a_new_condition_has_all_its_fields() -> None:
    assert merged((), [one(True, message="well")], generation=3, now=NOW) == [
        {
            "type": "Ready",
            "status": "True",
            "reason": "Because",
            "message": "well",
            "observedGeneration": 3,
            "lastTransitionTime": "2026-11-25T12:00:00Z",
        }
    ]


def test_the_transition_time_changes_with_the_status_only() -> None:
    first = merged((), [one(True)], generation=1, now=NOW)
    later = NOW + timedelta(hours=1)
    (kept,) = merged(first, [one(True, message="still")], generation=2, now=later)
    assert (kept["lastTransitionTime"], kept["message"]) == (stamp(NOW), "still")
    assert kept["observedGeneration"] == 2
    for status, word in ((False, "False"), (None, "Unknown")):
        (changed,) = merged(first, [one(status)], generation=2, now=later)
        assert (changed["status"], changed["lastTransitionTime"]) == (word, stamp(later))


def test_a_time_that_is_missing_is_set() -> None:
    (found,) = merged([{"type": "Ready", "status": "True"}], [one(True)], generation=1, now=NOW)
    assert found["lastTransitionTime"] == stamp(NOW)


def test_others_stay_and_the_list_is_sorted() -> None:
    theirs = {"type": "Zebra", "status": "True", "extra": 1}
    found = merged([theirs], [one(True, "Ready"), one(False, "Blocked")], generation=1, now=NOW)
    assert [entry["type"] for entry in found] == ["Blocked", "Ready", "Zebra"]
    assert found[2] == theirs


@given(st.lists(st.tuples(st.sampled_from("AB"), st.sampled_from([True, False, None])), max_size=12))
def test_a_transition_time_is_when_the_status_last_changed(changes: list[tuple[str, bool | None]]) -> None:
    held: list[dict[str, Any]] = []
    since: dict[str, tuple[bool | None, str]] = {}
    for hour, (type_, status) in enumerate(changes):
        now = NOW + timedelta(hours=hour)
        held = merged(held, [one(status, type_)], generation=1, now=now)
        if since.get(type_, ("never", ""))[0] != status:
            since[type_] = (status, stamp(now))
    assert {entry["type"]: entry["lastTransitionTime"] for entry in held} == {
        type_: at for type_, (_, at) in since.items()
    }


def test_moments_are_told_in_utc() -> None:
    assert stamp(datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))) == "2026-01-01T00:00:00Z"
