"""Complaints about JSON name the right line, however the text is laid out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exuvia import errors
from exuvia.observe.feeds import documents

KEYS = st.text('ab"\\\n:{}[],', max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
MARK = "here-it-is"


@given(body=st.dictionaries(KEYS, VALUES, max_size=4), where=st.data(), indent=st.sampled_from([None, 0, 2]))
def test_the_line_of_any_field_is_found(body: dict[str, Any], where: st.DataObject, indent: int | None) -> None:
    path: list[str | int] = []
    holder: Any = body
    while isinstance(holder, dict | list) and holder:
        step = where.draw(st.sampled_from(list(holder) if isinstance(holder, dict) else range(len(holder))))
        path.append(step)
        parent, holder = holder, holder[step]
        if where.draw(st.booleans()):
            break
    if path:
        parent[path[-1]] = MARK
    text = json.dumps(body, indent=indent)
    expected = text.count("\n", 0, text.find(MARK)) + 1 if path else 1
    assert documents.line_of(text, tuple(path)) == expected


def test_what_is_no_json_is_said_with_its_place() -> None:
    with pytest.raises(errors.InvalidObject) as refused:
        documents.load(['{"a":\n', ' "b'], "KEV catalogue")
    assert refused.value.place == "line 2"
    assert refused.value.message == "this is no JSON: Unterminated string starting (character 2 of the line)"


def test_what_is_not_there_is_at_the_line_of_what_is_around_it() -> None:
    text = '{\n "a": [\n  {"b": 1},\n  {"c": 2}\n ]\n}'
    assert documents.line_of(text, ("a", 1, "b")) == 4
    assert documents.line_of(text, ("a", 7)) == 2
    assert documents.line_of(text, ("x", "y")) == 1
    assert documents.line_of(text, ("a", 0, "b", "deeper")) == 3
