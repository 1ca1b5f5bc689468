"""What an import comes to: entries that are new, changed or withdrawn, and the lines that they become."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from exuvia.model.histories import Score
from exuvia.observe.feeds import base
from exuvia.observe.feeds.base import Feed, Release, Statement
from exuvia.observe.feeds.vex import SAID

RELEASE = ("feed", "feedReleased", "document", "change")
"""Keys of a line that say which file it stems from, and what became of the entry in it."""

NOTHING = "0"
"""What an entry of a dated feed counts from the day on which it was missing: the same as one that is not known."""


class Change(StrEnum):
    """What became of an entry since the last import. The words are stored: they do not change."""

    NEW = "new"  # the source had said nothing of it
    CHANGED = "changed"  # the source says something else than before
    WITHDRAWN = "withdrawn"  # the source says nothing of it any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The last version of one score row, and everything that its line said."""

    score: Score
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether it says that a dated feed held the entry no more, from its moment on. Older rows stay true."""
        return not self.score.withdrawn and self.text("change") == Change.WITHDRAWN

    @property
    def document(self) -> str:
        """The document that it stems from, or ""."""
        return str(self.body.get("document", ""))

    def text(self, key: str) -> str:
        """One of its other keys, or ""."""
        return str(self.body.get(key, ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One entry that is to be written: what it states now, and which rows are taken back for it. One that a dated feed
    holds no more is stated as `NOTHING`."""

    change: Change
    statements: tuple[Statement, ...] = ()
    withdrawn: tuple[Known, ...] = ()
    former: Known | None = None
    said: str = ""

    @property
    def lines(self) -> int:
        """How many lines it is written as."""
        return len(self.statements) + len(self.withdrawn)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All that an import would write, and how much it would leave as it is. Of what is `skipped`, `taken_back` was
    withdrawn, and an older file does not bring it back."""

    feed: Feed
    release: Release
    recorded: int
    steps: tuple[Step, ...]
    unchanged: int
    skipped: int
    taken_back: int = 0

    def count(self, change: Change) -> int:
        """How many entries became so."""
        return sum(one.change is change for one in self.steps)

    def bodies(self) -> Iterator[dict[str, Any]]:
        """The lines to import, one JSON object each."""
        for step in self.steps:
            for row in step.withdrawn:
                yield self._taken_back(step, row)
            for one in step.statements:
                yield self._stated(step, one)

    def _stated(self, step: Step, one: Statement) -> dict[str, Any]:
        body: dict[str, Any] = {"vulnerability": one.vulnerability, "source": one.source, "value": one.value}
        body |= {"basis": self.feed.basis, "validFrom": base.written(one.valid_from), **self._common(step)}
        if step.former is not None:
            was = {key: step.former.text(key) for key, text in one.details.items() if step.former.text(key) != text}
            body |= {"formerly": was} if was else {}
        return body | {key: text for key, text in (*one.details.items(), *one.notes.items()) if text}

    def _taken_back(self, step: Step, row: Known) -> dict[str, Any]:
        score = row.score
        body = {"vulnerability": score.vulnerability, "source": score.source, "value": score.value}
        body |= {"basis": score.basis, "validFrom": base.written(score.valid_from), **self._common(step)}
        return body | {"withdrawn": True} | ({SAID: step.said} if step.said else {})

    def _common(self, step: Step) -> dict[str, Any]:
        said = {
            "type": "score",
            "recordedAt": base.written(self.recorded),
            "feed": self.feed.name,
            "feedVersion": self.release.version,
            "change": step.change.value,
        }
        if self.release.released is not None:
            said["feedReleased"] = base.written(self.release.released)
        if self.release.document:
            said["document"] = self.release.document
        if step.former is not None:
            said["was"] = step.former.score.value
        return said
