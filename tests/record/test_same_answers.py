"""The same history gives the same answers on both databases, asked by the operator and by the commands."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from exuvia.app import checking, past
from exuvia.model.facts import DeathReason, Fact, microseconds
from exuvia.record import appending, exporting, histories, importing, lines, queries, sayings, telling, versions, who
from exuvia.record.places import Place
from exuvia.record.reading import reading
from tests.cli.calling import call
from tests.record import lives, world
from tests.record.postgres.server import PASSWORD, WRITER, Postgres
from tests.record.world import at

UIDS = [
    "b",
    "B",
    "a",
    "_",
    "~",
    "-",
    "Z",
    "ä",
    "é",
    "z",
    "ß",
    "Ω",
    "\uffff",
    "\U0001f600",
    "0",
    "10",
    "9",
    " x",
    "a b",
    "a-b",
]


def told() -> list[Fact]:
    """What an operator tells, with names that are reused."""
    dice, found = random.Random(7), list[Fact]()
    for number, uid in enumerate(UIDS):
        found.append(world.birth(uid, number, name=f"vdi-{number % 5}", addresses=[f"10.0.0.{number % 7}"], bootID=uid))
        found.append(world.placement(f"P{number}", uid, "from", number + 0.5, serviceAccount="cart"))
        found.append(world.verdict(uid, dice.choice(["violating", "compliant"]), number + 1))
        if number % 3 == 0:
            reason = dice.choice(list(DeathReason))
            found.append(world.death(uid, number + 9, not_before=number + 8 if number % 2 else None, reason=reason))
        if number % 4 == 0:
            found.append(world.operation(f"R{number}", "started", number))
            found.append(world.operation(f"R{number}", "ended", number + 2, result="Succeeded/Done"))
        found.append(world.verdict(uid, "", number + 4))
    return found


def imported() -> Iterator[lines.Line]:
    """What comes from elsewhere, with corrections, and what is taken back."""
    dice = random.Random(8)
    texts = []
    for number, uid in enumerate(UIDS):
        times = {"from": rfc(number), "to": rfc(number + dice.randint(1, 9)), "recordedAt": rfc(number + 20)}
        texts.append(
            {"type": "presence", "uid": uid, "vulnerability": f"CVE-{number % 4}", "closed": "patched", **times}
        )
        texts.append({"type": "session", "uid": uid, "user": dice.choice(["ann", "Bob", "Ödön"]), **times})
        texts.append({"type": "frozen", "uid": uid, **times})
        score = {"type": "score", "vulnerability": f"CVE-{number % 4}", "source": "cvss", "value": f"{number % 10}.5"}
        texts.append({**score, "basis": "intrinsic", "validFrom": rfc(number % 3), "recordedAt": rfc(number)})
        life = {"born": rfc(-9), "died": rfc(number), "recordedAt": rfc(30)}
        texts.append({"type": "instance", "uid": f"old-{uid}", "name": "vdi-1", **life})
    yield from lines.read((json.dumps(one) for one in texts), recorded=0)


def rfc(minutes: float) -> str:
    return at(minutes).isoformat().replace("+00:00", "Z")


def filled(place: Place) -> Place:
    with world.written(place) as connection:
        writer, head = appending.Writer(cluster="c", epoch=1), appending.Head()
        for fact in told():
            head = appending.add(connection, head, fact, writer, recorded=microseconds(fact.at)) or head
        importing.enter(connection, imported(), writer)
    return place


@pytest.fixture(scope="module")
def both(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Place]:
    file, place = tmp_path_factory.mktemp("same") / "l.db", postgres.place(postgres.database(), WRITER)
    filled(file)
    return file, filled(place)


def comparable(entry: dict[str, Any]) -> dict[str, Any]:
    """Without the moment of the import, and without names that are sealed under a key of the ledger's own."""
    return {**entry, "recorded": None, "body": {**entry["body"], "user": None}}


def answers(connection: Connection) -> Iterator[Any]:
    """What is asked of the past."""
    now = 2**52
    yield queries.clusters(connection)
    yield list(histories.pasts(connection, now))
    yield list(histories.pasts(connection, now, cluster="c"))
    yield [one.uid for one in histories.pasts(connection, now)]
    yield histories.scores(connection, now)
    yield list(sayings.sayings(connection))
    yield sayings.seen(connection)
    for page in telling.pages(connection, now):
        yield [[column.tolist() for column in rows] for rows in (page.lives, page.presences, page.freezes)]
    for minutes in range(-10, 40, 3):
        for name in ("vdi-0", "vdi-1", "vdi-4"):
            yield who.bore(connection, "name", name, at(minutes))
            yield telling.named(connection, name, now)
        yield who.bore(connection, "address", "10.0.0.3", at(minutes), until=versions.INSTANT)
        yield who.ran(connection, "shop", "cart-P3", at(minutes))
    for uid in UIDS:
        yield [comparable(entry) for entry in lives.life(connection, uid)]


