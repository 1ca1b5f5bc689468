"""What `exuvia explain` says is what the planner does: the same brakes over the same picture."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.app.concluding import conclusion
from exuvia.app.explaining import _Fleet, explain
from exuvia.app.leading import Leader
from exuvia.app.policies import Policies
from exuvia.app.snapshot import Snapshot
from exuvia.cli.explain import _lender
from exuvia.decide.planner import Planner
from exuvia.evaluate import judge, overlap
from exuvia.model.findings import Wish
from exuvia.model.instances import Condition, Instance
from exuvia.model.planning import Plan
from exuvia.model.pods import Pod
from exuvia.model.reasons import BlockedReason
from exuvia.model.specs.fleet_guard import FleetGuard
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from exuvia.model.specs.security_policy import SecurityPolicy

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
LEADS = Leader(holder="pod-1", epoch=1, renewed=NOW)


def machine(index: int, *, ready: bool = True, image: str = "old", opted_out: bool = False) -> Instance:
    annotations = {"exuvia.dev/do-not-disrupt": "true"} if opted_out else {}
    return Instance(
        name=f"n-{index}",
        uid=f"uid-{index}",
        provider_id=f"machine://{index}",
        pool="blue",
        zone="ab"[index % 2],
        born=NOW - timedelta(days=1, minutes=index),
        os_image=image,
        annotations=annotations,
        conditions=(Condition(type="Ready", status="True" if ready else "False", since=NOW - timedelta(hours=1)),),
    )


def policy(*, nodes: str = "10%", mode: str = "Enforce", action: str = "Rotate", **disruption: Any) -> SecurityPolicy:
    spec = {
        "mode": mode,
        "action": action,
        "target": {"selector": {}},
        "rules": [{"name": "image", "type": "Image", "image": {"allowed": ["new"]}}],
        "disruption": {"budgets": [{"name": "b", "nodes": nodes}], **disruption},
        "rotation": {"provider": "NodeDelete", "strategy": "DrainFirst"},
    }
    return SecurityPolicy.parse({"metadata": {"name": "p", "uid": "p-uid", "generation": 1}, "spec": spec})


class NodeDelete:
    """A provider that serves everything; nothing is asked of it."""

    adds_first = False
    brings_replacement = False

    def owns(self, instance: Instance) -> bool:
        return False


def snapshot(
    machines: list[Instance], *policies: SecurityPolicy, guard: dict[str, Any] | None = None, leader: Leader = LEADS
) -> Snapshot:
    compiled = Policies()
    compiled.refresh(policies)
    return Snapshot(
        taken=NOW,
        subject=machines[0],
        instances=tuple(machines),
        policies=compiled,
        pods=(),
        guard=FleetGuard.parse({"metadata": {"name": "default"}, **(guard or {})}),
        leader=leader,
        leases=(0, 9),
        providers={"NodeDelete": NodeDelete()},  # type: ignore[dict-item]
    )


def planned(one: Snapshot) -> tuple[Plan, set[str]]:
    """What the planner says, told of the fleet with the subject's wish alone; and the messages of its brakes."""
    said = judge.judge_all(one.policies.compiled.values(), one.subject, one.outcomes, NOW)
    wish = overlap.wish(said, one.policies.compiled, enforced=True)
    fleet = _Fleet(one, wish, None)
    planner = Planner()
    planner.set_policies(one.policies.facts.values())
    for each in one.instances:
        planner.set_subject(fleet._subject(each))
    moment = fleet._moment()
    return planner.plan(moment, NOW), {held.message for held in planner.explain(one.subject.uid, moment, NOW)}


@settings(deadline=None)
@given(
    st.lists(st.booleans(), min_size=1, max_size=12),
    st.booleans(),
    st.sampled_from(["0", "1", "10%", "50%"]),
    st.sampled_from(["Rotate", "Quarantine"]),
    st.fixed_dictionaries(
        {},
        optional={
            "maxUnavailable": st.sampled_from(["0", "5%", "50%"]),
            "minHealthy": st.sampled_from(["0", "60%", "100%"]),
            "maxPerHour": st.sampled_from(["0", "20"]),
            "pauseRequests": st.just([{"by": "alice", "reason": "drill"}]),
        },
    ),
)
def test_explain_and_planner_never_disagree(
    ready: list[bool], opted_out: bool, nodes: str, action: str, guard: dict[str, Any]
) -> None:
    machines = [machine(index, ready=state, opted_out=opted_out and not index) for index, state in enumerate(ready)]
    one = snapshot(machines, policy(nodes=nodes, action=action), guard={"spec": guard})
    found = explain(one)
    plan, messages = planned(one)
    assert {held.message for held in found.holding} == messages
    assert bool(plan.openings) is (not found.holding)


