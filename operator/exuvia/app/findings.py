"""Which vulnerability was on which machine, from when to when: reports of images joined with the pods that run them.

Level-based: what is on a machine now is compared with what stands open of it in the ledger, so that nothing is told
twice. Work is done for machines whose pods or images changed, and for no others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from exuvia import errors
from exuvia.app.artifacts import Artifacts, keys_of
from exuvia.app.closings import Closings
from exuvia.app.placements import digest_of
from exuvia.app.services import Services
from exuvia.model import facts, resources
from exuvia.model.facts import Fact
from exuvia.model.instances import Instance
from exuvia.observe.reflector import Reflector
from exuvia.observe.reports import Found, Report, report_of
from exuvia.record import standing
from exuvia.record.reading import reading
from exuvia.record.standing import Present, Scored

log = logging.getLogger(__name__)

SOURCE = "trivy"
BASIS = "intrinsic"
PAGE = 10  # reports in one page: each may be megabytes
PERIOD_SECONDS = 1.0
LOOK_FOR_KIND_SECONDS = 30.0
FORGET_SECONDS = 600.0
TOGETHER = 20  # machines in one read of the ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """A vulnerability that is on a machine now, since the first pod that brought it was placed there."""

    began: datetime
    image: str
    workload: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What stands open of a machine in the ledger, and which images left it when."""

    open: dict[str, Present]
    left: dict[str, datetime] = field(default_factory=dict)


