"""Who was on a machine, told by those who know: JSON lines of type `session`, checked before any of them is entered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator

from sqlalchemy import Connection, select

from exuvia import errors
from exuvia.app.services import Services
from exuvia.model import facts
from exuvia.model.facts import Fact, FactKind
from exuvia.model.histories import Session
from exuvia.record import lines, personal, tables, versions
from exuvia.record.lines import Line
from exuvia.record.moments import moment
from exuvia.record.reading import reading

MOST = 1000
"""Sessions in one request."""


def read(body: bytes, *, recorded: int) -> list[Line]:
    """From JSON lines, or one JSON list. Raises `errors.InvalidObject` that names the first one that cannot be used;
    then none is."""
    found = list(_lines(body, recorded))
    if not found:
        raise errors.InvalidObject("there is no session in it", remedy="Write one JSON object on each line.")
    if len(found) > MOST:
        raise errors.InvalidObject(f"{len(found)} sessions are too many", remedy=f"Send {MOST} at a time.")
    for one in found:
        _check(one)
    return found


def _lines(body: bytes, recorded: int) -> Iterator[Line]:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise errors.InvalidObject("this is no UTF-8", remedy="Send JSON.") from None
    if not text.lstrip().startswith("["):
        yield from lines.read(text.splitlines(), recorded=recorded)
        return
    try:
        listed = json.loads(text)
    except (ValueError, RecursionError) as trouble:
        raise errors.InvalidObject(f"no JSON: {trouble}", remedy="Send a list of JSON objects.") from None
    yield from lines.read((json.dumps(one) for one in listed), recorded=recorded)


def _check(one: Line) -> None:
    place = f"line {one.number}"
    if not isinstance(one.version, Session):
        raise errors.InvalidObject(f"{place}: {one.type} is no session", place=place, remedy="Send sessions only.")
    if one.body.get("recordedAt") is not None:
        remedy = "Leave it out: the moment at which it comes in counts. History from elsewhere is imported."
        raise errors.InvalidObject(f"{place}: recordedAt is not taken here", place=place, remedy=remedy)
    if one.dead:
        raise errors.InvalidObject(f"{place}: it {one.dead}", place=place, remedy="Mend `from` and `to`.")


async def enter(services: Services, told: Iterable[Line]) -> tuple[int, int]:
    """(entered, known already). Durable when it returns. Raises `errors.LedgerError`, `errors.Fenced` or
    `errors.InvalidObject`: then nothing was entered."""
    wanted = {_key(one): one for one in told}
    new = await asyncio.to_thread(_unknown, services, list(wanted.values()))
    if new:
        await services.ledger.append(*map(_fact, new))
    return len(new), len(wanted) - len(new)


def _unknown(services: Services, told: list[Line]) -> list[Line]:
    with reading(services.ledger.place) as connection:
        return [one for one in told if not _known(connection, one)]


def _known(connection: Connection, line: Line) -> bool:
    """Whether the ledger holds just that of it already."""
    said, table = line.version, tables.sessions
    assert isinstance(said, Session)
    rows = connection.execute(
        select(table.c.user, table.c.ended, table.c.withdrawn).where(
            table.c.uid == said.uid, table.c.began == said.began, versions.holds(table)
        )
    )
    return any(
        (row.ended, row.withdrawn) == (said.ended, said.withdrawn)
        and personal.revealed(connection, row.user) == said.user
        for row in rows
    )


def _key(line: Line) -> tuple[object, ...]:
    said = line.version
    assert isinstance(said, Session)
    return said.key


def _fact(line: Line) -> Fact:
    return Fact(kind=FactKind.SESSION, at=moment(line.at), body=dict(line.body))


def now(services: Services) -> int:
    """The moment at which a request came in."""
    return facts.microseconds(services.clock.now())
