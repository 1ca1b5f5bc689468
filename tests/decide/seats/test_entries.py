"""What the ledger keeps of seats is read back as it was, and its canonical JSON can be made."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from exuvia import errors
from exuvia.decide.seats import advance, entries
from exuvia.model.seats import SeatEvent, Terms
from exuvia.record import chain

from .test_advancing import EVENTS, START, TERMS


@given(EVENTS, TERMS)
def test_every_change_is_read_back_as_it_was(events: list[SeatEvent], terms: Terms) -> None:
    for change in advance(START, terms, events, until=60).told:
        said = json.loads(chain.canonical(entries.body(change, pool="antivirus", uid="pool-uid")))
        assert (said["pool"], said["uid"]) == ("antivirus", "pool-uid")
        assert entries.read(said, change.at) == change


def test_an_unknown_event_is_refused() -> None:
    with pytest.raises(errors.InvalidObject, match="'melted' is no event of a seat"):
        entries.read({"event": "melted", "instance": "a"}, 0)
