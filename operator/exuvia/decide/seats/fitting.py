"""What an edit of a pool means for who holds a seat or waits already: classes and grace are those of today.

Whoever is refused by `Deny` stays so, and no lease ends by an edit of classes: all else follows from the next events.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from exuvia.model.instances import Instance
from exuvia.model.seats import Claimant, Ending, Lease, SeatChange, Seats, Terms
from exuvia.model.specs.license_pool import LicensePoolSpec


def claimant(instance: Instance, spec: LicensePoolSpec) -> Claimant:
    """Who asks: by the first class that fits, else persistent with the ordinary priority."""
    for one in spec.classes:
        if one.selector.matches(instance.labels):
            return Claimant(uid=instance.uid, persistent=one.persistent, priority=one.priority)
    return Claimant(uid=instance.uid)


def fitted(
    seats: Seats, spec: LicensePoolSpec, terms: Terms, instances: Iterable[Instance]
) -> tuple[Seats, tuple[SeatChange, ...]]:
    """The state as these terms and classes would have it, and what is to be entered of that: when a seat in its grace
    comes back. The class of the living is read from them at each look, so it need not be entered."""
    known = {one.uid for one in seats.leases} | {one.uid for one in seats.waiting}
    classes = {one.uid: claimant(one, spec) for one in instances if one.uid in known}
    leases = tuple(_lease(one, classes, terms) for one in seats.leases)
    waiting = tuple(replace(one, claimant=classes.get(one.uid, one.claimant)) for one in seats.waiting)
    told = tuple(
        Ending(at=now.died, uid=now.uid, due=now.due, cause=now.cause)
        for former, now in zip(seats.leases, leases, strict=True)
        if now.died is not None and now.due is not None and now.due != former.due
    )
    return replace(seats, leases=leases, waiting=waiting), told


def _lease(one: Lease, classes: Mapping[str, Claimant], terms: Terms) -> Lease:
    due = one.due if one.died is None else one.died + terms.grace + terms.delay
    return replace(one, holder=classes.get(one.uid, one.holder), due=due)
