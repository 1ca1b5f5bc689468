"""Whatever a file holds, it is read whole or refused in words: no other exception ever."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exuvia import errors
from tests.observe.feeds.files import NAMED, read
from tests.observe.feeds.test_comparing import CSV, FILES

READERS = sorted(FILES)
STRANGE = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.none(), max_size=2)
QUIET = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def outcome(feed: str, raw: bytes) -> None:
    """Read it; what refuses it names a line and a remedy."""
    try:
        read(feed, raw, everywhere=True)
    except errors.InvalidObject as trouble:
        assert trouble.place.startswith("line ") and trouble.message and trouble.remedy


@pytest.mark.parametrize("feed", READERS)
@QUIET
@given(data=st.data())
def test_a_file_with_a_piece_overwritten(feed: str, data: st.DataObject) -> None:
    raw = FILES[feed].encode()
    at = data.draw(st.integers(0, len(raw)))
    length = data.draw(st.integers(0, 40))
    piece = data.draw(st.binary(max_size=12) | st.sampled_from([b"\x00", b'"', b"{", b"\n", b"\x1f\x8b", b"1e999"]))
    outcome(feed, raw[:at] + piece + raw[at + length :])


@pytest.mark.parametrize("feed", [one for one in READERS if FILES[one].startswith("{")])
@QUIET
@given(data=st.data())
def test_a_document_with_a_field_of_another_kind(feed: str, data: st.DataObject) -> None:
    body = json.loads(FILES[feed])
    holder: Any = body
    while True:
        step = data.draw(st.sampled_from(list(holder) if isinstance(holder, dict) else range(len(holder))))
        if not (isinstance(holder[step], dict | list) and holder[step] and data.draw(st.booleans())):
            break
        holder = holder[step]
    holder[step] = data.draw(STRANGE)
    outcome(feed, json.dumps(body).encode())


@pytest.mark.parametrize("feed", READERS)
@given(raw=st.binary(max_size=60))
def test_anything_at_all(feed: str, raw: bytes) -> None:
    outcome(feed, raw)


@pytest.mark.parametrize("feed", READERS)
def test_the_file_of_another_feed_is_never_taken_for_one_of_this(feed: str) -> None:
    for other in sorted(set(FILES) - {feed}):
        with pytest.raises(errors.InvalidObject):
            read(feed, FILES[other])
    assert set(NAMED) == set(READERS) and FILES["cvss"].startswith(CSV)
