"""What is known of the past, as two-clock versions (history.md): when it was so, and when we learnt it.

Moments are whole microseconds since 1970 UTC. `recorded` is when we learnt it; a version holds from then until a later
one of the same thing (`key`) is recorded; it repeats the whole thing, nothing is merged. `withdrawn` takes the thing
back from then on. An `ended` or `died` of None means still open.

There may be millions of them in one report: as msgspec structs they are made ten times faster than as dataclasses.
"""

from __future__ import annotations

import msgspec

RETRACTED = "retracted"
"""`closed` of a presence that never was: a false finding. It then exists for no question from its `recorded` on."""

EPSS = "epss"
KEV = "kev"
VEX = "vex"


class Life(msgspec.Struct, frozen=True, gc=False):
    """One life of one machine, from birth to death. With `not_before` the death lies between that and `died`."""

    uid: str
    recorded: int
    born: int
    died: int | None = None
    kind: str = "Node"
    name: str = ""
    pool: str = ""
    zone: str = ""
    not_before: int | None = None
    reason: str = ""
    persistent: bool = True
    withdrawn: bool = False

    @property
    def key(self) -> tuple[str]:
        """What a later version of the same thing shares."""
        return (self.uid,)


class Presence(msgspec.Struct, frozen=True, gc=False):
    """A vulnerability was on a machine in `[began, ended)`. `closed` says why it ended: patched, rotated, died, ..."""

    uid: str
    vulnerability: str
    recorded: int
    began: int
    ended: int | None = None
    closed: str = ""
    withdrawn: bool = False

    @property
    def key(self) -> tuple[str, str, int]:
        """What a later version of the same thing shares."""
        return (self.uid, self.vulnerability, self.began)


class Score(msgspec.Struct, frozen=True, gc=False):
    """A source gave a vulnerability a value, valid from a moment. `value` is the decimal as the source wrote it."""

    vulnerability: str
    source: str
    recorded: int
    valid_from: int
    value: str
    basis: str = ""
    withdrawn: bool = False

    @property
    def key(self) -> tuple[str, str, int]:
        """What a later version of the same thing shares."""
        return (self.vulnerability, self.source, self.valid_from)


class Freeze(msgspec.Struct, frozen=True, gc=False):
    """A machine was frozen by a quarantine in `[began, ended)`."""

    uid: str
    recorded: int
    began: int
    ended: int | None = None
    withdrawn: bool = False

    @property
    def key(self) -> tuple[str, int]:
        """What a later version of the same thing shares."""
        return (self.uid, self.began)


class Stay(msgspec.Struct, frozen=True, gc=False):
    """A pod ran on a machine in `[began, ended)`: a placement."""

    uid: str
    pod_uid: str
    recorded: int
    began: int
    ended: int | None = None
    namespace: str = ""
    name: str = ""
    service_account: str = ""
    owner: str = ""
    images: tuple[str, ...] = ()
    withdrawn: bool = False

    @property
    def key(self) -> tuple[str, int, str]:
        """What a later version of the same thing shares."""
        return (self.uid, self.began, self.pod_uid)


class Session(msgspec.Struct, frozen=True, gc=False):
    """Somebody was on a machine in `[began, ended)`."""

    uid: str
    user: str
    recorded: int
    began: int
    ended: int | None = None
    withdrawn: bool = False

    @property
    def key(self) -> tuple[str, int, str]:
        """What a later version of the same thing shares."""
        return (self.uid, self.began, self.user)


class Past(msgspec.Struct, frozen=True, gc=False):
    """All versions of what is known of one machine, that is of everything with its UID, recorded up to some moment."""

    uid: str
    lives: tuple[Life, ...] = ()
    presences: tuple[Presence, ...] = ()
    freezes: tuple[Freeze, ...] = ()
