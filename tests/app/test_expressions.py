"""Expressions of users run where they can be stopped: a hostile one is, and only its policy suffers."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from exuvia.app import expressions
from exuvia.app.clock import SystemClock
from exuvia.app.expressions import Evaluator, Subject
from exuvia.evaluate import judge
from exuvia.evaluate.expressions import Outcome
from exuvia.evaluate.policies import CompiledPolicy
from exuvia.model.specs.security_policy import RuleType
from tests.evaluate import world


@pytest.fixture
async def evaluator() -> AsyncIterator[Evaluator]:
    made = Evaluator(SystemClock())
    yield made
    await made.close()


def policy(text: str, name: str = "workers", generation: int = 1, **more: Any) -> CompiledPolicy:
    rule = world.rule(RuleType.EXPRESSION, {"expression": text})
    return world.compiled(rule, name=name, generation=generation, **more)


def subject(uid: str = "A", **labels: str) -> Subject:
    return Subject(uid=uid, object={"metadata": {"name": "w", "labels": labels}}, instance={"uid": uid})


GROWTH = [{"name": "v0", "expression": "object.metadata.name + 'aaaaaaaaaa'"}] + [
    {"name": f"v{n}", "expression": f"variables.v{n - 1} + variables.v{n - 1}"} for n in range(1, 31)
]
HUNDRED = "[" + ",".join("1" for _ in range(100)) + "]"
SLOW = {"variables": GROWTH[:22]}
SLOW_TEXT = f"{HUNDRED}.all(x, !variables.v21.matches('(a|b)*c'))"
LABELLED = "'team' in object.metadata.labels"


def said(answers: expressions.Answers, uid: str, made: CompiledPolicy) -> Outcome:
    return answers[uid][made.uid]["expression"]


async def test_answers_come_by_machine_policy_and_rule(evaluator: Evaluator) -> None:
    good, other = policy(LABELLED, "good"), policy("instance.uid == 'B'", "other")
    plain = world.compiled(world.rule(RuleType.MAX_AGE, {"limit": "1h"}), name="plain")
    answers = await evaluator.evaluate([good, plain, other], [subject("A", team="x"), subject("B")], world.NOW)
    assert answers["A"] == {good.uid: {"expression": Outcome(True)}, other.uid: answers["A"][other.uid]}
    assert [said(answers, uid, good).compliant for uid in "AB"] == [True, False]
    assert [said(answers, uid, other).compliant for uid in "AB"] == [False, True]


async def test_more_machines_than_a_batch_are_all_answered(evaluator: Evaluator) -> None:
    good = policy(LABELLED)
    subjects = [subject(str(n), **({"team": "x"} if n % 3 else {})) for n in range(expressions.BATCH * 2 + 7)]
    answers = await evaluator.evaluate([good], subjects, world.NOW)
    assert [said(answers, str(n), good).compliant for n in range(len(subjects))] == [
        bool(n % 3) for n in range(len(subjects))
    ]


@pytest.mark.parametrize(
    ("text", "more"),
    [(SLOW_TEXT, SLOW), ("size(variables.v30) > 0", {"variables": GROWTH})],
    ids=["time", "memory"],
)
async def test_a_hostile_expression_is_stopped_and_only_its_policy_suffers(
    evaluator: Evaluator, text: str, more: dict[str, Any]
) -> None:
    before, hostile, after = policy(LABELLED, "a"), policy(text, "hostile", **more), policy(LABELLED, "z")
    answers = await evaluator.evaluate([before, hostile, after], [subject(team="x")], world.NOW)
    assert said(answers, "A", before) == said(answers, "A", after) == Outcome(True)
    assert said(answers, "A", hostile).compliant is None
    again = await evaluator.evaluate([before, hostile, after], [subject(team="x")], world.NOW)
    assert said(again, "A", hostile).compliant is None
    assert said(again, "A", after) == Outcome(True)


async def test_who_was_stopped_waits_for_its_next_generation_or_ten_minutes(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(expressions, "PATIENCE", timedelta(seconds=0.5))
    hostile = policy(SLOW_TEXT, **SLOW)
    stopped = await evaluator.evaluate([hostile], [subject()], world.NOW)
    assert said(stopped, "A", hostile).message.startswith(judge.STOPPED)
    assert "policy workers took too much memory or time; simplify them" in said(stopped, "A", hostile).message
    worker = evaluator._worker
    await evaluator.evaluate([hostile], [subject()], world.NOW)
    assert evaluator._worker is worker is None, "it was not even asked"
    mended = policy(LABELLED, generation=2)
    assert said(await evaluator.evaluate([mended], [subject(team="x")], world.NOW), "A", mended) == Outcome(True)
    assert len(caplog.records) == 1
    evaluator._clock = Later()
    await evaluator.evaluate([hostile], [subject()], world.NOW)
    assert len(caplog.records) == 2, "asked again, stopped again"


class Later(SystemClock):
    """Ten minutes on."""

    def monotonic(self) -> float:
        return super().monotonic() + 600


async def test_a_stopped_expression_never_counts_as_a_fail(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expressions, "PATIENCE", timedelta(seconds=0.5))
    rule = world.rule(RuleType.EXPRESSION, {"expression": SLOW_TEXT}, failurePolicy="Fail")
    hostile = world.compiled(rule, **SLOW)
    answers = await evaluator.evaluate([hostile], [subject()], world.NOW)
    made = judge.judge(hostile, world.node(), answers["A"][hostile.uid], world.NOW)
    assert str(made.verdict) == "unknown"


async def test_a_worker_that_dies_is_replaced(evaluator: Evaluator) -> None:
    good = policy(LABELLED)
    await evaluator.evaluate([good], [subject(team="x")], world.NOW)
    assert evaluator._worker is not None
    os.kill(evaluator._worker.pid, signal.SIGKILL)
    await evaluator._worker.wait()
    assert said(await evaluator.evaluate([good], [subject(team="x")], world.NOW), "A", good) == Outcome(True)


async def test_an_answer_never_passes_for_that_of_another_question(evaluator: Evaluator) -> None:
    yes, no = policy("true", "yes"), policy("false", "no")
    slow = policy(SLOW_TEXT, "slow", **SLOW)
    await evaluator.evaluate([yes], [subject()], world.NOW)
    asked = asyncio.create_task(evaluator.evaluate([slow], [subject()], world.NOW))
    await asyncio.sleep(0.3)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    answers = await evaluator.evaluate([no, yes], [subject()], world.NOW)
    assert [said(answers, "A", one).compliant for one in (no, yes)] == [False, True]


async def test_without_a_worker_everything_is_unknown_and_nobody_is_punished(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = policy(LABELLED)
    monkeypatch.setattr(expressions.sys, "executable", "/nowhere/python")
    answers = await evaluator.evaluate([good], [subject(team="x")], world.NOW)
    assert said(answers, "A", good).compliant is None
    assert "does not start" in said(answers, "A", good).message
    monkeypatch.undo()
    assert said(await evaluator.evaluate([good], [subject(team="x")], world.NOW), "A", good) == Outcome(True)


async def test_the_worker_ends_with_its_evaluator() -> None:
    made = Evaluator(SystemClock())
    await made.evaluate([policy(LABELLED)], [subject()], world.NOW)
    worker = made._worker
    assert worker is not None
    await made.close()
    assert worker.returncode is not None
