"""The same machine under a new object: a new instance inherits the Quarantine of the one that it was (operations.md).

A providerID says so by itself. A machineID says so only together with the name, and only if no other live instance has
it, because cloned images share machine IDs; alone it makes an Event.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from exuvia.model import marks
from exuvia.model.actions import CreateOperation
from exuvia.model.instances import Instance
from exuvia.model.specs import operation as specs
from exuvia.model.specs.common import InstanceReference
from exuvia.model.specs.quarantine import Quarantine, QuarantineSpec

NAME_CUT = 200
UID_CUT = 8

Identity = tuple[str, str]
"""What it is (a name, a providerID, a machineID), and its value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inheritance:
    """This new instance is a held machine. `because` says by what."""

    former: Quarantine
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """This new instance has the machineID of a held one, and that proves nothing: tell a person."""

    former: Quarantine
    message: str


def judge(
    newborn: Instance, quarantines: Iterable[Quarantine], live: Iterable[Instance]
) -> Inheritance | Suspicion | None:
    """Whether a new instance inherits an open Quarantine. `live`: all instances that are alive, in any order."""
    others = tuple(live)
    held = sorted(
        (one for one in quarantines if one.open and one.spec.instance.uid != newborn.uid),
        key=lambda one: (one.metadata.creation_timestamp, one.name),
    )
    for former in held:
        if newborn.provider_id and newborn.provider_id == _provider_id(former, others):
            return Inheritance(former=former, because=f"it has the same providerID {newborn.provider_id}")
    answers = (_by_machine_id(newborn, former, others) for former in held)
    found = [one for one in answers if one is not None]
    return next((one for one in found if isinstance(one, Inheritance)), found[0] if found else None)


def identities(machine: Instance) -> frozenset[Identity]:
    """By what a machine may be known under a new object. Who shares one with the machine of a Quarantine (`known_by`)
    must be judged."""
    return _said(machine.name, machine.provider_id, machine.machine_id)


def known_by(held: Quarantine, machine: Instance | None) -> frozenset[Identity]:
    """By what the machine of a Quarantine may be known. `machine`: as it is now, None where it is gone."""
    frozen = held.status.settings
    now = () if machine is None else (machine,)
    return _said(held.spec.instance.name, _provider_id(held, now), frozen.machine_id if frozen else "")


def _said(name: str, provider_id: str, machine_id: str) -> frozenset[Identity]:
    every = (("name", name), ("providerID", provider_id), ("machineID", machine_id))
    return frozenset(one for one in every if one[1])


def _provider_id(former: Quarantine, live: tuple[Instance, ...]) -> str:
    """As recorded; where it was empty then, as the machine says now."""
    now = next((one.provider_id for one in live if one.uid == former.spec.instance.uid), "")
    return former.spec.instance.provider_id or now


def _by_machine_id(newborn: Instance, former: Quarantine, live: tuple[Instance, ...]) -> Inheritance | Suspicion | None:
    machine_id = former.status.settings.machine_id if former.status.settings else ""
    if not machine_id or machine_id != newborn.machine_id:
        return None
    sharing = [one for one in live if one.machine_id == machine_id]
    others = [one for one in sharing if one.uid not in (newborn.uid, former.spec.instance.uid)]
    if newborn.name == former.spec.instance.name and not others:
        return Inheritance(former=former, because="it has the same machineID and the same name")
    message = (
        f"{newborn.name} has the machineID of {former.spec.instance.name}, which is quarantined by {former.name}; "
        "images that were cloned share it; if it is the same machine, quarantine it as well"
    )
    return Suspicion(former=former, message=message)


def heir(newborn: Instance, former: Quarantine, existing: Iterable[str]) -> CreateOperation:
    """The Quarantine that the new object gets. `existing`: names of all Quarantines, so that the number is free."""
    was = former.spec
    spec = QuarantineSpec(
        instance=InstanceReference(
            kind=str(newborn.kind), name=newborn.name, uid=newborn.uid, provider_id=newborn.provider_id
        ),
        policy=was.policy,
        rule=was.rule,
        severity=was.severity,
        reason=was.reason,
        requested_by=marks.SERVICE_ACCOUNT_USER,
        inherited_from=former.name,
    )
    name = operation_name(newborn.name, newborn.uid, existing)
    return CreateOperation(kind="Quarantine", name=name, body=specs.body(name, spec, marks.FINALIZER))


def operation_name(instance: str, uid: str, existing: Iterable[str]) -> str:
    """`<instance name, cut to 200>-<first 8 of its UID>-<n>`, n one more than the highest there is."""
    stem = f"{instance[:NAME_CUT]}-{uid[:UID_CUT]}-"
    numbers = [one.removeprefix(stem) for one in existing if one.startswith(stem)]
    return f"{stem}{max((int(one) for one in numbers if one.isdecimal()), default=0) + 1}"
