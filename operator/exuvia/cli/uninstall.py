"""`exuvia uninstall`: end everything that is open and take our finalizers off, before the objects are deleted.

The running operator is asked to do it (FleetGuard.spec.uninstall); with `--force`, where there is none, it is done
with the caller's own rights. What must not be lost by accident is asked for twice: history, evidence, quarantines.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import click

from exuvia import errors, ports
from exuvia.app import anchoring, losses
from exuvia.cli import asking, cluster, guard, moments, operate, printing, undoing
from exuvia.cli.asking import Standing
from exuvia.model import marks, resources
from exuvia.model.resources import Resource
from exuvia.model.specs import fleet_guard
from exuvia.model.specs.fleet_guard import Uninstall
from exuvia.model.specs.quarantine import Quarantine, ReleaseVerdict
from exuvia.model.specs.rotation import Rotation
from exuvia.observe import ours
from exuvia.observe.ours import Unparsable
from exuvia.report.conditions import stamp

PERIOD = timedelta(seconds=1)
TAKES_NO_NEW = 405  # what the API server says to who creates an object of a kind that is being deleted
REASON = "exuvia is uninstalled"
STAYS = "its machine stays marked and cut off (--release-quarantines gives it back to work)"

Operation = Rotation | Quarantine


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What the command line asks for."""

    release_quarantines: bool
    discard_history: bool
    timeout: timedelta
    lease: str = marks.LEASE


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What is still there of ours."""

    rotations: tuple[Rotation, ...]  # open
    quarantines: tuple[Quarantine, ...]  # open
    finalizers: tuple[Operation, ...]  # bear our finalizer
    unreadable: tuple[str, ...]
    unknown: tuple[str, ...] = ()  # kinds that the cluster does not know any more

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

    def to_do(self, orders: Orders) -> list[str]:
        """What an uninstall does with each thing, in words."""
        said = [f"{_line(one)}: is called off, and its machine put back as it was" for one in self.rotations]
        for held in self.quarantines:
            does = "is released, and its machine goes back to work" if orders.release_quarantines else STAYS
            said.append(f"{_line(held)}: {does}")
        said += [f"{one.KIND} {one.name} is over: lets go" for one in self.finalizers if not one.open]
        return [*said, *self.unreadable]


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what is there, and what would be left.")
@click.option("--release-quarantines", is_flag=True, help="Give quarantined machines back to work as well.")
@click.option("--discard-history", is_flag=True, help="Ledger and evidence were exported, or may be lost.")
@click.option("--force", is_flag=True, help="There is no operator any more: do it with your own rights.")
@click.option("--timeout", default="5m", show_default=True, metavar="SPAN", help="How long to wait for the operator.")
@cluster.lease_option
@cluster.cluster_options
def uninstall(
    kubeconfig: str, context: str, lease_name: str,
    dry_run: bool, release_quarantines: bool, discard_history: bool, force: bool, timeout: str,
) -> None:  # fmt: skip
    """Call off open operations, restore marks, take finalizers off. `kubectl delete -k deploy/` comes after it.

    From then on nothing starts any more; `exuvia resume` takes that back. Quarantined machines are listed and stay
    marked unless --release-quarantines is given. Exit code 1 when something is left.
    """
    orders = Orders(
        release_quarantines=release_quarantines,
        discard_history=discard_history,
        timeout=moments.span(timeout),
        lease=lease_name,
    )
    work = _work(orders, dry_run=dry_run, force=force)
    printing.finish(findings=not cluster.run(kubeconfig, context, work))


def _work(orders: Orders, *, dry_run: bool, force: bool) -> Callable[[ports.Cluster], Awaitable[bool]]:
    async def work(client: ports.Cluster) -> bool:
        found = await look(client, force=force)
        _tell(found, orders)
        if dry_run:
            printing.say("This was a dry run: nothing was done.")
            return found.nothing
        if not orders.discard_history:
            return _refuse(found)
        stands = await asking.standing(client, orders.lease)
        if force:
            _no_operator(stands)
            return await _by_hand(client, found, orders)
        if stands.only_watches and _enough(found, orders):
            printing.say(_done(found))
            return True
        return await _by_operator(client, found, orders, _an_operator(stands))

    return work


async def look(client: ports.Cluster, *, force: bool = False) -> Left:
    """Read what is there. `force`: of a kind that is gone already nothing is left."""
    kinds = (resources.QUARANTINES, resources.ROTATIONS)
    served = {kind: await _bodies(client, kind, force) for kind in kinds}
    rotations = [ours.from_body(Rotation, one) for one in served[resources.ROTATIONS] or ()]
    held = [ours.from_body(Quarantine, one) for one in served[resources.QUARANTINES] or ()]
    everything: list[Operation | Unparsable] = [*held, *rotations]
    readable = [one for one in everything if not isinstance(one, Unparsable)]
    return Left(
        rotations=tuple(one for one in readable if isinstance(one, Rotation) and one.open),
        quarantines=tuple(one for one in readable if isinstance(one, Quarantine) and one.open),
        finalizers=tuple(one for one in readable if marks.FINALIZER in one.metadata.finalizers),
        unreadable=tuple(
            f"{one.name} cannot be read: {one.problem}" for one in everything if isinstance(one, Unparsable)
        ),
        unknown=tuple(kind.full_name for kind in kinds if served[kind] is None),
    )


async def _bodies(client: ports.Cluster, kind: Resource, force: bool) -> list[ports.Body] | None:
    """All of a kind; None where the kind is gone and that is no trouble."""
    try:
        return await cluster.every(client, kind)
    except errors.NotFound as trouble:
        if force:
            return None
        raise errors.NotFound(
            trouble.message,
            remedy="Where it was deleted already, give --force to take finalizers off what is left; or name another "
            "cluster by --context.",
        ) from trouble


def _tell(found: Left, orders: Orders) -> None:
    for kind in found.unknown:
        printing.say(f"This cluster does not know {kind} any more: nothing of that is left.")
    for line in found.to_do(orders):
        printing.say(line)
    if not found.lines():
        printing.say("No operation is open, and no finalizer of exuvia is left.")


def _refuse(found: Left) -> bool:
    sealed = [one for one in found.quarantines if one.status.evidence and one.status.evidence.digest]
    of = printing.count(len(sealed), "open quarantine")
    kept = f" and the evidence of {of}" if sealed else ""
    printing.say(
        f"Nothing was done: the ledger{kept} would be lost with the operator's volume. Copy the ledger's file, export "
        "evidence with `exuvia evidence export`, then run this again with --discard-history."
    )
    return False


def _no_operator(stands: Standing) -> None:
    """One that only watches is none: it touches no operation."""
    if stands.leader is not None and stands.works and not stands.only_watches:
        raise errors.SettingsError(
            f"An operator works: {stands.leader.said(stands.now)}.",
            remedy="Leave --force out, or stop the operator first.",
        )


def _an_operator(stands: Standing) -> str:
    """Who will do it."""
    if stands.only_watches:
        raise errors.Refused(
            "The operator only watches (--read-only): it calls nothing off and lets nothing go.",
            remedy="Give --force to do it with your own rights; it touches no operation meanwhile.",
        )
    if stands.leader is not None and not stands.works:
        raise errors.SettingsError(
            f"No operator answers: {stands.leader.said(stands.now)}.",
            remedy="Start it again, or give --force to do it with your own rights.",
        )
    return stands.leader.holder if stands.leader is not None else ""


async def _by_operator(client: ports.Cluster, found: Left, orders: Orders, holder: str) -> bool:
    """From the request on nothing starts any more; so quarantines that are released now are not followed by others."""
    deadline = asyncio.get_running_loop().time() + orders.timeout.total_seconds()
    await _ask(client, orders)
    who = f"The operator ({holder})" if holder else "The operator"
    printing.say(
        f"{who} is asked to do that; waiting for up to {printing.span(orders.timeout)}. Nothing starts any more."
    )
    if orders.release_quarantines:
        for held in found.quarantines:
            await _release(client, held)
    left = await _wait(client, found, orders, deadline)
    if _enough(left, orders):
        printing.say(_done(left))
        return True
    printing.say(f"Not done after {printing.span(orders.timeout)}. Still there:")
    for line in left.lines():
        printing.say(f"  {line}")
    printing.say("See `exuvia explain NODE` for what holds it, and run this again; the operator goes on meanwhile.")
    return False


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
        printing.say(f"  {await operate.write_release(client, held, ReleaseVerdict.RETURN, REASON)}")


async def _wait(client: ports.Cluster, left: Left, orders: Orders, deadline: float) -> Left:
    """Until it is enough or time is up, saying each step that an operation makes; what is left then."""
    while not _enough(left, orders) and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(PERIOD.total_seconds())
        former, left = left, await look(client)
        for line in _progress(former, left):
            printing.say(f"  {line}")
    return left


def _progress(former: Left, now: Left) -> Iterator[str]:
    """What came of operations between two looks, one line each."""
    before: tuple[Operation, ...] = (*former.rotations, *former.quarantines)
    after: tuple[Operation, ...] = (*now.rotations, *now.quarantines)
    open_now = {one.uid: one for one in after}
    for one in before:
        later = open_now.get(one.uid)
        if later is None:
            yield f"{one.KIND} {one.name} is over"
        elif later.status.phase != one.status.phase:
            yield _line(later)
    bearing = {one.uid for one in now.finalizers}
    for one in former.finalizers:
        if one.uid not in bearing and one.uid in open_now:
            yield f"{one.KIND} {one.name} may be deleted: our finalizer is off"


def _done(left: Left) -> str:
    """The end of the story: what is next, and what stays on purpose."""
    said = "Done: everything of exuvia may be deleted now. Go on with `kubectl delete -k deploy/`."
    if left.quarantines:
        names = ", ".join(one.spec.instance.name for one in left.quarantines)
        stay = "stays" if len(left.quarantines) == 1 else "stay"
        said += f" {names} {stay} marked and cut off: to give that back to work, run this again before, with"
        said += " --release-quarantines."
    return said


async def _by_hand(client: ports.Cluster, found: Left, orders: Orders) -> bool:
    """Say that nothing starts any more, restore what open operations marked, then take every finalizer off. What is
    undone is called off or released as well: an operator that starts later must not go on with it."""
    done = await _nothing_starts(client, orders)
    for held in found.quarantines if orders.release_quarantines else ():
        await _release(client, held)
    undone: tuple[Operation, ...] = (*found.rotations, *(found.quarantines if orders.release_quarantines else ()))
    for operation in undone:
        sound = True
        async for outcome in undoing.undo(client, operation):
            if undoing.failed(outcome):
                printing.say(f"  {operation.KIND} {operation.name}: {outcome.message or outcome.reason}")
                sound = False
        done = done and sound
        if sound:
            printing.say(f"  {operation.KIND} {operation.name}: {operation.spec.instance.name} is as it was")
    for operation in (await look(client, force=True)).finalizers:
        await undoing.let_go(client, operation)
    left = await look(client, force=True)
    finished = done and not left.finalizers and not left.unreadable and await _forget_head(client, orders.lease)
    unfinished = "Something is left (above); mend it and run this again."
    printing.say(_done(_without(left, undone)) if finished else unfinished)
    return finished


async def _nothing_starts(client: ports.Cluster, orders: Orders) -> bool:
    """Write into the FleetGuard what is asked for. Where its kind is going, it can stand there no more, and nothing
    starts either."""
    try:
        await _ask(client, orders)
    except errors.ClusterError as trouble:
        if isinstance(trouble, errors.NotFound) or trouble.status == TAKES_NO_NEW:
            return True
        printing.say(f"  FleetGuard {fleet_guard.NAME}: {trouble}")
        printing.say("  It does not say that exuvia is uninstalled: an operator that is started again would go on.")
        return False
    printing.say("Nothing starts any more, also when an operator is started; `exuvia resume` takes that back.")
    return True


async def _forget_head(client: ports.Cluster, lease: str) -> bool:
    """What is noted of the ledger goes as well: a new ledger in a later installation holds nothing of it."""
    try:
        await anchoring.remove(client, marks.SYSTEM_NAMESPACE)
        await losses.forget(client, marks.SYSTEM_NAMESPACE, lease)
    except errors.ClusterError as trouble:
        printing.say(f"  What is noted of the ledger in {marks.SYSTEM_NAMESPACE} is there still: {trouble.message}")
        return False
    return True


def _without(left: Left, undone: tuple[Operation, ...]) -> Left:
    """What was undone by hand stands there as open still: there is no operator to end it."""
    gone = {one.uid for one in undone}
    return replace(left, quarantines=tuple(one for one in left.quarantines if one.uid not in gone))


def _line(one: Operation) -> str:
    held = one.status.blocked
    why = f" ({held.reason})" if held else ""
    return f"{one.KIND} {one.name} of {one.spec.instance.name} is {one.status.phase}{why}"
