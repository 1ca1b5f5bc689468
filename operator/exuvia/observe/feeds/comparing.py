"""What a file says, against what the ledger knows: what is new, what changed, what vanished; each becomes a line.

Nothing is taken away: a line that withdraws holds from its recorded time on, and every earlier question is answered as
before. Of a dated feed that what is gone is gone from the file's day on; older days keep what was true of them. What a
file only repeats adds nothing, so a file may be imported again and again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from exuvia import errors
from exuvia.observe.feeds import base
from exuvia.observe.feeds.base import Feed, Release, Statement
from exuvia.observe.feeds.changes import NOTHING, Change, Comparison, Known, Step
from exuvia.observe.feeds.vex import SAID

MANY = 20
"""So many entries may vanish at once without anybody being asked."""

SHARE = 10
"""So many in a hundred of what was known may vanish at once, when it is more than `MANY`."""


AHEAD = 24 * 3600 * 1_000_000
"""So many microseconds a file may be dated after its import: clocks and zones differ, and no more than that."""


class Left(StrEnum):
    """Why nothing is written of an entry."""

    UNCHANGED = "unchanged"  # it is as it was
    PASSED_OVER = "passed over"  # something is known of it on that day
    TAKEN_BACK = "taken back"  # it was withdrawn by then or for all days, and an older file brings nothing back


Key = tuple[str, str]
"""(vulnerability, source)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a file is imported. `recorded`: when it is learnt of. `gaps`: it is an old one, and only fills in where
    nothing is known of its day. `firm`: a person gave the moments of its statements. `losing`: it is right that many
    entries vanished."""

    recorded: int
    gaps: bool = False
    firm: bool = False
    losing: bool = False


def compare(feed: Feed, release: Release, known: Iterable[Known], terms: Terms) -> Comparison:
    """What is to be written. `known`: the last version of every row of the sources that the feed speaks for.

    Raises `errors.InvalidObject` for a file of a day to come or older than what is known, for a great loss, and for
    what would be recorded before that which it changes.
    """
    _refuse_to_come(release, terms)
    rows: dict[Key, list[Known]] = {}
    for one in known:
        rows.setdefault((one.score.vulnerability, one.score.source), []).append(one)
    if not terms.gaps:
        _refuse_older(feed, release, rows)
    stated = _grouped(release)
    judged = [_judged(feed, release, found, rows.get(key, []), terms) for key, found in stated.items()]
    vanished = [] if terms.gaps or release.partial else _vanished(feed, release, rows, stated, losing=terms.losing)
    made = Comparison(
        feed=feed,
        release=release,
        recorded=terms.recorded,
        steps=(*(one for one in judged if isinstance(one, Step)), *vanished),
        unchanged=sum(one is Left.UNCHANGED for one in judged),
        skipped=sum(one in (Left.PASSED_OVER, Left.TAKEN_BACK) for one in judged) + release.passed_over,
        taken_back=sum(one is Left.TAKEN_BACK for one in judged),
    )
    _refuse_early(made, rows)
    return made


def _grouped(release: Release) -> dict[Key, list[Statement]]:
    found: dict[Key, list[Statement]] = {}
    for one in release.statements:
        found.setdefault((one.vulnerability, one.source), []).append(one)
    return found


def _judged(feed: Feed, release: Release, statements: list[Statement], rows: list[Known], terms: Terms) -> Step | Left:
    """What is to be written of one vulnerability."""
    standing = sorted((one for one in rows if not one.score.withdrawn), key=lambda one: one.score.valid_from)
    if feed.dated and terms.gaps:
        return _gap(statements[0], standing, rows)
    if feed.dated:
        return _dated(statements[0], standing)
    if not any(one.value for one in statements):
        said = statements[0].notes.get(SAID, "")
        return _gone(standing, said) if standing else Left.UNCHANGED
    if feed.shared:
        return _shared(release, statements[0], standing, rows, firm=terms.firm)
    return _replaced(statements, standing)


def _gap(statement: Statement, standing: list[Known], rows: list[Known]) -> Step | Left:
    """Only where nothing is known of its day. On a day on which the feed did not hold it, and where its rows were taken
    back for all days, a row would hold from there on, and bring it back."""
    before = [one for one in standing if one.score.valid_from <= statement.valid_from]
    if before and not before[-1].ended:
        return Left.PASSED_OVER
    if before or any(one.score.withdrawn for one in rows):
        return Left.TAKEN_BACK
    return Step(change=Change.NEW, statements=(statement,))


def _dated(statement: Statement, standing: list[Known]) -> Step | Left:
    """Older rows stay true of older days: only the last one is compared. What was missing and is there again is new."""
    before = [one for one in standing if one.score.valid_from <= statement.valid_from]
    if not before or before[-1].ended:
        return Step(change=Change.NEW, statements=(statement,))
    if before[-1].score.value == statement.value:
        return Left.UNCHANGED
    return Step(change=Change.CHANGED, statements=(statement,), former=before[-1])


def _replaced(statements: list[Statement], standing: list[Known]) -> Step | Left:
    """Afterwards exactly what the file says stands, and nothing else of that source."""
    held = {one.score.valid_from: one for one in standing}
    fresh = tuple(one for one in statements if not _same(one, held.get(one.valid_from)))
    kept = {one.valid_from for one in statements}
    gone = tuple(one for one in standing if one.score.valid_from not in kept)
    if not (fresh or gone):
        return Left.UNCHANGED
    if not standing:
        return Step(change=Change.NEW, statements=fresh)
    return Step(change=Change.CHANGED, statements=fresh, withdrawn=gone, former=standing[-1])


def _shared(
    release: Release, statement: Statement, standing: list[Known], rows: list[Known], *, firm: bool
) -> Step | Left:
    """Several documents may say the same of it; each of them replaces its own word only. A document that is issued
    anew, with a later date, says that it still is so: it was so before all the same, unless the moment is `firm`."""
    own = [one for one in standing if one.document == release.document]
    if not own and _overruled(release, statement, rows):
        return Left.UNCHANGED
    if not firm:
        since = min((one.score.valid_from for one in own), default=statement.valid_from)
        statement = dataclasses.replace(statement, valid_from=min(since, statement.valid_from))
    others = (one.score for one in standing if one.document != release.document)
    if any((one.valid_from, one.value) == (statement.valid_from, statement.value) for one in others):
        return Left.UNCHANGED
    return _replaced([statement], own)


def _overruled(release: Release, statement: Statement, rows: list[Known]) -> bool:
    """Whether another document took this very statement back, and did so later than it was made."""
    said = base.moment(statement.notes.get(SAID)) or 0
    return any(
        one.score.withdrawn
        and one.score.valid_from == statement.valid_from
        and one.document != release.document
        and (base.moment(one.text(SAID)) or 0) > said
        for one in rows
    )


def _same(statement: Statement, known: Known | None) -> bool:
    if known is None or known.score.value != statement.value:
        return False
    return all(known.text(key) == text for key, text in statement.details.items())


def _gone(standing: Iterable[Known], said: str) -> Step:
    rows = tuple(standing)
    return Step(change=Change.WITHDRAWN, withdrawn=rows, former=rows[-1], said=said)


def _vanished(
    feed: Feed, release: Release, rows: Mapping[Key, list[Known]], stated: Mapping[Key, object], *, losing: bool
) -> list[Step]:
    """What stood of this source, or of this document, and is not in the file."""
    standing = {key: [one for one in found if _owned(feed, release, one)] for key, found in rows.items()}
    standing = {key: sorted(found, key=lambda one: one.score.valid_from) for key, found in standing.items() if found}
    standing = {key: found for key, found in standing.items() if not (feed.dated and found[-1].ended)}
    gone = [key for key in standing if key not in stated]
    if len(gone) > MANY and len(gone) * 100 > len(standing) * SHARE and not losing:
        raise errors.InvalidObject(
            f"{len(gone)} of {len(standing)} entries that {feed.name} stated are not in this file",
            remedy="Fetch it again, for it may have been cut; if that is right, add --accept-losses.",
        )
    if feed.dated and release.released is not None:
        return [_ended(standing[key][-1], release.released) for key in gone]
    return [_gone(standing[key], "") for key in gone]


def _ended(last: Known, day: int) -> Step:
    """The world changed on that day: older days stay as they were, and from there on it counts nothing. Were rows taken
    back instead, those before them would come to life again."""
    score = last.score
    none = Statement(vulnerability=score.vulnerability, source=score.source, valid_from=day, value=NOTHING)
    return Step(change=Change.WITHDRAWN, statements=(none,), former=last)


def _owned(feed: Feed, release: Release, row: Known) -> bool:
    if row.score.withdrawn:
        return False
    return row.score.source in feed.sources if not release.document else row.document == release.document


def _refuse_to_come(release: Release, terms: Terms) -> None:
    """Once taken, it would be the newest for good, and every right file after it too old."""
    if release.released is None or release.released <= terms.recorded + AHEAD:
        return
    released, recorded = base.written(release.released), base.written(terms.recorded)
    raise errors.InvalidObject(
        f"this file is dated {released}, more than a day after this import ({recorded})",
        remedy="Fetch it again, and see that the clock and --recorded-at are right.",
    )


def _refuse_older(feed: Feed, release: Release, rows: Mapping[Key, list[Known]]) -> None:
    if release.released is None:
        return
    newest = max((at for found in rows.values() for one in found for at in _released(feed, release, one)), default=0)
    if newest > release.released:
        remedy = "Import the files of a feed in the order of their days"
        remedy += ", or add --fill-gaps to add only what is not known of that day." if feed.dated else "."
        words = f"this file is of {base.written(release.released)}, and one of {base.written(newest)} is known"
        raise errors.InvalidObject(words, remedy=remedy)


def _released(feed: Feed, release: Release, row: Known) -> Iterator[int]:
    """When a row's file was made, as far as it is one of the same feed."""
    if row.text("feed") == feed.name and row.document == release.document:
        yield from (at for at in (base.moment(row.text("feedReleased")),) if at is not None)
    if feed.dated and not row.score.withdrawn:
        yield row.score.valid_from


def _refuse_early(made: Comparison, rows: Mapping[Key, list[Known]]) -> None:
    """What is written must be learnt after what it changes: else the order of knowing would not be as it was."""
    if not rows:
        return
    for step in made.steps:
        touched = {(one.score.vulnerability, one.score.source) for one in step.withdrawn}
        touched |= {(one.vulnerability, one.source) for one in step.statements}
        last = max((one.score.recorded for key in touched for one in rows.get(key, [])), default=-1)
        if last >= made.recorded:
            name = next(iter(touched))[0]
            raise errors.InvalidObject(
                f"{name} was recorded at {base.written(last)}, and this import is recorded at "
                f"{base.written(made.recorded)}, not after it",
                remedy="Leave --recorded-at out, or name a later time.",
            )
