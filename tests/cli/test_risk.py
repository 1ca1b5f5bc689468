"""`exuvia risk`: from an imported file to the last digit, the same for ever, and errors in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.calling import answer, call
from tests.docs import pages
from tests.evaluate.risk.telling import Line, canonical, frozen, instance, presence, score
from tests.record.conftest import postgres
from tests.record.postgres.server import WRITER, Postgres

PAGE = pages.DOCS / "risk.md"
BEGAN, ENDED = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
WINDOW = ("--from", BEGAN, "--to", ENDED)

Told = Callable[[str], str]

__all__ = ["postgres"]


@pytest.fixture(params=["sqlite", "postgres"])
def told(request: pytest.FixtureRequest, tmp_path: Path) -> Told:
    """A ledger into which a text of lines was imported, as the command line names it: on a file and on a server."""

    def make(text: str) -> str:
        facts = tmp_path / f"{len(list(tmp_path.iterdir()))}.ndjson"
        facts.write_text(text, encoding="utf-8")
        ledger = str(facts.with_suffix(".db"))
        if request.param == "postgres":
            server: Postgres = request.getfixturevalue("postgres")
            ledger = server.url(server.database(), WRITER)
        call("ledger", "import", facts, "--ledger", ledger)
        return ledger

    return make


def lines(*facts: Line) -> str:
    return "".join(f"{canonical(one)}\n" for one in facts)


def blocks() -> list[str]:
    """The facts of the worked cases: one machine, the threat, the intrinsic change, the fleet."""
    found = [one.text for one in pages.blocks_of(PAGE) if one.language == "json"]
    assert len(found) == 4
    return found


def table(place: int) -> list[dict[str, str]]:
    """The rows of a table among the worked cases, by their headings."""
    tables = [one for one in pages.section(PAGE, "Worked cases").split("\n\n") if one.startswith("|")]
    head, _, *rows = tables[place].splitlines()
    return [dict(zip(_cells(head), _cells(row), strict=True)) for row in rows]


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def figure(report: dict[str, Any], name: str) -> float:
    first, _, second = name.partition(" ")
    for part in ("exposure", "naive"):
        if name in report[part]:
            return float(report[part][name])
    return round(float(report[first][second] if second else report[name]), 6)


@pytest.mark.parametrize("basis", ["threat", "intrinsic"])
def test_the_first_worked_case_of_the_page(told: Told, basis: str) -> None:
    one, threat, intrinsic, _ = blocks()
    ledger = told(one + {"threat": threat, "intrinsic": intrinsic}[basis])
    (command,) = [words for _, words in pages.mentions(PAGE, "exuvia") if words[:2] == ["risk", "report"]]
    report = json.loads(call(*command, "--ledger", ledger).stdout)
    (expected,) = [row for row in table(0) if row["basis of the change"] == basis]
    for name in ("then", "now", "rescore", "undead", "liveOnly"):
        assert figure(report, name) == float(expected[name]), name


def test_the_fleet_of_the_page(told: Told) -> None:
    ledger = told(blocks()[3])
    assert len(table(1)) == 2
    for expected in table(1):
        as_of = expected.pop("as of")
        report = answer("risk", "report", *WINDOW, "--as-of", as_of, "--ledger", ledger)
        assert report["asOf"] == report["window"]["to"] == as_of
        for name, value in expected.items():
            assert figure(report, name) == float(value), (as_of, name)


FLEET = (
    instance("A", 0, name="worker-1"), presence("A", 0, 10, closed="patched"), presence("A", 0, of="CVE-2"),
    instance("B", 2, 3, name="worker-2"), presence("B", 2, 3),
    instance("C", 5, 9, name="worker-2", reason="exuvia"), presence("C", 5, learnt=6), frozen("C", 8, 9),
    score(4.0, -1, basis="threat"), score(9.0, 6, learnt=6.5, source="nvd"), score(0.3, 0, source="epss"),
)  # fmt: skip


def test_an_old_as_of_makes_the_old_report_byte_for_byte(told: Told, tmp_path: Path) -> None:
    """The ledger learnt more since, also about the same things."""
    before, later = (
        FLEET,
        (
            presence("A", 0, 3, learnt=20, closed="retracted"),
            score(1.0, -1, learnt=20),
            instance("B", 0, 24, learnt=20),
        ),
    )
    old, new = told(lines(*before)), told(lines(*before, *later))
    for form in ("json", "table", "html"):
        asked = ("risk", "report", *WINDOW, "--as-of", "2026-01-01T19:00:00Z", "-o", form)
        assert (
            call(*asked, "--ledger", old).stdout
            == call(*asked, "--ledger", new).stdout
            == call(*asked, "--ledger", new).stdout
        )
    now = ("risk", "report", *WINDOW, "--as-of", ENDED, "-o", "json")
    assert call(*now, "--ledger", old).stdout != call(*now, "--ledger", new).stdout


def test_the_quarantine_factor_counts_frozen_hours(told: Told) -> None:
    ledger = told(lines(*FLEET))
    asked = ("risk", "report", *WINDOW, "--as-of", ENDED, "--ledger", ledger)
    frozen_out, counted = answer(*asked), answer(*asked, "--quarantine-factor", "0.5")
    assert counted["exposure"]["now"] - frozen_out["exposure"]["now"] == 4.5
    assert counted["vulnerableHours"] == frozen_out["vulnerableHours"]


def test_every_form_names_the_quarantine_factor(told: Told) -> None:
    asked = ("risk", "report", *WINDOW, "--as-of", ENDED, "--ledger", told(lines(*FLEET)))
    assert answer(*asked)["quarantineFactor"] == 0
    assert answer(*asked, "--quarantine-factor", "0.25")["quarantineFactor"] == 0.25
    for form in ("table", "html"):
        assert "0.25" in call(*asked, "--quarantine-factor", "0.25", "-o", form).stdout
        assert "quarantine factor" in call(*asked, "-o", form).stdout


def test_a_mean_over_a_curve_is_rounded_only_in_the_end(told: Told) -> None:
    """Where each step of the curve was rounded it was 0.000000000000001 less."""
    closed, open_ = (5, 5), (5, 9, 6)
    machines = [instance(f"C{n}", 0, 24) for n in range(len(closed))] + [
        instance(f"O{n}", 0, 24) for n in range(len(open_))
    ]
    there = [presence(f"C{n}", 0, hours, closed="patched") for n, hours in enumerate(closed)]
    there += [presence(f"O{n}", 24 - hours) for n, hours in enumerate(open_)]
    ledger = told(lines(*machines, *there))
    assert answer("risk", "report", *WINDOW, "--as-of", ENDED, "--ledger", ledger)["restrictedMeanHours"] == 7.4


@pytest.mark.parametrize(
    "words", [("report", *WINDOW), ("at", "--time", BEGAN), ("explain", "A")], ids=["report", "at", "explain"]
)
def test_what_is_not_yet_recorded_cannot_be_asked_for(told: Told, words: tuple[str, ...]) -> None:
    stderr = call("risk", *words, "--as-of", "2999-01-01T00:00:00Z", "--ledger", told(lines(*FLEET)), code=2).stderr
    assert "--as-of 2999-01-01T00:00:00Z is still to come" in stderr and stderr.count("\n") == 1


def test_one_cluster_of_several(told: Told, tmp_path: Path) -> None:
    """Each alone is what it is in a ledger of its own; together they add up. What is not asked for is not said."""
    here, there = lines(*FLEET), lines(instance("X", 0, 5, name="worker-1"), presence("X", 1))
    both, other = told(here), told(there + lines(*FLEET[-3:]))
    asked = ("risk", "report", *WINDOW, "--as-of", ENDED, "--ledger")
    alone, beside = answer(*asked, both), answer(*asked, other)
    assert "cluster" not in alone
    (facts := tmp_path / "there.ndjson").write_text(there, encoding="utf-8")
    call("ledger", "import", facts, "--ledger", both, "--cluster", "berlin")

    assert answer(*asked, both, "--cluster", "") == {"cluster": "", **alone}
    assert answer(*asked, both, "--cluster", "berlin") == {"cluster": "berlin", **beside}
    every = answer(*asked, both)
    assert every["cluster"] is None
    for name in ("instanceHours", "vulnerableHours", "unscoredHours"):
        assert every[name] == alone[name] + beside[name]
    for form in ("table", "html"):
        assert "all clusters" in call(*asked, both, "-o", form).stdout
        assert "cluster berlin" in call(*asked, both, "-o", form, "--cluster", "berlin").stdout
    assert "no chain of paris" in call(*asked, both, "--cluster", "paris", code=2).stderr


def test_one_moment_and_one_machine_of_a_cluster(told: Told, tmp_path: Path) -> None:
    ledger = told(lines(*FLEET))
    (facts := tmp_path / "there.ndjson").write_text(lines(instance("X", 0, 5, name="worker-1"), presence("X", 1)))
    call("ledger", "import", facts, "--ledger", ledger, "--cluster", "berlin")
    moment = ("risk", "at", "--time", "2026-01-01T02:00:00Z", "--agg", "sum", "--as-of", ENDED, "--ledger", ledger)
    said = [answer(*moment, *words)["risk"] for words in ((), ("--cluster", ""), ("--cluster", "berlin"))]
    assert said == [12, 8, 4]
    assert "all clusters: 12" in call(*moment).stdout

    one = ("risk", "explain", "worker-1", "--as-of", ENDED, "--ledger", ledger)
    assert "Several machines bore the name worker-1: A, X." in call(*one, code=2).stderr
    assert answer(*one, "--cluster", "berlin")["instance"] == "X"
    assert (
        "No machine A is known in cluster berlin"
        in call("risk", "explain", "A", "--as-of", ENDED, "--ledger", ledger, "--cluster", "berlin", code=2).stderr
    )


def test_a_cluster_that_came_later_changes_no_old_report(told: Told, tmp_path: Path) -> None:
    ledger = told(lines(*FLEET))
    asked = ("risk", "report", *WINDOW, "--as-of", ENDED, "--ledger", ledger)
    before = [call(*asked, "-o", form).stdout for form in ("json", "table", "html")]
    (facts := tmp_path / "there.ndjson").write_text(lines(instance("X", 0, learnt=25)))
    call("ledger", "import", facts, "--ledger", ledger, "--cluster", "berlin")
    assert [call(*asked, "-o", form).stdout for form in ("json", "table", "html")] == before


def test_one_moment(told: Told) -> None:
    ledger = told(lines(*FLEET))
    asked = ("risk", "at", "--time", "2026-01-01T07:00:00Z", "--ledger", ledger)
    assert answer(*asked, "--as-of", ENDED) == {
        "time": "2026-01-01T07:00:00Z", "asOf": ENDED, "agg": "max", "risk": 9.0
    }  # fmt: skip
    assert answer(*asked, "--as-of", ENDED, "--agg", "sum")["risk"] == 18.0
    assert answer(*asked, "--as-of", "2026-01-01T06:00:00Z")["risk"] == 0, "after K nothing is known"
    assert "risk (sum) at 2026-01-01T07:00:00Z" in call(*asked, "--as-of", ENDED, "--agg", "sum").stdout


def test_explain_one_machine_by_uid_or_name(told: Told) -> None:
    ledger = told(lines(*FLEET))
    asked = ("risk", "explain", "worker-1", "--as-of", ENDED, "--ledger", ledger)
    found = answer(*asked)
    assert found["instance"] == "A" and found["window"] == {"from": BEGAN, "to": ENDED}
    assert found == answer("risk", "explain", "A", "--as-of", ENDED, "--ledger", ledger)
    first, second, unscored = found["pieces"]["now"]
    assert (first["score"], first["source"], first["scoreHours"], first["basisUnknown"]) == (4, "cvss", 24, False)
    assert (second["score"], second["source"], second["scoreHours"], second["basisUnknown"]) == (9, "nvd", 36, True)
    assert (unscored["vulnerability"], unscored["score"], unscored["hours"]) == ("CVE-2", None, 24)
    assert found["exposure"]["now"] == 60 and found["exposure"]["then"] == 6.5 * 4 + 3.5 * 9
    shown = call(*asked).stdout
    assert shown.startswith(f"worker-1 (A), {BEGAN} to {ENDED}, as known on {ENDED}\n")
    assert "NOW: 60 score-hours" in shown and "THEN: 57.5 score-hours" in shown and "threat (not named)" in shown
    assert "unknown" in shown, "a score that nobody knows is said, not left out"


def test_explain_says_when_nothing_was_there(told: Told) -> None:
    ledger = told(lines(instance("A", 0, 1)))
    shown = call("risk", "explain", "A", "--ledger", ledger).stdout
    assert shown.startswith("A, ") and "nothing is known to have been on it then" in shown


def test_explain_shows_first_what_adds_most_and_then_only_where_it_differs(told: Told) -> None:
    ledger = told(lines(instance("A", 0, 4), presence("A", 0), presence("A", 0, of="CVE-0"), score(9.0, -1)))
    shown = call("risk", "explain", "A", "--ledger", ledger).stdout
    assert shown.startswith("A, 2026-01-01T00:00:00Z to 2026-01-01T04:00:00Z, "), "its life, not more"
    assert shown.index("CVE-1") < shown.index("CVE-0")
    assert "THEN: the same" in shown and shown.count("CVE-1") == 1


def test_the_table_and_the_page(told: Told) -> None:
    ledger = told(lines(*FLEET))
    asked = ("risk", "report", *WINDOW, "--as-of", ENDED, "--ledger", ledger)
    shown = call(*asked).stdout
    for said in ("exposure now", "hindsight gap", "live-only", "Critical", "patched"):
        assert said in shown, said
    assert yaml.safe_load(call(*asked, "-o", "yaml").stdout) == answer(*asked)
    html = call(*asked, "-o", "html").stdout
    assert html.startswith("<!DOCTYPE html>") and html.endswith("</html>\n") and html.count("<svg") == 2


def test_a_ledger_without_machines_is_a_report_of_nothing(told: Told) -> None:
    found = answer("risk", "report", *WINDOW, "--ledger", told(lines(score(5, 0))))
    assert found["instanceHours"] == 0 and found["normalised"] == {"now": None, "then": None}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("report", "--from", "yesterday"), "Write a time like"),
        (("report", "--from", ENDED, "--to", BEGAN), "The window ends (2026-01-01T00:00:00Z) before it begins"),
        (("report", *WINDOW, "--quarantine-factor", "2"), "Write a number from 0 to 1"),
        (("report", *WINDOW, "--quarantine-factor", "1e-9999999"), "Write a number from 0 to 1"),
        (("report", *WINDOW, "--as-of", "?"), "Write a time like"),
        (("at", "--time", "soon"), "Write a time like"),
        (("explain", "nobody"), "No machine nobody is known as of"),
        (("explain", "worker-2"), "Several machines bore the name worker-2: B, C."),
    ],
)
def test_errors_are_one_sentence_with_the_remedy(told: Told, words: tuple[str, ...], said: str) -> None:
    stderr = call("risk", *words, "--ledger", told(lines(*FLEET)), code=2).stderr
    assert said in stderr and stderr.count("\n") == 1


def test_what_is_no_ledger_is_named(tmp_path: Path) -> None:
    assert "There is no ledger" in call("risk", "report", *WINDOW, "--ledger", tmp_path / "none.db", code=2).stderr
