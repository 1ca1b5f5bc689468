"""What a risk report says to programs, in tables, and on its page."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from exuvia.model.risks import (
    HOUR,
    Aggregation,
    Band,
    Closing,
    Explanation,
    Exposures,
    Piece,
    RiskReport,
    Stretch,
    Window,
)
from exuvia.report import risk, risk_plots
from exuvia.report.risk_page import page

START = 1_767_225_600_000_000
"""The beginning of 2026."""


def window(began: int, ended: int) -> Window:
    return Window(began=START + began * HOUR, ended=START + ended * HOUR)


def exposures(now: str = "64", then: str = "61.5") -> Exposures:
    naive = {"rescore": Fraction(99), "undead": Fraction(414), "live_only": Fraction(0)}
    return Exposures(now=Fraction(now), then=Fraction(then), **naive)


def report(*, course: bool = True) -> RiskReport:
    halves = (
        Stretch(window=window(0, 12), exposures=exposures("40", "38"), instance_hours=Fraction(17)),
        Stretch(window=window(12, 24), exposures=exposures("24", "23.5"), instance_hours=Fraction(24)),
    )
    return RiskReport(
        window=window(0, 24),
        as_of=START + 24 * HOUR + 500_000,
        quarantine_factor=Fraction(1, 10),
        instance_hours=Fraction(41),
        vulnerable_hours=Fraction(11),
        exposures=exposures(),
        band_hours={**dict.fromkeys(Band, Fraction(0)), Band.MEDIUM: Fraction(7), Band.CRITICAL: Fraction(4)},
        hazard=Fraction(1, 1000),
        closures={**dict.fromkeys(Closing, 0), Closing.PATCHED: 1},
        mttr_patched_hours=Fraction(10),
        mean_exposure_hours=Fraction(1, 3),
        restricted_mean_hours=Fraction(11, 2),
        unscored_hours=Fraction(0),
        course=halves if course else (),
    )


NOTHING = RiskReport(
    window=window(0, 0), as_of=START, quarantine_factor=Fraction(0), instance_hours=Fraction(0),
    vulnerable_hours=Fraction(0), exposures=Exposures(),
    band_hours=dict.fromkeys(Band, Fraction(0)), hazard=Fraction(0), closures=dict.fromkeys(Closing, 0),
    mttr_patched_hours=None, mean_exposure_hours=None, restricted_mean_hours=None, unscored_hours=Fraction(0),
)  # fmt: skip


def test_the_document_has_the_keys_of_the_contract_in_their_order() -> None:
    found = risk.document(report())
    assert list(found) == [
        "window", "asOf", "quarantineFactor", "instanceHours", "vulnerableHours", "vulnerableFraction", "exposure",
        "normalised", "naive", "skew", "hindsightGap", "bandHours", "exploitation", "closures", "mttrPatchedHours",
        "meanExposureHours", "restrictedMeanHours", "unscoredHours",
    ]  # fmt: skip
    assert list(found["window"]) == ["from", "to"]
    assert list(found["exposure"]) == list(found["normalised"]) == ["now", "then"]
    assert list(found["naive"]) == list(found["skew"]) == ["rescore", "undead", "liveOnly"]
    assert list(found["skew"]["undead"]) == ["absolute", "ratio"]
    assert list(found["bandHours"]["now"]) == ["None", "Low", "Medium", "High", "Critical"]
    assert list(found["exploitation"]) == ["hazard", "index"]
    assert list(found["closures"]) == ["patched", "rotated", "died", "unknown"]


def test_numbers_are_not_rounded_and_what_is_not_there_is_null() -> None:
    found = json.loads(json.dumps(risk.document(report())))
    assert found["window"] == {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}
    assert found["asOf"] == "2026-01-02T00:00:00.500000Z"
    assert found["normalised"]["now"] == 64 / 41
    assert found["meanExposureHours"] == 1 / 3
    assert found["skew"]["rescore"] == {"absolute": 35, "ratio": 35 / 64}
    empty = json.loads(json.dumps(risk.document(NOTHING)))
    assert empty["vulnerableFraction"] is None and empty["normalised"] == {"now": None, "then": None}
    assert empty["skew"]["undead"] == {"absolute": 0, "ratio": None}
    assert empty["mttrPatchedHours"] is empty["meanExposureHours"] is empty["restrictedMeanHours"] is None


def test_one_moment() -> None:
    found = risk.moment_document(time=START, as_of=START + HOUR, aggregation=Aggregation.MAX, risk=Fraction("9.8"))
    assert json.dumps(found) == (
        '{"time": "2026-01-01T00:00:00Z", "asOf": "2026-01-01T01:00:00Z", "agg": "max", "risk": 9.8}'
    )


def test_an_explanation_flags_a_basis_that_nobody_named() -> None:
    pieces = (
        Piece(vulnerability="CVE-1", window=window(0, 2), factor=Fraction(1), score=Fraction("7.5"), source="nvd"),
        Piece(vulnerability="CVE-1", window=window(2, 3), factor=Fraction(1)),
    )
    found = Explanation(uid="A", window=window(0, 3), as_of=START, now=pieces, then=())
    first, second = risk.explanation_document(found)["pieces"]["now"]
    assert (first["scoreHours"], first["basis"], first["basisUnknown"]) == (15, "threat", True)
    assert (second["score"], second["source"], second["basis"], second["basisUnknown"]) == (None, None, None, False)
    (title, rows), (_, none) = risk.explanation_sections(found)
    assert (
        title == "NOW: 15 score-hours, by the best account" and "threat (not named)" in rows.rows[0] and not none.rows
    )


class Balanced(HTMLParser):
    """Fails where a tag is not closed by its own."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes |= {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("asked", [report(), report(course=False), NOTHING], ids=["course", "plain", "nothing"])
def test_the_page_is_whole_and_needs_nothing_else(asked: RiskReport) -> None:
    text = page(asked)
    parser = Balanced()
    parser.feed(text)
    assert parser.open == []
    assert not parser.attributes & {"src", "href", "onload", "onclick"}
    assert not re.search(r"https?:|url\(|@import|<script|<link", text)
    assert "prefers-color-scheme: dark" in text
    for drawn in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        assert ElementTree.fromstring(drawn).find("title") is not None
    assert not re.search(r"\b(nan|inf)\b", text)


def test_the_page_says_the_figures_in_words_and_draws_them() -> None:
    text = page(report())
    for said in (
        "41 hours",
        "26.8%",
        "64 score-hours",
        "61.5 could be known",
        "1.561",
        "+546.9%",
        "not the probability",
    ):
        assert said in text, said
    assert text.count("<svg") == 2 and text.count('<table class="bars">') == 3
    for style in ("now", "then", "rescore", "undead", "liveonly"):
        assert f'class="line {style}"' in text and f'class="bar {style}"' in text
    assert page(report()) == text


def test_a_window_is_cut_at_whole_units_for_a_plot() -> None:
    month = window(0, 24 * 30)
    found = risk_plots.marks(month.began, month.ended)
    assert len(found) == 59 and found[0] == START + 12 * HOUR
    assert all(month.began < one < month.ended for one in found)
    assert risk_plots.marks(START, START) == ()
    assert len(risk_plots.marks(START, START + HOUR * 24 * 365 * 50)) <= 96
    odd = risk_plots.marks(START + 1, START + HOUR)
    assert odd and all(one % 60_000_000 == 0 for one in odd)
