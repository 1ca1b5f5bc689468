"""Whether the story came true, judged from the cluster's objects, the ledger and the evidence: never from memory."""

from __future__ import annotations

from collections.abc import Iterator

from exuvia.cli.demo import looking, memory, stage
from exuvia.cli.demo.story import Story
from exuvia.kube.client import Client
from exuvia.model import marks
from exuvia.model.specs.quarantine import QuarantinePhase
from exuvia.model.specs.rotation import Rotation, RotationPhase

Checked = tuple[str, bool]


async def judge(story: Story, place: stage.Stage, client: Client) -> list[Checked]:
    """Every claim of the story with its answer."""
    found = await looking.rotations(client)
    return [
        *_rotations(found),
        *await _machines(client),
        *await _budget(client),
        *await _quarantine(client),
        *memory.judge(place, story.run, await looking.first(client)),
        *await _history(story, place),
    ]


def _rotations(found: list[Rotation]) -> Iterator[Checked]:
    names = {one.spec.instance.name for one in found if one.status.phase is RotationPhase.SUCCEEDED}
    yield "the four outdated machines were rotated, and no other", names == set(stage.OUTDATED) == _touched(found)
    spans = [(one.status.started_at, one.status.finished_at) for one in found]
    whole = [(start, end) for start, end in spans if start and end]
    yield "never more than two at a time", len(whole) == len(found) and looking.most_at_once(whole) <= 2
    yield "every replacement was good before the old machine was drained", all(_first(one) for one in found)


def _touched(found: list[Rotation]) -> set[str]:
    return {one.spec.instance.name for one in found}


def _first(one: Rotation) -> bool:
    replacement, drain = one.status.replacement, one.status.drain
    if replacement is None or drain is None:
        return False
    good, cordoned = replacement.good_since, drain.cordoned_at
    return good is not None and cordoned is not None and good <= cordoned


async def _machines(client: Client) -> Iterator[Checked]:
    nodes = await looking.nodes(client)
    gone = not set(stage.OUTDATED) & set(nodes)
    kubelets = {body["status"]["nodeInfo"]["kubeletVersion"] for body in nodes.values()}
    counted = {name for name in nodes if name != stage.SUSPICIOUS}
    left = [name for name in counted if _marked(nodes[name])]
    return iter(
        [
            ("the outdated machines are gone, every kubelet is new", gone and kubelets == {stage.NEW.kubelet}),
            ("twelve machines serve, and none bears a mark of a rotation", len(counted) == 12 and not left),
        ]
    )


def _marked(body: dict[str, object]) -> bool:
    meta, spec = body["metadata"], body["spec"]
    assert isinstance(meta, dict) and isinstance(spec, dict)
    return bool(spec.get("unschedulable")) or marks.STATE_LABEL in (meta.get("labels") or {})


async def _budget(client: Client) -> Iterator[Checked]:
    said = [one for one in await looking.events(client) if one.get("reason") == "DrainBlocked"]
    named = any("shop/cart" in (one.get("note") or "") for one in said)
    return iter([("an Event names the PodDisruptionBudget shop/cart that held a drain", named)])


async def _quarantine(client: Client) -> Iterator[Checked]:
    found = await looking.quarantines(client)
    nodes = await looking.nodes(client)
    held = [one for one in found if one.status.phase is QuarantinePhase.HELD]
    one = held[0] if len(held) == 1 and held[0].spec.instance.name == stage.SUSPICIOUS else None
    body = nodes.get(stage.SUSPICIOUS, {"metadata": {}, "spec": {}})
    taints = {taint["key"] for taint in body["spec"].get("taints") or ()}
    sealed = one is not None and one.status.evidence is not None and bool(one.status.evidence.digest)
    replaced = one is not None and one.status.capacity is not None and one.status.capacity.state == "Replaced"
    return iter(
        [
            (f"{stage.SUSPICIOUS} is held in quarantine, cordoned and tainted", marks.QUARANTINED_TAINT in taints),
            ("its evidence is sealed", sealed),
            ("its capacity is replaced", replaced),
        ]
    )


async def _history(story: Story, place: stage.Stage) -> Iterator[Checked]:
    ledger = story.run("ledger", "verify", "--ledger", str(place.ledger)).returncode == 0
    evidence = story.run("evidence", "verify", "--evidence-dir", str(place.evidence)).returncode == 0
    metrics = await story.metrics()
    counted = 'exuvia_rotations_total{outcome="Succeeded",policy="workers"} 4.0'
    swapped = 'exuvia_rotations_total{policy="workers",outcome="Succeeded"} 4.0'
    return iter(
        [
            ("the ledger's chain verifies", ledger),
            ("the evidence verifies, byte for byte", evidence),
            ("the metrics count four rotations", counted in metrics or swapped in metrics),
        ]
    )
