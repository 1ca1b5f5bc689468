"""What an import adds: each change is a line, a repetition none, and what vanished is taken back."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exuvia import errors
from exuvia.model.facts import microseconds
from exuvia.observe.feeds import base
from exuvia.observe.feeds.changes import Change
from tests.observe.feeds.files import (
    NAMED,
    ROWS,
    Memory,
    analysed,
    cyclonedx,
    entry,
    epss,
    hour,
    kev,
    openvex,
    read,
    says,
)

CVE = "CVE-2026-0001"
CSV = "vulnerability,score,published\n"
FILES = {
    "epss": epss(),
    "kev": kev(entry(CVE), entry("CVE-2026-0002")),
    "cvss": CSV + f"{CVE},9.8,2026-01-15\n{CVE},5.0,2026-01-01\n",
    "openvex": openvex(says(CVE), says("CVE-2026-0002", "affected")),
    "cyclonedx": cyclonedx(analysed(CVE), analysed("CVE-2026-0002", "in_triage")),
}


def test_there_is_a_file_of_every_feed() -> None:
    assert set(FILES) == set(NAMED)


@pytest.mark.parametrize("feed", FILES)
def test_the_same_file_twice_adds_nothing(feed: str) -> None:
    memory = Memory()
    first = memory.learn(feed, read(feed, FILES[feed]), hour(1))
    stands = memory.stands()
    again = memory.learn(feed, read(feed, FILES[feed]), hour(1))
    assert first.steps and not again.steps
    assert (memory.stands(), again.unchanged) == (stands, first.count(Change.NEW) + first.unchanged)


@pytest.mark.parametrize("feed", FILES)
def test_a_line_says_where_it_is_from(feed: str) -> None:
    memory = Memory()
    release = read(feed, FILES[feed])
    memory.learn(feed, release, hour(1))
    body = memory.lines[0]
    assert (body["type"], body["feed"], body["feedVersion"], body["change"]) == ("score", feed, release.version, "new")
    assert body["recordedAt"] == "2026-11-25T01:00:00Z"
    assert "was" not in body and "withdrawn" not in body


def test_epss_adds_what_changed_and_older_days_stay_as_they_were() -> None:
    memory = Memory()
    memory.learn("epss", read("epss", epss()), hour(1))
    changed = {**ROWS, CVE: "0.20000", "CVE-2026-0004": "0.3"}
    made = memory.learn("epss", read("epss", epss(changed, "2026-11-25")), hour(25))
    assert (made.count(Change.NEW), made.count(Change.CHANGED), made.unchanged) == (1, 1, 2)
    (line,) = [one for one in memory.lines if one["change"] == "changed"]
    assert (line["value"], line["was"], line["percentile"]) == ("0.20000", "0.10000", "0.5")
    assert line["validFrom"] == line["feedReleased"] == "2026-11-25T12:55:00Z"
    assert memory.stands()[CVE, "epss", "2026-11-24T12:55:00Z"] == "0.10000"


def test_scores_are_compared_as_text() -> None:
    memory = Memory()
    memory.learn("epss", read("epss", epss({CVE: "0.1"})), hour(1))
    assert memory.learn("epss", read("epss", epss({CVE: "0.10"}, "2026-11-25")), hour(25)).count(Change.CHANGED) == 1


def test_what_vanishes_from_epss_ends_with_that_day_and_older_days_stay() -> None:
    """EPSS is threat: the world changed, from that day on. A row of 0 keeps those before it from holding on."""
    memory = Memory()
    memory.learn("epss", read("epss", epss({CVE: "0.1", "CVE-2026-0002": "0.2"})), hour(1))
    memory.learn("epss", read("epss", epss({CVE: "0.3", "CVE-2026-0002": "0.2"}, "2026-11-25")), hour(25))
    made = memory.learn("epss", read("epss", epss({"CVE-2026-0002": "0.2"}, "2026-11-26")), hour(49))
    assert made.count(Change.WITHDRAWN) == 1
    mine = {key[2][:10]: value for key, value in memory.stands().items() if key[0] == CVE}
    assert mine == {"2026-11-24": "0.1", "2026-11-25": "0.3", "2026-11-26": "0"}
    (gone,) = [one for one in memory.lines if one["change"] == "withdrawn"]
    assert (gone["value"], gone["was"], gone["basis"], gone["validFrom"]) == (
        "0",
        "0.3",
        "threat",
        "2026-11-26T12:55:00Z",
    )
    assert "withdrawn" not in gone
    again = memory.learn("epss", read("epss", epss({"CVE-2026-0002": "0.2"}, "2026-11-26")), hour(50))
    later = memory.learn("epss", read("epss", epss({"CVE-2026-0002": "0.2"}, "2026-11-27")), hour(73))
    assert (again.steps, later.steps) == ((), ()), "it is gone once"
    back = memory.learn("epss", read("epss", epss({CVE: "0.3", "CVE-2026-0002": "0.2"}, "2026-11-28")), hour(97))
    assert (back.count(Change.NEW), back.unchanged) == (1, 1)
    assert "was" not in memory.lines[-1]
    mine = {key[2][:10]: value for key, value in memory.stands().items() if key[0] == CVE}
    assert mine == {"2026-11-24": "0.1", "2026-11-25": "0.3", "2026-11-26": "0", "2026-11-28": "0.3"}


def test_an_epss_of_nothing_is_a_value_and_no_end() -> None:
    memory = Memory()
    memory.learn("epss", read("epss", epss({CVE: "0", "CVE-2026-0002": "0.2"})), hour(1))
    same = memory.learn("epss", read("epss", epss({CVE: "0", "CVE-2026-0002": "0.2"}, "2026-11-25")), hour(25))
    assert same.unchanged == 2
    gone = memory.learn("epss", read("epss", epss({"CVE-2026-0002": "0.2"}, "2026-11-26")), hour(49))
    assert gone.count(Change.WITHDRAWN) == 1
    back = memory.learn("epss", read("epss", epss({CVE: "0", "CVE-2026-0002": "0.2"}, "2026-11-27")), hour(73))
    assert back.count(Change.NEW) == 1


def test_a_file_issued_again_on_its_day_ends_and_brings_back_on_that_day() -> None:
    memory = Memory()
    both = {CVE: "0.1", "CVE-2026-0002": "0.2"}
    memory.learn("epss", read("epss", epss(both)), hour(1))
    memory.learn("epss", read("epss", epss({"CVE-2026-0002": "0.2"})), hour(2))
    assert memory.stands()[CVE, "epss", "2026-11-24T12:55:00Z"] == "0"
    memory.learn("epss", read("epss", epss(both)), hour(3))
    assert memory.stands()[CVE, "epss", "2026-11-24T12:55:00Z"] == "0.1"


def test_a_great_loss_of_a_dated_feed_counts_what_is_not_gone_already() -> None:
    many = {f"CVE-2026-{number:04}": "0.1" for number in range(1, 101)}
    memory = Memory()
    memory.learn("epss", read("epss", epss(many, "2026-11-20")), hour(1))
    rest = dict(list(many.items())[21:])
    with pytest.raises(errors.InvalidObject, match="21 of 100 entries that epss stated are not in this file"):
        memory.learn("epss", read("epss", epss(rest, "2026-11-21")), hour(2))
    made = memory.learn("epss", read("epss", epss(rest, "2026-11-21")), hour(2), losing=True)
    assert made.count(Change.WITHDRAWN) == 21
    assert memory.learn("epss", read("epss", epss(rest, "2026-11-22")), hour(3)).steps == ()
    few = dict(list(many.items())[50:])
    with pytest.raises(errors.InvalidObject, match="29 of 79 entries that epss stated are not in this file"):
        memory.learn("epss", read("epss", epss(few, "2026-11-23")), hour(4))


def test_an_older_file_is_refused_or_fills_gaps_only() -> None:
    memory = Memory()
    memory.learn("epss", read("epss", epss({CVE: "0.1"}, "2026-11-24")), hour(1))
    older = read("epss", epss({CVE: "0.2", "CVE-2026-0002": "0.3"}, "2026-11-20"))
    with pytest.raises(errors.InvalidObject, match="this file is of 2026-11-20T12:55:00Z") as refused:
        memory.learn("epss", older, hour(2))
    assert "--fill-gaps" in refused.value.remedy
    made = memory.learn("epss", older, hour(2), gaps=True)
    assert (made.count(Change.NEW), made.count(Change.CHANGED), made.count(Change.WITHDRAWN)) == (2, 0, 0)
    again = memory.learn("epss", read("epss", epss({CVE: "0.9"}, "2026-11-22")), hour(3), gaps=True)
    assert (again.steps, again.skipped) == ((), 1)


def test_a_gap_is_not_filled_on_a_day_on_which_the_feed_did_not_hold_it() -> None:
    """A row of such a day would hold from there on. Of days before the first one known it is true, and ends with the
    first."""
    memory = Memory()
    memory.learn("epss", read("epss", epss({CVE: "0.1", "CVE-2026-0002": "0.2"}, "2026-11-20")), hour(1))
    memory.learn("epss", read("epss", epss({"CVE-2026-0002": "0.2"}, "2026-11-22")), hour(2))
    memory.learn("epss", read("epss", epss({CVE: "0.3", "CVE-2026-0002": "0.2"}, "2026-11-24")), hour(3))
    days = {"2026-11-20": 0, "2026-11-21": 0, "2026-11-22": 1, "2026-11-23": 1, "2026-11-24": 0}
    for day, taken_back in days.items():
        made = memory.learn("epss", read("epss", epss({CVE: "0.9"}, day)), hour(4), gaps=True)
        assert (made.steps, made.skipped, made.taken_back) == ((), 1, taken_back), day
    made = memory.learn("epss", read("epss", epss({CVE: "0.9"}, "2026-11-18")), hour(4), gaps=True)
    assert made.count(Change.NEW) == 1
    mine = {key[2][8:10]: value for key, value in memory.stands().items() if key[0] == CVE}
    assert mine == {"18": "0.9", "20": "0.1", "22": "0", "24": "0.3"}


def test_a_gap_is_not_filled_with_what_was_taken_back_for_all_days() -> None:
    """By a person: a row of an older day would bring it back."""
    memory = Memory()
    memory.learn("epss", read("epss", epss({CVE: "0.1"}, "2026-11-22")), hour(1))
    memory.enter([{**memory.lines[0], "withdrawn": True, "recordedAt": base.written(hour(2))}])
    made = memory.learn("epss", read("epss", epss({CVE: "0.1"}, "2026-11-20")), hour(3), gaps=True)
    assert (made.steps, made.skipped, made.taken_back) == ((), 1, 1)


def test_a_file_of_a_day_to_come_is_refused_and_blocks_nothing() -> None:
    memory = Memory()
    for feed, text in (("epss", epss({CVE: "0.1"}, "2036-11-24")), ("epss", epss({CVE: "0.1"}, "2026-11-26"))):
        with pytest.raises(errors.InvalidObject, match="more than a day after this import") as refused:
            memory.learn(feed, read(feed, text), hour(1))
        assert "the clock and --recorded-at are right" in refused.value.remedy
    release = dataclasses.replace(read("kev", kev(entry(CVE))), released=microseconds(datetime(2036, 1, 1, tzinfo=UTC)))
    with pytest.raises(errors.InvalidObject, match=r"this file is dated 2036-01-01T00:00:00Z"):
        memory.learn("kev", release, hour(1))
    assert memory.learn("epss", read("epss", epss({CVE: "0.1"}, "2026-11-25")), hour(1)).steps, (
        "within a day it is taken"
    )


def test_kev_adds_changes_and_takes_back() -> None:
    memory = Memory()
    two = entry("CVE-2026-0002")
    memory.learn("kev", read("kev", kev(entry(CVE), two, day=21)), hour(1))
    sooner = entry(CVE, dueDate="2026-11-11", knownRansomwareCampaignUse="Known")
    made = memory.learn("kev", read("kev", kev(sooner, two, day=22)), hour(2))
    assert (made.count(Change.CHANGED), made.unchanged) == (1, 1)
    line = memory.lines[-1]
    assert (line["dueDate"], line["ransomware"], line["was"]) == ("2026-11-11", "Known", "1")
    assert line["formerly"] == {"dueDate": "2026-11-22", "ransomware": "Unknown"}
    moved = memory.learn("kev", read("kev", kev(sooner | {"dateAdded": "2026-11-02"}, two, day=23)), hour(3))
    assert moved.count(Change.CHANGED) == 1
    assert [(one["validFrom"], one.get("withdrawn", False)) for one in memory.lines[-2:]] == [
        ("2026-11-01T00:00:00Z", True),
        ("2026-11-02T00:00:00Z", False),
    ]
    memory.learn("kev", read("kev", kev(two, day=24)), hour(4))
    assert memory.stands() == {("CVE-2026-0002", "kev", "2026-11-01T00:00:00Z"): "1"}
    with pytest.raises(errors.InvalidObject, match="Import the files of a feed in the order of their days"):
        memory.learn("kev", read("kev", kev(sooner, two, day=23)), hour(5))


def test_a_great_loss_is_refused_until_somebody_says_that_it_is_right() -> None:
    many = [entry(f"CVE-2026-{number:04}") for number in range(1, 101)]
    memory = Memory()
    memory.learn("kev", read("kev", kev(*many, day=21)), hour(1))
    with pytest.raises(errors.InvalidObject, match="21 of 100 entries that kev stated are not in this file") as refused:
        memory.learn("kev", read("kev", kev(*many[21:], day=22)), hour(2))
    assert "--accept-losses" in refused.value.remedy
    assert memory.learn("kev", read("kev", kev(*many[20:], day=22)), hour(2)).count(Change.WITHDRAWN) == 20
    made = memory.learn("kev", read("kev", kev(many[99], day=23)), hour(3), losing=True)
    assert made.count(Change.WITHDRAWN) == 79


def test_a_corrected_base_score_replaces_the_former_for_all_times() -> None:
    memory = Memory()
    memory.learn("cvss", read("cvss", CSV + f"{CVE},5.0,2026-01-15\nB,1,2026-01-01\n"), hour(1))
    made = memory.learn("cvss", read("cvss", CSV + f"{CVE},9.8,2026-01-10\nB,1,2026-01-01\n"), hour(2))
    assert (made.count(Change.CHANGED), made.unchanged) == (1, 1)
    assert memory.stands() == {
        (CVE, "cvss", "2026-01-10T00:00:00Z"): "9.8",
        ("B", "cvss", "2026-01-01T00:00:00Z"): "1",
    }
    assert {one["basis"] for one in memory.lines} == {"intrinsic"}


def test_a_line_that_vanishes_from_a_list_is_taken_back_and_other_lists_are_left_alone() -> None:
    memory = Memory()
    memory.learn("cvss", read("cvss", CSV + "A,5,2026-01-01\nB,6,2026-01-01\n", document="ours"), hour(1))
    memory.learn("cvss", read("cvss", CSV + "C,7,2026-01-01\n", document="theirs"), hour(2))
    assert {key[0] for key in memory.stands()} == {"A", "B", "C"}
    memory.learn("cvss", read("cvss", CSV + "A,5,2026-01-01\n", document="ours"), hour(3))
    assert {key[0] for key in memory.stands()} == {"A", "C"}


def test_affected_takes_back_whoever_said_that_it_was_not() -> None:
    memory = Memory()
    ours, theirs = "https://example.com/vex/ours", "https://example.com/vex/theirs"
    memory.learn("openvex", read("openvex", openvex(says(CVE), id=ours)), hour(1))
    newer = openvex(says(CVE, "affected"), id=theirs, timestamp="2026-11-21T00:00:00Z")
    made = memory.learn("openvex", read("openvex", newer), hour(2))
    assert (made.count(Change.WITHDRAWN), memory.stands()) == (1, {})
    again = memory.learn("openvex", read("openvex", openvex(says(CVE), id=ours)), hour(3))
    assert (again.steps, memory.stands()) == ((), {}), "the older word does not silence it again"
    issued_again = openvex(says(CVE), id=ours, timestamp="2026-11-22T00:00:00Z", version=2)
    assert memory.learn("openvex", read("openvex", issued_again), hour(4)).count(Change.NEW) == 1


def test_a_document_takes_back_only_its_own_words_by_leaving_them_out() -> None:
    memory = Memory()
    both = openvex(says(CVE), says("CVE-2026-0002"))
    memory.learn("openvex", read("openvex", both), hour(1))
    memory.learn("cyclonedx", read("cyclonedx", cyclonedx(analysed("CVE-2026-0003"))), hour(2))
    memory.learn("openvex", read("openvex", openvex(says(CVE), version=2)), hour(3))
    assert {key[0] for key in memory.stands()} == {CVE, "CVE-2026-0003"}


def test_two_documents_may_say_the_same() -> None:
    memory = Memory()
    memory.learn("openvex", read("openvex", openvex(says(CVE))), hour(1))
    same = memory.learn("cyclonedx", read("cyclonedx", cyclonedx(analysed(CVE))), hour(2))
    assert (same.steps, same.unchanged) == ((), 1)
    earlier = cyclonedx(analysed(CVE, published="2026-01-01T00:00:00Z"))
    assert memory.learn("cyclonedx", read("cyclonedx", earlier), hour(3)).count(Change.NEW) == 1
    assert len(memory.stands()) == 2


def test_a_document_that_is_issued_again_later_leaves_the_first_moment() -> None:
    memory = Memory()
    memory.learn("openvex", read("openvex", openvex(says(CVE))), hour(1))
    later = openvex(says(CVE), timestamp="2026-11-22T00:00:00Z", version=2)
    assert memory.learn("openvex", read("openvex", later), hour(2)).unchanged == 1
    made = memory.learn("openvex", read("openvex", later), hour(2), firm=True)
    assert made.count(Change.CHANGED) == 1
    assert memory.stands() == {(CVE, "vex", "2026-11-22T00:00:00Z"): "0"}


def test_what_is_recorded_before_what_it_changes_is_refused() -> None:
    memory = Memory()
    memory.learn("kev", read("kev", kev(entry(CVE), day=21)), hour(5))
    changed = read("kev", kev(entry(CVE, dueDate="2026-12-24"), day=22))
    with pytest.raises(errors.InvalidObject, match="not after it") as refused:
        memory.learn("kev", changed, hour(5))
    assert "--recorded-at" in refused.value.remedy
    assert memory.learn("kev", changed, hour(6)).count(Change.CHANGED) == 1


CVES = [f"CVE-2026-000{number}" for number in range(5)]
DAYS = st.lists(
    st.dictionaries(st.sampled_from(CVES), st.sampled_from(["0.1", "0.2", "0.9"]), min_size=1), min_size=1, max_size=6
)


@given(DAYS)
def test_after_each_day_the_last_row_of_each_cve_is_what_the_file_said(days: list[dict[str, str]]) -> None:
    memory = Memory()
    for number, rows in enumerate(days):
        made = memory.learn("epss", read("epss", epss(rows, f"2026-11-{number + 1:02}")), hour(number))
        latest = {cve: value for (cve, _, _), value in sorted(memory.stands().items())}
        ended = {cve for cve in latest if cve not in rows}
        assert {cve: latest[cve] for cve in rows} == rows and all(latest[cve] == "0" for cve in ended)
        assert made.unchanged + sum(one.change is not Change.WITHDRAWN for one in made.steps) == len(rows)


@given(DAYS)
def test_what_an_older_day_said_stays_whatever_later_files_say(days: list[dict[str, str]]) -> None:
    """Each day is asked after each later one: it says what its own file said."""
    memory = Memory()
    for number, rows in enumerate(days):
        memory.learn("epss", read("epss", epss(rows, f"2026-11-{number + 1:02}")), hour(number))
        for day, then in enumerate(days[: number + 1]):
            known = sorted((since, cve, value) for (cve, _, since), value in memory.stands().items())
            held = {cve: value for since, cve, value in known if since <= f"2026-11-{day + 1:02}T12:55:00Z"}
            assert {cve: value for cve, value in held.items() if value != "0"} == then, (number, day)


@given(DAYS)
def test_after_each_catalogue_exactly_its_entries_stand(days: list[dict[str, str]]) -> None:
    memory = Memory()
    for number, rows in enumerate(days):
        entries = [
            entry(cve, f"2026-10-0{len(value) + int(value[-1]) % 3}", dueDate=value) for cve, value in rows.items()
        ]
        memory.learn("kev", read("kev", kev(*entries, day=number + 10)), hour(number))
        assert {key[0] for key in memory.stands()} == set(rows)
        assert len(memory.stands()) == len(rows)
