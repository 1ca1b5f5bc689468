"""Which other controllers may take a machine away is seen from what they leave, cheaply."""

from __future__ import annotations

from exuvia.app.controllers import LOOK_SECONDS, Controllers
from exuvia.model.pods import Owner, Pod
from tests.app import stage
from tests.evaluate.world import NOW, node


def pod(name: str, *, account: str = "default", owner: str = "", phase: str = "Running") -> Pod:
    owned = Owner(api_version="apps/v1", kind="ReplicaSet", name=owner, uid="u") if owner else None
    return Pod(
        namespace="kube-system", name=name, uid=name, created=NOW, service_account=account, owner=owned, phase=phase
    )


def test_by_labels_and_annotations_of_the_machine() -> None:
    controllers = Controllers(stage.services())
    assert controllers.of(node(labels={"karpenter.sh/nodepool": "spot"})) == ("karpenter",)
    assert controllers.of(node(annotations={"cluster.x-k8s.io/machine": "m-1"})) == ("cluster-api",)
    assert controllers.of(node(labels={"team": "karpenter"})) == ()
    assert controllers.of(None) == ()


def test_by_pods_that_run_looked_through_once_a_minute() -> None:
    services = stage.services()
    controllers = Controllers(services)
    services.view.pods.store.put(pod("a", account="cluster-autoscaler"), "1")
    services.view.pods.store.put(pod("b", owner="kured-7d9c"), "1")
    services.view.pods.store.put(pod("c", account="descheduler", phase="Succeeded"), "1")
    assert controllers.of(node()) == ("cluster-autoscaler", "kured")
    services.view.pods.store.drop("b")
    assert controllers.of(node()) == ("cluster-autoscaler", "kured")
    services.clock.seconds += LOOK_SECONDS
    assert controllers.of(node()) == ("cluster-autoscaler",)
