"""Watching NetworkPolicies while machines are cut off by some of ours: one that somebody deletes or changes must be
back within seconds, and one that lets traffic in must be said. Nothing is watched while no machine is quarantined.

It decides nothing: whom a change concerns looks again, and reads the policies anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from exuvia.act.network import facts_of
from exuvia.app.services import Services
from exuvia.model import marks, resources
from exuvia.model.specs.quarantine import Quarantine
from exuvia.observe.reflector import Reflector

PERIOD_SECONDS = 1.0
GATHER_SECONDS = 0.1
WATCH_SECONDS = 20  # a watch that nothing happens to ends by then, and is heard of
BLIND_SECONDS = 30.0

Wake = Callable[[str, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A NetworkPolicy as far as a change of it matters. `of`: the UID of the Quarantine that its label names, "" for
    everybody else's; `sound`: one of ours that denies as it was made to."""

    uid: str
    namespace: str
    name: str
    of: str
    sound: bool
    allows: bool


class Networks:
    """Runs with a term; watches only while an open Quarantine has policies in some namespace."""

    def __init__(self, services: Services, wake: Wake) -> None:
        self._services = services
        self._wake = wake
        self._known: dict[str, Policy] = {}

    async def run(self) -> None:
        """For ever."""
        while True:
            if self._cut_off():
                await self._while_needed()
            await asyncio.sleep(PERIOD_SECONDS)

    async def _while_needed(self) -> None:
        changed = asyncio.Event()
        services = self._services
        watch = Reflector(
            services.client, resources.NETWORK_POLICIES, policy_of, services.clock, changed.set,
            watch_seconds=WATCH_SECONDS,
        )  # fmt: skip
        watching = asyncio.create_task(watch.run(), name="watch network policies")
        looked, seen = services.clock.monotonic(), False
        self._known = {}
        try:
            while self._cut_off():
                await _either(changed, PERIOD_SECONDS)
                self._tell(watch)
                blind = self._blind(watch) and services.clock.monotonic() - looked >= BLIND_SECONDS
                if blind or watch.synced > seen:  # what happened before anybody watched, or while nobody can
                    looked, seen = services.clock.monotonic(), watch.synced
                    self._wake_all(self._cut_off())
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    def _blind(self, watch: Reflector[Policy]) -> bool:
        """Whether nothing is heard of it: it was never listed, or the watch is dead."""
        heard = watch.last_heard
        return heard is None or (self._services.clock.now() - heard).total_seconds() >= BLIND_SECONDS

    def _tell(self, watch: Reflector[Policy]) -> None:
        """Wake whom the changes since the last call concern."""
        gone = watch.store.take_gone()
        now = {uid: watch.store.get(uid) for uid in watch.store.take_dirty()}
        changes: list[tuple[Policy | None, Policy | None]] = [
            (self._known.pop(uid, last), None) for uid, last in gone.items()
        ]
        changes += [(self._known.get(uid), one) for uid, one in now.items() if one is not None]
        self._known |= {uid: one for uid, one in now.items() if one is not None}
        cut_off = self._cut_off()
        self._wake_all(set[str]().union(*(concerned(former, new, cut_off) for former, new in changes)))

    def _wake_all(self, uids: Iterable[str]) -> None:
        for uid in sorted(uids):
            self._wake(Quarantine.KIND, uid)

    def _cut_off(self) -> Mapping[str, frozenset[str]]:
        """UID of every open Quarantine that has policies -> the namespaces of these."""
        found = self._services.view.open_quarantines()
        return {one.uid: frozenset(one.status.namespaces) for one in found if one.status.namespaces}


def concerned(former: Policy | None, now: Policy | None, cut_off: Mapping[str, frozenset[str]]) -> set[str]:
    """UIDs of the Quarantines that must look because a policy came, changed or went (None: it is not there).

    That one of ours is there as it should be concerns nobody: it is we who made it.
    """
    owners = {one.of for one in (former, now) if one is not None and one.of}
    if now is not None and now.sound:
        owners.discard(now.of)
    uids = owners & set(cut_off)
    if any(one is not None and one.allows for one in (former, now)):
        namespaces = {one.namespace for one in (former, now) if one is not None}
        uids |= {uid for uid, some in cut_off.items() if some & namespaces}
    return uids


def policy_of(raw: Any) -> Policy:
    """From one item of a list, or one event."""
    body = msgspec.json.decode(raw)
    found = facts_of(body)
    label = str((body["metadata"].get("labels") or {}).get(marks.QUARANTINE_POD_LABEL, ""))
    return Policy(
        uid=found.uid,
        namespace=found.namespace,
        name=found.name,
        of=label,
        sound=bool(found.quarantine),
        allows=found.allows,
    )


async def _either(changed: asyncio.Event, seconds: float) -> None:
    """Until something changed and a moment passed, so that many changes make one look; or so many seconds."""
    try:
        await asyncio.wait_for(changed.wait(), seconds)
    except TimeoutError:
        return
    await asyncio.sleep(GATHER_SECONDS)
    changed.clear()
