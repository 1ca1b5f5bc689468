"""Entries that must be in the ledger and are not, and how that is said to a person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from exuvia.record import chain
from exuvia.record.places import Place

WAY_OUT = "Restore the right file, or run `exuvia ledger accept --reason TEXT`."
_AWAY = "move the file away together with its -wal and -shm"
CHAIN_WAY_OUT = f"Restore a good copy; where there is none, {_AWAY}, and run `exuvia ledger accept --reason TEXT`."
WITHOUT_COPY = (
    f"where there is none, {_AWAY}, let exuvia begin a new one (it takes seconds), and run"
    " `exuvia ledger accept --reason TEXT`"
)
"""The way on from a file that is damaged and of which there is no good copy: a new ledger begins, and is accepted."""
DAMAGED_WAY_OUT = f"Put the last good copy in its place; {WITHOUT_COPY}."
_DATABASE_WAY_OUT = (
    "Restore the last good copy of the database; where there is none, prepare a new one (`exuvia ledger prepare`), give"
    " exuvia its URL, and run `exuvia ledger accept --reason TEXT`."
)


def way_out(place: Place) -> str:
    """From a ledger that is damaged, wherever it is."""
    return DAMAGED_WAY_OUT if isinstance(place, Path) else _DATABASE_WAY_OUT


@dataclass(slots=True)
class Missing:
    """Number -> hash of what is missing. Zeros as hash: the chain itself is broken there.

    `after`: the last entry that was there when it was seen.
    """

    entries: dict[int, bytes] = field(default_factory=dict)
    after: int = 0

    def add(self, seq: int, hash_: bytes, *, head: int) -> None:
        """One more; of several the first says what was there."""
        if not self.entries:
            self.after = head
        self.entries[seq] = hash_

    def broken(self) -> list[int]:
        """Where the chain itself is broken."""
        return [seq for seq, hash_ in self.entries.items() if hash_ == chain.GENESIS]

    def in_another_file(self, head: int, healed: Iterable[int]) -> None:
        """Another file is in place: an acceptance in it counts by its own numbers, and its chain for itself."""
        self.after = min(self.after, head)
        for seq in healed:
            del self.entries[seq]


def lost(head: int, seq: int, named_by: str = "") -> str:
    """Which entries a chain with that head misses, if that one is missing, and who says so."""
    several = head + 1 < seq
    entries = f"entries {head + 1} to {seq}" if several else f"entry {seq}"
    named = f", {'the last of which' if several else 'which'} {named_by} names" if named_by else ""
    return entries + named


def said(place: Place, seq: int, hash_: bytes, named_by: str = "", *, head: int) -> str:
    """What is wrong, why that is known, and the way out. `head`: the last entry that is there."""
    if hash_ == chain.GENESIS:
        return (
            f"the chain of the ledger {place} is broken: entry {seq} was changed, or the one before it. {CHAIN_WAY_OUT}"
        )
    which = lost(head, seq, named_by)
    return f"the ledger {place} misses {which}: a restored backup, a cut tail or a lost file. {WAY_OUT}"
