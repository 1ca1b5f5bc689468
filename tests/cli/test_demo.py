"""A demo whose operator dies is judged all the same, and its end says what runs on and where the log is."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from exuvia import errors
from exuvia.cli import demo
from exuvia.cli.demo import judging, stage, story
from exuvia.localcluster import binaries
from tests.cli.calling import call

DEAD = SimpleNamespace(alive=lambda: False)


def test_one_pod_is_counted_as_one() -> None:
    assert story._frozen(1).startswith("1 pod frozen: it runs on")
    assert story._frozen(2).startswith("2 pods frozen: they run on")


class Empty:
    """A cluster in which nothing is, or one that does not answer."""

    def __init__(self, trouble: errors.ClusterError | None) -> None:
        self._trouble = trouble

    async def pages(self, *_: object, **__: object) -> AsyncIterator[list[Any]]:
        if self._trouble is not None:
            raise self._trouble
        yield []


class Plane:
    """A control plane of which only the folder is there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kubeconfig = folder / "kubeconfig"
        self.binaries = folder / "bin"
        self.stopped = False

    def kubectl(self, *said: str, **_: str) -> str:
        owner = {"metadata": {"name": "web-1", "uid": "1"}}
        return json.dumps({"items": [owner]}) if said[:2] == ("get", "replicasets") else ""

    def stop(self) -> None:
        self.stopped = True


@pytest.fixture
def plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plane:
    """A stage whose operator ended at once; nobody listens on the port of its metrics."""
    made: Any = Plane(tmp_path / "demo")
    place = stage.Stage(
        plane=made,
        cloud="",
        metrics="http://127.0.0.1:9",
        ledger=tmp_path / "ledger.db",
        evidence=tmp_path / "evidence",
    )

    async def populate(*_: object) -> None:
        return

    monkeypatch.setattr(stage, "build", lambda *_, **__: place)
    monkeypatch.setattr(stage, "populate", populate)
    monkeypatch.setattr(stage, "operate", lambda *_, **__: DEAD)
    monkeypatch.setattr(binaries, "ensure", lambda *_: tmp_path)
    connected_to(monkeypatch, None)
    found: Plane = made
    return found


def connected_to(monkeypatch: pytest.MonkeyPatch, trouble: errors.ClusterError | None) -> None:
    @asynccontextmanager
    async def entered() -> AsyncIterator[Empty]:
        yield Empty(trouble)

    async def connect(*_: object) -> Any:
        return entered()

    monkeypatch.setattr(demo, "Client", SimpleNamespace(connect=connect))


def test_a_story_whose_operator_ended_is_judged_and_names_its_log(plane: Plane, tmp_path: Path) -> None:
    said = call("demo", "--folder", tmp_path / "demo", code=1).stdout
    log = tmp_path / "demo" / "logs" / "exuvia.log"
    assert f"the story broke off: The operator ended. Its log says why: {log}." in said
    assert "FAIL  the metrics count four rotations" in said
    assert f"Everything is stopped; the logs are in {log.parent}." in said
    assert plane.stopped


@pytest.mark.parametrize("judged", [True, False])
def test_with_keep_the_end_always_says_how_to_stop_it(
    plane: Plane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, judged: bool
) -> None:
    if not judged:
        connected_to(monkeypatch, errors.Unreachable("The API server does not answer."))
    said = call("demo", "--keep", "--folder", tmp_path / "demo", code=1).stdout
    assert said.endswith(f"Stop it: exuvia dev down --folder {tmp_path / 'demo'}\n")
    assert ("it cannot be judged: The API server does not answer." in said) is not judged
    assert not plane.stopped


@pytest.mark.parametrize(
    "on_ctrl_c", [signal.default_int_handler, signal.SIG_IGN], ids=["a person", "in the background"]
)
def test_a_sigterm_stops_what_runs_as_ctrl_c_does(
    plane: Plane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_ctrl_c: Any
) -> None:
    async def told_to_end(*_: object) -> None:
        signal.raise_signal(signal.SIGTERM)
        await asyncio.sleep(60)

    monkeypatch.setattr(judging, "judge", told_to_end)
    before = signal.signal(signal.SIGINT, on_ctrl_c), signal.getsignal(signal.SIGTERM)
    try:
        said = call("demo", "--folder", tmp_path / "demo", code=130).stdout
    finally:
        signal.signal(signal.SIGINT, before[0])
    assert plane.stopped
    assert f"Everything is stopped; the logs are in {tmp_path / 'demo' / 'logs'}." in said
    assert signal.getsignal(signal.SIGTERM) == before[1]


def test_also_when_something_that_nobody_thought_of_happens(
    plane: Plane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def stumbles(*_: object) -> None:
        raise ValueError("nobody thought of this")

    monkeypatch.setattr(judging, "judge", stumbles)
    with pytest.raises(ValueError, match="nobody thought"):
        demo.command.main(["--keep", "--folder", str(tmp_path / "demo")], standalone_mode=False)
    assert "Stop it: exuvia dev down --folder" in capsys.readouterr().out
