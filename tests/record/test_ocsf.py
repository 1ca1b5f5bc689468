"""Every entry is an event that OCSF 1.6.0 allows: what its classes require is written down here from its schema
(https://schema.ocsf.io/1.6.0/), not taken from the code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from exuvia.model import facts
from exuvia.model.facts import DeathReason, FactKind
from exuvia.record import exporting, importing, personal
from exuvia.record.reading import reading
from tests.record import world
from tests.record.test_importing import parsed, rfc, said
from tests.record.world import at

BASE = {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"}
REQUIRED: dict[int, set[str]] = {
    0: BASE,
    2002: BASE | {"finding_info", "vulnerabilities"},
    2003: BASE | {"finding_info", "compliance"},
    3002: BASE | {"user"},
    3004: BASE | {"entity"},
    5001: BASE | {"device"},
    7001: BASE | {"command_uid"},
}
ACTIVITIES: dict[int, set[int]] = {
    0: {0, 99},
    2002: {0, 1, 2, 3, 99},
    2003: {0, 1, 2, 3, 99},
    3002: {*range(8), 99},
    3004: {*range(14), 99},
    5001: {0, 1, 2, 99},
    7001: {*range(6), 99},
}


def _check(event: dict[str, Any]) -> None:
    class_uid = event["class_uid"]
    assert set(event) >= REQUIRED[class_uid], class_uid
    assert event["activity_id"] in ACTIVITIES[class_uid]
    assert event["category_uid"] == class_uid // 1000
    assert event["type_uid"] == class_uid * 100 + event["activity_id"]
    assert event["severity_id"] in {0, 1, 2, 3, 4, 5, 6, 99}
    assert event["metadata"]["version"] == "1.6.0" and event["metadata"]["product"]["name"]
    assert type(event["time"]) is int and type(event["metadata"]["logged_time"]) is int
    if class_uid in (2002, 2003):
        assert event["finding_info"]["uid"]
    for one in event.get("vulnerabilities", ()):
        assert len({"cve", "advisory", "cwe"} & set(one)) == 1, "just one of them"
        assert (one.get("cve") or one["advisory"])["uid"]
    if class_uid == 3002:
        assert {"service", "dst_endpoint"} & set(event), "at least one of them"
        assert event["user"]["name"]
    for device in (event.get("device"), event.get("entity", {}).get("device")):
        assert device is None or (device["uid"] and device["type_id"] in {*range(16), 99})


@pytest.fixture
def events(tmp_path: Path) -> list[dict[str, Any]]:
    path = tmp_path / "l.db"
    history = (
        world.birth("A", 0, providerID="x://1", addresses=["10.0.0.1"]),
        facts.identity(uid="A", attribute="name", value="b", former="a", at=at(1)),
        world.verdict("A", "violating", 2),
        world.verdict("A", "compliant", 3),
        world.placement("P", "A", "from", 3),
        world.operation("R1", "started", 4),
        world.operation("Q1", "started", 4, kind="Quarantine"),
        world.intent(minutes=5),
        world.outcome(8, minutes=6),
        facts.brake(name="storm", engaged=True, reason="too many", at=at(6)),
        world.death("A", 7, reason=DeathReason.EXUVIA),
    )
    with world.written(path, *history):
        pass
    told = parsed(
        said("instance", uid="B", born=rfc(0), died=None, recordedAt=rfc(9), name="b", pool="p"),
        said("presence", uid="B", vulnerability="CVE-2026-1", from_=rfc(0), to=None),
        said("presence", uid="B", vulnerability="GHSA-1", from_=rfc(0), to=rfc(1), closed="patched"),
        said("score", vulnerability="CVE-2026-1", source="cvss", value="9.8", validFrom=rfc(0)),
        said("frozen", uid="B", from_=rfc(0), to=None),
        said("session", uid="B", user="alice", from_=rfc(0), to=rfc(2)),
    )
    importing.load(path, told, cluster="c")
    with reading(path) as connection:
        return [
            json.loads(line)
            for line in exporting.events(connection, "c", named=lambda name: f"<{personal.revealed(connection, name)}>")
        ]


def test_every_event_has_what_its_class_requires(events: list[dict[str, Any]]) -> None:
    assert [one["metadata"]["sequence"] for one in events] == list(range(1, 18))
    for event in events:
        _check(event)


def test_a_class_is_chosen_only_where_it_fits(events: list[dict[str, Any]]) -> None:
    classes = {one["unmapped"]["type"]: (one["class_uid"], one["activity_id"]) for one in events}
    assert classes == {
        "birth": (3004, 1),
        "identity": (3004, 3),
        "death": (3004, 4),
        "verdict": (2003, 3),
        "operation": (7001, 1),
        "instance": (5001, 2),
        "presence": (2002, 3),
        "session": (3002, 1),
        **dict.fromkeys(("placement", "intent", "outcome", "brake", "score", "frozen"), (0, 99)),
    }
    assert set(classes) < set(FactKind)


def test_both_clocks_are_told(events: list[dict[str, Any]]) -> None:
    life = next(one for one in events if one["unmapped"]["type"] == "instance")
    moments = (life["time"], life["metadata"]["logged_time"])
    assert moments == tuple(int(at(minutes).timestamp() * 1000) for minutes in (0, 9))


def test_a_name_stands_only_where_a_user_stands(events: list[dict[str, Any]]) -> None:
    (session,) = [one for one in events if one["unmapped"]["type"] == "session"]
    assert session["user"] == {"name": "<alice>"} and session["duration"] == 120_000
    assert "alice" not in json.dumps(session["unmapped"])
