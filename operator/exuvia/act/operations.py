"""Opening a Rotation or a Quarantine. Names are deterministic, so opening one twice is opening it once."""

from __future__ import annotations

from exuvia import errors, ports
from exuvia.act.answers import outcome_of
from exuvia.model import marks, resources
from exuvia.model.actions import CreateOperation, Outcome, OutcomeKind
from exuvia.model.permissions import Duty, Permission

PERMISSIONS = (
    Permission(duty=Duty.ROTATE, group=marks.GROUP, resource="rotations", verbs=("create",)),
    Permission(duty=Duty.QUARANTINE, group=marks.GROUP, resource="quarantines", verbs=("create",)),
)
_KINDS = {one.kind: one for one in (resources.ROTATIONS, resources.QUARANTINES)}


async def create_operation(cluster: ports.Cluster, action: CreateOperation, *, dry_run: bool = False) -> Outcome:
    """POST it. A name that is taken means that it is open already. `detail` holds its UID when it was created."""
    resource = _KINDS.get(action.kind)
    if resource is None:
        message = f"{action.kind!r} is not a kind of operation; there are {', '.join(_KINDS)}"
        return Outcome(action=action, kind=OutcomeKind.FAILED, message=message)
    what = f"{action.kind} {action.name}"
    try:
        created = await cluster.create(resource, action.body, dry_run=dry_run)
    except errors.AlreadyExists:
        return Outcome(action=action, kind=OutcomeKind.ALREADY, code=409, message=f"{what} is there already")
    except errors.ClusterError as trouble:
        return outcome_of(action, trouble, what)
    return Outcome(action=action, kind=OutcomeKind.DONE, code=201, detail={"uid": created["metadata"]["uid"]})
