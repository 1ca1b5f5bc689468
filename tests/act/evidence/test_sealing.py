"""Evidence is there whole and sound, or not at all; what an earlier run took stays; every changed byte is noticed."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exuvia import errors
from exuvia.act.evidence import export, folders, verify
from exuvia.model.evidence import CollectorOrder, DiskState, ItemResult
from tests.act.evidence.world import EvidenceWorld, custodian, kubelet_down, order, pod

FOLDER = "worker-7-node-uid-1-quarantine-uid"


def files(folder: Path) -> dict[str, bytes]:
    return {one.relative_to(folder).as_posix(): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


async def test_a_complete_run_is_sealed_under_its_name_with_a_manifest_of_every_file(tmp_path: Path) -> None:
    done = await custodian(EvidenceWorld(), tmp_path, ledger_head=lambda: {"seq": 7, "hash": "ab"}).collect(order())

    assert done.sealed
    assert done.manifest == f"{FOLDER}/manifest.json"
    assert [(one.collector, one.result) for one in done.items] == [
        ("api", ItemResult.CAPTURED),
        ("logs", ItemResult.CAPTURED),
    ]
    kept = files(tmp_path / FOLDER)
    assert sorted(kept) == [
        "logs/shop/cart-1/app.log",
        "manifest.json",
        "objects/events.json",
        "objects/node.json",
        "objects/pods.json",
        "objects/quarantine.json",
        "objects/volumeattachments.json",
    ]
    assert kept["logs/shop/cart-1/app.log"] == b"cart-1 app says hello\n"
    assert hashlib.sha256(kept["manifest.json"]).hexdigest() == done.digest
    manifest = json.loads(kept["manifest.json"])
    listed = {one["path"]: one for one in manifest["items"] if one["path"]}
    assert set(listed) == set(kept) - {"manifest.json"}
    assert all(one["sha256"] == hashlib.sha256(kept[path]).hexdigest() for path, one in listed.items())
    assert manifest["quarantine"] == {"name": "worker-7-node-uid-1", "uid": "quarantine-uid"}
    assert manifest["instance"]["uid"] == "node-uid"
    assert manifest["instance"]["providerID"] == "simulated://7"
    assert manifest["about"] == {"requestedBy": "alice", "reason": "looks odd"}
    assert manifest["ledgerHead"] == {"seq": 7, "hash": "ab"}
    assert verify(tmp_path / FOLDER, digest=done.digest).sound


async def test_only_events_of_the_machine_and_its_pods_are_kept(tmp_path: Path) -> None:
    await custodian(EvidenceWorld(), tmp_path).collect(order())

    events = json.loads((tmp_path / FOLDER / "objects/events.json").read_text())
    assert [one["message"] for one in events["items"]] == ["Pulled"]


async def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    await custodian(EvidenceWorld(), tmp_path / "new").collect(order())

    for one in (tmp_path / "new").rglob("*"):
        assert stat.S_IMODE(one.stat().st_mode) == (0o700 if one.is_dir() else 0o600), one


async def test_a_log_that_cannot_be_read_keeps_the_evidence_unsealed_and_the_next_run_takes_only_what_misses(
    tmp_path: Path,
) -> None:
    world = EvidenceWorld()
    world.pods = [pod("shop", "cart-1"), pod("shop", "cart-2")]
    world.broken = {"log shop/cart-2": kubelet_down()}
    keeper = custodian(world, tmp_path)

    first = await keeper.collect(order())

    assert not first.sealed
    assert first.message == (
        "logs: not taken: shop/cart-2/app: ServerTrouble: dial tcp 10.0.0.7:10250: connection refused"
    )
    assert folders(tmp_path) == []

    world.broken, world.asked = {}, []
    second = await custodian(world, tmp_path).collect(order())

    assert second.sealed
    assert [one for one in world.asked if one.startswith("log ")] == ["log shop/cart-2/app"]
    assert verify(tmp_path / FOLDER, digest=second.digest).sound


async def test_what_was_taken_stays_when_its_pod_is_gone_at_the_next_run(tmp_path: Path) -> None:
    world = EvidenceWorld()
    world.pods = [pod("shop", "cart-1"), pod("shop", "cart-2")]
    world.broken = {"log shop/cart-2": kubelet_down()}
    await custodian(world, tmp_path).collect(order())

    world.pods = []
    done = await custodian(world, tmp_path).collect(order())

    assert done.sealed
    assert (tmp_path / FOLDER / "logs/shop/cart-1/app.log").is_file()


async def test_best_effort_seals_what_could_be_got_and_lists_what_could_not(tmp_path: Path) -> None:
    world = EvidenceWorld()
    world.broken = {"log ": kubelet_down()}

    done = await custodian(world, tmp_path).collect(order(seal_incomplete=True))

    assert done.sealed
    assert "shop/cart-1/app" in done.message
    assert {one.collector: one.result for one in done.items}["logs"] is ItemResult.FAILED
    assert verify(tmp_path / FOLDER, digest=done.digest).sound


async def test_a_draft_takes_evidence_and_seals_nothing(tmp_path: Path) -> None:
    done = await custodian(EvidenceWorld(), tmp_path).collect(order(draft_only=True))

    assert not done.sealed
    assert (tmp_path / ".partial-quarantine-uid/objects/node.json").is_file()


async def test_a_crash_after_the_rename_is_no_second_collection(tmp_path: Path) -> None:
    world = EvidenceWorld()
    first = await custodian(world, tmp_path).collect(order())
    world.asked = []

    again = await custodian(world, tmp_path).collect(order())

    assert again == first
    assert world.asked == []


async def test_a_draft_without_a_sound_manifest_is_thrown_away(tmp_path: Path) -> None:
    draft = tmp_path / ".partial-quarantine-uid"
    (draft / "objects").mkdir(parents=True)
    (draft / "objects/node.json").write_text("half a fi")
    (draft / "manifest.json").write_text('{"format": "exuvia.dev/evid')

    done = await custodian(EvidenceWorld(), tmp_path).collect(order())

    assert done.sealed
    assert json.loads((tmp_path / FOLDER / "objects/node.json").read_text())["metadata"]["uid"] == "node-uid"


async def test_sealed_evidence_that_was_damaged_before_its_digest_was_noted_is_set_aside_and_taken_anew(
    tmp_path: Path,
) -> None:
    await custodian(EvidenceWorld(), tmp_path).collect(order())
    (tmp_path / FOLDER / "objects/node.json").write_text("{}")

    done = await custodian(EvidenceWorld(), tmp_path).collect(order())

    assert done.sealed
    assert (tmp_path / ".damaged-1-quarantine-uid/objects/node.json").read_text() == "{}"
    assert verify(tmp_path / FOLDER, digest=done.digest).sound


async def test_logs_are_cut_at_the_limit_of_the_container_and_of_the_machine(tmp_path: Path) -> None:
    world = EvidenceWorld()
    world.pods = [pod("shop", "cart-1", containers=("a", "b", "c"))]
    world.logs_by_container = {"a": b"x" * 100, "b": b"y" * 20, "c": b"z" * 20}

    done = await custodian(world, tmp_path).collect(order(container_limit=50, machine_limit=80))

    assert done.sealed
    sizes = {one.path.split("/")[-1]: one.bytes for one in _items(tmp_path) if one.path.startswith("logs/")}
    assert sum(sizes.values()) <= 80
    assert sizes["a.log"] <= 50
    assert {one.collector: one.result for one in done.items}["logs"] is ItemResult.TRUNCATED


async def test_a_log_exactly_as_long_as_the_limit_is_whole(tmp_path: Path) -> None:
    world = EvidenceWorld()
    world.logs_by_container = {"app": b"x" * 50}

    await custodian(world, tmp_path).collect(order(container_limit=50))

    (log,) = [one for one in _items(tmp_path) if one.path.startswith("logs/")]
    assert (log.bytes, log.result) == (50, ItemResult.CAPTURED)


async def test_the_previous_log_is_taken_where_a_container_was_restarted(tmp_path: Path) -> None:
    world = EvidenceWorld()
    world.pods = [pod("shop", "cart-1", restarts=2)]

    await custodian(world, tmp_path).collect(order())

    assert (tmp_path / FOLDER / "logs/shop/cart-1/app.previous.log").is_file()


async def test_logs_that_do_not_exist_hinder_nothing(tmp_path: Path) -> None:
    world = EvidenceWorld()
    world.pods = [pod("shop", "waits", waiting=True), pod("shop", "left"), pod("shop", "refused")]
    world.broken = {
        "log shop/left": errors.NotFound("pods left not found", status=404),
        "log shop/refused": errors.Refused("container app is waiting to start", status=400),
    }

    done = await custodian(world, tmp_path).collect(order())

    assert done.sealed
    told = {one.subject: (one.result, one.message) for one in _items(tmp_path) if one.collector == "logs"}
    assert told == {
        "shop/waits/app": (ItemResult.UNSUPPORTED, "the container has not started"),
        "shop/left/app": (ItemResult.UNSUPPORTED, "the pod was gone before its log could be read"),
        "shop/refused/app": (ItemResult.UNSUPPORTED, "Refused: container app is waiting to start"),
    }


async def test_the_snapshot_from_before_the_isolation_is_what_is_kept(tmp_path: Path) -> None:
    world = EvidenceWorld()
    keeper = custodian(world, tmp_path)
    await keeper.snapshot(order())
    world.node = {"kind": "Node", "metadata": {"name": "worker-7", "uid": "node-uid", "labels": {"marked": "yes"}}}

    await keeper.collect(order())

    assert "labels" not in json.loads((tmp_path / FOLDER / "objects/node.json").read_text())["metadata"]


async def test_a_snapshot_that_fails_never_raises_and_its_parts_are_read_later(tmp_path: Path) -> None:
    world = EvidenceWorld()
    world.broken = {"get nodes": errors.Unreachable("connection reset")}
    keeper = custodian(world, tmp_path)
    await keeper.snapshot(order())
    world.broken = {}

    done = await keeper.collect(order())

    assert done.sealed
    assert (tmp_path / FOLDER / "objects/node.json").is_file()


async def test_a_namesake_of_the_machine_is_not_taken_for_it(tmp_path: Path) -> None:
    world = EvidenceWorld()
    world.node = {"kind": "Node", "metadata": {"name": "worker-7", "uid": "another-uid"}}

    done = await custodian(world, tmp_path).collect(order(seal_incomplete=True))

    assert not any(one.startswith("log ") for one in world.asked)
    kept = files(tmp_path / FOLDER)
    assert "objects/node.json" not in kept
    assert "objects/pods.json" not in kept
    assert "the machine is gone" in done.message


async def test_an_unwritable_directory_is_an_answer(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    done = await custodian(EvidenceWorld(), tmp_path / "file" / "evidence").collect(order())

    assert not done.sealed
    assert done.message.startswith("evidence cannot be stored: ")


async def test_an_unknown_collector_is_named_and_nothing_is_sealed(tmp_path: Path) -> None:
    wanted = order(collectors=(CollectorOrder(name="disk", type="VolumeSnapshot"),))

    done = await custodian(EvidenceWorld(), tmp_path).collect(wanted)

    assert not done.sealed
    assert done.message == "disk: no collector VolumeSnapshot; there are APIObjects, PodLogs"


async def test_a_run_past_its_timeout_ends_and_keeps_what_it_took(tmp_path: Path) -> None:
    from datetime import timedelta

    done = await custodian(EvidenceWorld(), tmp_path).collect(order(timeout=timedelta(0)))

    assert not done.sealed
    assert "did not end within evidence.timeout" in done.message


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_of_any_file_is_detected(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    import asyncio

    root = tmp_path_factory.mktemp("evidence")
    asyncio.run(custodian(EvidenceWorld(), root).collect(order()))
    folder = root / FOLDER
    name = data.draw(st.sampled_from(sorted(files(folder))))
    content = bytearray((folder / name).read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    (folder / name).write_bytes(bytes(content))

    assert not verify(folder).sound


@pytest.mark.parametrize("damage", ["removed", "added", "linked", "cut", "whole manifest"])
async def test_what_is_removed_added_linked_or_cut_is_detected(tmp_path: Path, damage: str) -> None:
    done = await custodian(EvidenceWorld(), tmp_path).collect(order())
    folder = tmp_path / FOLDER
    node = folder / "objects/node.json"
    match damage:
        case "removed":
            node.unlink()
        case "added":
            (folder / "objects/extra.json").write_text("{}")
        case "linked":
            copy = tmp_path / "copy.json"
            node.rename(copy)
            node.symlink_to(copy)
        case "cut":
            node.write_bytes(node.read_bytes()[:-1])
        case _:
            other = await custodian(EvidenceWorld(), tmp_path / "other").collect(order())
            (folder / "manifest.json").write_bytes((tmp_path / "other" / other.manifest).read_bytes() + b" ")

    checked = await custodian(EvidenceWorld(), tmp_path).on_disk("worker-7-node-uid-1", "quarantine-uid", done.digest)
    assert checked.state is DiskState.DAMAGED
    assert checked.problems


async def test_evidence_forged_as_a_whole_is_caught_by_the_digest_that_stands_elsewhere(tmp_path: Path) -> None:
    done = await custodian(EvidenceWorld(), tmp_path).collect(order())
    forged = EvidenceWorld()
    forged.logs_by_container = {"app": b"nothing happened here\n"}
    await custodian(forged, tmp_path / "other").collect(order())

    assert verify(tmp_path / "other" / FOLDER).sound
    checked = verify(tmp_path / "other" / FOLDER, digest=done.digest)
    assert not checked.sound
    assert checked.problems[0].startswith("manifest.json has digest ")


async def test_hostile_names_cannot_leave_the_folder(tmp_path: Path) -> None:
    root = tmp_path / "root"
    world = EvidenceWorld()
    world.pods = [pod("../..", "../../../etc/cron.d"), pod("shop", "..", containers=("/etc/passwd", "a\x00b", "."))]

    done = await custodian(world, root).collect(order(quarantine="../../evil", uid="../x"))

    assert done.sealed
    assert {one.name for one in tmp_path.iterdir()} == {"root"}
    (folder,) = folders(root)
    assert verify(folder, digest=done.digest).sound
    assert len([name for name in files(folder) if name.startswith("logs/")]) == 4


async def test_an_export_is_the_same_bytes_every_time_and_refuses_damaged_evidence(tmp_path: Path) -> None:
    await custodian(EvidenceWorld(), tmp_path / "root").collect(order())
    folder = tmp_path / "root" / FOLDER

    assert export(folder, tmp_path / "a.tar.gz") == export(folder, tmp_path / "b.tar.gz")
    (folder / "objects/node.json").write_text("{}")
    with pytest.raises(errors.EvidenceError, match="is not sound"):
        export(folder, tmp_path / "c.tar.gz")


def _items(root: Path) -> tuple:
    checked = verify(root / FOLDER)
    assert checked.manifest is not None
    return checked.manifest.items
