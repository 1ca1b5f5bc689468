"""Bodies of simulated machines say what the operator looks for, and no two machines are mistaken for one."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from exuvia.localcluster import fleet
from exuvia.localcluster.fleet import Image, Machine
from exuvia.model.instances import Instance
from exuvia.observe import nodes

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


def _seen(machine: Machine) -> Instance:
    """As the operator sees it once a server has stored it."""
    body = fleet.node(machine, NOW)
    body["metadata"] |= {"uid": "uid", "resourceVersion": "1", "creationTimestamp": "2026-11-25T09:00:00Z"}
    return nodes.from_body(body)


def test_the_operator_sees_in_a_node_what_the_machine_was_given() -> None:
    machine = Machine(
        name="blue-1",
        pool="blue",
        zone="a",
        image=Image(os_image="Talos 1.12", kernel="6.1", kubelet="v1.35.2", container_runtime="containerd://2.0"),
        labels={"team": "x"},
        annotations={"note": "y"},
        taints=[{"key": "dedicated", "value": "db", "effect": "NoSchedule"}],
        kubelet_port=10250,
    )

    seen = _seen(machine)

    assert (seen.name, seen.pool, seen.zone, seen.ready) == ("blue-1", "blue", "a", True)
    assert (seen.os_image, seen.versions.kernel, seen.versions.kubelet) == ("Talos 1.12", "6.1", "v1.35.2")
    assert seen.provider_id == "simulated://blue/blue-1"
    assert seen.labels["team"] == "x"
    assert seen.annotations["note"] == "y"
    assert [one.key for one in seen.taints] == ["dedicated"]
    assert len(seen.machine_id) == 32


def test_a_machine_that_boots_is_not_ready_yet() -> None:
    assert not _seen(Machine(name="n", ready=False)).ready


NAMES = st.from_regex(r"[a-z]{1,8}", fullmatch=True)


@given(one=st.tuples(NAMES, NAMES), other=st.tuples(NAMES, NAMES))
def test_two_machines_never_share_an_identity(one: tuple[str, str], other: tuple[str, str]) -> None:
    seen = [_seen(Machine(pool=pool, name=name)) for pool, name in (one, other)]

    identities = [(each.provider_id, each.machine_id, each.boot_id) for each in seen]
    for pair in zip(*identities, strict=True):
        assert (pair[0] == pair[1]) == (one == other)


def test_the_pods_of_a_workload_bear_what_its_selector_and_its_budget_ask_for() -> None:
    app = fleet.deployment("web", "shop", 3, nodeSelector={"exuvia.dev/pool": "blue"})
    budget = fleet.disruption_budget("web", "shop", "web", maxUnavailable=1)

    labels = app["spec"]["template"]["metadata"]["labels"]
    assert app["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert app["spec"]["template"]["spec"]["nodeSelector"] == {"exuvia.dev/pool": "blue"}


def test_a_daemon_runs_on_cordoned_machines_too() -> None:
    daemon = fleet.daemon_set("agent", "kube-system")

    assert daemon["spec"]["template"]["spec"]["tolerations"] == [{"operator": "Exists"}]
