"""Every exception that crosses a border of rooms. Expected refusals are values (`model.blocking.Blocked`) instead.

The tree::

    ExuviaError                    one sentence what and why; `remedy` says what to do next
    ├── SettingsError              an option, file or environment variable cannot be used
    ├── InvalidObject              a custom resource, fact or file does not say what it must; names the place
    ├── ClusterError               the API server answered, but not with what was asked for
    │   ├── Unreachable            no answer: refused, reset, timed out, TLS
    │   ├── Unauthorized           401: the credentials are not accepted
    │   ├── Forbidden              403: the rights are missing (or the namespace is terminating)
    │   ├── NotFound               404
    │   ├── AlreadyExists          409 on create
    │   ├── Conflict               409: resourceVersion or UID precondition does not hold; look again
    │   ├── Expired                410: the list token or the resourceVersion is too old; list again
    │   ├── Refused                422 or 400: the server's validation or an admission policy says no
    │   ├── TooManyRequests        429: wait `retry_after`; for an eviction: a PodDisruptionBudget or throttling
    │   └── ServerTrouble          5xx
    ├── Fenced                     we are not the leader (any more) and must not write
    ├── ProviderError              a provider failed; `definite` says that nothing was done
    ├── EvidenceError              evidence could not be taken, written or verified
    └── LedgerError                the ledger cannot be used
        ├── LedgerDown             cannot be opened or written (unwritable, full disk, no file, bad password)
        ├── LedgerLocked           somebody else holds it; waited 10 s
        ├── LedgerTruncated        an entry that must be there is missing: a restored backup or a cut tail
        ├── LedgerCorrupt          the file or the chain is damaged
        └── LedgerTooNew           written by a newer exuvia
"""

from __future__ import annotations

from datetime import timedelta


class ExuviaError(Exception):
    """Something the caller cannot go on with. `remedy` is the next step for a person, a sentence or empty."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        if not (self.message and self.remedy):
            return self.message or self.remedy
        ended = self.message.rstrip().endswith((".", "!", "?"))
        return f"{self.message.rstrip()}{'' if ended else '.'} {self.remedy}"


class SettingsError(ExuviaError):
    """An option, file or environment variable cannot be used."""


class InvalidObject(ExuviaError):
    """A custom resource, fact or file does not say what it must. `place` is the dotted path of the field."""

    def __init__(self, message: str, *, place: str = "", remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.place = place


class ClusterError(ExuviaError):
    """The API server answered, but not with what was asked for. `status` is the HTTP code, `reason` the API reason."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        reason: str = "",
        body: dict[str, object] | None = None,
        remedy: str = "",
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.status = status
        self.reason = reason
        self.body = body or {}


class Unreachable(ClusterError):
    """No answer: refused, reset, timed out, TLS. Whether a write happened is unknown."""


class Unauthorized(ClusterError):
    """401: the credentials are not accepted."""


class Forbidden(ClusterError):
    """403: the rights are missing, or the namespace is terminating (`reason`)."""


class NotFound(ClusterError):
    """404."""


class AlreadyExists(ClusterError):
    """409 on a create: an object of that name is there."""


class Conflict(ClusterError):
    """409: a resourceVersion or UID precondition does not hold. Look again; nothing was written."""


class Expired(ClusterError):
    """410: a continue token or resourceVersion is too old. List again."""


class Refused(ClusterError):
    """422 or 400: validation or an admission policy says no. Trying the same again is useless."""


class TooManyRequests(ClusterError):
    """429. `retry_after` is the server's wish; never try sooner."""

    def __init__(
        self,
        message: str,
        *,
        retry_after: timedelta | None = None,
        reason: str = "",
        body: dict[str, object] | None = None,
    ) -> None:
        super().__init__(message, status=429, reason=reason, body=body)
        self.retry_after = retry_after


class ServerTrouble(ClusterError):
    """5xx. For an eviction 500 means: more than one PodDisruptionBudget covers the pod."""


class Fenced(ExuviaError):
    """We are not the leader (any more) and must not write."""


class ProviderError(ExuviaError):
    """A provider failed. `definite`: nothing was done, so a new attempt may be counted; else the outcome is unknown."""

    def __init__(self, message: str, *, definite: bool, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.definite = definite


class EvidenceError(ExuviaError):
    """Evidence could not be taken, written or verified."""


class LedgerError(ExuviaError):
    """The ledger cannot be used."""


class LedgerDown(LedgerError):
    """The ledger cannot be opened or written."""


class LedgerLocked(LedgerError):
    """Somebody else holds the ledger; 10 s have been waited."""


class LedgerTruncated(LedgerError):
    """An entry that must be in the ledger is missing: a restored backup or a cut tail."""


class LedgerCorrupt(LedgerError):
    """The ledger's file or its hash chain is damaged."""


class LedgerTooNew(LedgerError):
    """The ledger was written by a newer exuvia."""
