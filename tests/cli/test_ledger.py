"""`exuvia ledger`: questions to a ledger file, without a cluster."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from exuvia import errors
from exuvia.app import anchoring, losses
from exuvia.cli.ledger import ledger
from exuvia.model import facts, marks, resources
from exuvia.model.facts import DeathReason, Fact, LedgerState
from exuvia.record import accepting
from exuvia.record.ledger import Ledger
from exuvia.record.trust import Noted
from tests.cli.calling import answer, call
from tests.cli.people import Person, ensure_namespace
from tests.cluster import Cluster
from tests.record import world

T0 = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def birth(uid: str, name: str, at: datetime, address: str = "10.0.0.7") -> Fact:
    instance = {"uid": uid, "kind": "Node", "name": name, "pool": "blue", "zone": "a", "addresses": [address]}
    return facts.birth(instance={**instance, "providerID": f"simulated://{uid}"}, at=at)


def operation(event: str, at: datetime, result: str = "") -> Fact:
    return facts.operation(
        uid="op-1", kind="Rotation", name="vdi-07-uid-a-1", event=event, instance="uid-a", policy="workers",
        rule="age", pool="blue", result=result, by="exuvia", at=at,
    )  # fmt: skip


HISTORY = (
    birth("uid-a", "vdi-07", T0),
    facts.placement(
        pod={"uid": "pod-1", "namespace": "shop", "name": "cart-1", "serviceAccount": "cart", "images": ["sha256:1"]},
        instance="uid-a", event="from", at=T0 + timedelta(minutes=5),
    ),
    operation("started", T0 + HOUR),
    facts.intent(
        operation="op-1", kind="Rotation", step="Cordoned", instance="uid-a", policy="workers", generation=1, epoch=1,
        at=T0 + HOUR,
    ),
    facts.death(uid="uid-a", reason=DeathReason.EXUVIA, at=T0 + 2 * HOUR),
    operation("ended", T0 + 2 * HOUR, "Succeeded/Replaced"),
    birth("uid-b", "vdi-07", T0 + 3 * HOUR),
    birth("uid-c", "vdi-08", T0 + 3 * HOUR, address="10.0.0.8"),
    birth("uid-d", "vdi-08", T0 + 3 * HOUR, address="10.0.0.9"),
)  # fmt: skip


def write(path: Path, *history: Fact, epoch: int = 3) -> None:
    """A ledger with these facts in it."""

    async def go() -> None:
        ledger = Ledger(path, cluster="test", epoch=lambda: epoch)
        ledger.start()
        try:
            while ledger.health().state is not LedgerState.FINE:
                await asyncio.sleep(0.01)
            await ledger.append(*history)
        finally:
            await asyncio.to_thread(ledger.close)

    asyncio.run(go())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write(tmp_path / "ledger.db", *HISTORY)
    return tmp_path / "ledger.db"


def test_a_row_is_never_cut_where_nobody_looks(file: Path) -> None:
    """Step, policy and name of an intent are there in full, the UIDs after them."""
    said = call("ledger", "query", "--ledger", file, "--kind", "intent").stdout.splitlines()[-1]
    assert all(word in said for word in ("step=Cordoned", "policy=workers", "kind=Rotation", "operation=op-1"))
    assert said.index("step=Cordoned") < said.index("operation=op-1")
    assert "…" not in said


@pytest.mark.parametrize("option", ["--at", "--since"])
def test_a_word_that_is_no_time_names_what_is(file: Path, option: str) -> None:
    command = ("who", "--name", "vdi-07") if option == "--at" else ("query",)
    said = call("ledger", *command, "--ledger", file, option, "yesterday", code=2).stderr
    assert "'yesterday' is no time. Write a time like 2026-11-24T12:00:00Z, or how long ago" in said
    assert "made of d, h, m and s, like 5d, 24h, 90m or 2h30m" in said


def test_who_bore_a_name_then(file: Path) -> None:
    found = answer("ledger", "who", "--ledger", file, "--name", "vdi-07", "--at", "2026-11-24T12:30:00Z")
    assert found["answer"] == "one"
    (instance,) = found["instances"]
    assert set(instance) >= {"uid", "name", "born", "died", "certainty", "sessions", "placements"}
    assert (instance["uid"], instance["died"], instance["certainty"]) == ("uid-a", "2026-11-24T14:00:00Z", "certain")
    assert [(one["namespace"], one["pod"], one["to"]) for one in instance["placements"]] == [
        ("shop", "cart-1", "2026-11-24T14:00:00Z")
    ]


def test_who_answers_none_and_several_plainly(file: Path) -> None:
    who = ("ledger", "who", "--ledger", file)
    assert answer(*who, "--name", "nobody") == {"answer": "none", "instances": []}
    between = (*who, "--name", "vdi-07", "--at", "2026-11-24T14:30:00Z")
    span = {"from": "2026-11-24T12:00:00Z", "to": "2026-11-24T14:00:00Z"}
    former = {"uid": "uid-a", "name": "vdi-07", "cluster": "test", **span}
    assert answer(*between) == {"answer": "none", "instances": [], "former": former}
    said = call(*between).stdout
    assert "vdi-07 (uid-a) bore it from 2026-11-24T12:00:00Z until 2026-11-24T14:00:00Z" in said
    assert "--at 2026-11-24T12:00:00Z" in said and "none: no machine is known" in said
    assert "former" not in answer(*who, "--name", "vdi-07", "--at", "2026-11-24T11:00:00Z"), "it was not born yet"
    several = answer(*who, "--name", "vdi-08", "--at", "2026-11-24T15:30:00Z")
    assert several["answer"] == "several"
    assert {one["certainty"] for one in several["instances"]} == {"ambiguous"}
    assert "which one it was cannot be told" in call(*who, "--name", "vdi-08", "--at", "2026-11-24T15:30:00Z").stdout


def test_who_by_address_provider_id_and_pod(file: Path) -> None:
    who = ("ledger", "who", "--ledger", file)
    for how, value in (("--ip", "10.0.0.7"), ("--provider-id", "simulated://uid-a"), ("--pod", "shop/cart-1")):
        found = answer(*who, how, value, "--at", "2026-11-24T13:30:00Z")
        assert [one["uid"] for one in found["instances"]] == ["uid-a"]
    assert "Give exactly one" in call(*who, code=2).stderr
    assert "Write NAMESPACE/NAME" in call(*who, "--pod", "cart-1", code=2).stderr


def test_query_tells_a_whole_life(file: Path) -> None:
    kinds = [one["type"] for one in answer("ledger", "query", "--ledger", file, "--instance", "uid-a")]
    assert kinds == ["birth", "placement", "operation", "intent", "death", "operation"]


def test_query_takes_a_name_that_one_machine_bore_and_names_several(file: Path) -> None:
    query = ("ledger", "query", "--ledger", file)
    said = call(*query, "--instance", "vdi-07", code=2).stderr
    assert "uid-a, uid-b" in said and "Ask for one of these UIDs" in said
    assert answer(*query, "--instance", "unheard-of") == []


def test_query_by_operation_kind_time_and_limit(file: Path) -> None:
    query = ("ledger", "query", "--ledger", file)
    assert [one["type"] for one in answer(*query, "--operation", "vdi-07-uid-a-1")] == [
        "operation", "intent", "operation",
    ]  # fmt: skip
    births = answer(*query, "--kind", "birth", "--since", "2026-11-24T15:00:00Z")
    assert [one["body"]["uid"] for one in births] == ["uid-b", "uid-c", "uid-d"]
    assert [one["seq"] for one in answer(*query, "--limit", 2)] == [8, 9]
    assert "There is no kind" in call(*query, "--kind", "rumour", code=2).stderr


def test_query_prints_columns_where_nobody_looks(file: Path) -> None:
    first, second, *_ = call("ledger", "query", "--ledger", file).stdout.splitlines()
    assert first.split() == ["SEQ", "AT", "KIND", "WHAT"]
    assert second.startswith("1    2026-11-24T12:00:00Z  birth")


def test_reading_changes_nothing(file: Path) -> None:
    before = file.read_bytes()
    for words in (("query",), ("who", "--name", "vdi-07"), ("verify",)):
        call("ledger", *words, "--ledger", file)
    assert file.read_bytes() == before


def test_verify_a_sound_chain_and_an_anchor(file: Path) -> None:
    found = answer("ledger", "verify", "--ledger", file)
    assert found["sound"] and found["entries"] == len(HISTORY)
    assert call("ledger", "verify", "--ledger", file, "--head", found["head"]).exit_code == 0
    later = f"{len(HISTORY) + 2}:{'00' * 32}"
    assert "missing at the end" in call("ledger", "verify", "--ledger", file, "--head", later, code=1).stdout
    other = f"1:{'00' * 32}"
    assert "entry 1 is not the one" in call("ledger", "verify", "--ledger", file, "--head", other, code=1).stdout
    for odd in ("x", "1:00", "1:", "-1:" + "0" * 64, "1:" + "0" * 63, "1:" + "0" * 66, "1:" + "00 " * 32):
        assert "no head of a ledger" in call("ledger", "verify", "--ledger", file, "--head", odd, code=2).stderr


def test_verify_names_the_first_entry_that_was_changed(file: Path) -> None:
    world.unguarded(file)
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE entries SET body = replace(body, 'exuvia', 'person') WHERE seq = 5")
    connection.close()
    found = answer("ledger", "verify", "--ledger", file, code=1)
    assert (found["sound"], found["firstBad"], found["entries"]) == (False, 5, 4)


def test_export_is_a_chain_that_anybody_can_check(file: Path) -> None:
    """With hashlib and json alone: canonical JSON is what the standard library writes with sorted keys, for these."""
    former, lines = bytes(32), call("ledger", "export", "--ledger", str(file)).stdout.splitlines()

    for number, line in enumerate(lines, 1):
        exported = json.loads(line)
        canonical = json.dumps(exported["entry"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        former = hashlib.sha256(former + canonical.encode()).digest()
        assert (exported["seq"], exported["hash"]) == (number, former.hex())
    assert len(lines) == len(HISTORY)


def test_accept_adds_one_entry_with_a_name(file: Path) -> None:
    lost = Noted(seq=99, hash="ab" * 32)
    receipt, _ = accepting.accept(file, by="alice", reason="restored on purpose", at=T0, noted=[lost])
    last = answer("ledger", "query", "--ledger", file, "--kind", "accepted")[-1]
    assert (receipt.seq, last["body"]) == (
        10,
        {"by": "alice", "reason": "restored on purpose", "missing": [f"99:{'ab' * 32}"]},
    )
    assert (last["cluster"], last["epoch"]) == ("test", 3)
    assert answer("ledger", "verify", "--ledger", file)["sound"]


def test_accept_refuses_a_damaged_chain(file: Path) -> None:
    world.unguarded(file)
    with sqlite3.connect(file) as connection:
        connection.execute("DELETE FROM entries WHERE seq = 5")
    connection.close()
    with pytest.raises(errors.LedgerCorrupt, match="last good copy"):
        accepting.accept(file, by="alice", reason="why not", at=T0, noted=[Noted(seq=99, hash="ab" * 32)])


def test_what_is_no_ledger_is_one_sentence(tmp_path: Path) -> None:
    assert "There is no ledger" in call("ledger", "query", "--ledger", tmp_path / "none.db", code=2).stderr
    (tmp_path / "text.db").write_text("this is no database, it is a text of some length" * 50)
    assert "error: " in call("ledger", "verify", "--ledger", tmp_path / "text.db", code=2).stderr


def test_the_ledger_can_be_named_by_the_environment(file: Path) -> None:
    assert answer("ledger", "verify", env={"EXUVIA_LEDGER": str(file)})["sound"]


async def test_accept_lets_a_writer_that_waits_go_on(tmp_path: Path) -> None:
    """The operator has the file open and does not trust it: one accepted entry from another process is enough."""
    path = tmp_path / "ledger.db"
    await asyncio.to_thread(write, path, *HISTORY)
    writer = Ledger(path, cluster="test", epoch=lambda: 3)
    writer.start()
    try:
        while writer.health().state is not LedgerState.FINE:
            await asyncio.sleep(0.01)
        writer.distrust(99, "ab" * 32)
        lost = [Noted(seq=99, hash="ab" * 32)]
        await asyncio.to_thread(accepting.accept, path, by="alice", reason="a restored backup", at=T0, noted=lost)
        async with asyncio.timeout(15):
            while writer.health().state is not LedgerState.FINE:
                await asyncio.sleep(0.05)
        assert (await writer.append(birth("uid-e", "vdi-09", T0))).seq > len(HISTORY) + 1
    finally:
        await asyncio.to_thread(writer.close)


@pytest.mark.cluster
async def test_accept_asks_the_cluster_who_you_are_and_what_is_missing(
    cluster: Cluster, admin: Person, tmp_path: Path
) -> None:
    path = tmp_path / "ledger.db"
    await asyncio.to_thread(write, path, *HISTORY)
    accept = ("ledger", "accept", "--ledger", path, "--reason", "a restored backup")
    await ensure_namespace(cluster)
    await anchoring.remove(cluster.client, marks.SYSTEM_NAMESPACE)
    assert "error: Nothing is missing" in (await admin.call(*accept, code=2)).stderr
    assert await admin.answer("ledger", "query", "--ledger", path, "--kind", "accepted") == []
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": marks.LEDGER_HEAD}}
    head = {"data": {"seq": "20", "hash": "ab" * 32}}
    await cluster.client.create(resources.CONFIG_MAPS, body | head, namespace=marks.SYSTEM_NAMESPACE)
    said = await admin.call(*accept)
    assert said.stdout.startswith("accepted by ") and "that entry 20 is missing" in said.stdout
    assert "error: Nothing is missing" in (await admin.call(*accept, code=2)).stderr
    await anchoring.remove(cluster.client, marks.SYSTEM_NAMESPACE)
    (entry,) = await admin.answer("ledger", "query", "--ledger", path, "--kind", "accepted")
    assert entry["body"]["by"] and entry["body"]["reason"] == "a restored backup"


@pytest.mark.cluster
async def test_accept_asks_the_lease_by_its_name_and_waits_for_who_leads(
    cluster: Cluster, admin: Person, tmp_path: Path
) -> None:
    """One entry that only the leader misses; then one that the leader says nothing of."""
    path = tmp_path / "ledger.db"
    await asyncio.to_thread(write, path, *HISTORY)
    place = {"namespace": marks.SYSTEM_NAMESPACE}
    accept = ("ledger", "accept", "--ledger", path, "--reason", "a restored backup")
    await ensure_namespace(cluster)
    await anchoring.remove(cluster.client, marks.SYSTEM_NAMESPACE)
    name, soon = f"another-{cluster.pool}", datetime.now(UTC) + HOUR
    body = {
        "apiVersion": resources.LEASES.api_version,
        "kind": "Lease",
        "metadata": {"name": name, "annotations": {losses.KEY: f"20:{'ab' * 32}", losses.OF: "3 test"}},
        "spec": {
            "holderIdentity": "pod-7",
            "renewTime": soon.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "leaseDurationSeconds": 1,
            "leaseTransitions": 3,
        },
    }
    made = await cluster.client.create(resources.LEASES, body, **place)
    try:
        refused = (await admin.call(*accept, code=2)).stderr
        assert "Nothing is missing" in refused and "--lease-name" in refused
        said = (await admin.call(*accept, "--lease-name", name)).stdout
        assert "that entry 20 is missing; a running exuvia goes on within seconds" in said
        silent = {"metadata": {"annotations": {losses.KEY: "", losses.OF: "3 test"}}}
        await cluster.client.merge_patch(resources.LEASES, name, silent, **place)
        head = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": marks.LEDGER_HEAD}}
        noted = {"data": {"seq": "21", "hash": "cd" * 32}}
        await cluster.client.create(resources.CONFIG_MAPS, head | noted, **place)
        said = (await admin.call(*accept, "--lease-name", name)).stdout
        assert "that entry 21 is missing; pod-7 leads and says of nothing that it is missing" in said
    finally:
        await anchoring.remove(cluster.client, marks.SYSTEM_NAMESPACE)
        await cluster.client.delete(resources.LEASES, name, uid=made["metadata"]["uid"], **place)


def test_every_option_is_also_a_variable_of_its_own_name() -> None:
    def options(command: click.Command) -> list[click.Option]:
        inner = command.commands.values() if isinstance(command, click.Group) else ()
        own = [one for one in command.params if isinstance(one, click.Option)]
        return own + [found for one in inner for found in options(one)]

    odd = []
    for one in options(ledger):
        wanted = f"EXUVIA_{max(one.opts, key=len).lstrip('-').replace('-', '_').upper()}"
        if (one.envvar or f"EXUVIA_{str(one.name).upper()}") != wanted:
            odd.append(wanted)
    assert odd == []