def test_the_conclusion_says_what_why_and_next() -> None:
    one = snapshot([machine(0), machine(1), machine(2)], policy(nodes="0"))
    said = conclusion(explain(one))
    assert said.startswith("policy p wants it rotated, by its rule image (image 'old' is not an allowed one)")
    assert "budget b of policy p allows 0 of 3 machines" in said
    assert "to change that: the policy's spec.disruption.budgets" in said
    assert said.endswith("It is tried again whenever that changes.")


def test_a_severe_finding_may_pass_a_window_but_a_person_may_not() -> None:
    closed = {"windows": {"allow": [{"schedule": "0 0 1 1 *", "duration": "1m"}]}}
    bypass = {"bypass": {"minSeverity": "Low", "brakes": ["Windows"]}}
    machines = [machine(index) for index in range(4)]
    held = explain(snapshot(machines, policy(nodes="2", **closed)))
    assert [brake.title for brake in held.holding] == ["windows"]
    assert held.next is not None and held.next > NOW
    passed = explain(snapshot(machines, policy(nodes="2", **closed, **bypass)))
    assert passed.holding == ()


def test_a_silent_leader_is_said() -> None:
    silent = Leader(holder="pod-1", epoch=1, renewed=NOW - timedelta(seconds=27))
    machines = [machine(index) for index in range(4)]
    found = explain(snapshot(machines, policy(nodes="2"), leader=silent))
    assert found.idle
    words = (
        "But no operator works (nobody leads: pod-1 was the last, epoch 1, and its Lease of 15 s was renewed 27 s ago)"
        ": see `exuvia doctor`."
    )
    assert conclusion(found).endswith(words)


def test_what_only_the_operator_knows_is_taken_from_what_it_says() -> None:
    brakes = [{"name": "ledger", "state": "Engaged", "reason": "the ledger is Down"}]
    machines = [machine(index) for index in range(4)]
    found = explain(snapshot(machines, policy(nodes="2"), guard={"status": {"brakes": brakes}}))
    assert [(one.title, one.message) for one in found.holding] == [("ledger", "the ledger is Down")]


def test_an_operator_that_only_watches_starts_nothing() -> None:
    status = {"conditions": [{"type": "Ready", "status": "True", "reason": "ReadOnly"}]}
    machines = [machine(index) for index in range(4)]
    found = explain(snapshot(machines, policy(nodes="2"), guard={"status": status}))
    assert found.holding == ()
    said = conclusion(found)
    assert "starts with the next sweep" not in said
    assert "But the operator only watches (--read-only): start it without --read-only" in said
    told = {"name": "readOnly", "state": "Engaged", "reason": "the operator runs with --read-only: it only looks"}
    found = explain(snapshot(machines, policy(nodes="2"), guard={"status": status | {"brakes": [told]}}))
    assert [brake.title for brake in found.holding] == ["the operator acts"]
    assert "the operator runs with --read-only: it only looks" in conclusion(found)
    assert "only watches" not in conclusion(found), "once is enough"
    assert "start it without --read-only" in conclusion(found)
    assert "exuvia resume" not in conclusion(found), "nothing was uninstalled"


def test_a_brake_that_the_operator_says_is_free_is_asked_all_the_same() -> None:
    asked = {"uninstall": {"by": "alice", "at": "2026-11-24T11:00:00Z"}}
    told = {"brakes": [{"name": "readOnly", "state": "Released", "reason": ""}]}
    machines = [machine(index) for index in range(4)]
    found = explain(snapshot(machines, policy(nodes="2"), guard={"spec": asked, "status": told}))
    assert [brake.title for brake in found.holding] == ["the operator acts"]