def test_every_question_has_the_same_answer(both: tuple[Path, Place]) -> None:
    file, place = both
    with reading(file) as one, reading(place) as other:
        compared = 0
        for mine, theirs in zip(answers(one), answers(other), strict=True):
            assert mine == theirs
            compared += bool(mine)
    assert compared > 100, "and there were answers"


def test_what_a_new_leader_reads_is_the_same(both: tuple[Path, Place]) -> None:
    file, place = both
    quarantines = frozenset(("R1", "R0"))
    mine, theirs = (past.read(one, at(100), 2, "c", quarantines) for one in (file, place))
    assert mine == theirs
    assert mine.alive and mine.started and mine.starts == theirs.starts
    assert past.greatest_epoch(place, "c") == past.greatest_epoch(file, "c")
    assert checking.verify(place, "c").first_bad is None


def test_machines_are_read_in_the_order_of_their_uid_byte_by_byte(both: tuple[Path, Place]) -> None:
    """Several reads are joined by it, so it must be Python's whatever the collation of the database."""
    with reading(both[1]) as connection:
        found = [one.uid for one in histories.pasts(connection, 2**52)]
    assert found == sorted(found) and set(UIDS) <= set(found)


def test_order_does_not_depend_on_the_databases_own(postgres: Postgres) -> None:
    with postgres.connect() as connection:
        icu = connection.execute("SELECT 1 FROM pg_collation WHERE collprovider = 'i' LIMIT 1").fetchone()
    options = "LOCALE_PROVIDER icu ICU_LOCALE 'en' " if icu else "LOCALE 'C' "
    name = postgres.empty(f"ENCODING 'UTF8' {options} TEMPLATE template0")
    call("ledger", "prepare", "--ledger", postgres.url(name), "--writer", WRITER)
    with reading(filled(postgres.place(name, WRITER))) as connection:
        found = [one.uid for one in histories.pasts(connection, 2**52)]
    assert found == sorted(found)


def test_an_export_of_what_was_told_is_the_same(both: tuple[Path, Place]) -> None:
    with reading(both[0]) as one, reading(both[1]) as other:
        mine, theirs = list(exporting.lines(one, "c")), list(exporting.lines(other, "c"))
    own = len(told())
    assert mine[:own] == theirs[:own]
    assert len(mine) == len(theirs)


WORKED = """\
{"type":"instance","uid":"A","name":"a","born":"2026-01-01T00:00:00Z","died":"2026-01-01T01:00:00Z","recordedAt":"2026-01-01T00:00:00Z"}
{"type":"presence","uid":"A","vulnerability":"v","from":"2026-01-01T00:00:00Z","to":"2026-01-01T01:00:00Z","closed":"rotated","recordedAt":"2026-01-01T00:00:00Z"}
{"type":"score","vulnerability":"v","source":"cvss","value":5.0,"basis":"intrinsic","validFrom":"2025-12-31T23:00:00Z","recordedAt":"2025-12-31T23:00:00Z"}
{"type":"score","vulnerability":"v","source":"cvss","value":9.8,"basis":"threat","validFrom":"2026-01-01T03:00:00Z","recordedAt":"2026-01-01T03:00:00Z"}
"""


def test_the_commands_work_on_both_and_say_the_same(place: Place, tmp_path: Path) -> None:
    """The worked case of history.md: 5.0, 5.0, 9.8, 58.8, 0."""
    file, env = tmp_path / "facts.ndjson", {"EXUVIA_LEDGER": str(place), "PGPASSWORD": PASSWORD}
    file.write_text(WORKED)
    assert "4 lines imported" in call("ledger", "import", file, env=env).stdout
    assert "is sound: 4 entries" in call("ledger", "verify", env=env).stdout
    window = ("--from", "2026-01-01T00:00:00Z", "--to", "2026-01-01T06:00:00Z", "--as-of", "2026-01-01T06:00:00Z")
    found = json.loads(call("risk", "report", *window, "-o", "json", env=env).stdout)
    assert found["exposure"] == {"now": 5.0, "then": 5.0}
    assert found["naive"] == {"rescore": 9.8, "undead": 58.8, "liveOnly": 0.0}
    asked = ("ledger", "who", "--name", "a", "--at", "2026-01-01T00:30:00Z", "-o", "json")
    assert json.loads(call(*asked, env=env).stdout)["answer"] == "one"
    assert str(place) in call("doctor", env=env, code=1).stdout
