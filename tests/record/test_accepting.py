"""An acceptance is about the chain that it is entered in: what is noted of another one says nothing of it."""

from __future__ import annotations

import pytest

from exuvia import errors
from exuvia.model.facts import Receipt
from exuvia.record import importing
from exuvia.record.accepting import accept
from exuvia.record.places import Place
from exuvia.record.trust import Noted
from tests.record import world
from tests.record.test_importing import parsed
from tests.record.test_pruning import life

LOST = "ab" * 32


def two_chains(place: Place) -> tuple[Receipt, Receipt]:
    """Those of a and b in one ledger; their heads."""
    first, second = (
        importing.load(place, parsed(*life(uid, 0, 1)), cluster=name).head for uid, name in (("A", "a"), ("B", "b"))
    )
    return first, second


def noted(entry: Receipt, cluster: str | None = None) -> Noted:
    return Noted(seq=entry.seq, hash=entry.hash, cluster=cluster)


def test_what_another_chain_holds_is_not_missing_in_this_one(place: Place) -> None:
    first, _ = two_chains(place)
    with pytest.raises(errors.Refused, match="Nothing is missing: "):
        accept(place, by="alice", reason="r", at=world.at(2), noted=[noted(first)], cluster="b")
    said = [noted(first), Noted(seq=9, hash=LOST)]
    _, lost = accept(place, by="alice", reason="r", at=world.at(2), noted=said, cluster="b")
    assert lost == [f"9:{LOST}"]


@pytest.mark.parametrize("held", [True, False])
def test_what_is_noted_of_another_chain_is_refused_with_its_name(place: Place, held: bool) -> None:
    first, _ = two_chains(place)
    said = noted(first, "a") if held else Noted(seq=9, hash=LOST, cluster="a")
    with pytest.raises(errors.Refused, match="in the chain of b: what is noted in the cluster is about the chain of a"):
        accept(place, by="alice", reason="r", at=world.at(2), noted=[said], cluster="b")


def test_a_note_about_another_chain_is_not_blamed_where_ones_own_is_held(place: Place) -> None:
    first, second = two_chains(place)
    said = [noted(first, "a"), noted(second, "b")]
    with pytest.raises(errors.Refused, match="holds every entry that is noted in the cluster"):
        accept(place, by="alice", reason="r", at=world.at(2), noted=said, cluster="b")


def test_what_is_said_to_be_in_this_chain_is_missing_in_it_whoever_holds_it(place: Place) -> None:
    """A leader whose `--cluster-name` became another one misses what it entered before, and says so."""
    first, _ = two_chains(place)
    _, lost = accept(
        place, by="alice", reason="r", at=world.at(2), noted=[noted(first), noted(first, "b")], cluster="b"
    )
    assert lost == [f"{first.seq}:{first.hash}"]
