"""`exuvia ledger who`: what was known of a machine comes with it, as of the moment and by what was recorded until K."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from exuvia.model.facts import microseconds
from exuvia.record import appending, importing, lines
from tests.cli.calling import answer, call
from tests.record import world
from tests.record.world import at

BORN = world.birth("A", 0, name="a", bootID="b1", providerID="aws:///i-1", addresses=["10.0.0.7"])
TOLD = (
    (0, BORN),
    (5, world.verdict("A", "violating", 5)),
    (6, world.operation("R1", "started", 6)),
    (9, world.operation("R1", "ended", 9)),
    (20, world.verdict("A", "", 20, severity="")),
)


def _time(minutes: float) -> str:
    return at(minutes).isoformat().replace("+00:00", "Z")


def _line(kind: str, learnt: float, **said: Any) -> str:
    return json.dumps({"type": kind, "recordedAt": _time(learnt), **said})


LINES = (
    _line("presence", 2, uid="A", vulnerability="CVE-1", **{"from": _time(-5)}, to=None),
    _line("presence", 30, uid="A", vulnerability="CVE-1", **{"from": _time(-5)}, closed="retracted"),
    _line("presence", 3, uid="A", vulnerability="CVE-2", **{"from": _time(1)}, to=_time(15), closed="patched"),
    _line("score", 3, vulnerability="CVE-2", source="nvd", value="7.50", validFrom=_time(0)),
    _line("score", 40, vulnerability="CVE-2", source="nvd", value="9.8", validFrom=_time(0)),
    _line("frozen", 12, uid="A", **{"from": _time(12)}, to=_time(14)),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    with world.written(path) as connection:
        writer, head = appending.Writer(cluster="c", epoch=1), appending.Head()
        for minute, fact in TOLD:
            head = appending.add(connection, head, fact, writer, recorded=microseconds(at(minute))) or head
    importing.load(path, lines.read(LINES, recorded=0), cluster="c")
    return path


def known(file: Path, minute: float, as_of: float) -> dict[str, Any]:
    asked = ("--name", "a", "--at", _time(minute), "--as-of", _time(as_of))
    (found,) = answer("ledger", "who", "--ledger", file, *asked)["instances"]
    return {key: found[key] for key in ("identity", "operation", "verdicts", "vulnerabilities")}


def test_all_that_was_known_then_is_told(file: Path) -> None:
    assert known(file, 7, as_of=8) == {
        "identity": {"providerID": "aws:///i-1", "machineID": None, "bootID": "b1", "addresses": ["10.0.0.7"]},
        "operation": {
            "kind": "Rotation", "name": "worker-R1", "uid": "R1", "policy": "workers", "from": _time(6),
            "frozenSince": None,
        },
        "verdicts": [{"policy": "workers", "result": "violating", "severity": "High", "since": _time(5)}],
        "vulnerabilities": [
            {"vulnerability": "CVE-2", "from": _time(1), "score": 7.5, "source": "nvd"},
            {"vulnerability": "CVE-1", "from": _time(0), "score": None, "source": None},
        ],
    }  # fmt: skip


def test_what_was_learnt_later_counts_from_then_on(file: Path) -> None:
    now = known(file, 7, as_of=50)
    assert [(one["vulnerability"], one["score"]) for one in now["vulnerabilities"]] == [("CVE-2", 9.8)]
    assert known(file, 1, as_of=1)["vulnerabilities"] == []
    after = known(file, 16, as_of=50)
    assert (after["operation"], after["vulnerabilities"]) == (None, [])
    assert known(file, 21, as_of=50)["verdicts"] == [], "no policy judged it any more"


def test_a_freeze_without_its_operation_is_told_too(file: Path) -> None:
    unnamed = {"kind": "Quarantine", "name": None, "uid": None, "policy": None}
    assert known(file, 13, as_of=50)["operation"] == {**unnamed, "from": _time(12), "frozenSince": _time(12)}
    assert known(file, 14, as_of=50)["operation"] is None


def test_tables_show_what_there_is(file: Path) -> None:
    asked = ("ledger", "who", "--ledger", file, "--name", "a", "--at")
    said = call(*asked, _time(7), "--as-of", _time(8)).stdout
    for line in (
        "a   providerID  aws:///i-1",
        "a   Rotation   worker-R1  workers  2026-01-01T00:06:00Z  -",
        "a   workers  violating  High      2026-01-01T00:05:00Z",
        "a   CVE-2          7.50   nvd     2026-01-01T00:01:00Z",
        "a   CVE-1          -      -       2026-01-01T00:00:00Z",
    ):
        assert line in said
    quiet = call(*asked, _time(21)).stdout
    assert "IDENTITY" in quiet and not any(word in quiet for word in ("OPERATION", "VERDICT", "VULNERABILITY"))
