"""`exuvia rotate | quarantine | release | abort`: what a person asks of one machine or one operation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from exuvia import errors, ports
from exuvia.cli import asking, cluster, printing
from exuvia.decide.inheritance import operation_name
from exuvia.model import marks, resources
from exuvia.model.instances import Instance
from exuvia.model.resources import Resource
from exuvia.model.specs import operation as specs
from exuvia.model.specs.common import TEXT_LENGTH, InstanceReference
from exuvia.model.specs.quarantine import Quarantine, QuarantinePhase, QuarantineSpec, Release, ReleaseVerdict
from exuvia.model.specs.rotation import Rotation, RotationPhase, RotationSpec

_REASON = click.option("--reason", default="", help="Why, for everybody who wonders.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An operation of a machine: asked for now, or open already (`phase` not empty)."""

    name: str
    phase: str = ""
    notes: tuple[str, ...] = ()


@click.command()
@click.argument("instance")
@_REASON
@cluster.cluster_options
def rotate(instance: str, kubeconfig: str, context: str, reason: str) -> None:
    """Replace one machine. Brakes hold it; compliance and a policy's mode do not matter."""
    opened = cluster.run(kubeconfig, context, lambda client: _open(client, resources.ROTATIONS, instance, reason))
    _say(resources.ROTATIONS, opened, instance)


@click.command()
@click.argument("instance")
@_REASON
@cluster.cluster_options
def quarantine(instance: str, kubeconfig: str, context: str, reason: str) -> None:
    """Freeze one machine and keep the evidence. It ends by `exuvia release` only."""
    opened = cluster.run(kubeconfig, context, lambda client: _open(client, resources.QUARANTINES, instance, reason))
    _say(resources.QUARANTINES, opened, instance)


@click.command()
@click.argument("quarantine")
@click.option(
    "--verdict", type=click.Choice([str(one) for one in ReleaseVerdict]), required=True,
    help="Return: it goes back to work. Rotate: it is replaced.",
)  # fmt: skip
@click.option("--reason", required=True, help="Why; it is recorded with your name.")
@click.option("--destroy-unsealed", is_flag=True, help="With Rotate: destroy it although its evidence is not sealed.")
@cluster.cluster_options
def release(quarantine: str, kubeconfig: str, context: str, verdict: str, reason: str, destroy_unsealed: bool) -> None:
    """End a quarantine by your decision."""
    decided = ReleaseVerdict(verdict)
    if destroy_unsealed and decided is not ReleaseVerdict.ROTATE:
        raise click.UsageError("--destroy-unsealed goes with --verdict Rotate only: Return destroys nothing.")
    for line in cluster.run(
        kubeconfig, context, lambda client: _release(client, quarantine, decided, reason, destroy_unsealed)
    ):
        printing.say(line)


@click.command()
@click.argument("rotation")
@cluster.cluster_options
def abort(rotation: str, kubeconfig: str, context: str) -> None:
    """Call a Rotation off and put the machine back as it was."""
    for line in cluster.run(kubeconfig, context, lambda client: _abort(client, rotation)):
        printing.say(line)


async def _open(client: ports.Cluster, kind: Resource, name: str, reason: str) -> Opened:
    instance = await cluster.machine(client, name)
    everything = await cluster.every(client, kind)
    known = _open_one(everything, instance.uid)
    if known is not None:
        return Opened(name=known["metadata"]["name"], phase=_phase(known) or "Pending")
    stands = await asking.standing(client)
    asking.must_act(stands, f"a {kind.kind}")
    by = await cluster.whoami(client)
    made = operation_name(instance.name, instance.uid, [one["metadata"]["name"] for one in everything])
    try:
        await client.create(kind, _body(kind, made, instance, by, reason))
    except errors.AlreadyExists:
        return Opened(name=made, phase="Pending")
    waits = (*await _notes(client, kind, instance), *_ledger_notes(kind, stands), *stands.notes)
    return Opened(name=made, notes=waits)


def _body(kind: Resource, name: str, instance: Instance, by: str, reason: str) -> dict[str, Any]:
    reference = InstanceReference(
        kind=str(instance.kind), name=instance.name, uid=instance.uid, provider_id=instance.provider_id
    )
    asked: dict[str, Any] = {"instance": reference, "requested_by": by[:512], "reason": reason[:TEXT_LENGTH] or None}
    spec = RotationSpec if kind == resources.ROTATIONS else QuarantineSpec
    return specs.body(name, spec(**asked), marks.FINALIZER)


async def _notes(client: ports.Cluster, kind: Resource, instance: Instance) -> list[str]:
    """What the other operation of the machine means for this one."""
    if kind == resources.QUARANTINES:
        return []
    held = _open_one(await cluster.every(client, resources.QUARANTINES), instance.uid)
    if held is None:
        return []
    way = f"`exuvia release {held['metadata']['name']} --verdict Rotate --reason TEXT` replaces it"
    return [f"it waits: the machine is in quarantine; {way}"]


