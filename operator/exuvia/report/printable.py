"""What others wrote, on somebody's terminal: a name may hold control sequences, and a terminal would obey them."""

from __future__ import annotations


def printable(words: str, *, lines: bool = False) -> str:
    """The same words, with what is not printable (ESC, line breaks, marks that turn the direction of writing, halves of
    characters) written as in Python: `\\x1b`. With `lines` line breaks stay."""
    if words.isprintable():
        return words
    return "".join(one if one.isprintable() or (lines and one == "\n") else _written(one) for one in words)


def _written(one: str) -> str:
    return one.encode("unicode_escape").decode("ascii")
