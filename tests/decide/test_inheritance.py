"""The same machine under a new object: what proves it, and what is only a suspicion."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from exuvia.decide import inheritance
from exuvia.decide.inheritance import Inheritance, Suspicion
from exuvia.model import marks
from exuvia.model.instances import Instance
from exuvia.model.specs.quarantine import Quarantine

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def _machine(name: str = "worker-7", uid: str = "new-uid", **fields: Any) -> Instance:
    return Instance(name=name, uid=uid, born=NOW, **fields)


def _held(
    name: str = "former", *, provider_id: str = "", machine_id: str = "", phase: str = "Held", age: int = 1
) -> Quarantine:
    created = (NOW - timedelta(hours=age)).isoformat()
    spec: dict[str, Any] = {
        "instance": {"kind": "Node", "name": "worker-7", "uid": "old-uid", "providerID": provider_id},
        "policy": {"name": "workers", "uid": "policy-uid", "generation": 2},
        "rule": "intrusion",
        "severity": "Critical",
        "reason": "suspicious",
        "requestedBy": "eve",
    }
    meta = {"name": name, "uid": f"uid-{name}", "creationTimestamp": created}
    return Quarantine.parse(
        {"metadata": meta, "spec": spec, "status": {"phase": phase, "settings": {"machineID": machine_id}}}
    )


def test_the_same_provider_id_proves_it() -> None:
    newborn = _machine("another-name", provider_id="cloud://7")
    found = inheritance.judge(newborn, [_held(provider_id="cloud://7")], [newborn])
    assert isinstance(found, Inheritance)
    assert "cloud://7" in found.because


def test_an_empty_provider_id_proves_nothing() -> None:
    newborn = _machine()
    assert inheritance.judge(newborn, [_held()], [newborn]) is None


def test_a_provider_id_that_came_later_counts() -> None:
    newborn, old = _machine(provider_id="cloud://7"), _machine(uid="old-uid", provider_id="cloud://7")
    assert isinstance(inheritance.judge(newborn, [_held()], [newborn, old]), Inheritance)


def test_the_same_machine_id_and_name_prove_it() -> None:
    newborn = _machine(machine_id="m7")
    assert isinstance(inheritance.judge(newborn, [_held(machine_id="m7")], [newborn]), Inheritance)


def test_the_same_machine_id_under_another_name_is_a_suspicion() -> None:
    newborn = _machine("worker-8", machine_id="m7")
    found = inheritance.judge(newborn, [_held(machine_id="m7")], [newborn])
    assert isinstance(found, Suspicion)
    assert "former" in found.message


def test_cloned_images_share_machine_ids_and_prove_nothing() -> None:
    newborn, clone = _machine(machine_id="m7"), _machine("worker-9", "clone", machine_id="m7")
    assert isinstance(inheritance.judge(newborn, [_held(machine_id="m7")], [newborn, clone]), Suspicion)


def test_the_same_name_alone_is_nothing() -> None:
    newborn = _machine(machine_id="m8", provider_id="cloud://8")
    assert inheritance.judge(newborn, [_held(machine_id="m7", provider_id="cloud://7")], [newborn]) is None


def test_one_that_ended_passes_nothing_on() -> None:
    newborn = _machine(provider_id="cloud://7")
    for phase in ("Released", "Aborted"):
        assert inheritance.judge(newborn, [_held(provider_id="cloud://7", phase=phase)], [newborn]) is None


def test_a_machine_does_not_inherit_from_itself() -> None:
    old = _machine(uid="old-uid", provider_id="cloud://7")
    assert inheritance.judge(old, [_held(provider_id="cloud://7")], [old]) is None


def test_a_proof_outweighs_an_older_suspicion_and_the_oldest_proof_counts() -> None:
    newborn = _machine("worker-8", provider_id="cloud://7", machine_id="m7")
    suspect = _held("suspect", machine_id="m7", age=9)
    older, younger = _held("older", provider_id="cloud://7", age=3), _held("younger", provider_id="cloud://7", age=1)
    found = inheritance.judge(newborn, [younger, suspect, older], [newborn])
    assert isinstance(found, Inheritance)
    assert found.former.name == "older"


@given(st.permutations(range(4)))
def test_the_order_of_listing_does_not_matter(order: list[int]) -> None:
    newborn = _machine(provider_id="cloud://7", machine_id="m7")
    all_ = [_held("a", machine_id="m7", age=4), _held("b", provider_id="cloud://7"), _held("c"), _held("d", age=2)]
    found = inheritance.judge(newborn, [all_[n] for n in order], [newborn])
    assert found == inheritance.judge(newborn, all_, [newborn])


def test_the_heir_carries_the_cause_and_names_its_former() -> None:
    newborn = _machine(provider_id="cloud://7")
    action = inheritance.heir(newborn, _held(provider_id="cloud://7"), [])
    body: Any = action.body
    assert (action.kind, action.name) == ("Quarantine", "worker-7-new-uid-1")
    assert body["metadata"] == {"name": "worker-7-new-uid-1", "finalizers": [marks.FINALIZER]}
    spec = Quarantine.parse(body).spec
    assert spec.instance.uid == "new-uid"
    assert spec.inherited_from == "former"
    assert spec.policy is not None
    assert (spec.policy.uid, spec.rule, spec.reason) == ("policy-uid", "intrusion", "suspicious")
    assert spec.requested_by == marks.SERVICE_ACCOUNT_USER


def test_names_count_on_from_the_highest() -> None:
    uid = "12345678-aaaa"
    existing = ["n-12345678-1", "n-12345678-10", "n-12345678-x", "n-99999999-40", "other"]
    assert inheritance.operation_name("n", uid, existing) == "n-12345678-11"
    assert inheritance.operation_name("n", uid, []) == "n-12345678-1"


@given(st.text("abc-.", min_size=1, max_size=253), st.lists(st.integers(1, 10**6), max_size=5))
def test_names_are_free_and_short_enough(name: str, numbers: list[int]) -> None:
    uid = "12345678-aaaa"
    existing = [f"{name[:200]}-12345678-{n}" for n in numbers]
    made = inheritance.operation_name(name, uid, existing)
    assert made not in existing
    assert len(made) <= 253


def test_who_shares_an_identity_with_a_held_machine_is_looked_at() -> None:
    held = _held(provider_id="cloud://7", machine_id="m7")
    assert _share(_machine(), held)
    assert _share(_machine("other", machine_id="m7"), held)
    assert _share(_machine("other", provider_id="cloud://7"), held)
    assert not _share(_machine("other"), held)
    assert not _share(_machine("other", provider_id="cloud://8", machine_id="m8"), held)


def test_a_held_machine_is_known_by_what_it_says_now_where_nothing_was_recorded() -> None:
    newborn, former = _machine("other", provider_id="cloud://7"), _machine(uid="old-uid", provider_id="cloud://7")
    assert not _share(newborn, _held())
    assert _share(newborn, _held(), former)
    assert isinstance(inheritance.judge(newborn, [_held()], [newborn, former]), inheritance.Inheritance)


def _share(newborn: Instance, held: Quarantine, now: Instance | None = None) -> bool:
    return bool(inheritance.identities(newborn) & inheritance.known_by(held, now))
