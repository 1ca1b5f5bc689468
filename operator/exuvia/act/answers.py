"""What an error of the API server means for a write, as an `Outcome`. Nothing is retried here."""

from __future__ import annotations

from exuvia import errors
from exuvia.model.actions import Action, Outcome, OutcomeKind
from exuvia.model.reasons import BlockedReason


def outcome_of(action: Action, trouble: errors.ClusterError, what: str) -> Outcome:
    """`what` names the subject for people. A conflict wrote nothing; an unreachable server may have written."""
    kind, reason = _meaning(trouble)
    return Outcome(
        action=action,
        kind=kind,
        code=trouble.status or (409 if isinstance(trouble, errors.Conflict) else 0),
        reason=reason,
        message=f"{what}: {trouble.message}"[:1000],
        retry_after=trouble.retry_after if isinstance(trouble, errors.TooManyRequests) else None,
    )


def _meaning(trouble: errors.ClusterError) -> tuple[OutcomeKind, str]:
    match trouble:
        case errors.Forbidden() | errors.Refused() | errors.Unauthorized():
            return OutcomeKind.REFUSED, BlockedReason.FORBIDDEN
        case errors.TooManyRequests():
            return OutcomeKind.REFUSED, BlockedReason.THROTTLED
        case errors.Unreachable():
            return OutcomeKind.UNKNOWN, ""
        case _:
            return OutcomeKind.FAILED, ""
