"""A machine was scanned once any report of an image on it is there, a clean one as well."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from exuvia import errors
from exuvia.app import findings
from tests.app.test_findings import NEW, OLD, Stage, raw, running


@pytest.fixture
def at_work(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


async def test_a_clean_report_makes_it_scanned(at_work: Stage) -> None:
    at_work.place(running("cart-a", OLD), running("other", NEW, "other-1", machine="x"))
    learnings = at_work.services.learnings
    assert (learnings.scanner, learnings.scanned) == (None, set())
    at_work.report(raw())
    await at_work.look()
    assert (learnings.scanner, learnings.scanned) == (True, {"uid-w"})


async def test_an_image_that_is_known_already_makes_the_next_machine_scanned_too(at_work: Stage) -> None:
    at_work.report(raw())
    await at_work.look()
    assert at_work.services.learnings.scanned == set()
    at_work.place(running("cart-a", OLD, machine="x"))
    await at_work.look()
    assert at_work.services.learnings.scanned == {"uid-x"}


async def test_before_all_reports_are_there_nobody_knows(at_work: Stage) -> None:
    at_work.reports.synced = False
    await at_work.look()
    assert at_work.services.learnings.scanner is None


async def test_without_a_scanner_that_is_known(at_work: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown_kind(*_: object, **__: object) -> object:
        raise errors.NotFound("there is no such kind")

    class Over(Exception):
        pass

    async def once(_: float) -> None:
        raise Over

    at_work.services.client = SimpleNamespace(raw_page=unknown_kind)
    monkeypatch.setattr(findings.asyncio, "sleep", once)
    with pytest.raises(Over):
        await at_work.findings._watch()
    assert at_work.services.learnings.scanner is False