class Findings:
    """Runs with a term."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._changed = asyncio.Event()
        self._reports: Reflector[Report] = Reflector(
            services.client, resources.VULNERABILITY_REPORTS, report_of, services.clock, self._changed.set, page=PAGE
        )
        self._artifacts = Artifacts()
        self._closings = Closings(services, self._artifacts, self._runs)
        self._touched: set[str] = set()
        self._vulnerable: set[str] = set()
        self._scores: dict[str, Scored] = {}
        self._loads = 0
        self._forgot = services.clock.monotonic()

    async def run(self) -> None:
        """For ever."""
        watching = asyncio.create_task(self._watch(), name="watch vulnerability reports")
        try:
            while True:
                await asyncio.sleep(PERIOD_SECONDS)
                await self.look()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _watch(self) -> None:
        """Once the cluster knows the kind; where nobody installed the scanner that is said once, and asked anew."""
        said = ""
        while True:
            try:
                await self._services.client.raw_page(resources.VULNERABILITY_REPORTS, limit=1)
                break
            except errors.NotFound:
                trouble = "there is no trivy-operator: no vulnerabilities are entered from this cluster"
                self._services.learnings.scanner = False
            except errors.ClusterError as problem:
                trouble = f"vulnerability reports cannot be read: {problem}"
            if trouble != said:
                log.info("%s", trouble)
                said = trouble
            await asyncio.sleep(LOOK_FOR_KIND_SECONDS)
        await self._reports.run()

    async def look(self) -> None:
        """Tell what changed since the last look. Nothing while the past is not known or the ledger is away."""
        services = self._services
        if not (services.past_known and services.chronicle.loaded) or services.ledger_down():
            return
        try:
            if await self._recalled():
                self._take_reports()
                self._take_moved()
                self._closings.settle()
                await self._compare()
                self._forget()
                self._services.learnings.scanner = self._reports.synced or self._services.learnings.scanner
        except errors.LedgerError as trouble:
            log.warning("vulnerabilities wait for the ledger: %s", trouble)

    async def _recalled(self) -> bool:
        """Whether it is known what the ledger holds: read once a term, and after facts were lost."""
        loads = self._services.chronicle.loads
        if loads == self._loads:
            return True
        if not await self._services.scribe.flush():
            return False
        self._vulnerable, self._scores = await asyncio.to_thread(self._read_all)
        self._touched |= self._vulnerable
        self._loads = loads
        return True

    def _read_all(self) -> tuple[set[str], dict[str, Scored]]:
        with reading(self._services.ledger.place) as connection:
            vulnerable = standing.vulnerable(connection, self._services.settings.cluster_name)
            return vulnerable, standing.scores(connection, SOURCE)

    def _take_reports(self) -> None:
        """Not before all of them are there: the highest score of a half is not the highest."""
        if not self._reports.synced:
            return
        store, changed = self._reports.store, list[Report]()
        for uid in store.take_gone():
            self._artifacts.drop(uid)
        for uid in store.take_dirty():
            report = store.get(uid)
            for key in self._artifacts.put(report) if report is not None else ():
                self._touched |= self._machines_with(key)
                changed += [report] if report is not None else []
        self._score(changed)

    def _machines_with(self, key: str) -> set[str]:
        if "/" not in key:
            return self._services.chronicle.placements.machines_with(key)
        owner = key.partition("/")[0]
        view, placements = self._services.view, self._services.chronicle.placements
        placed = (placements.get(pod.uid) for pod in view.pods.store if pod.owner and pod.owner.uid == owner)
        return {one.instance for one in placed if one is not None}

    def _take_moved(self) -> None:
        """Machines whose pods came or went matter where something is on them, or comes with an image that is known."""
        for uid in self._services.chronicle.placements.take_moved():
            if uid in self._vulnerable or any(key in self._artifacts for key in self._keys_on(uid)):
                self._touched.add(uid)

    def _keys_on(self, uid: str) -> Iterator[str]:
        machine = self._services.view.nodes.store.get(uid)
        placements = self._services.chronicle.placements
        for pod in self._services.view.pods_on(machine.name) if machine else ():
            placed = placements.get(pod.uid)
            if placed is not None and not pod.finished:
                yield from keys_of(pod, map(digest_of, placed.images))

    def _score(self, changed: Iterable[Report]) -> None:
        """The highest score that any report gives now, where it is another than was told last."""
        updated = {one.id: report.updated for report in changed for one in report.found}
        for id_, said in self._artifacts.highest(updated.keys()).items():
            former = self._scores.get(id_)
            if former is None or former.value != said.score:
                valid_from = said.published or (former.valid_from if former else updated[id_])
                self._scores[id_] = Scored(value=said.score, valid_from=valid_from)
                self._services.scribe.note(_score_fact(said, valid_from))

    async def _compare(self) -> None:
        """In chunks: each is read once everything told so far is in the ledger."""
        while self._touched:
            some = sorted(self._touched)[:TOGETHER]
            if not await self._services.scribe.flush():
                return
            held = await asyncio.to_thread(self._read, some)
            for uid in some:
                machine = self._services.view.nodes.store.get(uid)
                if machine is not None:
                    self._tell(machine, held[uid])
                self._vulnerable -= set() if machine is not None else {uid}
                self._touched.discard(uid)
            await asyncio.sleep(0)

    def _read(self, uids: Iterable[str]) -> dict[str, Held]:
        cluster, found = self._services.settings.cluster_name, dict[str, Held]()
        with reading(self._services.ledger.place) as connection:
            for uid in uids:
                open_ = standing.presences(connection, cluster, uid)
                found[uid] = Held(open=open_, left=_by_digest(standing.left(connection, uid)) if open_ else {})
        return found

    def _tell(self, machine: Instance, held: Held) -> None:
        here = self._here(machine)
        for id_, one in here.items():
            if id_ not in held.open:
                fact = facts.presence(
                    uid=machine.uid, vulnerability=id_, began=one.began, image=one.image, workload=one.workload
                )
                self._services.scribe.note(fact)
        stays = {id_ for id_ in held.open if id_ in here}
        running = set(self._keys_on(machine.uid))
        if any(key in self._artifacts for key in running):
            self._services.learnings.note_scanned(machine.uid)
        for id_, present in held.open.items():
            if id_ not in here and not self._closings.close(machine, present, running, held.left):
                stays.add(id_)
        (self._vulnerable.add if here or stays else self._vulnerable.discard)(machine.uid)

    def _here(self, machine: Instance) -> dict[str, Here]:
        """What is on a machine now, each since the first of the pods that brought it."""
        found: dict[str, Here] = {}
        placements = self._services.chronicle.placements
        for pod in self._services.view.pods_on(machine.name):
            placed = placements.get(pod.uid)
            if placed is None or pod.finished or placed.instance != machine.uid or not placed.images:
                continue
            for key in keys_of(pod, map(digest_of, placed.images)):
                artifact = self._artifacts.get(key)
                for id_ in artifact.found if artifact else ():
                    if id_ not in found or placed.began < found[id_].began:
                        found[id_] = Here(began=placed.began, image=key, workload=artifact.workload if artifact else "")
        return found

    def _runs(self, key: str) -> bool:
        return self._services.chronicle.placements.runs(key) if "/" not in key else bool(self._machines_with(key))

    def _forget(self) -> None:
        now = self._services.clock.monotonic()
        if now - self._forgot >= FORGET_SECONDS:
            self._forgot = now
            self._artifacts.forget(self._runs)


def _score_fact(said: Found, valid_from: datetime) -> Fact:
    return facts.score(
        vulnerability=said.id,
        source=SOURCE,
        value=said.score,
        basis=BASIS,
        valid_from=valid_from,
        severity=said.severity,
        fixedVersion=said.fixed,
    )


def _by_digest(left: dict[str, datetime]) -> dict[str, datetime]:
    return {digest_of(image): when for image, when in left.items()}
