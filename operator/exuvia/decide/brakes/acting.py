"""Acting: whether the operator begins anything at all. One that only watches does not, and one that leaves does not."""

from __future__ import annotations

from exuvia.decide.brakes.picture import Candidate, Picture
from exuvia.model.blocking import Blocked
from exuvia.model.planning import Moment
from exuvia.model.reasons import BlockedReason


def only_watching(moment: Moment) -> Blocked | None:
    """Whether it runs with `--read-only`."""
    if not moment.read_only:
        return None
    message = (
        "the operator runs with --read-only: it judges and reports, and begins and ends nothing; "
        "start it without --read-only (`kubectl apply -k deploy/` installs it so)"
    )
    return Blocked(reason=BlockedReason.READ_ONLY, message=message)


def leaving(moment: Moment) -> Blocked | None:
    """Whether somebody asked for exuvia to be uninstalled."""
    uninstall = moment.guard.spec.uninstall if moment.guard is not None else None
    if uninstall is None:
        return None
    message = f"exuvia is uninstalled, as {uninstall.by} asked: nothing starts; `exuvia resume` takes that back"
    return Blocked(reason=BlockedReason.UNINSTALLED, message=message)


def acts(_candidate: Candidate, picture: Picture) -> Blocked | None:
    """A start needs an operator that begins something."""
    return only_watching(picture.moment) or leaving(picture.moment)
