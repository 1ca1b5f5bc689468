"""What the machine itself says: opt-outs on it and its pods, a Quarantine, exuvia's own place, who would replace it."""

from __future__ import annotations

from exuvia.decide import backoff
from exuvia.decide.brakes.picture import Candidate, Picture
from exuvia.decide.drain import pods_opt_out
from exuvia.decide.optouts import node_opt_out
from exuvia.model.blocking import Blocked
from exuvia.model.reasons import BlockedReason
from exuvia.model.specs.security_policy import Action, DrainSettings, RotationSettings, Strategy


def node_agrees(candidate: Candidate, picture: Picture) -> Blocked | None:
    """No opt-out stands on the node."""
    return node_opt_out(candidate.instance, picture.now)


def pods_agree(candidate: Candidate, picture: Picture) -> Blocked | None:
    """No opt-out stands on a pod that the drain would evict."""
    pods = picture.moment.pods_on(candidate.instance.name)
    if not pods:
        return None
    drain = picture.settings(candidate.uid).drain or DrainSettings()
    return pods_opt_out(pods, drain, picture.now)


def not_quarantined(candidate: Candidate, picture: Picture) -> Blocked | None:
    """No Quarantine of the machine is open or begins: a Rotation would destroy the evidence."""
    open_ = picture.flight.quarantines.get(candidate.uid)
    if open_:
        message = f"{candidate.instance.name} is in quarantine ({open_[0].name}); release it with verdict Rotate"
        return Blocked(reason=BlockedReason.QUARANTINED, message=message)
    if candidate.uid in picture.held:
        message = f"{candidate.instance.name} goes into quarantine"
        return Blocked(reason=BlockedReason.QUARANTINED, message=message)
    wish = candidate.wish
    if wish is not None and wish.action is Action.QUARANTINE:
        message = f"policy {wish.policy}, rule {wish.rule} wants {candidate.instance.name} in quarantine, not rotated"
        return Blocked(reason=BlockedReason.QUARANTINED, message=message)
    return None


def not_pinned(candidate: Candidate, picture: Picture) -> Blocked | None:
    """exuvia's own ledger does not stand on a volume of this very machine."""
    own = picture.moment.own
    if not own.pinned or not own.node_name or own.node_name != candidate.instance.name:
        return None
    message = (
        f"exuvia runs on {candidate.instance.name} and is tied to it by {own.pinned}; move the ledger to a volume that "
        "can follow, or to PostgreSQL"
    )
    return Blocked(reason=BlockedReason.SELF_PINNED, message=message)


def replaceable(candidate: Candidate, picture: Picture) -> Blocked | None:
    """Somebody can replace it, in the order that the policy asks for."""
    provider = picture.moment.provider_for(candidate.uid)
    if provider.problem or not provider.name:
        problem = provider.problem or f"no provider knows {candidate.instance.name}; set spec.rotation.provider"
        return Blocked(reason=BlockedReason.PROVIDER_UNKNOWN, message=problem)
    rotation = picture.settings(candidate.uid).rotation or RotationSettings()
    if rotation.strategy is Strategy.REPLACE_FIRST and not provider.adds_first:
        message = (
            f"provider {provider.name} cannot add a machine before it removes one; "
            "set spec.rotation.strategy: DrainFirst, or another spec.rotation.provider"
        )
        return Blocked(reason=BlockedReason.REPLACEMENT_UNSUPPORTED, message=message)
    return None


def pool_not_halted(candidate: Candidate, picture: Picture) -> Blocked | None:
    """The pool's last replacements did not all fail."""
    pool = candidate.instance.pool
    halted = picture.halted.get(pool)
    if halted is None:
        return None
    message = (
        f"pool {pool or '(none)'} is halted: its last {halted.failures} replacements failed; mend the pool, then run "
        f"`exuvia resume --pool {pool}`"
    )
    return Blocked(reason=BlockedReason.POOL_HALTED, message=message)


def not_backing_off(candidate: Candidate, picture: Picture) -> Blocked | None:
    """Neither did Rotations of it fail a short time ago, nor did a person call off what the same rule wanted."""
    ended = picture.flight.ended.get(candidate.uid, ())
    if not ended or candidate.wish is None:
        return None
    called_off = backoff.after_call_off(ended, candidate.wish, picture.now)
    if called_off is not None or candidate.kind != "Rotation":
        return called_off
    return backoff.after_failures(ended, candidate.instance.name, picture.now)
