"""The story: outdated machines go two at a time, a PodDisruptionBudget holds one drain until it may go, a suspicious
machine is frozen with its evidence sealed while another takes over, the ledger remembers all of them, and proves it."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import aiohttp

from exuvia.cli.demo import looking, memory, stage
from exuvia.cli.demo.narrator import Narrator
from exuvia.cli.demo.stage import Stage
from exuvia.kube.client import Client
from exuvia.localcluster.processes import Identity
from exuvia.model.specs.quarantine import Quarantine, QuarantinePhase
from exuvia.model.specs.rotation import Rotation, RotationPhase


class Story:
    """Plays it, telling what the cluster shows."""

    def __init__(self, place: Stage, client: Client, narrator: Narrator, operator: Identity) -> None:
        self._stage = place
        self._client = client
        self._narrator = narrator
        self._operator = operator
        self._relieved = False

    async def play(self) -> None:
        """All acts."""
        await self._rotate()
        await self._quarantine()
        await self._remember()
        await self._prove()

    async def _rotate(self) -> None:
        say = self._narrator
        say.chapter("Rotation: four machines run an old kubelet, the policy lets two go at a time")
        memory.scan(self._stage)
        say.say(f"a scanner reports {memory.VULNERABILITY} in the image of shop/web: {memory.AT_FIRST}")
        await self._until(self._known, seconds=30, what="the ledger to know of the report")
        stage.apply(self._stage, "seats.yaml", "guard.yaml", "policy.yaml")
        say.say("applied LicensePool antivirus, FleetGuard default and SecurityPolicy workers (mode Enforce)")
        await self._until(self._rotated, seconds=150, what="the four outdated machines to be replaced")

    async def _rotated(self) -> bool:
        found = await looking.rotations(self._client)
        for one in found:
            self._tell(one)
        held = next((one for one in found if _held_by_budget(one)), None)
        if held is not None and not self._relieved:
            await self._relieve(held)
        done = [one for one in found if one.status.phase is RotationPhase.SUCCEEDED]
        return len(done) >= len(stage.OUTDATED)

    def _tell(self, one: Rotation) -> None:
        name, status = one.spec.instance.name, one.status
        replacement = status.replacement.name if status.replacement else ""
        said = {
            RotationPhase.REPLACING: f"{name}: a replacement is asked for and must be good before anything is drained",
            RotationPhase.CORDONED: f"{name}: {replacement} is good; cordoned and tainted",
            RotationPhase.DRAINING: f"{name}: its pods are evicted",
            RotationPhase.DRAINED: f"{name}: a fresh list shows no pod that must leave",
            RotationPhase.TERMINATING: f"{name}: the cloud is asked to remove it",
            RotationPhase.SUCCEEDED: f"{name}: replaced by {replacement}",
            RotationPhase.FAILED: f"{name}: FAILED: {status.message}",
            RotationPhase.ABORTED: f"{name}: ABORTED: {status.message}",
        }
        if status.phase in said:
            self._narrator.once(said[status.phase])

    async def _relieve(self, held: Rotation) -> None:
        """What an admin does who reads the status: give the workload one more pod."""
        self._relieved = True
        blocked = held.status.blocked
        self._narrator.say(f"{held.spec.instance.name}: the drain waits: {blocked.message if blocked else ''}")
        self._stage.plane.kubectl("scale", "deployment/cart", "-n", "shop", "--replicas=3")
        self._narrator.say("scaled shop/cart from 2 to 3, so that its budget has one to spare")

    async def _quarantine(self) -> None:
        say = self._narrator
        say.chapter(f"Quarantine: {stage.SUSPICIOUS} is marked suspicious")
        self._stage.plane.kubectl("label", "node", stage.SUSPICIOUS, f"{stage.SUSPICION}=true")
        say.say(f"labelled {stage.SUSPICIOUS} {stage.SUSPICION}=true")
        await self._until(self._sealed, seconds=90, what="the evidence to be sealed and the capacity replaced")

    async def _sealed(self) -> bool:
        for one in await looking.quarantines(self._client):
            self._tell_quarantine(one)
            status = one.status
            replaced = status.capacity is not None and status.capacity.state == "Replaced"
            if status.phase is QuarantinePhase.HELD and status.evidence and status.evidence.digest and replaced:
                return True
        return False

    def _tell_quarantine(self, one: Quarantine) -> None:
        name, status, say = one.spec.instance.name, one.status, self._narrator.once
        if status.before is not None:
            say(f"{name}: cordoned, tainted and labelled; other controllers are told to leave it alone")
        if status.workloads:
            frozen = sum(pod.treatment == "Frozen" for pod in status.workloads)
            say(f"{name}: {_frozen(frozen)}")
        if status.isolation is not None:
            say(f"{name}: isolation {status.isolation.state}")
        if status.evidence is not None and status.evidence.digest:
            say(f"{name}: evidence sealed, {status.evidence.bytes} bytes, manifest {status.evidence.digest[:16]}…")
        if status.capacity is not None and status.capacity.state == "Replaced" and status.capacity.replacement:
            say(f"{name}: {status.capacity.replacement.name} took over its capacity")

    async def _known(self) -> bool:
        found = await asyncio.to_thread(memory.report, self._stage, self.run)
        return found is not None and bool(found["exposure"]["now"])

    async def _remember(self) -> None:
        self._narrator.chapter("Memory: what was on machines that are gone, how risky it was, whose seat they held")
        first = await looking.first(self._client)
        await asyncio.to_thread(memory.tell, self._stage, self._narrator, self.run, first)

    async def _prove(self) -> None:
        self._narrator.chapter("Proof")
        for command in (("ledger", "verify", "--ledger", str(self._stage.ledger)), _evidence(self._stage.evidence)):
            self._narrator.say("$ exuvia " + " ".join(command))
            for line in self.run(*command).stdout.strip().splitlines()[-3:]:
                self._narrator.say(line)
        for line in (await self.metrics()).splitlines():
            if line.startswith(("exuvia_rotations_total{", "exuvia_quarantines{", "exuvia_compliance_ratio{")):
                self._narrator.say(line)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`exuvia ...` as a person would run it."""
        command = stage.exuvia(*arguments)
        return subprocess.run(command, capture_output=True, text=True, check=False, env=stage.environment(self._stage))

    async def metrics(self) -> str:
        """What Prometheus would scrape; "" where the operator does not answer."""
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{self._stage.metrics}/metrics") as answer:
                return await answer.text()
        except (aiohttp.ClientError, TimeoutError):
            return ""

    async def _until(self, look: object, *, seconds: float, what: str) -> None:
        await looking.until(
            look,  # type: ignore[arg-type]
            seconds=seconds,
            what=what,
            alive=self._operator.alive,
            narrator=self._narrator,
            log=self._stage.log,
        )


def _held_by_budget(one: Rotation) -> bool:
    return one.status.blocked is not None and one.status.blocked.reason == "PDB"


def _evidence(folder: Path) -> tuple[str, ...]:
    return ("evidence", "verify", "--evidence-dir", str(folder))


def _frozen(number: int) -> str:
    if number == 1:
        return "1 pod frozen: it runs on, out of its Services; a fresh one starts elsewhere"
    return f"{number} pods frozen: they run on, out of their Services; fresh ones start elsewhere"