def test_after_an_uninstall_the_way_back_is_named() -> None:
    asked = {"uninstall": {"by": "alice", "at": "2026-11-24T11:00:00Z"}}
    found = explain(snapshot([machine(index) for index in range(4)], policy(nodes="2"), guard={"spec": asked}))
    assert [brake.title for brake in found.holding] == ["the operator acts"]
    assert "uninstalled, as alice asked" in conclusion(found)
    assert "`exuvia resume` takes that back" in conclusion(found)
    assert conclusion(found).count("exuvia resume") == 1, "once is enough"
    assert "--read-only" not in conclusion(found), "it does not only watch"


def test_a_message_that_ends_with_a_full_stop_goes_on_without_it() -> None:
    brakes = [{"name": "ledger", "state": "Engaged", "reason": "it is full; exuvia goes on by itself."}]
    machines = [machine(index) for index in range(4)]
    said = conclusion(explain(snapshot(machines, policy(nodes="2"), guard={"status": {"brakes": brakes}})))
    assert "exuvia goes on by itself; to change that: `exuvia doctor`. It is tried again" in said
    assert ".;" not in said and ".." not in said


def ended(kind: type[Rotation] | type[Quarantine], phase: str, **status: Any) -> Any:
    cause = {"policy": {"name": "p", "uid": "p-uid", "generation": 1}, "rule": "image"}
    spec = {"instance": {"kind": "Node", "name": "n-0", "uid": "uid-0"}, **cause}
    said = {"phase": phase, "finishedAt": "2026-11-24T11:00:00Z", **status}
    return kind.parse({"metadata": {"name": "o-1", "uid": "o-uid"}, "spec": spec, "status": said})


def test_back_off_names_what_works_for_that_kind_of_operation() -> None:
    machines = [machine(index) for index in range(4)]
    over = ended(Rotation, "Aborted", reason="CalledOff")
    said = conclusion(explain(replace(snapshot(machines, policy(nodes="2")), rotations=(over,))))
    assert "o-1 was called off by a person" in said and "until 2026-11-25T11:00:00Z" in said
    assert "to change that: nothing; or by hand: `exuvia rotate n-0`" in said
    release = {"by": "alice", "verdict": "Return", "reason": "a false alarm"}
    back = ended(Quarantine, "Released", reason="Released", releaseAccepted=release)
    wants = policy(nodes="2", action="Quarantine")
    said = conclusion(explain(replace(snapshot(machines, wants), quarantines=(back,))))
    assert "o-1 was released (Return) by alice" in said and "called off" not in said
    assert "to change that: nothing; or by hand: `exuvia quarantine n-0`" in said


def test_whose_settings_they_are_is_said() -> None:
    one = snapshot([machine(0), machine(1)], policy())
    assert _lender(explain(one)) == "policy p, by its rule image"
    quiet = snapshot([machine(0, image="new"), machine(1)], policy())
    assert _lender(explain(quiet)).startswith("the defaults: no policy wants anything of it now")
    held = replace(one, quarantines=(frozen(settings={"provider": "NodeDelete", "pool": "blue"}),))
    assert _lender(explain(held)) == "Quarantine q-1, as they were when it started"


def frozen(**status: Any) -> Quarantine:
    spec = {"instance": {"kind": "Node", "name": "n-0", "uid": "uid-0"}}
    said = {"phase": "Held", **status}
    return Quarantine.parse({"metadata": {"name": "q-1", "uid": "q-uid"}, "spec": spec, "status": said})


def test_pods_of_a_frozen_machine_are_in_nobodys_way() -> None:
    """They are evidence: nobody is told to loosen unmanagedPods for them."""
    bare = Pod(namespace="shop", name="cart", uid="pod-1", node="n-0", phase="Running", created=NOW)
    one = replace(snapshot([machine(0), machine(1)], policy()), pods=(bare,))
    assert [pod.judged.reason for pod in explain(one).pods] == [BlockedReason.UNMANAGED_POD]
    found = explain(replace(one, quarantines=(frozen(settings={"provider": "NodeDelete", "pool": "blue"}),)))
    assert found.pods == ()
    assert "exuvia release q-1 --verdict Rotate" in found.notes[-1]
    assert found.settings.pool == "blue", "what it was frozen with, not what a policy would give it now"


def test_audit_wishes_are_told_apart() -> None:
    found = explain(snapshot([machine(0), machine(1)], policy(mode="Audit")))
    assert found.wish is None
    assert isinstance(found.would, Wish)
    assert "set its spec.mode to Enforce" in conclusion(found)
