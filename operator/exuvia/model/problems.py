"""Problems: what is wrong with a policy, where, and what to do. A value, not an exception: others keep working."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

HINTS: Mapping[str, str] = {
    "is no regular expression": "Write what is meant literally with a backslash: `\\(`, `\\)`, `\\.`.",
    "<EOF>": "The expression ends too early: finish it.",
    "Syntax error": "Mend the expression where the caret stands.",
    "undeclared reference": "An expression sees `object`, `instance`, `variables` and `now`, and CEL's own functions.",
    "must be true or false": "Compare it with something, or write bool(...) around it.",
    "found no matching overload": "Both sides must be of one type: convert one, as by int(...) or string(...).",
}
"""What to do about what only compiling finds, by words of the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """`place` is the dotted path of the field; `reason` InvalidSpec or NotSupported."""

    place: str
    message: str
    remedy: str = ""
    reason: str = "InvalidSpec"

    @property
    def words(self) -> str:
        """What is wrong and what to do about it; further lines of the message follow."""
        first, *carets = self.message.split("\n")
        ended = first if first.endswith((".", "?")) else f"{first}."
        return "\n".join([f"{ended} {self.remedy or _hint(first)}".rstrip(), *carets])

    def __str__(self) -> str:
        return f"{self.place}: {self.words}"


def _hint(message: str) -> str:
    """The next step for a message that names none, or ""."""
    return next((advice for words, advice in HINTS.items() if words in message), "")
