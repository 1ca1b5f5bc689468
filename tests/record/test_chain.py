"""The chain: whatever is changed, cut or swapped is found, with the first bad number."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from exuvia import errors
from exuvia.record import chain, exporting, guarding, queries
from exuvia.record.places import Place, Server
from tests.record import world
from tests.record.conftest import Owner

scalars = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(codec="utf-8"))
entries = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)
bodies = st.lists(st.dictionaries(st.text(max_size=5), entries, max_size=4), min_size=1, max_size=8)


def linked(bodies_: list[dict[str, object]]) -> list[chain.Link]:
    found, former = [], chain.GENESIS
    for seq, body in enumerate(bodies_, 1):
        raw = chain.canonical(body)
        former = chain.next_hash(former, raw)
        found.append(chain.Link(seq=seq, hash=former, canonical=raw))
    return found


def flipped(raw: bytes, place: int, bits: int) -> bytes:
    place %= len(raw)
    return raw[:place] + bytes([raw[place] ^ bits]) + raw[place + 1 :]


@given(bodies)
def test_an_untouched_chain_verifies(found: list[dict[str, object]]) -> None:
    links = linked(found)
    said = chain.verify(links, head=(len(links), links[-1].hash))
    assert (said.entries, said.head, said.first_bad) == (len(links), links[-1].hash, None)


@given(bodies, st.integers(0), st.integers(0), st.integers(1, 255), st.booleans())
def test_any_changed_byte_is_found_at_its_entry(
    found: list[dict[str, object]], which: int, place: int, bits: int, in_hash: bool
) -> None:
    links = linked(found)
    index = which % len(links)
    one = links[index]
    if in_hash:
        links[index] = chain.Link(seq=one.seq, hash=flipped(one.hash, place, bits), canonical=one.canonical)
    else:
        links[index] = chain.Link(seq=one.seq, hash=one.hash, canonical=flipped(one.canonical, place, bits))
    assert chain.verify(links).first_bad == one.seq


@given(bodies, st.integers(0))
def test_a_deleted_entry_is_found(found: list[dict[str, object]], which: int) -> None:
    links = linked(found)
    head = (len(links), links[-1].hash)
    gone = links.pop(which % len(links))
    said = chain.verify(links, head=head)
    assert said.first_bad == gone.seq
    assert said.entries == gone.seq - 1


@given(bodies.filter(lambda found: len(found) > 1), st.integers(0), st.integers(0))
def test_swapped_entries_are_found(found: list[dict[str, object]], one: int, other: int) -> None:
    links = linked([body | {"n": str(index)} for index, body in enumerate(found)])
    a, b = sorted((one % len(links), other % len(links)))
    first, second = links[a], links[b]
    links[a] = chain.Link(seq=first.seq, hash=second.hash, canonical=second.canonical)
    links[b] = chain.Link(seq=second.seq, hash=first.hash, canonical=first.canonical)
    assert chain.verify(links).first_bad == (None if a == b else first.seq)


@given(bodies, st.integers(1))
def test_a_cut_tail_is_found_by_the_head(found: list[dict[str, object]], cut: int) -> None:
    links = linked(found)
    head = (len(links), links[-1].hash)
    left = links[: len(links) - (1 + cut % len(links))]
    assert chain.verify(left).first_bad is None, "without a head from elsewhere a cut tail cannot be seen"
    assert chain.verify(left, head=head).first_bad == len(left) + 1


def test_a_chain_made_anew_is_found_by_the_head() -> None:
    head = linked([{"a": 1}, {"b": 2}])[-1]
    forged = linked([{"a": 1}, {"b": 3}, {"c": 4}])
    assert chain.verify(forged).first_bad is None
    assert chain.verify(forged, head=(head.seq, head.hash)).first_bad == 2


def test_a_part_verifies_from_where_it_starts() -> None:
    links = linked([{"a": 1}, {"b": 2}, {"c": 3}])
    assert chain.verify(links[1:], start=links[0]).entries == 3
    assert chain.verify(links[2:], start=links[0]).first_bad == 2


@pytest.mark.parametrize("bad", [{"a": 1.5}, {"a": 2**53}, {"a": {"b": [-(2**53)]}}, {"a": b"x"}, {"a": "\ud800"}])
def test_what_cannot_be_canonical_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(errors.InvalidObject, match="entry"):
        chain.canonical(bad)


def test_canonical_form_is_that_of_rfc_8785() -> None:
    assert (
        chain.canonical({"b": 1, "a": ["é", None, True], "€": "\n"}) == '{"a":["é",null,true],"b":1,"€":"\\n"}'.encode()
    )


plain = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(codec="ascii"))


@given(
    st.dictionaries(st.text(max_size=6), entries | plain, max_size=5)
    | st.dictionaries(st.text('aB\x00"', max_size=3), plain)
)
def test_the_quick_way_writes_what_the_library_writes(body: dict[str, object]) -> None:
    assert chain.canonical(body) == rfc8785.dumps(body)


def first_bad(lines: list[str]) -> int | None:
    """The ten lines with which anybody checks an export, with nothing of exuvia in them."""
    former = bytes(32)
    for number, line in enumerate(lines, 1):
        said = json.loads(line)
        entry = json.dumps(said["entry"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        former = hashlib.sha256(former + entry.encode()).digest()
        if said["seq"] != number or said["hash"] != former.hex():
            return number
    return None


def test_ten_lines_check_an_export(place: Place) -> None:
    told = [
        world.birth("A", name="wörker-7", addresses=["10.0.0.1"], zone='back\\slash \\x41 "quoted" \x01'),
        world.verdict("A", "violating", 1),
        world.intent(),
    ]
    with world.written(place, *told) as connection:
        lines = list(exporting.lines(connection, "c"))
        assert chain.verify(queries.links(connection, "c")).first_bad is None
    assert len(lines) == 3
    assert first_bad(lines) is None
    assert first_bad([lines[0], lines[1].replace("violating", "compliant"), lines[2]]) == 2
    assert first_bad([lines[0], lines[2]]) == 2


def tampered(place: Place, *changes: str) -> int | None:
    """The first bad entry of three after somebody who may do everything did this to the second."""
    told = [world.birth("A"), world.verdict("A", "violating", 1), world.verdict("A", "compliant", 2)]
    with world.written(place, *told) as connection:
        assert chain.verify(queries.links(connection, "c")).first_bad is None
        guarding.unguard(connection)
        for change in changes:
            connection.execute(text(change))
        found = chain.verify(queries.links(connection, "c")).first_bad
        connection.rollback()
    return found


@pytest.mark.parametrize(
    "change",
    [
        "update entries set body = replace(body, 'violating', 'compliant') where seq = 2",
        "update entries set hash = cast('text' as {bytes}) where seq = 2",
        "update entries set kind = 'accepted' where seq = 2",
        "update entries set recorded = recorded + 1 where seq = 2",
        "update entries set epoch = 9 where seq = 2",
        "update entries set cluster = 'other' where seq = 2",
        "update entries set seq = 9 where seq = 2",
        "delete from entries where seq = 2",
    ],
)
def test_any_change_of_a_stored_row_is_found(place: Place, owner: Owner, change: str) -> None:
    binary = "bytea" if isinstance(place, Server) else "blob"
    assert tampered(owner(place), change.format(bytes=binary)) == 2


def test_a_body_that_is_gone_is_found(place: Place, owner: Owner) -> None:
    if isinstance(place, Server):
        allowed = ["alter table entries alter body drop not null"]
    else:
        schema = "update sqlite_master set sql = replace(sql, 'body TEXT NOT NULL', 'body TEXT')"
        allowed = ["pragma writable_schema = on", schema, "pragma writable_schema = reset"]
    assert tampered(owner(place), *allowed, "update entries set body = null where seq = 2") == 2


@pytest.mark.parametrize("change", ["body = cast(x'ff00' as text)", "hash = zeroblob(32)", "hash = 'text'"])
def test_what_only_a_file_can_hold_is_found(tmp_path: Path, change: str) -> None:
    assert tampered(tmp_path / "l.db", f"update entries set {change} where seq = 2") == 2


@settings(max_examples=25, deadline=None)
@given(st.integers(0), st.integers(1, 255))
def test_any_flipped_byte_of_an_entry_in_the_file_is_found(
    tmp_path_factory: pytest.TempPathFactory, place: int, bits: int
) -> None:
    path = tmp_path_factory.mktemp("flip") / "l.db"
    with world.written(path, world.birth("A"), world.verdict("A", "violating", 1), world.intent()) as connection:
        body = queries.links(connection, "c")
        raw = list(body)[1].canonical
    whole = path.read_bytes()
    start = whole.index(raw)
    path.write_bytes(whole[:start] + flipped(raw, place, bits) + whole[start + len(raw) :])
    with world.written(path) as connection:
        assert chain.verify(queries.links(connection, "c")).first_bad == 2
