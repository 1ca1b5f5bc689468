"""Acting: whether the operator begins anything at all. One that only watches does not, and one that leaves does not."""

from __future__ import annotations

from exuvia.decide.brakes.picture import Candidate, Picture
from exuvia.model.blocking import Blocked
from exuvia.model.planning import Moment
from exuvia.model.reasons import BlockedReason

OPTION = "--read-only"
"""How an operator is told to watch only; every word about that names it."""
ONLY_WATCHES = f"the operator runs with {OPTION}: it judges and reports, and begins and ends nothing"
"""What one that only watches says of itself."""
WAY_OUT = f"start it without {OPTION} (`kubectl apply -k deploy/` installs it so)"
"""What to do where the operator only watches."""


def only_watching(moment: Moment) -> Blocked | None:
    """Whether it runs with `--read-only`."""
    if not moment.read_only:
        return None
    return Blocked(reason=BlockedReason.READ_ONLY, message=f"{ONLY_WATCHES}; {WAY_OUT}")


def leaving(moment: Moment) -> Blocked | None:
    """Whether somebody asked for exuvia to be uninstalled."""
    uninstall = moment.guard.spec.uninstall if moment.guard is not None else None
    if uninstall is None:
        return None
    return Blocked(reason=BlockedReason.UNINSTALLED, message=f"exuvia is {uninstalled(uninstall.by)}")


def uninstalled(by: str) -> str:
    """What is said of an uninstall that this user asked for."""
    return f"uninstalled, as {by} asked: nothing starts; `exuvia resume` takes that back"


def acts(_candidate: Candidate, picture: Picture) -> Blocked | None:
    """A start needs an operator that begins something."""
    return only_watching(picture.moment) or leaving(picture.moment)
