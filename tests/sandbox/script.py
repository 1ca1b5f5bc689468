"""One short script of calls, and what came of each in words that are the same on every API server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from exuvia import errors, ports
from exuvia.act.evictions import delete_pod, evict_pod
from exuvia.act.marks import mark_instance, restore_instance
from exuvia.act.operations import create_operation
from exuvia.model import marks, resources
from exuvia.model.actions import (
    Before,
    CreateOperation,
    DeletePod,
    EvictPod,
    MarkInstance,
    MarkSet,
    Outcome,
    PodTarget,
    RestoreInstance,
)
from exuvia.model.instances import Reference
from exuvia.model.resources import Resource
from exuvia.model.specs import operation as specs
from exuvia.model.specs.common import InstanceReference
from exuvia.model.specs.rotation import RotationSpec
from exuvia.sandbox import builders

Look = Callable[[], Awaitable[bool]]
PODS = ("p-0", "p-1", "q-0")
STUCK = {"simulated.exuvia.dev/deletion-delay": "never"}


@dataclass(kw_only=True)
class Stage:
    """Where the script plays: a Ready node, and three Ready pods with `app: p` on it in a namespace of its own, the
    last of them `STUCK`."""

    cluster: ports.Cluster
    namespace: str
    node: str
    until: Callable[[Look, str], Awaitable[None]]
    said: list[str] = field(default_factory=list)

    async def play(self) -> list[str]:
        """Every scene, one after the other."""
        await self.objects()
        await self.lists()
        await self.marks()
        await self.budgets()
        await self.deletions()
        await self.operations()
        await self.ending()
        return self.said

    async def objects(self) -> None:
        """Creates, patches and deletes of a plain object."""
        made = await self.create({"metadata": {"name": "m"}, "data": {"a": "1", "b": "2"}})
        meta = made["metadata"]
        await self.tell("create again", self.create({"metadata": {"name": "m"}}))
        lost = self.cluster.create(resources.CONFIG_MAPS, {"metadata": {"name": "m"}}, namespace="nowhere-at-all")
        await self.tell("create in no namespace", lost)
        await self.tell("patch another uid", self.patch({"metadata": {"uid": "another"}, "data": {"a": "2"}}))
        both = {"uid": "another", "resourceVersion": "1"}
        await self.tell("patch another object", self.patch({"metadata": both, "data": {"a": "2"}}))
        await self.tell("patch an old version", self.patch({"metadata": {"resourceVersion": "1"}, "data": {"a": "2"}}))
        same = await self.patch({"metadata": {"uid": meta["uid"]}, "data": {"a": "1"}})
        self.note("patch nothing", same["metadata"]["resourceVersion"] == meta["resourceVersion"])
        await self.cluster.merge_patch(
            resources.CONFIG_MAPS, "m", {"data": None}, namespace=self.namespace, dry_run=True
        )
        self.note("after a dry run", (await self.read(resources.CONFIG_MAPS, "m") or {})["data"])
        self.note("patch a null", (await self.patch({"data": {"a": None, "c": "3"}}))["data"])
        await self.tell("delete another uid", self.delete("m", "another"))
        await self.tell("delete an old version", self.delete("m", meta["uid"], resource_version="1"))
        await self.tell("delete", self.delete("m", meta["uid"]))
        await self.tell("delete again", self.delete("m", meta["uid"]))
        self.note("get what is gone", await self.read(resources.CONFIG_MAPS, "m"))

    async def lists(self) -> None:
        """Pages by node and by label."""
        selector = f"spec.nodeName={self.node}"
        pages = self.cluster.pages(resources.PODS, namespace=self.namespace, field_selector=selector, limit=2)
        self.note("pods of the node", [[one["metadata"]["name"] for one in page] async for page in pages])
        pages = self.cluster.pages(resources.PODS, namespace=self.namespace, label_selector="app notin (p)")
        self.note("other pods", [one["metadata"]["name"] async for page in pages for one in page])

    async def marks(self) -> None:
        """Marks on the node, by our own hands."""
        before = await self.read(resources.NODES, self.node)
        assert before is not None
        machine = Reference(name=self.node, uid=before["metadata"]["uid"])
        for one in MarkSet:
            action = MarkInstance(instance=machine, marks=one, operation="script")
            self.tell_outcome(f"mark {one}", await mark_instance(self.cluster, action))
            self.tell_outcome(f"mark {one} again", await mark_instance(self.cluster, action))
        marked = await self.read(resources.NODES, self.node)
        assert marked is not None
        ours = [one for one in marked["spec"]["taints"] if one["key"].startswith(marks.GROUP)]
        self.note("taints of ours", ours)
        self.note("cordoned", marked["spec"].get("unschedulable"))
        self.note("state", marked["metadata"]["labels"][marks.STATE_LABEL])
        back = RestoreInstance(instance=machine, marks=MarkSet.QUARANTINED, before=Before())
        self.tell_outcome("restore", await restore_instance(self.cluster, back))
        self.tell_outcome("restore again", await restore_instance(self.cluster, back))
        after = await self.read(resources.NODES, self.node)
        assert after is not None
        self.note("cordoned", after["spec"].get("unschedulable"))
        for part in ("labels", "annotations"):
            self.note(part, after["metadata"].get(part) == before["metadata"].get(part))

    async def budgets(self) -> None:
        """Evictions under no, one and two budgets."""
        pod = await self.pod("p-0")
        stranger = PodTarget(namespace=pod.namespace, name=pod.name, uid="another")
        await self.evict("evict another uid", stranger)
        await self.evict("evict what is not there", PodTarget(namespace=pod.namespace, name="none", uid="another"))
        await self.budget("one")
        await self.evict("evict under a budget", pod)
        await self.budget("two")
        await self.evict("evict under two budgets", pod)
        for name in ("one", "two"):
            found = await self.read(resources.POD_DISRUPTION_BUDGETS, name)
            assert found is not None
            await self.delete(name, found["metadata"]["uid"], resources.POD_DISRUPTION_BUDGETS)
        dry = await evict_pod(self.cluster, EvictPod(pod=pod), dry_run=True)
        self.tell_outcome("evict dry", dry)
        found = await self.read(resources.PODS, pod.name)
        self.note("deleting after a dry run", "deletionTimestamp" in (found or {})["metadata"])
        await self.evict("evict", pod)
        await self.gone(pod.name)
        await self.evict("evict what is gone", pod)

    async def deletions(self) -> None:
        """Deletions of pods."""
        pod = await self.pod("p-1")
        for what, uid in (("delete another pod", "another"), ("delete a pod", pod.uid)):
            target = PodTarget(namespace=pod.namespace, name=pod.name, uid=uid)
            action = DeletePod(pod=target, grace=timedelta(seconds=1))
            self.tell_outcome(what, await delete_pod(self.cluster, action))
        await self.gone(pod.name)

    async def operations(self) -> None:
        """Our own kind: schema, status, epoch, finalizer."""
        name = f"{self.namespace}-1"
        spec = RotationSpec(instance=InstanceReference(name=self.node, uid="00000001-uid"))
        action = CreateOperation(
            kind="Rotation", name=name, body=specs.body(name, spec, marks.FINALIZER) | {"status": {"epoch": 9}}
        )
        self.tell_outcome("open", await create_operation(self.cluster, action))
        self.tell_outcome("open again", await create_operation(self.cluster, action))

        def patch(body: Mapping[str, Any], subresource: str = "") -> Awaitable[ports.Body]:
            return self.cluster.merge_patch(resources.ROTATIONS, name, body, subresource=subresource)

        await self.tell("change the spec", patch({"spec": {"reason": "changed"}}))
        self.note("status by a plain patch", (await patch({"status": {"epoch": 5}})).get("status"))
        won = await patch({"status": {"epoch": 4}}, "status")
        self.note("epoch", won["status"]["epoch"])
        await self.tell("another uid", patch({"metadata": {"uid": "another"}, "spec": {"abort": True}}))
        await self.tell("its status", patch({"metadata": {"uid": "another"}, "status": {"epoch": 4}}, "status"))
        old = {"metadata": {"resourceVersion": "1"}, "status": {"epoch": 5}}
        await self.tell("an old version of its status", patch(old, "status"))
        await self.tell("an older epoch", patch({"status": {"epoch": 3}}, "status"))
        await self.tell("no epoch", patch({"status": {"epoch": None}}, "status"))
        await self.tell("an unknown phase", patch({"status": {"phase": "Dancing"}}, "status"))
        aborted = await patch({"spec": {"abort": True}})
        self.note("generation", aborted["metadata"]["generation"])
        await self.tell("delete it", self.delete(name, aborted["metadata"]["uid"], resources.ROTATIONS, ""))
        held = await self.read(resources.ROTATIONS, name)
        self.note("held by its finalizer", "deletionTimestamp" in (held or {})["metadata"])
        await patch({"metadata": {"finalizers": []}})
        self.note("let go", await self.read(resources.ROTATIONS, name))

    async def ending(self) -> None:
        """A namespace that ends, with a pod in it that does not."""
        pod = await self.pod("q-0")
        found = await self.read(resources.NAMESPACES, self.namespace)
        assert found is not None
        await self.delete(self.namespace, found["metadata"]["uid"], resources.NAMESPACES, "")

        async def asked() -> bool:
            return "deletionTimestamp" in ((await self.read(resources.PODS, pod.name)) or {})["metadata"]

        await self.until(asked, "the namespace to end its pods")
        await self.tell("create in it", self.create({"metadata": {"name": "late"}}))
        await self.evict("evict in it", pod)
        action = DeletePod(pod=pod, grace=timedelta(seconds=1))
        self.tell_outcome("delete a pod in it", await delete_pod(self.cluster, action))
        unstuck: dict[str, Any] = {"metadata": {"annotations": dict.fromkeys(STUCK)}}
        await self.cluster.merge_patch(resources.PODS, pod.name, unstuck, namespace=self.namespace)

        async def gone() -> bool:
            return await self.read(resources.NAMESPACES, self.namespace) is None

        await self.until(gone, "the namespace to be gone")

    async def tell(self, what: str, call: Awaitable[Any]) -> None:
        """Note what a call came to: the exception, its code and its reason, or `fine`."""
        try:
            await call
        except errors.ClusterError as trouble:
            self.note(what, (type(trouble).__name__, trouble.status, trouble.reason))
        else:
            self.note(what, "fine")

    def tell_outcome(self, what: str, outcome: Outcome) -> None:
        """Note an outcome of the hands without its text."""
        detail = {key: value for key, value in outcome.detail.items() if key != "uid"}
        self.note(what, (str(outcome.kind), outcome.code, str(outcome.reason), self.nameless(detail)))

    def note(self, what: str, answer: object) -> None:
        """One line."""
        self.said.append(f"{what}: {answer}")

    def nameless(self, detail: Mapping[str, str]) -> dict[str, str]:
        """Without what is another one on every stage."""
        return {key: value.replace(self.namespace, "NAMESPACE") for key, value in detail.items()}

    async def create(self, body: Mapping[str, Any], resource: Resource = resources.CONFIG_MAPS) -> ports.Body:
        return await self.cluster.create(resource, body, namespace=self.namespace)

    async def patch(self, body: Mapping[str, Any]) -> ports.Body:
        return await self.cluster.merge_patch(resources.CONFIG_MAPS, "m", body, namespace=self.namespace)

    async def delete(
        self,
        name: str,
        uid: str,
        resource: Resource = resources.CONFIG_MAPS,
        namespace: str | None = None,
        **given: str,
    ) -> None:
        where = self.namespace if namespace is None else namespace
        await self.cluster.delete(resource, name, uid=uid, namespace=where, **given)  # type: ignore[arg-type]

    async def read(self, resource: Resource, name: str) -> ports.Body | None:
        return await self.cluster.get(resource, name, namespace=self.namespace if resource.namespaced else "")

    async def pod(self, name: str) -> PodTarget:
        found = await self.read(resources.PODS, name)
        assert found is not None
        return PodTarget(namespace=self.namespace, name=name, uid=found["metadata"]["uid"])

    async def evict(self, what: str, pod: PodTarget) -> None:
        self.tell_outcome(what, await evict_pod(self.cluster, EvictPod(pod=pod)))

    async def budget(self, name: str) -> None:
        """A budget that needs all three pods, awaited until it knows them."""
        body = builders.budget(name, namespace=self.namespace, app="p", min_available=len(PODS))
        made = await self.create(body, resources.POD_DISRUPTION_BUDGETS)

        async def known() -> bool:
            found = await self.read(resources.POD_DISRUPTION_BUDGETS, made["metadata"]["name"])
            return ((found or {}).get("status") or {}).get("currentHealthy") == len(PODS)

        await self.until(known, f"budget {name} to know its pods")

    async def gone(self, name: str) -> None:
        async def look() -> bool:
            return await self.read(resources.PODS, name) is None

        await self.until(look, f"pod {name} to be gone")
