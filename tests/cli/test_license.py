"""`exuvia license`: seats over machines that lived, from a file of facts, without a cluster."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.calling import answer, call

DAY = "2026-01-01"


def instance(uid: str, born: str, died: str | None = None, **more: object) -> dict[str, Any]:
    said = {"type": "instance", "uid": uid, "kind": "Node", "name": uid.lower(), "born": f"{DAY}T{born}Z", **more}
    said.setdefault("recordedAt", said["born"])
    return said if died is None else {**said, "died": f"{DAY}T{died}Z"}


WORKED = (
    instance("A", "00:00:00", "00:15:00"),
    instance("B", "00:05:00"),
    instance("C", "00:10:00"),
    instance("D", "00:12:00"),
)
FIRST_HOUR = ("--from", f"{DAY}T00:00:00Z", "--to", f"{DAY}T01:00:00Z")


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def go(*facts: dict[str, Any] | str) -> Path:
        file = tmp_path / "facts.ndjson"
        text = "".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in facts)
        file.write_text(text, encoding="utf-8")
        return file

    return go


def simulate(file: Path, *options: object, seats: int = 3) -> Any:
    return answer("license", "simulate", "--facts", file, "--seats", seats, *FIRST_HOUR, *options)


def test_the_worked_case_has_exactly_the_keys_of_the_contract(write: Any) -> None:
    assert simulate(write(*WORKED), "--exhaustion", "Queue", "--grace", "0s") == {
        "grants": [
            {"uid": "A", "at": f"{DAY}T00:00:00Z", "waitedSeconds": 0},
            {"uid": "B", "at": f"{DAY}T00:05:00Z", "waitedSeconds": 0},
            {"uid": "C", "at": f"{DAY}T00:10:00Z", "waitedSeconds": 0},
            {"uid": "D", "at": f"{DAY}T00:15:00Z", "waitedSeconds": 180},
        ],
        "denials": 0,
        "unmetSeatSeconds": 180,
        "highWater": {"used": 3, "demanded": 4},
        "seatHours": 2.75,
        "utilisation": 2.75 / 3,
        "reclaimLatencySeconds": {"max": 0},
        "overcommitted": 0,
    }


def test_a_table_says_the_same_to_a_person(write: Any) -> None:
    said = call("license", "simulate", "--facts", write(*WORKED), "--seats", 3, *FIRST_HOUR).stdout
    assert "unmet seat-seconds          180" in said
    assert "D    2026-01-01T00:15:00Z  3m" in said


@pytest.mark.parametrize(
    ("policy", "denials", "overcommitted", "unmet"),
    [("Queue", 0, 0, 180), ("Deny", 1, 0, 48 * 60), ("Overcommit", 0, 1, 0), ("ReclaimOldest", 0, 0, 180)],
)
def test_each_policy(write: Any, policy: str, denials: int, overcommitted: int, unmet: int) -> None:
    found = simulate(write(*WORKED), "--exhaustion", policy)
    assert (found["denials"], found["overcommitted"], found["unmetSeatSeconds"]) == (denials, overcommitted, unmet)


def test_what_does_not_persist_is_reclaimed(write: Any) -> None:
    lives = [instance("a", "00:00:00", persistent=False), instance("b", "00:10:00")]
    found = simulate(write(*lives), "--exhaustion", "ReclaimOldest", seats=1)
    assert [(one["uid"], one["at"][11:16]) for one in found["grants"]] == [("a", "00:00"), ("b", "00:10")]
    assert found["unmetSeatSeconds"] == 50 * 60


def test_grace_and_reclaim_delay_hold_the_seats_of_the_dead(write: Any) -> None:
    found = simulate(write(*WORKED), "--grace", "5m", "--reclaim-delay", "30s")
    assert found["grants"][-1]["waitedSeconds"] == 8 * 60 + 30
    assert found["reclaimLatencySeconds"] == {"max": 330}


def test_fractions_of_a_second_are_kept(write: Any) -> None:
    lives = [instance("a", "00:00:00.25", "00:00:01"), instance("b", "00:00:00.5")]
    found = simulate(write(*lives), seats=1)
    assert found["grants"][-1] == {"uid": "b", "at": f"{DAY}T00:00:01Z", "waitedSeconds": 0.5}


def test_only_instances_count_and_later_versions_correct_earlier_ones(write: Any) -> None:
    facts = [
        instance("A", "00:00:00", recordedAt="2026-01-01T00:00:00Z"),
        instance("A", "00:00:00", "00:30:00", recordedAt="2026-01-01T02:00:00Z"),
        instance("B", "00:00:00", withdrawn=True, recordedAt="2026-01-01T03:00:00Z"),
        instance("B", "00:00:00"),
        {"type": "session", "uid": "C", "user": "alice", "from": f"{DAY}T00:00:00Z"},
    ]
    for order in (facts, facts[::-1]):
        found = simulate(write(*order))
        assert [one["uid"] for one in found["grants"]] == ["A"]
        assert found["seatHours"] == 0.5


def test_of_equally_recorded_versions_the_greater_canonical_json_holds(write: Any) -> None:
    short = instance("A", "00:00:00", "00:15:00")
    long = instance("A", "00:00:00", "00:45:00")
    for order in ((short, long), (long, short)):
        assert simulate(write(*order))["seatHours"] == 0.75


def test_what_cannot_have_been_is_left_out_and_said(write: Any) -> None:
    file = write(*WORKED, instance("E", "00:30:00", "00:20:00"))
    result = call("license", "simulate", "--facts", file, "--seats", 3, *FIRST_HOUR, "-o", "json")
    assert "left out 1 line that cannot be true; the first is line 5: died before it was born" in result.stderr
    assert len(json.loads(result.stdout)["grants"]) == 4


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2: no JSON"),
        ('{"type":"licence"}', "line 2, type: unknown type 'licence'"),
        ('{"type":"instance","uid":"A"}', "line 2, born: this time is missing"),
    ],
)
def test_a_broken_line_refuses_the_file_by_its_number(write: Any, line: str, said: str) -> None:
    result = call("license", "simulate", "--facts", write(WORKED[0], line), "--seats", 3, *FIRST_HOUR, code=2)
    assert said in result.stderr
    assert result.stdout == ""


def test_where_a_ledger_holds_several_clusters_each_can_be_asked_alone(write: Any, tmp_path: Path) -> None:
    ledger, window = tmp_path / "l.db", ("--seats", 1, *FIRST_HOUR)
    ask = ("license", "simulate", "--ledger", ledger, *window)
    call("ledger", "import", write(instance("A", "00:00:00", "01:00:00")), "--cluster", "berlin", "--ledger", ledger)
    alone = answer(*ask)
    assert "cluster" not in alone and "cluster" not in alone["grants"][0]
    call("ledger", "import", write(instance("B", "00:30:00", "01:00:00")), "--cluster", "", "--ledger", ledger)
    both = answer(*ask)
    assert (both["cluster"], both["unmetSeatSeconds"]) == (None, 1800)
    assert [(one["uid"], one["cluster"]) for one in both["grants"]] == [("A", "berlin")]
    for named, uid in (("berlin", "A"), ("", "B")):
        found = answer(*ask, "--cluster", named)
        assert (found["cluster"], found["unmetSeatSeconds"]) == (named, 0)
        assert [(one["uid"], one["cluster"]) for one in found["grants"]] == [(uid, named)]
    assert "CLUSTER  UID  AT" in call(*ask).stdout
    for command in ("history", "forecast"):
        said = answer("license", command, "--ledger", ledger, *FIRST_HOUR, "--cluster", "berlin")
        assert said["cluster"] == "berlin"
    assert "no chain of bonn" in call(*ask, "--cluster", "bonn", code=2).stderr
    facts = write(instance("C", "00:00:00"))
    assert "not both" in call(*ask, "--facts", facts, "--cluster", "berlin", code=2).stderr
    assert answer(*ask, "--facts", facts, env={"EXUVIA_CLUSTER": "berlin"})["grants"][0]["uid"] == "C"


def test_nothing_is_known_of_a_window_to_come(write: Any, tmp_path: Path) -> None:
    """But what a file tells may be of any time."""
    call("ledger", "import", write(*WORKED), "--ledger", tmp_path / "l.db")
    ask = ("license", "history", "--from", f"{DAY}T00:00:00Z", "--to", "2099-01-01T00:00:00Z", "--period", "month")
    said = call(*ask, "--ledger", tmp_path / "l.db", code=2).stderr
    assert "--to 2099-01-01T00:00:00Z is still to come, and the ledger knows nothing of it yet." in said
    assert len(answer(*ask, "--facts", write(*WORKED))["periods"]) == 73 * 12


def test_a_pool_that_no_machine_is_of_is_no_answer(write: Any) -> None:
    ask = ("license", "simulate", "--seats", 1, *FIRST_HOUR, "--facts")
    said = call(*ask, write(instance("A", "00:00:00", pool="blue")), "--pool", "bleu", code=2).stderr
    assert "No machine of the pool 'bleu' is known. There are blue." in said
    assert "leave --pool out" in call(*ask, write(instance("A", "00:00:00")), "--pool", "x", code=2).stderr
    assert answer(*ask, write(""), "--pool", "blue")["grants"] == [], "of nothing nothing is known"


def test_a_growth_of_nothing_has_no_sign(write: Any) -> None:
    lives = [instance("A", "00:00:00", "00:00:10"), instance("B", "00:40:00", "00:40:09")]
    said = call(
        "license", "forecast", "--facts", write(*lives), "--from", f"{DAY}T00:00:00Z", "--to", "2026-02-01T00:00:00Z"
    )
    assert "growth in seats a day     0\n" in said.stdout


def test_days_are_taken_as_spans(write: Any) -> None:
    plain = ("license", "forecast", "--arrivals", 120, "--life", "30m", "--reclaim-delay")
    assert answer(*plain, "3d") == answer(*plain, "72h")


def test_a_file_of_facts_may_be_gzip(write: Any, tmp_path: Path) -> None:
    packed = tmp_path / "facts"
    packed.write_bytes(gzip.compress(Path(write(*WORKED)).read_bytes()))
    plain, same = simulate(write(*WORKED)), simulate(packed)
    assert same == plain and same["grants"]


def test_bad_options_say_which_and_what_to_write(write: Any, tmp_path: Path) -> None:
    file = write(*WORKED)
    plain = ("license", "simulate", "--facts", file, "--seats", 3)
    backwards = call(*plain, "--from", f"{DAY}T01:00:00Z", "--to", f"{DAY}T00:00:00Z", code=2)
    assert "has no length" in backwards.stderr
    assert "--grace: '1w' is no span" in call(*plain, *FIRST_HOUR, "--grace", "1w", code=2).stderr
    missing = call("license", "simulate", "--facts", tmp_path / "none", "--seats", 3, *FIRST_HOUR, code=2)
    assert "cannot be read" in missing.stderr
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    binary = call("license", "simulate", "--facts", tmp_path / "binary", "--seats", 3, *FIRST_HOUR, code=2)
    assert "no UTF-8" in binary.stderr


@pytest.mark.parametrize(("delay", "seats"), [("0s", 60), ("30s", 61), ("72h", 8700)])
def test_why_delay_matters(delay: str, seats: int) -> None:
    found = answer("license", "forecast", "--arrivals", 120, "--life", "30m", "--reclaim-delay", delay)
    assert found["averageSeats"] == seats


def test_a_forecast_from_facts_says_when_seats_run_out(write: Any) -> None:
    hours = [f"{hour:02}" for hour in range(10)]
    lives = [
        instance(f"{hour}-{number}", f"{hour}:00:00", f"{hour}:30:00")
        for hour in hours
        for number in range(int(hour) + 1)
    ]
    window = ("--from", f"{DAY}T00:00:00Z", "--to", f"{DAY}T10:00:00Z")
    found = answer("license", "forecast", "--facts", write(*lives), *window, "--seats", 20)
    assert found["arrivalsPerHour"] == 5.5
    assert found["lifeSeconds"] == 1800
    assert found["averageSeats"] == 2.75
    assert found["peakSeats"] == 10
    assert found["growthSeatsPerDay"] == 12
    assert found["exhaustion"] == {"average": "2026-01-02T15:30:00Z", "peak": "2026-01-01T10:30:00Z"}


def test_a_forecast_wants_facts_or_numbers(write: Any) -> None:
    assert "either --from" in call("license", "forecast", "--arrivals", 3, code=2).stderr
    assert "either --from" in call("license", "forecast", "--facts", write(*WORKED), code=2).stderr


def test_the_ledger_answers_as_the_file_that_it_imported(write: Any, tmp_path: Path) -> None:
    corrected = instance("A", "00:00:00", recordedAt="2025-12-31T00:00:00Z")
    gone = instance("X", "00:00:00", recordedAt="2026-01-01T00:00:00Z")
    withdrawn = {**gone, "withdrawn": True, "recordedAt": "2026-01-01T05:00:00Z"}
    file = write(*WORKED, corrected, gone, withdrawn)
    ledger = tmp_path / "ledger.db"
    call("ledger", "import", file, "--ledger", ledger)
    window = ("--seats", 3, *FIRST_HOUR)
    assert answer("license", "simulate", "--ledger", ledger, *window) == simulate(file)
    env = {"EXUVIA_LEDGER": str(ledger), "EXUVIA_SEATS": "3", "EXUVIA_FROM": FIRST_HOUR[1], "EXUVIA_TO": FIRST_HOUR[3]}
    assert answer("license", "simulate", env=env)["seatHours"] == 2.75
    assert answer("license", "history", "--ledger", ledger, *FIRST_HOUR)["periods"][0]["seatHours"] == 2.8


def test_a_missing_ledger_says_the_next_step(tmp_path: Path) -> None:
    result = call("license", "history", "--ledger", tmp_path / "none.db", "--from", "1h", code=2)
    assert "none.db" in result.stderr


def test_facts_may_come_from_standard_input() -> None:
    text = "".join(json.dumps(one) + "\n" for one in WORKED)
    said = call("license", "simulate", "--facts", "-", "--seats", 3, *FIRST_HOUR, "-o", "json", stdin=text).stdout
    assert json.loads(said)["seatHours"] == 2.75


def test_one_pool_of_machines_alone(write: Any) -> None:
    file = write(instance("a", "00:00:00", pool="desktops"), instance("b", "00:00:00", pool="servers"))
    assert [one["uid"] for one in simulate(file, "--pool", "desktops")["grants"]] == ["a"]


def test_history_by_period_and_the_meters_of_vendors(write: Any) -> None:
    facts = [
        instance("A", "00:00:00", recordedAt="2026-01-01T00:00:00Z"),
        {**instance("B", "00:00:00"), "born": "2026-02-10T00:00:00Z", "died": "2026-02-10T12:00:00Z"},
    ]
    window = ("--from", f"{DAY}T00:00:00Z", "--to", "2026-03-01T00:00:00Z")
    found = answer("license", "history", "--facts", write(*facts), *window, "--period", "month")
    months = [(one["from"], one["highWater"]["used"], one["seatHours"]) for one in found["periods"]]
    assert months == [("2026-01-01T00:00:00Z", 1, 744), ("2026-02-01T00:00:00Z", 2, 672 + 12)]
    assert found["meters"] == {
        "monthlyHighWater": [{"month": "2026-01", "seats": 1}, {"month": "2026-02", "seats": 2}],
        "assessedIn90Days": 2,
    }
    said = call("license", "history", "--facts", write(*facts), *window, "--period", "week", "--seats", 1).stdout
    assert "2026-01-05T00:00:00Z" in said
    assert "machines that held a seat in the last 90 days  1" in said
