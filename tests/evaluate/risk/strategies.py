"""Histories by chance: few machines, few vulnerabilities, few moments, so that everything meets everything."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from hypothesis import strategies as st

from tests.evaluate.risk.telling import Line, frozen, instance, later, presence, score, text

UIDS = ("A", "B")
VULNERABILITIES = ("CVE-1", "CVE-2")
VALUES = {
    "cvss": (0, 2.5, 3.9, 4.0, 7, 9.8),
    "nvd": (4, 6.9, 9),
    "vex": (0, 1),
    "epss": (0, 0.02, 0.97, 1),
    "kev": (1,),
}

hours = st.integers(-2, 12)
ends = st.one_of(st.none(), st.integers(0, 6))
factors = st.sampled_from((Fraction(0), Fraction(1), Fraction(1, 10), Fraction(1, 3)))
withdrawals = st.sampled_from((False, False, False, True))


def _end(began: int, length: int | None) -> int | None:
    return None if length is None else began + length


@st.composite
def lives(draw: st.DrawFn, uid: str | None = None) -> Line:
    """A birth or a whole life, learnt whenever."""
    born = draw(hours)
    return instance(
        uid or draw(st.sampled_from(UIDS)), born, _end(born, draw(ends)), learnt=draw(hours),
        reason=draw(st.sampled_from(("", "exuvia", "spot"))), withdrawn=draw(withdrawals),
    )  # fmt: skip


@st.composite
def presences(draw: st.DrawFn) -> Line:
    """Found, closed for some reason, or never there."""
    began = draw(hours)
    return presence(
        draw(st.sampled_from(UIDS)), began, _end(began, draw(ends)), of=draw(st.sampled_from(VULNERABILITIES)),
        learnt=draw(hours), withdrawn=draw(withdrawals),
        closed=draw(st.sampled_from(("", "patched", "rotated", "died", "elsewhere", "retracted"))),
    )  # fmt: skip


@st.composite
def freezes(draw: st.DrawFn) -> Line:
    """Frozen for a while, or still."""
    began = draw(hours)
    return frozen(
        draw(st.sampled_from(UIDS)), began, _end(began, draw(ends)), learnt=draw(hours), withdrawn=draw(withdrawals)
    )


@st.composite
def scores(draw: st.DrawFn) -> Line:
    """From any source, for good or taken back."""
    source = draw(st.sampled_from(sorted(VALUES)))
    return score(
        draw(st.sampled_from(VALUES[source])), draw(hours), of=draw(st.sampled_from(VULNERABILITIES)), source=source,
        learnt=draw(hours), withdrawn=draw(withdrawals),
    )  # fmt: skip


@st.composite
def corrections(draw: st.DrawFn, line: Line) -> Line:
    """A later account of the same thing (or an earlier one that came in late)."""
    changed = dict(line)
    if line["type"] == "score":
        changed["value"] = draw(st.sampled_from(VALUES[line["source"]]))
    else:
        began, ended = ("born", "died") if line["type"] == "instance" else ("from", "to")
        length = draw(ends)
        changed[ended] = None if length is None else later(line[began], length)
    return {**changed, "recordedAt": text(draw(hours)), "withdrawn": draw(withdrawals)}


@st.composite
def histories(draw: st.DrawFn) -> list[Line]:
    """Lives of which most are there from the start, with corrections of all kinds."""
    told = [instance(uid, -2, draw(st.one_of(st.none(), hours.filter(lambda one: one >= 0)))) for uid in UIDS]
    told = [one for one in told if draw(st.booleans()) or one["uid"] == "A"]
    told += draw(st.lists(lives(), max_size=3))
    told += draw(st.lists(presences(), min_size=1, max_size=7))
    told += draw(st.lists(freezes(), max_size=2))
    told += draw(st.lists(scores(), max_size=8))
    return told + [draw(corrections(one)) for one in told if draw(st.sampled_from((False, True)))]


@st.composite
def spans(draw: st.DrawFn) -> tuple[int, int]:
    """A window, also an empty one."""
    began = draw(hours)
    return began, began + draw(st.integers(0, 12))


@st.composite
def told_twice(draw: st.DrawFn) -> list[Line]:
    """One machine and one finding, each told once or twice, and a score: what most of a fleet is like."""
    reason = draw(st.sampled_from(("", "exuvia")))
    life, found = draw(_twice(instance, "died", reason=reason)), draw(_twice(presence, "to", closed="patched"))
    return [*life, *found, score(1, -2)]


@st.composite
def _twice(draw: st.DrawFn, make: Callable[..., Line], ended: str, **more: str) -> list[Line]:
    first = make("A", draw(st.integers(-2, 3)), learnt=draw(st.integers(-2, 6)), **more)
    last = {**first, "recordedAt": text(draw(st.integers(-2, 9)))}
    moments = st.sampled_from((None, *(text(moment) for moment in range(3, 12))))
    told = [{**first, ended: draw(moments)}, {**last, ended: draw(moments)}]
    return told[: draw(st.integers(1, 2))]
