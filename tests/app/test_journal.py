"""One line an action, for people and for machines, with times in UTC; none for what was only looked at."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from datetime import timedelta
from typing import Any

import pytest

from exuvia.app import journal, logs
from exuvia.model import actions
from exuvia.model.actions import EvictPod, MarkInstance, MarkSet, Outcome, OutcomeKind, PodTarget
from exuvia.model.instances import Reference
from exuvia.model.specs.rotation import Rotation
from tests import virtual
from tests.app.test_leader import LeaseServer, Replica

POD = PodTarget(namespace="shop", name="cart-1", uid="P")
NODE = Reference(kind="Node", name="worker-7", uid="N")


def rotation(phase: str, **status: Any) -> Rotation:
    meta = {"name": "r-1", "uid": "R", "creationTimestamp": "2026-11-25T11:00:00Z"}
    spec = {"instance": {"kind": "Node", "name": "worker-7", "uid": "N"}}
    return Rotation.parse({"metadata": meta, "spec": spec, "status": {"phase": phase, **status}})


def outcome(kind: OutcomeKind, **more: Any) -> Outcome:
    return Outcome(action=EvictPod(pod=POD), kind=kind, **more)


def test_one_line_an_action_with_its_result_and_what_it_was_about(caplog: pytest.LogCaptureFixture) -> None:
    done, refused = outcome(OutcomeKind.DONE), outcome(OutcomeKind.REFUSED, message="PDB shop/cart allows 0")
    with caplog.at_level(logging.INFO, logger="exuvia"):
        journal.acted(rotation("Draining"), "Evicting", [done, refused, outcome(OutcomeKind.ALREADY)])
    assert [(one.levelname, one.getMessage()) for one in caplog.records] == [
        ("INFO", "Rotation r-1: evict pod shop/cart-1: Done"),
        ("WARNING", "Rotation r-1: evict pod shop/cart-1: Refused (PDB shop/cart allows 0)"),
    ]
    said: Any = caplog.records[0]
    assert (said.kind, said.operation, said.operationUID) == ("Rotation", "r-1", "R")
    assert (said.instance, said.instanceUID, said.step) == ("worker-7", "N", "Evicting")
    assert (said.action, said.target, said.uid, said.result) == ("evict", "pod shop/cart-1", "P", "Done")


def test_a_phase_is_told_once_and_the_last_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="exuvia"):
        journal.moved(rotation("Draining"), rotation("Draining"))
        journal.moved(rotation("Draining"), rotation("Drained"))
        journal.moved(rotation("Terminating"), rotation("Succeeded", reason="Replaced"))
    assert [one.getMessage() for one in caplog.records] == [
        "Rotation r-1: Draining -> Drained, machine worker-7",
        "Rotation r-1: Terminating -> Succeeded (Replaced), machine worker-7",
    ]


def test_every_action_has_words() -> None:
    some = (
        MarkInstance(instance=NODE, marks=MarkSet.ROTATING, operation="r-1"),
        actions.RestoreInstance(instance=NODE, marks=MarkSet.ROTATING, before=actions.Before()),
        EvictPod(pod=POD),
        actions.DeletePod(pod=POD, grace=timedelta(seconds=1)),
        actions.LabelPod(pod=POD, labels={"a": None}),
        actions.DenyNetwork(namespace="shop", name="n", quarantine_uid="Q", quarantine_name="q"),
        actions.AllowNetwork(namespace="shop", name="n"),
        actions.RequestMachine(provider="Simulated", pool="", key="k", like=NODE),
        actions.RemoveMachine(provider="Simulated", pool="p", instance=NODE),
        actions.CreateOperation(kind="Rotation", name="r-2", body={}),
    )
    assert {type(one) for one in some} == set(actions.Action.__args__)
    assert all(verb and target for verb, target, _ in map(journal.words, some))


@pytest.mark.parametrize("as_json", [True, False])
def test_times_are_rfc_3339_in_utc(as_json: bool) -> None:
    record = logging.LogRecord("exuvia.x", logging.INFO, "f", 1, "said %s", ("so",), None)
    record.created = 1764072000.5
    line = (logs._json() if as_json else logs._plain()).format(record)
    stamp = json.loads(line)["ts"] if as_json else line.split(" ")[0]
    assert stamp == "2025-11-25T12:00:00.500Z"
    assert re.search("said so", line)


def test_standing_by_taking_over_and_giving_back_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        server = LeaseServer()
        first, second = Replica(server, "first"), Replica(server, "second")
        tasks = [first.start()]
        await asyncio.sleep(1)
        tasks.append(second.start())
        await asyncio.sleep(60)
        await first.elector.release()
        await asyncio.sleep(10)
        for one in tasks:
            one.cancel()

    with caplog.at_level(logging.INFO, logger="exuvia"):
        virtual.run(story())
    assert [one.getMessage() for one in caplog.records if one.levelno == logging.INFO] == [
        "leading under epoch 1",
        "standing by: first leads",
        "the lease was given back",
        "took the lease over from nobody",
        "leading under epoch 2",
    ]
