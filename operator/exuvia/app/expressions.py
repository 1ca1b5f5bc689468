"""Where expressions of users run: a worker process with limits on memory and time, that can be killed.

Each policy's expressions go out as batches of their own, the answers come back. When the worker dies or is late that
policy alone errs, for its generation or ten minutes; the others get their answers from a fresh worker. A worker that is
not at the end of an answer is never asked again: an answer must not pass for that of another policy.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import resource
import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from exuvia import ports
from exuvia.evaluate.expressions import Outcome, Programs
from exuvia.evaluate.judge import STOPPED
from exuvia.evaluate.policies import CompiledPolicy
from exuvia.model.specs.security_policy import SecurityPolicySpec

log = logging.getLogger(__name__)

MEMORY_BYTES = 1 << 30
BATCH = 200
PATIENCE = timedelta(seconds=2)
PUNISHED = timedelta(minutes=10)
STARTED = timedelta(seconds=30)
_SIZE = struct.Struct(">I")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One object to look at: the Node as served, and the `instance` that expressions see."""

    uid: str
    object: Mapping[str, Any]
    instance: Mapping[str, Any]


Answers = dict[str, dict[str, dict[str, Outcome]]]
"""Instance UID -> policy UID -> rule -> outcome."""


class Evaluator:
    """Owns the worker. One batch at a time."""

    def __init__(self, clock: ports.Clock) -> None:
        self._clock = clock
        self._worker: asyncio.subprocess.Process | None = None
        self._known: dict[str, int] = {}
        self._punished: dict[tuple[str, int], float] = {}
        self._lock = asyncio.Lock()

    async def close(self) -> None:
        """End the worker."""
        await self._kill()

    async def evaluate(self, policies: Sequence[CompiledPolicy], subjects: Sequence[Subject], now: datetime) -> Answers:
        """Every expression of the policies over every subject. Never raises for what an expression does."""
        found: Answers = {one.uid: {} for one in subjects}
        wanted = [policy for policy in policies if policy.expressions]
        async with self._lock:
            for start in range(0, len(subjects), BATCH):
                part = subjects[start : start + BATCH]
                for policy in wanted:
                    await self._policy(policy, part, now, found)
        return found

    async def _policy(self, policy: CompiledPolicy, subjects: Sequence[Subject], now: datetime, found: Answers) -> None:
        key = (policy.uid, policy.generation)
        if self._punished.get(key, 0.0) > self._clock.monotonic():
            answers = _stopped(policy, subjects)
        else:
            answers = await self._ask(policy, subjects, now)
        for uid, outcomes in answers.items():
            found[uid][policy.uid] = outcomes

    async def _ask(
        self, policy: CompiledPolicy, subjects: Sequence[Subject], now: datetime
    ) -> dict[str, dict[str, Outcome]]:
        try:
            worker = await self._alive()
        except (OSError, EOFError, TimeoutError) as trouble:
            await self._kill()
            log.error("expressions cannot be evaluated, their process does not start: %s", trouble)
            return _unknown(policy, subjects, "the process that evaluates expressions does not start")
        try:
            return await asyncio.wait_for(self._roundtrip(worker, policy, subjects, now), PATIENCE.total_seconds())
        except (TimeoutError, EOFError, ConnectionError, pickle.UnpicklingError):
            await self._kill()
            self._punish(policy)
            return _stopped(policy, subjects)
        except BaseException:  # called off in the middle of an answer
            await self._kill()
            raise

    def _punish(self, policy: CompiledPolicy) -> None:
        now = self._clock.monotonic()
        self._punished = {key: until for key, until in self._punished.items() if until > now}
        self._punished[(policy.uid, policy.generation)] = now + PUNISHED.total_seconds()
        log.warning("an expression of policy %s was stopped: too much memory or time", policy.name)

    async def _roundtrip(
        self, worker: asyncio.subprocess.Process, policy: CompiledPolicy, subjects: Sequence[Subject], now: datetime
    ) -> dict[str, dict[str, Outcome]]:
        assert worker.stdin is not None and worker.stdout is not None
        spec = None if self._known.get(policy.uid) == policy.generation else policy.spec
        message = (policy.uid, spec, [(one.uid, dict(one.object), dict(one.instance)) for one in subjects], now)
        payload = pickle.dumps(message)
        worker.stdin.write(_SIZE.pack(len(payload)) + payload)
        await worker.stdin.drain()
        size = _SIZE.unpack(await worker.stdout.readexactly(_SIZE.size))[0]
        answers: dict[str, dict[str, Outcome]] = pickle.loads(await worker.stdout.readexactly(size))
        self._known[policy.uid] = policy.generation
        return answers

    async def _alive(self) -> asyncio.subprocess.Process:
        if self._worker is None or self._worker.returncode is not None:
            self._known.clear()
            self._worker = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "exuvia.app.expressions",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=1 << 26,
            )
            await asyncio.wait_for(self._worker.stdout.readexactly(1), STARTED.total_seconds())  # type: ignore[union-attr]
        return self._worker

    async def _kill(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None and worker.returncode is None:
            worker.kill()
            await worker.wait()


def _stopped(policy: CompiledPolicy, subjects: Sequence[Subject]) -> dict[str, dict[str, Outcome]]:
    """Nobody knows which rule of the policy it was: all its expressions are unknown."""
    why = f"the expressions of policy {policy.name} took too much memory or time; simplify them"
    return _unknown(policy, subjects, why)


def _unknown(policy: CompiledPolicy, subjects: Sequence[Subject], why: str) -> dict[str, dict[str, Outcome]]:
    outcomes = {rule.name: Outcome(None, STOPPED + why) for rule in policy.rules}
    return {one.uid: outcomes for one in subjects}


def _work() -> None:
    """The worker: reads batches, answers each, ends with its parent's pipe."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    programs: dict[str, Programs] = {}
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    sink.write(b".")
    sink.flush()
    while header := source.read(_SIZE.size):
        uid, spec, subjects, now = pickle.loads(source.read(_SIZE.unpack(header)[0]))
        if isinstance(spec, SecurityPolicySpec):
            programs[uid] = Programs(spec)
        answers = {one: programs[uid].evaluate(object_, instance, now) for one, object_, instance in subjects}
        payload = pickle.dumps(answers)
        sink.write(_SIZE.pack(len(payload)) + payload)
        sink.flush()


if __name__ == "__main__":
    _work()
