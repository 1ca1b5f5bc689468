"""What nobody looks at is not made."""

from __future__ import annotations

from exuvia.app.sharing import LazyMapping, LazySequence


def test_what_nobody_looks_at_is_not_made() -> None:
    """Made once, when it is looked at."""
    made: list[int] = []

    def make() -> tuple[str, ...]:
        made.append(1)
        return ("a", "b", "c")

    lazy = LazySequence(make)
    assert made == []
    assert (list(lazy), len(lazy), lazy[1], lazy[1:], made) == (["a", "b", "c"], 3, "b", ("b", "c"), [1])


def test_an_empty_answer_is_no_entry() -> None:
    """As a mapping that holds only what has something to say."""
    said = {"a": "fails", "b": ""}
    lazy = LazyMapping(lambda: ["a", "b"], said.__getitem__)
    assert dict(lazy) == {"a": "fails"}
    assert (lazy.get("b", "?"), len(lazy), "b" in lazy) == ("?", 1, False)
