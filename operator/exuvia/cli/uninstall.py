"""`exuvia uninstall`: end everything that is open and take our finalizers off, before the objects are deleted.

The running operator is asked to do it (FleetGuard.spec.uninstall); with `--force`, where there is none, it is done
with the caller's own rights. What must not be lost by accident is asked for twice: history, evidence, quarantines.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import click

from exuvia import errors, ports
from exuvia.app import leading
from exuvia.cli import cluster, guard, moments, operate, printing, undoing
from exuvia.model import marks, resources
from exuvia.model.specs.fleet_guard import Uninstall
from exuvia.model.specs.quarantine import Quarantine, ReleaseVerdict
from exuvia.model.specs.rotation import Rotation
from exuvia.observe import ours
from exuvia.observe.ours import Unparsable
from exuvia.report.conditions import stamp

PERIOD = timedelta(seconds=1)
REASON = "exuvia is uninstalled"

Operation = Rotation | Quarantine


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What the command line asks for."""

    release_quarantines: bool
    discard_history: bool
    timeout: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What is still there of ours."""

    rotations: tuple[Rotation, ...]  # open
    quarantines: tuple[Quarantine, ...]  # open
    finalizers: tuple[Operation, ...]  # bear our finalizer
    unreadable: tuple[str, ...]

    @property
    def nothing(self) -> bool:
        """Whether everything may be deleted; held machines stay marked until they are released."""
        return not (self.rotations or self.finalizers or self.unreadable)

    def lines(self) -> list[str]:
        """Each thing that is left, in words."""
        unfinished: tuple[Operation, ...] = (*self.quarantines, *self.rotations)
        said = [_line(one) for one in unfinished]
        ended = [one for one in self.finalizers if not one.open]
        said += [f"{one.KIND} {one.name} is over and bears our finalizer" for one in ended]
        return [*said, *self.unreadable]


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what is there, and what would be left.")
@click.option("--release-quarantines", is_flag=True, help="Give quarantined machines back to work as well.")
@click.option("--discard-history", is_flag=True, help="Ledger and evidence were exported, or may be lost.")
@click.option("--force", is_flag=True, help="There is no operator any more: do it with your own rights.")
@click.option("--timeout", default="5m", show_default=True, metavar="SPAN", help="How long to wait for the operator.")
@cluster.cluster_options
def uninstall(
    kubeconfig: str,
    context: str,
    dry_run: bool,
    release_quarantines: bool,
    discard_history: bool,
    force: bool,
    timeout: str,
) -> None:
    """Call off open operations, restore marks, take finalizers off. `kubectl delete -k deploy/` comes after it.

    Quarantined machines are listed and stay marked unless --release-quarantines is given. Exit code 1 when something
    is left.
    """
    orders = Orders(
        release_quarantines=release_quarantines,
        discard_history=discard_history,
        timeout=moments.span(timeout),
    )
    work = _work(orders, dry_run=dry_run, force=force)
    printing.finish(findings=not cluster.run(kubeconfig, context, work))


def _work(orders: Orders, *, dry_run: bool, force: bool) -> Callable[[ports.Cluster], Awaitable[bool]]:
    async def work(client: ports.Cluster) -> bool:
        found = await look(client)
        _tell(found, orders)
        if dry_run:
            return found.nothing
        if not orders.discard_history:
            return _refuse(found)
        leader = await leading.leader(client)
        now = datetime.now(UTC)
        if force:
            _no_operator(leader, now)
            return await _by_hand(client, found, orders)
        _an_operator(leader, now)
        return await _by_operator(client, found, orders)

    return work


async def look(client: ports.Cluster) -> Left:
    """Read what is there."""
    rotations = [ours.from_body(Rotation, one) for one in await cluster.every(client, resources.ROTATIONS)]
    held = [ours.from_body(Quarantine, one) for one in await cluster.every(client, resources.QUARANTINES)]
    everything: list[Operation | Unparsable] = [*held, *rotations]
    readable = [one for one in everything if not isinstance(one, Unparsable)]
    return Left(
        rotations=tuple(one for one in readable if isinstance(one, Rotation) and one.open),
        quarantines=tuple(one for one in readable if isinstance(one, Quarantine) and one.open),
        finalizers=tuple(one for one in readable if marks.FINALIZER in one.metadata.finalizers),
        unreadable=tuple(
            f"{one.name} cannot be read: {one.problem}" for one in everything if isinstance(one, Unparsable)
        ),
    )


def _tell(found: Left, orders: Orders) -> None:
    for line in found.lines():
        click.echo(line)
    if found.quarantines and not orders.release_quarantines:
        names = ", ".join(one.spec.instance.name for one in found.quarantines)
        click.echo(f"stay marked and cut off: {names} (--release-quarantines gives them back to work)")
    if not found.lines():
        click.echo("no operation is open and no finalizer of exuvia is left")


def _refuse(found: Left) -> bool:
    sealed = [one for one in found.quarantines if one.status.evidence and one.status.evidence.digest]
    kept = f" and the evidence of {len(sealed)} open quarantine(s)" if sealed else ""
    click.echo(
        f"nothing was done: the ledger{kept} would be lost with the operator's volume. Copy the ledger's file, export "
        "evidence with `exuvia evidence export`, then run this again with --discard-history."
    )
    return False


def _no_operator(leader: leading.Leader, now: datetime) -> None:
    if leader.works(now):
        raise errors.SettingsError(
            f"An operator works: {leader.said(now)}.", remedy="Leave --force out, or stop the operator first."
        )


def _an_operator(leader: leading.Leader, now: datetime) -> None:
    if not leader.works(now):
        raise errors.SettingsError(
            f"No operator answers: {leader.said(now)}.",
            remedy="Start it again, or give --force to do it with your own rights.",
        )


async def _by_operator(client: ports.Cluster, found: Left, orders: Orders) -> bool:
    """From the request on nothing starts any more; so quarantines that are released now are not followed by others."""
    deadline = asyncio.get_running_loop().time() + orders.timeout.total_seconds()
    await _ask(client, orders)
    if orders.release_quarantines:
        for held in found.quarantines:
            await _release(client, held)
    done = await _wait(client, lambda left: _enough(left, orders), deadline)
    click.echo(_end(done, orders))
    return done


async def _ask(client: ports.Cluster, orders: Orders) -> None:
    asked = Uninstall(
        by=(await cluster.whoami(client))[: guard.WHO_LENGTH],
        at=datetime.now(UTC).replace(microsecond=0),
        release_quarantines=orders.release_quarantines,
        discard_history=orders.discard_history,
    )
    written = {"uninstall": asked.wire() | {"at": stamp(asked.at)}}
    await guard.edit(client, lambda _: written)


def _enough(left: Left, orders: Orders) -> bool:
    return left.nothing and not (orders.release_quarantines and left.quarantines)


async def _release(client: ports.Cluster, held: Quarantine) -> None:
    if held.status.release_accepted is None:
        click.echo(await operate.write_release(client, held, ReleaseVerdict.RETURN, REASON))


async def _wait(client: ports.Cluster, enough: Callable[[Left], bool], deadline: float) -> bool:
    """Until it is enough or time is up, saying what is left whenever that changes."""
    said: list[str] = []
    while True:
        left = await look(client)
        if enough(left):
            return True
        if left.lines() != said:
            said = left.lines()
            click.echo(f"left: {'; '.join(said[:5])}" + (f" and {len(said) - 5} more" if len(said) > 5 else ""))
        if asyncio.get_running_loop().time() >= deadline:
            return False
        await asyncio.sleep(PERIOD.total_seconds())


def _end(done: bool, orders: Orders) -> str:
    if done:
        return "nothing is left; go on with `kubectl delete -k deploy/`"
    return f"something is left after {printing.span(orders.timeout)}; see `exuvia status`, then run this again"


async def _by_hand(client: ports.Cluster, found: Left, orders: Orders) -> bool:
    """Restore what open operations marked, then take every finalizer off."""
    done = True
    undone: tuple[Operation, ...] = (*found.rotations, *(found.quarantines if orders.release_quarantines else ()))
    for operation in undone:
        sound = True
        async for outcome in undoing.undo(client, operation):
            if undoing.failed(outcome):
                click.echo(f"{operation.KIND} {operation.name}: {outcome.message or outcome.reason}")
                sound = False
        done = done and sound
        if sound:
            click.echo(f"{operation.KIND} {operation.name}: {operation.spec.instance.name} is as it was")
    for operation in found.finalizers:
        await undoing.let_go(client, operation)
    left = await look(client)
    finished = done and not left.finalizers and not left.unreadable
    click.echo(_end(finished, orders) if finished else "something is left (above); mend it and run this again")
    return finished


def _line(one: Operation) -> str:
    held = one.status.blocked
    why = f", {held.reason}: {printing.one_line(held.message, 120)}" if held else ""
    return f"{one.KIND} {one.name} of {one.spec.instance.name} is {one.status.phase}{why}"
