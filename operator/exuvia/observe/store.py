"""A store: the records of one kind by UID, and which of them changed since somebody last asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar


class Record(Protocol):
    """What every record has. Two records are equal when nothing differs that anybody would act on."""

    @property
    def uid(self) -> str: ...
    @property
    def name(self) -> str: ...


R = TypeVar("R", bound=Record)


def version(text: str) -> int:
    """resourceVersions of one resource compare as numbers (KEP-5504); what is none counts as oldest."""
    return int(text) if text.isdigit() else 0


class Store(Generic[R]):
    """Records by UID with the resourceVersion they were seen at. Older news than what is known are passed over."""

    def __init__(self, clock: Callable[[], float], notify: Callable[[], None]) -> None:
        self._clock = clock
        self._notify = notify
        self._records: dict[str, R] = {}
        self._versions: dict[str, int] = {}
        self._buried: dict[str, int] = {}
        self._by_name: dict[tuple[str, str], str] = {}
        self._dirty: dict[str, float] = {}
        self._gone: dict[str, R] = {}
        self.changed: Callable[[R | None, R | None], None] | None = None

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[R]:
        return iter(tuple(self._records.values()))

    def get(self, uid: str) -> R | None:
        """The record of that UID, or None."""
        return self._records.get(uid)

    def named(self, name: str, namespace: str = "") -> R | None:
        """The record that bears the name now, or None."""
        uid = self._by_name.get((namespace, name))
        return self._records.get(uid) if uid else None

    def put(self, record: R, resource_version: str) -> None:
        """A record as seen at that version."""
        uid, seen = record.uid, version(resource_version)
        if self.outdated(uid, resource_version):
            return
        former = self._records.get(uid)
        self._records[uid] = record
        self._versions[uid] = seen
        self._by_name[_key(record)] = uid
        if former != record:
            self._mark(uid, former, record)

    def outdated(self, uid: str, resource_version: str) -> bool:
        """Whether more recent news of it are known, or that it is gone."""
        return uid in self._buried or version(resource_version) < self._versions.get(uid, 0)

    def drop(self, uid: str, resource_version: str = "") -> None:
        """It is gone. A later list or a late event does not bring a dead UID back."""
        former = self._records.pop(uid, None)
        self._versions.pop(uid, None)
        self._buried[uid] = version(resource_version)
        while len(self._buried) > 4096:
            self._buried.pop(next(iter(self._buried)))
        if former is None:
            return
        if self._by_name.get(_key(former)) == uid:
            del self._by_name[_key(former)]
        self._gone[uid] = former
        self._mark(uid, former, None)

    def keep_only(self, uids: set[str], listed_at: str) -> list[str]:
        """After a list: what it does not hold is gone, unless we know of it from later than the list. Who that is."""
        at = version(listed_at)
        absent = [one for one in self._records if one not in uids]
        gone = [one for one in absent if self._versions.get(one, 0) <= at or not at]
        for uid in gone:
            self.drop(uid, listed_at)
        return gone

    @property
    def unread(self) -> bool:
        """Whether something changed or went that nobody has taken yet."""
        return bool(self._dirty or self._gone)

    @property
    def newest(self) -> int:
        """The greatest resourceVersion of what is there."""
        return max(self._versions.values(), default=0)

    def gone(self) -> tuple[R, ...]:
        """What went since the last `take_gone`; it stays to be taken."""
        return tuple(self._gone.values())

    def take_dirty(self) -> dict[str, float]:
        """UIDs that changed since the last call, each with the monotonic moment it was first seen to."""
        taken, self._dirty = self._dirty, {}
        return taken

    def take_gone(self) -> dict[str, R]:
        """Last records of what went since the last call."""
        taken, self._gone = self._gone, {}
        return taken

    def keep_latest(self, most: int) -> None:
        """While nobody takes what changed: the records of those that went last stay to be taken, so many at most; of
        the others nothing does."""
        while len(self._gone) > most:
            uid = next(iter(self._gone))
            del self._gone[uid]
            self._dirty.pop(uid, None)

    def touch(self, uid: str) -> None:
        """Let one count as changed."""
        self._dirty.setdefault(uid, self._clock())
        self._notify()

    def mark_all(self) -> None:
        """Let everything count as changed."""
        now = self._clock()
        for uid in self._records:
            self._dirty.setdefault(uid, now)
        self._notify()

    def _mark(self, uid: str, former: R | None, record: R | None) -> None:
        self._dirty.setdefault(uid, self._clock())
        if self.changed is not None:
            self.changed(former, record)
        self._notify()


def _key(record: Record) -> tuple[str, str]:
    return str(getattr(record, "namespace", "")), record.name
