"""Runners: one task an operation, so that its steps never overlap. Who is woken while it runs looks once more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

LONGEST = timedelta(minutes=5)
SOON_SECONDS = 0.1
LEAST_SECONDS = 0.05
DUE_SECONDS = 1.0

Look = Callable[[str, str], Awaitable[timedelta | None]]
"""Looks at one operation (kind and UID) and says when to look again; None: only when it is woken. Never raises."""


class Runners:
    """The tasks of one term. No waking is ever lost: not between the last look and the end of a runner either."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._running: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._soon: dict[str, asyncio.TimerHandle] = {}
        self._stopped = False

    def wake(self, kind: str, uid: str) -> None:
        """Look again, now."""
        if self._stopped:
            return
        self._cancel(uid)
        if uid in self._running:
            self._again.add(uid)
            return
        self._running[uid] = asyncio.create_task(self._run(kind, uid), name=f"advance {kind} {uid}")

    def wake_soon(self, kind: str, uid: str, seconds: float = SOON_SECONDS) -> None:
        """The same a moment later, so that many changes at once make one look. The sooner one of two counts."""
        loop, pending = asyncio.get_running_loop(), self._soon.get(uid)
        if self._stopped or (pending is not None and pending.when() <= loop.time() + seconds):
            return
        if pending is not None:
            pending.cancel()
        self._soon[uid] = loop.call_later(seconds, self._wake_now, kind, uid)

    async def stop(self) -> None:
        """Let runners end; nothing is begun any more."""
        self._stopped = True
        for timer in (*self._timers.values(), *self._soon.values()):
            timer.cancel()
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, kind: str, uid: str) -> None:
        after: timedelta | None = None
        try:
            looking = True
            while looking:
                self._again.discard(uid)
                after = await self._look(kind, uid)
                looking = uid in self._again
        finally:  # no await from here on: a waking finds either a runner that looks once more, or none
            self._again.discard(uid)
            self._running.pop(uid, None)
        if after is not None and not self._stopped:
            self._schedule(kind, uid, min(after, LONGEST))

    def _wake_now(self, kind: str, uid: str) -> None:
        """A look that is due within a second anyhow sees the change as well."""
        self._soon.pop(uid, None)
        due = self._timers.get(uid)
        if due is None or due.when() > asyncio.get_running_loop().time() + DUE_SECONDS:
            self.wake(kind, uid)

    def _schedule(self, kind: str, uid: str, after: timedelta) -> None:
        loop = asyncio.get_running_loop()
        self._timers[uid] = loop.call_later(max(LEAST_SECONDS, after.total_seconds()), self._ring, kind, uid)

    def _ring(self, kind: str, uid: str) -> None:
        self._timers.pop(uid, None)
        self.wake(kind, uid)

    def _cancel(self, uid: str) -> None:
        timer = self._timers.pop(uid, None)
        if timer is not None:
            timer.cancel()
