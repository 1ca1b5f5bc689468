"""`exuvia evidence`: what was kept, whether it is still the same, and taking it along."""

from __future__ import annotations

import asyncio
import hashlib
import tarfile
from pathlib import Path

import pytest

from exuvia.model import facts, resources
from tests.act.evidence.world import NOW, EvidenceWorld, custodian, order
from tests.cli.calling import answer, call
from tests.cli.people import Person, one, set_status
from tests.cli.test_ledger import write
from tests.cluster import Cluster

NAME = "worker-7-node-uid-1-quarantine-uid"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An evidence directory with the sealed evidence of one machine."""

    async def seal() -> None:
        keeper = custodian(EvidenceWorld(), tmp_path / "evidence")
        wanted = order()
        await keeper.snapshot(wanted)
        assert (await keeper.collect(wanted)).sealed

    asyncio.run(seal())
    return tmp_path / "evidence"


def digest(root: Path) -> str:
    return hashlib.sha256((root / NAME / "manifest.json").read_bytes()).hexdigest()


def noted(path: Path, sha: str, folder: str = NAME) -> Path:
    """A ledger that knows the evidence."""
    fact = facts.evidence(
        operation="quarantine-uid", instance="node-uid", digest=sha, path=f"{folder}/manifest.json", at=NOW
    )
    write(path, fact)
    return path


def test_list_shows_whose_it_is(root: Path) -> None:
    (found,) = answer("evidence", "list", "--evidence-dir", root)
    assert (found["name"], found["state"], found["instance"]["name"]) == (NAME, "complete", "worker-7")
    assert call("evidence", "list", "--evidence-dir", root).stdout.splitlines()[1].startswith(NAME)


def test_nothing_kept_is_said(tmp_path: Path) -> None:
    assert call("evidence", "list", "--evidence-dir", tmp_path).stdout == "no evidence\n"
    assert "is no directory" in call("evidence", "list", "--evidence-dir", tmp_path / "none", code=2).stderr


def test_a_folder_of_something_else_is_no_evidence(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    assert call("evidence", "list", "--evidence-dir", tmp_path).stdout == "no evidence\n"
    (tmp_path / "photos").mkdir()
    said = call("evidence", "list", "--evidence-dir", tmp_path, code=1).stdout
    assert "Errno" not in said and str(tmp_path) not in said
    assert (
        "it has no manifest.json: it is no evidence of exuvia, or not whole; is --evidence-dir the right one?" in said
    )
    (found,) = answer("evidence", "list", "--evidence-dir", tmp_path, code=1)
    assert (found["name"], found["state"]) == ("photos", "unreadable")


def test_verify_compares_with_manifest_ledger_and_a_given_digest(root: Path, tmp_path: Path) -> None:
    verify = ("evidence", "verify", "--evidence-dir", root)
    (found,) = answer(*verify)
    assert (found["state"], found["comparedWith"]) == ("sound", ["manifest"])
    (found,) = answer(*verify, "--ledger", noted(tmp_path / "ledger.db", digest(root)))
    assert found["comparedWith"] == ["manifest", "ledger"]
    (found,) = answer(*verify, "worker-7-node-uid-1", "--digest", digest(root).upper())
    assert (found["state"], found["comparedWith"]) == ("sound", ["manifest", "--digest"])


def test_verify_finds_a_changed_byte_wherever_it_is(root: Path) -> None:
    files = sorted(one for one in (root / NAME).rglob("*") if one.is_file())
    assert len(files) > 3
    for file in files:
        kept = file.read_bytes()
        file.write_bytes(bytes([kept[0] ^ 1]) + kept[1:])
        (found,) = answer("evidence", "verify", "--evidence-dir", root, code=1)
        assert found["state"] == "damaged" and found["problems"]
        file.write_bytes(kept)
    assert answer("evidence", "verify", "--evidence-dir", root)[0]["state"] == "sound"


def test_verify_finds_what_a_witness_knows_otherwise(root: Path, tmp_path: Path) -> None:
    verify = ("evidence", "verify", "--evidence-dir", root)
    (found,) = answer(*verify, "--ledger", noted(tmp_path / "other.db", "ab" * 32), code=1)
    assert "the ledger says" in found["problems"][0]
    gone = answer(*verify, "--ledger", noted(tmp_path / "gone.db", "ab" * 32, "gone-1-uid"), code=1)
    assert [(one["name"], one["state"]) for one in gone] == [(NAME, "sound"), ("gone-1-uid", "missing")]


def test_export_writes_the_same_archive_twice(root: Path, tmp_path: Path) -> None:
    export = ("evidence", "export", NAME, "--evidence-dir", root, "--to")
    first = call(*export, tmp_path / "a.tar.gz").stdout.split()[0]
    assert call(*export, tmp_path / "b.tar.gz").stdout.split()[0] == first
    assert hashlib.sha256((tmp_path / "a.tar.gz").read_bytes()).hexdigest() == first
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        assert f"{NAME}/manifest.json" in archive.getnames()


def test_export_overwrites_nothing_and_exports_nothing_damaged(root: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.tar.gz"
    target.write_text("mine")
    export = ("evidence", "export", "--evidence-dir", root, "--to")
    assert "cannot be written" in call(*export, target, NAME, code=2).stderr
    assert "There is no evidence nobody" in call(*export, tmp_path / "b.tar.gz", "nobody", code=2).stderr
    (root / NAME / "manifest.json").write_text("{}")
    assert "is not sound" in call(*export, tmp_path / "b.tar.gz", NAME, code=2).stderr
    assert target.read_text() == "mine"


@pytest.mark.cluster
async def test_verify_compares_with_the_quarantines_of_the_cluster(root: Path, cluster: Cluster, admin: Person) -> None:
    (node,) = await cluster.nodes()
    await admin.call("quarantine", node["metadata"]["name"])
    name = (await one(cluster, resources.QUARANTINES))["metadata"]["name"]
    verify = ("evidence", "verify", "--evidence-dir", root, "--quarantines")
    kept = {"manifest": f"{NAME}/manifest.json", "digest": digest(root), "bytes": 1}
    await set_status(cluster, resources.QUARANTINES, name, evidence=kept)
    (found,) = await admin.answer(*verify)
    assert (found["state"], found["comparedWith"]) == ("sound", ["manifest", "Quarantine"])
    await set_status(cluster, resources.QUARANTINES, name, evidence=kept | {"digest": "cd" * 32})
    (found,) = await admin.answer(*verify, code=1)
    assert "the Quarantine says" in found["problems"][0]
