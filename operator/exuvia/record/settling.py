"""The lines of one import, read to the end before the ledger is locked, and settled among themselves.

Lines without `recordedAt` are all learnt at one moment, that of the import. Of several about one thing the one with the
greater canonical JSON holds (history.md, Ledger), and the others say nothing: were they judged one by one by what the
ledger holds, each import of the same file would tell another of them anew.
"""

from __future__ import annotations

import hashlib
import pickle
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import IO, Any

from exuvia import errors
from exuvia.model.histories import Score
from exuvia.record import chain, stating, wording
from exuvia.record.lines import Line

PAGE = 500
_IN_MEMORY = 16 * 2**20
"""Bytes; what is more waits in a file that has no name."""


class Settled:
    """Lines that can be gone through again and again, page by page. `scores`: digests of the words of those scores that
    say themselves when they were learnt."""

    def __init__(self, file: IO[bytes]) -> None:
        self.scores = set[bytes]()
        self._file = file
        self._pages = 0
        self._greatest: dict[bytes, bytes] = {}

    def pages(self) -> Iterator[list[Line]]:
        """All of them, in their order."""
        self._file.seek(0)
        for _ in range(self._pages):
            yield pickle.load(self._file)

    def outweighed(self, line: Line) -> bool:
        """Whether another line says the same thing at the same moment, and holds."""
        greatest = self._greatest.get(_thing(line)) if _of_now(line) else None
        return greatest is not None and _weight(line) != greatest

    def read(self, lines: Iterable[Line]) -> None:
        """To the end. Raises what reading them raises."""
        told, seen, several = iter(lines), set[bytes](), set[bytes]()
        while page := list(islice(told, PAGE)):
            things = [_thing(one) for one in page if _of_now(one)]
            for one in things:
                (several if one in seen else seen).add(one)
            self.scores.update(_dated_scores(page))
            pickle.dump(page, self._file)
            self._pages += 1
        if several:
            self._settle(several)

    def _settle(self, several: set[bytes]) -> None:
        for page in self.pages():
            for one in page:
                if _of_now(one) and (thing := _thing(one)) in several:
                    self._greatest[thing] = max(_weight(one), self._greatest.get(thing, b""))


@contextmanager
def settled(lines: Iterable[Line]) -> Iterator[Settled]:
    """Nothing is left of them when the block was left. Raises what reading them raises."""
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
        found = Settled(file)
        found.read(lines)
        yield found


def _of_now(line: Line) -> bool:
    """Whether it says what is so as of the import; what cannot have been so says nothing of anything."""
    return line.body.get("recordedAt") is None and not line.dead


def _dated_scores(page: Iterable[Line]) -> Iterator[bytes]:
    """One that no entry may hold is refused once it is to be entered."""
    for one in page:
        if isinstance(one.version, Score) and not _of_now(one):
            with suppress(errors.InvalidObject):
                yield wording.digest((one.type, chain.canonical(one.body)))


def _thing(line: Line) -> bytes:
    """Which thing it is about, in few bytes."""
    named = tuple(_normal(one) for one in stating.things(line)[0][1])
    return hashlib.blake2b(repr((line.type, named)).encode(), digest_size=16).digest()


def _weight(line: Line) -> bytes:
    return chain.canonical({**line.body, "user": _normal(line.body.get("user"))})


def _normal(value: Any) -> Any:
    """Names of people are the same however their letters are composed."""
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value
