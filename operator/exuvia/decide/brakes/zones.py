"""One zone at a time: while Rotations are under way in a zone, new ones start only there; in several, nowhere."""

from __future__ import annotations

from exuvia.decide.brakes.picture import Candidate, Picture
from exuvia.model.blocking import Blocked
from exuvia.model.reasons import BlockedReason


def same_zone(candidate: Candidate, picture: Picture) -> Blocked | None:
    """FleetGuard oneZoneAtATime. It looks at Rotations past Pending only."""
    zones = picture.zones
    if not picture.guard.one_zone_at_a_time or zones <= {candidate.instance.zone}:
        return None
    named = ", ".join(sorted(one or "(none)" for one in zones))
    own = candidate.instance.zone or "(none)"
    if len(zones) > 1:
        message = f"Rotations are under way in the zones {named}; nothing starts before they are in one"
    else:
        message = f"Rotations are under way in zone {named}; this machine is in zone {own} (oneZoneAtATime)"
    return Blocked(reason=BlockedReason.ONE_ZONE_AT_A_TIME, message=message)
