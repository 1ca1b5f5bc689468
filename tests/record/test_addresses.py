"""An address is found however it was told, and however it is asked for."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.model import facts
from exuvia.record import addresses, former, who
from exuvia.record.places import Place
from tests.record import world
from tests.record.conftest import Fresh
from tests.record.world import at, written


@pytest.mark.parametrize(
    ("text", "one"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("FD00:0:0::7", "fd00::7"),
        ("fd00:0000:0000:0000:0000:0000:0000:0007", "fd00::7"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("::FFFF:0A00:0007", "10.0.0.7"),
        ("10.0.0.777", None),
        ("10.0.0.0/8", None),
        ("[fd00::7]", None),
        ("worker-1", None),
        ("", None),
    ],
)
def test_one_way_to_write_it(text: str, one: str | None) -> None:
    assert addresses.canonical(text) == one


@given(st.integers(0, 2**128 - 1) | st.integers(0, 2**20) | st.integers(0, 7).map(lambda n: 0xFD00 << 112 | n << 64))
def test_every_spelling_means_the_address(number: int) -> None:
    address = IPv6Address(number)
    found = list(addresses.spellings(address))
    assert {ip_address(one) for one in found} == {address}
    assert {str(address), address.exploded, address.exploded.upper()} <= set(found)
    assert len(found) == len(set(found)) < 300


@pytest.mark.parametrize(
    ("told", "asked"),
    [
        ("fd00:0:0:0:0:0:0:7", "FD00::7"),
        ("FD00::7", "fd00::7"),
        ("fd00::7", "fd00:0000::0007"),
        ("Fd00:0000::07", "fd00::7"),  # as no program writes it
        ("64:ff9b::10.0.0.7", "64:ff9b::a00:7"),
        ("064:FF9b::10.0.0.7", "64:ff9b::a00:7"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("10.0.0.7", "::ffff:a00:7"),
        ("fe80::7%eth0", "FE80:0::7%eth0"),
    ],
)
def test_an_address_is_found_in_each_of_its_forms(place: Place, told: str, asked: str) -> None:
    history = (
        world.birth("A", 0, addresses=[told]),
        world.birth("B", 0, addresses=["fd00::8", "10.0.0.8", "fd0::7", "fe80::7%eth1", "no address"]),
        world.death("A", 60),
        facts.identity(uid="B", attribute="address", value=told, former="", at=at(90)),
    )
    with written(place, *history) as connection:
        for text in (told, asked):
            assert [one.uid for one in who.bore(connection, "address", text, at(30))] == ["A"]
            assert [one.uid for one in who.bore(connection, "address", text, at(99))] == ["B"]
            last = former.last(connection, "address", text, at(70))
            assert last is not None and (last.uid, last.ended) == ("A", at(60))


def test_entries_hold_it_as_it_was_told(place: Place) -> None:
    with written(place, world.birth("A", 0, addresses=["FD00::7"])) as connection:
        assert addresses.written(connection, "address", "fd00:0::7") == ("FD00::7",)
        assert addresses.written(connection, "name", "FD00::7") == ("FD00::7",), "a name is a text and nothing else"


@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_several_that_tell_one_address_differently_are_several(fresh: Fresh, data: st.DataObject) -> None:
    address = IPv6Address(data.draw(st.integers(0xFD00 << 112, (0xFD00 << 112) + 2**20)))
    one, other = data.draw(st.lists(st.sampled_from(list(addresses.spellings(address))), min_size=2, max_size=2))
    told = (world.birth("A", 0, addresses=[one]), world.birth("B", 0, addresses=[other]))
    with written(fresh(), *told) as connection:
        found = who.bore(connection, "address", str(address), at(1))
    assert [(each.uid, each.certainty) for each in found] == [("A", "ambiguous"), ("B", "ambiguous")]


def test_one_cluster_alone_can_be_asked(place: Place) -> None:
    with written(place, world.birth("A", 0, name="n"), world.death("A", 9)) as connection:
        (found,) = who.bore(connection, "name", "n", at(1))
        assert [one.uid for one in who.bore(connection, "name", "n", at(1), cluster=found.cluster)] == ["A"]
        assert who.bore(connection, "name", "n", at(1), cluster="elsewhere") == ()
        assert former.last(connection, "name", "n", at(10), cluster="elsewhere") is None
