"""`exuvia feed import`: files of feeds into a ledger, whole or not at all."""

from __future__ import annotations

import json
import math
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from exuvia.cli import feeding, progress
from exuvia.record import importing, lines, reading, sayings
from tests.cli.calling import answer, call
from tests.docs import pages
from tests.observe.feeds.files import analysed, cyclonedx, entry, epss, kev, openvex, says, zipped

CVE = "CVE-2026-0001"
ALL = ["new", "changed", "withdrawn", "unchanged", "skipped"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a ledger that knows one machine with one vulnerability."""
    said = (
        {"type": "instance", "uid": "A", "born": "2026-11-01T00:00:00Z"},
        {"type": "presence", "uid": "A", "vulnerability": CVE, "from": "2026-11-01T00:00:00Z"},
    )
    learnt = {"recordedAt": "2026-11-01T00:00:00Z"}
    importing.load(tmp_path / "ledger.db", [lines.of({**body, **learnt}, recorded=0) for body in said])
    return tmp_path


def bring(folder: Path, kind: str, text: str | bytes, *options: str, code: int = 0) -> Any:
    """Import a text as a file of the folder, and what was answered."""
    file = folder / f"{kind}.txt"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return answer("feed", "import", kind, file, "--ledger", folder / "ledger.db", *options, code=code)


def counts(found: dict[str, Any]) -> list[int]:
    return [found[one] for one in ALL]


def stands(folder: Path) -> dict[tuple[str, str], list[str]]:
    """(source, vulnerability) -> the values that hold, by the moment they are valid from."""
    found: dict[tuple[str, str], list[str]] = {}
    with reading.reading(folder / "ledger.db") as connection:
        for one in sayings.sayings(connection):
            if not one.score.withdrawn:
                found.setdefault((one.score.source, one.score.vulnerability), []).append(one.score.value)
    return found


def entries(folder: Path) -> list[dict[str, Any]]:
    """The bodies of all score entries."""
    said = [json.loads(line) for line in call("ledger", "export", "--ledger", folder / "ledger.db").stdout.splitlines()]
    return [one["entry"]["body"] for one in said if one["entry"]["type"] == "score"]


def test_epss_keeps_what_was_seen_on_a_machine(folder: Path) -> None:
    found = bring(folder, "epss", zipped(epss()))
    assert counts(found) == [1, 0, 0, 0, 2]
    assert (found["feed"], found["version"]) == ("epss", "v2025.03.14/2026-11-24T12:55:00Z")
    assert stands(folder) == {("epss", CVE): ["0.10000"]}
    assert counts(bring(folder, "epss", epss())) == [0, 0, 0, 1, 2]
    assert counts(bring(folder, "epss", epss(), "--all")) == [2, 0, 0, 1, 0]
    again = bring(folder, "epss", epss(day="2026-11-25") + "CVE-2026-0004,0.5,0.5\n")
    assert counts(again) == [0, 0, 0, 3, 1], "what has a score already is followed up"


def test_the_ledger_keeps_all_that_a_line_says_and_its_chain_verifies(folder: Path) -> None:
    bring(folder, "epss", epss(), "--recorded-at", "2026-11-24T15:00:00Z")
    bring(folder, "epss", epss({CVE: "0.7"}, "2026-11-25"), "--recorded-at", "2026-11-25T00:00:00+01:00")
    last = entries(folder)[-1]
    assert last == {
        "vulnerability": CVE,
        "source": "epss",
        "value": "0.7",
        "basis": "threat",
        "validFrom": "2026-11-25T12:55:00Z",
        "recordedAt": "2026-11-24T23:00:00Z",
        "feed": "epss",
        "feedVersion": "v2025.03.14/2026-11-25T12:55:00Z",
        "feedReleased": "2026-11-25T12:55:00Z",
        "change": "changed",
        "was": "0.10000",
        "percentile": "0.5",
    }
    assert answer("ledger", "verify", "--ledger", folder / "ledger.db")["sound"] is True


def test_a_dry_run_adds_nothing(folder: Path) -> None:
    found = bring(folder, "kev", kev(entry(CVE)), "--dry-run")
    assert (counts(found), found["dryRun"], stands(folder)) == ([1, 0, 0, 0, 0], True, {})
    said = call("feed", "import", "kev", folder / "kev.txt", "--ledger", folder / "ledger.db", "--dry-run")
    assert "nothing was added" in said.stderr


def test_a_ledger_is_made_only_when_there_is_something_to_put_into_it(tmp_path: Path) -> None:
    file = tmp_path / "epss.csv"
    file.write_text(epss())
    said = call("feed", "import", "epss", file, "--ledger", tmp_path / "new.db")
    assert "--all adds it all the same" in said.stderr
    assert not (tmp_path / "new.db").exists()
    assert counts(answer("feed", "import", "epss", file, "--ledger", tmp_path / "new.db", "--all")) == [3, 0, 0, 0, 0]


def test_vex_silences_and_speaks_again(folder: Path) -> None:
    assert counts(bring(folder, "openvex", openvex(says(CVE)))) == [1, 0, 0, 0, 0]
    assert stands(folder) == {("vex", CVE): ["0"]}
    assert counts(bring(folder, "cyclonedx", cyclonedx(analysed(CVE, "exploitable")))) == [0, 0, 1, 0, 0]
    assert stands(folder) == {}


def test_vex_about_products_has_to_be_asked_for(folder: Path) -> None:
    text = openvex(says(CVE, "not_affected", "pkg:oci/cart"))
    (folder / "vex.json").write_text(text)
    asked = ("feed", "import", "openvex", folder / "vex.json", "--ledger", folder / "ledger.db")
    refused = call(*asked, code=2).stderr
    assert refused.count("\n") == 1
    assert f"{folder}/vex.json, line 8: statements[0]: {CVE} is not_affected for pkg:oci/cart only" in refused
    assert stands(folder) == {}
    found = answer(*asked, "--product-scope", "all", "--valid-from", "2026-01-01T00:00:00Z")
    assert counts(found) == [1, 0, 0, 0, 0]
    assert entries(folder)[-1]["validFrom"] == "2026-01-01T00:00:00Z"


def test_a_list_of_scores_is_known_by_its_name(folder: Path) -> None:
    head = "vulnerability,score,published\n"
    assert counts(bring(folder, "cvss", head + f"{CVE},9.8,2026-01-15\nB,5,2026-01-15\n")) == [2, 0, 0, 0, 0]
    assert counts(bring(folder, "cvss", head + "B,5.1,2026-01-15\n", "--document", "other")) == [0, 1, 0, 0, 0]
    assert counts(bring(folder, "cvss", head + "C,1,2026-01-15\n")) == [1, 0, 1, 0, 0]
    assert stands(folder) == {("cvss", "B"): ["5.1"], ("cvss", "C"): ["1"]}


def test_only_known_works_for_every_feed(folder: Path) -> None:
    found = bring(folder, "kev", kev(entry(CVE), entry("CVE-2026-0002")), "--only-known")
    assert counts(found) == [1, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("kind", "text", "says_"),
    [
        ("epss", "<html>Access denied</html>", "epss.txt, line 1: an EPSS file begins with its model and day"),
        ("epss", epss() + "CVE-2026-0009,0.1\n", "epss.txt, line 6: 2 fields instead of 3, the file was cut"),
        ("epss", zipped(epss())[:-9], "the gzip ends in the middle, the file was cut. Fetch it again."),
        ("kev", kev(entry(CVE), count=1442), "kev.txt, line 5: count: 1442 entries should be there, and 1 are"),
        ("kev", kev(entry(CVE))[:100], "line 4: this is no JSON: "),
        ("kev", "", "kev.txt, line 1: the file is empty. Fetch it again."),
        ("cvss", "cve,score\n", "cvss.txt, line 1: the columns are 'cve,score', vulnerability, published is missing"),
        ("openvex", cyclonedx(), "@context: the text is missing"),
        ("cyclonedx", openvex(says(CVE)), "is not 'CycloneDX'. This looks like OpenVEX: import it as `openvex`."),
    ],
)  # fmt: skip
def test_a_bad_file_is_one_sentence_and_adds_nothing(folder: Path, kind: str, text: str | bytes, says_: str) -> None:
    (folder / f"{kind}.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    said = call("feed", "import", kind, folder / f"{kind}.txt", "--ledger", folder / "ledger.db", "--all", code=2)
    assert says_ in said.stderr
    assert said.stderr.startswith("error: ") and said.stderr.count("\n") == 1
    assert (said.stdout, stands(folder)) == ("", {})


def test_what_cannot_be_asked_for(folder: Path) -> None:
    (folder / "kev.json").write_text(kev(entry(CVE)))
    asked = ("feed", "import", "kev", folder / "kev.json", "--ledger", folder / "ledger.db")
    assert "No such option" in call(*asked, "--fill-gaps", code=2).stderr
    assert "is still to come" in call(*asked, "--recorded-at", "2999-01-01T00:00:00Z", code=2).stderr
    assert "is no time" in call(*asked, "--recorded-at", "monday", code=2).stderr
    gone = call("feed", "import", "kev", folder / "gone.json", "--ledger", folder / "ledger.db", code=2).stderr
    assert "gone.json cannot be read: No such file or directory. Name a file that is there, or - for standard" in gone
    assert "cannot be read" in call("feed", "import", "kev", folder, "--ledger", folder / "ledger.db", code=2).stderr
    (folder / "no.db").write_text("no database")
    assert "no.db is damaged" in call(*asked[:4], "--ledger", folder / "no.db", code=2).stderr


def test_nothing_is_entered_when_a_line_cannot_be(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "kev.json").write_text(kev(entry(CVE), entry("CVE-2026-0002")))
    real, told = feeding.history.of, list[Any]()

    def of(body: Any, **more: Any) -> lines.Line:
        told.append(body)
        return real(body if len(told) < 2 else {**body, "value": "high"}, **more)

    monkeypatch.setattr(feeding.history, "of", of)
    said = call("feed", "import", "kev", folder / "kev.json", "--ledger", folder / "ledger.db", code=2)
    assert ("'high' is no score" in said.stderr, stands(folder)) == (True, {})


def test_a_person_at_a_terminal_sees_it_move(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_watched_by_a_person", lambda: True)
    (folder / "a.csv.gz").write_bytes(zipped(epss()))
    asked = ("feed", "import", "epss", folder / "a.csv.gz", "--ledger", folder / "ledger.db", "--all")
    said = call(*asked, env={"FORCE_COLOR": "1"})
    assert "reading" in said.stderr and "writing" in said.stderr and "FEED" not in said.stderr
    assert len(stands(folder)) == 3


def test_standard_input(folder: Path) -> None:
    found = call("feed", "import", "kev", "-", "--ledger", folder / "ledger.db", stdin=kev(entry(CVE)))
    assert found.stdout.splitlines()[1].split()[2:] == ["1", "0", "0", "0", "0"]


def test_the_containers_of_the_example_do_what_they_are_told(folder: Path) -> None:
    """The arguments as they stand there, with paths of this machine."""
    job = yaml.safe_load((pages.ROOT / "examples/feeds-cronjob.yaml").read_text())["spec"]["jobTemplate"]["spec"]
    (folder / "epss.csv.gz").write_bytes(zipped(epss()))
    (folder / "kev.json").write_text(kev(entry(CVE)))
    fetched = {one.removeprefix("/feeds/") for one in job["template"]["spec"]["initContainers"][0]["args"]}
    assert {"epss.csv.gz", "kev.json"} <= fetched
    for one in job["template"]["spec"]["containers"]:
        given = [word.replace("/feeds", str(folder)).replace("/var/lib/exuvia", str(folder)) for word in one["args"]]
        call(*given)
    assert set(stands(folder)) == {("epss", CVE), ("kev", CVE)}


def test_the_example_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = [one for one in pages.blocks_of(pages.DOCS / "feeds.md") if one.language in ("json", "sh", "text")]
    monday, tuesday, commands, output = (one.text for one in blocks)
    monkeypatch.chdir(tmp_path)
    Path("monday.json").write_text(monday)
    Path("tuesday.json").write_text(tuesday)
    said = [call(*shlex.split(line)[1:]).stdout for line in commands.splitlines()]
    assert "".join(said) == output


def test_the_list_of_the_page_is_read(folder: Path) -> None:
    (block,) = [one for one in pages.blocks_of(pages.DOCS / "feeds.md") if one.language == "csv"]
    assert counts(bring(folder, "cvss", block.text)) == [2, 0, 0, 0, 0]
    assert stands(folder) == {("cvss", CVE): ["9.8"], ("redhat", "GHSA-abcd-efgh-ijkl"): ["5.3"]}


def test_what_was_learnt_later_changes_later_answers_only(folder: Path) -> None:
    """A score, a VEX statement that it never mattered, and that being taken back: each as of when it was known."""
    head = "vulnerability,score,published\n"
    bring(folder, "cvss", head + f"{CVE},9.8,2026-10-01\n", "--recorded-at", "2026-11-02T00:00:00Z")
    cleared = openvex(says(CVE, timestamp="2026-10-01T00:00:00Z"), timestamp="2026-11-03T00:00:00Z")
    bring(folder, "openvex", cleared, "--recorded-at", "2026-11-04T00:00:00Z")
    affected = openvex(says(CVE, "affected"), version=2, timestamp="2026-11-05T00:00:00Z")
    bring(folder, "openvex", affected, "--recorded-at", "2026-11-06T00:00:00Z")
    asked = ("risk", "at", "--ledger", folder / "ledger.db", "--time", "2026-11-02T00:00:00Z", "--as-of")
    risks = {day: answer(*asked, f"2026-11-0{day}T00:00:00Z")["risk"] for day in (3, 5, 7)}
    assert risks == {3: 9.8, 5: 0, 7: 9.8}


def test_a_gap_that_is_none_is_said_as_such(folder: Path) -> None:
    bring(folder, "epss", epss({CVE: "0.1"}))
    (folder / "old.csv").write_text(epss({CVE: "0.2", "CVE-2026-0009": "0.3"}), "utf-8")
    asked = ("feed", "import", "epss", folder / "old.csv", "--ledger", folder / "ledger.db")
    told = call(*asked, "--fill-gaps").stderr
    assert "nothing is missing on that day: 1 in it had a score then already" in told
    assert "ever seen" not in told
    (folder / "old.csv").write_text(epss({"CVE-2026-0009": "0.3"}), "utf-8")
    assert "nothing of it was ever seen on a machine" in call(*asked, "--fill-gaps").stderr


def test_what_was_withdrawn_stays_so_whatever_older_file_comes(folder: Path) -> None:
    bring(folder, "epss", epss({CVE: "0.9", "CVE-2026-0002": "0.1"}, "2026-11-20"), "--all")
    for day in ("2026-11-22", "2026-11-24"):
        bring(folder, "epss", epss({"CVE-2026-0002": "0.1" if day < "2026-11-24" else "0.2"}, day), "--all")
    (folder / "old.csv").write_text(epss({CVE: "0.9"}, "2026-11-23"), "utf-8")
    told = call("feed", "import", "epss", folder / "old.csv", "--ledger", folder / "ledger.db", "--fill-gaps")
    assert "nothing is missing on that day: 1 in it was withdrawn, which --fill-gaps leaves alone" in told.stderr
    assert stands(folder) == {("epss", CVE): ["0.9", "0"], ("epss", "CVE-2026-0002"): ["0.1", "0.2"]}


def test_what_epss_says_no_more_counts_on_the_days_on_which_it_did(folder: Path) -> None:
    """The hazard of a day is the same whenever it is asked for; from the day on which it was missing there is none."""
    files = [{CVE: "0.5", "X": "0.1"}, {CVE: "0.6", "X": "0.1"}, {"X": "0.1"}, {"X": "0.1"}, {CVE: "0.7", "X": "0.1"}]
    for day, rows in enumerate(files, start=11):
        known = {name.replace("X", "CVE-2026-0009"): value for name, value in rows.items()}
        bring(folder, "epss", epss(known, f"2026-11-{day}"), "--recorded-at", f"2026-11-{day}T13:00:00Z")
    command = ("risk", "report", "--ledger", folder / "ledger.db")

    def hazard(day: int, as_of: int) -> float:
        window = ("--from", f"2026-11-{day}T12:55:00Z", "--to", f"2026-11-{day + 1}T12:55:00Z")
        found = answer(*command, *window, "--as-of", f"2026-11-{as_of}T23:00:00Z")
        return float(found["exploitation"]["hazard"])

    expected = {11: -math.log(0.5) / 30, 12: -math.log(0.4) / 30, 13: 0.0, 14: 0.0, 15: -math.log(0.3) / 30}
    for day, right in expected.items():
        assert {round(hazard(day, known), 9) for known in range(day + 1, 18)} == {round(right, 9)}, day
    assert call("ledger", "verify", "--deep", "--ledger", folder / "ledger.db")
    gone = [one for one in entries(folder) if one["change"] == "withdrawn"]
    assert [(one["validFrom"], one["value"], one["was"]) for one in gone] == [("2026-11-13T12:55:00Z", "0", "0.6")]


def test_the_word_of_each_row_is_its_own_where_two_chains_number_alike(tmp_path: Path) -> None:
    """That a score ended is told by its line: that of another chain with the same number is not taken for it."""
    ledger = tmp_path / "l.db"
    rows = ({"value": "0.1", "validFrom": "2026-11-11T00:00:00Z"}, {"value": "0", "validFrom": "2026-11-13T00:00:00Z"})
    for cluster, body in zip(("a", "b"), rows, strict=True):
        said = {"type": "score", "vulnerability": CVE, "source": "epss", "basis": "threat", **body}
        said |= {"recordedAt": body["validFrom"], "change": "new" if cluster == "a" else "withdrawn"}
        importing.load(ledger, [lines.of(said, recorded=0)], cluster=cluster)
    with reading.reading(ledger) as connection:
        assert [one.body["change"] for one in sayings.sayings(connection)] == ["new", "withdrawn"]


def test_a_file_of_a_day_to_come_does_not_block_its_feed(folder: Path) -> None:
    file = folder / "ahead.csv"
    file.write_text(epss({CVE: "0.1"}, "2036-11-24"), "utf-8")
    refused = call("feed", "import", "epss", file, "--ledger", folder / "ledger.db", code=2).stderr
    assert "ahead.csv: this file is dated 2036-11-24T12:55:00Z, more than a day after this import (" in refused
    assert counts(bring(folder, "epss", epss({CVE: "0.1"}))) == [1, 0, 0, 0, 0]


def test_a_ledger_of_several_clusters_is_told_whose_chain_it_is(folder: Path) -> None:
    for cluster in ("a", "b"):
        lines = f'{{"type":"instance","uid":"{cluster}","born":"2026-01-01T00:00:00Z"}}\n'
        call("ledger", "import", "-", "--ledger", folder / "two.db", "--cluster", cluster, stdin=lines)
    (folder / "scores.csv").write_text("vulnerability,score,published\nCVE-2026-0001,9.8,2026-01-01\n", "utf-8")
    kev = ("feed", "import", "cvss", folder / "scores.csv", "--ledger", folder / "two.db", "--cluster", "b")
    call(*kev)
    exported = call("ledger", "export", "--ledger", folder / "two.db", "--cluster", "b").stdout
    assert '"type":"score"' in exported