def _ledger_notes(kind: Resource, stands: asking.Standing) -> list[str]:
    """A Rotation waits while the ledger cannot be written or trusted; a Quarantine does not."""
    if kind != resources.ROTATIONS or stands.guard is None or not stands.works:
        return []
    brakes = stands.guard.status.brakes
    return [f"it waits: {one.reason}" for one in brakes if one.name == "ledger" and one.state == "Engaged"]


def _open_one(operations: list[ports.Body], uid: str) -> ports.Body | None:
    ended = {str(one) for one in (*RotationPhase, *QuarantinePhase) if one.ended}
    same = (one for one in operations if (one.get("spec") or {}).get("instance", {}).get("uid") == uid)
    return next((one for one in same if _phase(one) not in ended), None)


def _phase(operation: ports.Body) -> str:
    return str((operation.get("status") or {}).get("phase") or "")


def _say(kind: Resource, opened: Opened, instance: str) -> None:
    if opened.phase:
        printing.say(f"{kind.kind} {opened.name} of {instance} is open already ({opened.phase}); nothing to do")
        return
    printing.say(f"{kind.kind} {opened.name} asked for; follow it with `kubectl get {kind.plural} {opened.name} -w`")
    for note in opened.notes:
        printing.say(note)


async def _release(
    client: ports.Cluster, name: str, verdict: ReleaseVerdict, reason: str, destroy_unsealed: bool
) -> list[str]:
    held = Quarantine.parse(await cluster.named(client, resources.QUARANTINES, name))
    if not held.open:
        return [f"Quarantine {name} is over already ({held.status.phase}, {held.status.reason or 'no reason'})"]
    if held.status.release_accepted is not None:
        accepted = held.status.release_accepted
        raise errors.Refused(
            f"Quarantine {name}: the release {accepted.verdict} by {accepted.by} was accepted already.",
            remedy="Wait for its end; if its Rotation does not succeed it lapses, and you can release again.",
        )
    written = await write_release(client, held, verdict, reason, destroy_unsealed)
    return [written, *(await asking.standing(client)).undoing_notes]


async def write_release(
    client: ports.Cluster, held: Quarantine, verdict: ReleaseVerdict, reason: str, destroy_unsealed: bool = False
) -> str:
    """Write the decision with the caller's name, upon the Quarantine as it was read; what was done, in words."""
    decision = Release(
        by=await cluster.whoami(client),
        reason=reason[:TEXT_LENGTH],
        verdict=verdict,
        destroy_unsealed=True if destroy_unsealed else None,
    )
    await _patch(client, resources.QUARANTINES, held, {"release": {"destroyUnsealed": None, **decision.wire()}})
    said = f"Quarantine {held.name}: release {verdict} by {decision.by} written"
    return said + _unsealed(held, verdict, destroy_unsealed)


def _unsealed(held: Quarantine, verdict: ReleaseVerdict, destroy: bool) -> str:
    sealed = any(one.type == "EvidenceSealed" and one.status == "True" for one in held.status.conditions)
    if verdict is ReleaseVerdict.RETURN or sealed or destroy:
        return ""
    return (
        "; it waits (EvidenceMissing) until the evidence is sealed, see `kubectl describe quarantine`, "
        "or release again with --destroy-unsealed"
    )


async def _abort(client: ports.Cluster, name: str) -> list[str]:
    found = Rotation.parse(await cluster.named(client, resources.ROTATIONS, name))
    if not found.open:
        return [f"Rotation {name} is over already ({found.status.phase}, {found.status.reason or 'no reason'})"]
    if found.status.phase.rank >= RotationPhase.TERMINATING.rank:
        raise errors.Refused(
            f"Rotation {name} is {found.status.phase}: the removal of the machine was asked for.",
            remedy="It cannot be called off any more; wait for its end.",
        )
    waits = (await asking.standing(client)).undoing_notes
    if found.spec.abort:
        return [f"Rotation {name} is being called off already", *waits]
    await _patch(client, resources.ROTATIONS, found, {"abort": True})
    if waits:
        return [f"Rotation {name} is to be called off; its marks stay as they are meanwhile", *waits]
    return [f"Rotation {name} is called off; its marks are put back as they were"]


async def _patch(client: ports.Cluster, kind: Resource, found: Rotation | Quarantine, spec: dict[str, Any]) -> None:
    """Upon what was just read: if it changed meanwhile, nothing is written."""
    precondition = {"uid": found.uid, "resourceVersion": found.metadata.resource_version}
    try:
        await client.merge_patch(kind, found.name, {"metadata": precondition, "spec": spec})
    except errors.Conflict as trouble:
        raise errors.Conflict(
            f"{kind.kind} {found.name} changed while you asked.", remedy="Ask again; nothing was written."
        ) from trouble
