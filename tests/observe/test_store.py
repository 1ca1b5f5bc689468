"""The store never goes back in time, whatever order news come in, and no odd object gets past the decoder unseen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from exuvia.observe import nodes, pods
from exuvia.observe.store import Store


@dataclass(frozen=True)
class Record:
    uid: str
    name: str
    version: int


def fresh_store() -> tuple[Store[Record], list[int]]:
    woken: list[int] = []
    return Store(lambda: 1.0, lambda: woken.append(1)), woken


def record(uid: str, version: int, name: str = "") -> Record:
    return Record(uid, name or uid.lower(), version)


# A history: machines are born, change and die, each time at a greater version.

steps = st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from(["put", "put", "delete"])), max_size=20)


def history(steps_: list[tuple[str, str]]) -> list[tuple[int, str, Record]]:
    found, lives, alive = [], dict.fromkeys("ABC", 0), set()
    for version, (slot, what) in enumerate(steps_, 1):
        if what == "delete" and slot not in alive:
            continue
        if what == "put" and slot not in alive:
            lives[slot] += 1
            alive.add(slot)
        if what == "delete":
            alive.discard(slot)
        found.append((version, what, record(f"{slot}{lives[slot]}", version, name=slot)))
    return found


@given(steps, st.data())
def test_any_order_of_news_ends_the_same_and_never_goes_back(
    steps_: list[tuple[str, str]], data: st.DataObject
) -> None:
    told = history(steps_)
    store, _ = fresh_store()
    news = data.draw(st.permutations(told + data.draw(st.lists(st.sampled_from(told), max_size=5)) if told else []))
    seen: dict[str, int] = {}
    dead: set[str] = set()
    for version, what, one in news:
        if what == "put":
            store.put(one, str(version))
        else:
            store.drop(one.uid, str(version))
            dead.add(one.uid)
        for uid in dead:
            assert store.get(uid) is None, "the dead do not come back"
        for kept in store:
            assert kept.version >= seen.get(kept.uid, 0)
            seen[kept.uid] = kept.version
    expected: dict[str, Record] = {}
    for _, what, one in told:
        expected[one.uid] = one
        if what == "delete":
            del expected[one.uid]
    assert {one.uid: one for one in store} == expected


@given(steps, st.integers(1, 20), st.data())
def test_a_list_ends_what_it_does_not_hold_but_not_what_is_newer(
    steps_: list[tuple[str, str]], at: int, data: st.DataObject
) -> None:
    told = history(steps_)
    store, _ = fresh_store()
    for version, what, one in told:
        if what == "put" and data.draw(st.booleans()):
            store.put(one, str(version))
    listed: dict[str, Record] = {}
    for version, what, one in told:
        if version <= at:
            listed[one.uid] = one
            if what == "delete":
                del listed[one.uid]
    newer = {one.uid for one in store if one.version > at}
    for one in listed.values():
        store.put(one, str(one.version))
    store.keep_only(set(listed), str(at))
    assert {one.uid for one in store} == set(listed) | newer


def test_only_changes_wake_and_are_dirty_once() -> None:
    store, woken = fresh_store()
    store.put(record("A", 1), "1")
    assert (len(woken), store.take_dirty(), store.take_dirty()) == (1, {"A": 1.0}, {})
    store.put(record("A", 1), "5")
    assert (len(woken), store.take_dirty()) == (1, {}), "the same facts at a later version"
    store.put(record("A", 2), "4")
    assert store.get("A") == record("A", 1), "older than what is known"
    store.drop("A", "6")
    assert store.take_gone() == {"A": record("A", 1)}
    assert store.take_gone() == {}
    store.drop("A", "6")
    assert store.take_gone() == {}, "it dies once"


def test_a_reused_name_is_the_new_one() -> None:
    store, _ = fresh_store()
    store.put(record("A1", 1, "worker"), "1")
    store.put(record("A2", 2, "worker"), "2")
    assert store.named("worker") == record("A2", 2, "worker")
    store.drop("A1", "3")
    assert store.named("worker") == record("A2", 2, "worker")
    store.drop("A2", "4")
    assert store.named("worker") is None


def test_everything_can_be_looked_at_again() -> None:
    store, _ = fresh_store()
    store.put(record("A", 1), "1")
    store.put(record("B", 1), "2")
    store.take_dirty()
    store.mark_all()
    assert set(store.take_dirty()) == {"A", "B"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**10) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "metadata",
                    "spec",
                    "status",
                    "labels",
                    "annotations",
                    "taints",
                    "conditions",
                    "nodeInfo",
                    "selector",
                    "name",
                    "uid",
                    "key",
                    "type",
                    "tolerations",
                    "volumes",
                    "emptyDir",
                    "ownerReferences",
                    "addresses",
                    "creationTimestamp",
                    "matchLabels",
                    "matchExpressions",
                    "containers",
                    "controller",
                    "unschedulable",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["metadata", "spec", "status"]), json_values))
def test_an_odd_object_is_a_record_or_is_said_to_be_odd(body: dict[str, Any]) -> None:
    raw = msgspec.json.encode(body)
    for project in (nodes.from_bytes, pods.from_bytes, pods.budget_from_bytes):
        try:
            found = project(raw)
        except msgspec.ValidationError:
            continue
        assert isinstance(found.uid, str)


@given(gone=st.lists(st.sampled_from("ABCDEFG"), unique=True), most=st.integers(0, 7))
def test_of_what_nobody_takes_only_the_latest_stays(gone: list[str], most: int) -> None:
    """A replica that does not lead sees machines come and go for months."""
    store, _ = fresh_store()
    for uid in "ABCDEFG":
        store.put(record(uid, 1), "1")
    store.take_dirty()
    for uid in gone:
        store.drop(uid, "2")
    store.keep_latest(most)
    kept = gone[len(gone) - most :] if most < len(gone) else gone
    assert [one.uid for one in store.gone()] == kept
    assert set(store.take_dirty()) == set(kept)
