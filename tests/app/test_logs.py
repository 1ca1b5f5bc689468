"""What the log keeps of kopf's lines: everything but what misleads."""

from __future__ import annotations

import logging

import pytest
from kopf._cogs.clients.errors import APINotFoundError

from exuvia.app import logs


@pytest.fixture(autouse=True)
def _as_before() -> object:
    """The loggers of the whole process, put back afterwards."""
    root = logging.getLogger()
    names = ("exuvia", "kopf", "aiohttp.access", "alembic", "asyncio")
    kept = root.handlers[:], root.level, {name: logging.getLogger(name).level for name in names}
    yield
    root.handlers[:], levels = kept[0], kept[2]
    root.setLevel(kept[1])
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def fail(logger: logging.Logger, trouble: Exception) -> None:
    try:
        raise trouble
    except Exception as found:
        logger.exception("Watcher for rotations has failed: %s", found)


def told(capsys: pytest.CaptureFixture[str], *, verbose: bool = False) -> str:
    logs.configure(json=False, verbose=verbose)
    kopf = logging.getLogger("kopf._core.reactor.running")
    kopf.warning("OS signals are ignored: running not in the main thread.")
    kopf.warning("Unresolved resources cannot be served")
    fail(kopf, APINotFoundError({"message": "gone"}, status=404, headers={}))
    return capsys.readouterr().err


def test_what_misleads_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    said = told(capsys)
    assert "OS signals" not in said and "Traceback" not in said and "ERROR" not in said
    assert "WARNING kopf._core.reactor.running: Watcher for rotations has failed" in said
    assert "Unresolved resources cannot be served" in said


def test_verbose_tells_everything(capsys: pytest.CaptureFixture[str]) -> None:
    said = told(capsys, verbose=True)
    assert "OS signals are ignored" in said and "Traceback" in said and "ERROR" in said


@pytest.mark.parametrize("name", ["kopf.objects", "exuvia.app.term"])
def test_mistakes_of_a_program_keep_their_tracebacks(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(json=True, verbose=False)
    fail(logging.getLogger(name), ValueError("a mistake"))
    said = capsys.readouterr().err
    assert "Traceback" in said and "ERROR" in said
