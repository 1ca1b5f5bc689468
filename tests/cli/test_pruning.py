"""Holding, pruning and erasing from the command line; reports about a time after the cut stay as they were."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import re
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError

from exuvia.app import anchoring
from exuvia.model import marks, resources
from exuvia.record import forgetting, importing, removal
from tests.cli.calling import answer, call
from tests.cli.people import Person
from tests.cluster import Cluster
from tests.record.test_importing import instance, parsed, rfc, said
from tests.record.test_pruning import life
from tests.record.world import at

PERSON = ("--by", "alice")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "l.db"
    importing.load(path, parsed(*life("A", 0, 50), *life("B", 60, None), *life("C", 0, 70)), cluster="c")
    return path


def test_a_dry_run_says_what_would_go_and_changes_nothing(file: Path) -> None:
    before = call("ledger", "export", "--ledger", file).stdout
    prune = ("ledger", "prune", "--ledger", file, "--keep", "1h")
    told = call(*prune, "--dry-run").stdout
    assert told == "5 entries would be pruned; left: 5 of machines that live, 5 needed\n"
    found = answer(*prune, "--dry-run")
    assert (found["entries"], found["dryRun"], found["kept"]) == (5, True, {"living": 5, "needed": 5})
    assert found["names"] is None, "that is found out by pruning only"
    assert call("ledger", "export", "--ledger", file).stdout == before


def test_what_is_pruned_is_told_by_verify_with_its_checkpoint(file: Path) -> None:
    told = call("ledger", "prune", "--ledger", file, "--keep", "100d", *PERSON).stdout
    assert told.startswith("5 entries pruned under checkpoint 16, 1 name of a person forgotten; left: ")
    verified = call("ledger", "verify", "--ledger", file, "--deep").stdout
    assert "is sound: 16 entries, 5 of them pruned under checkpoint 16 of " in verified and "by alice" in verified
    found = answer("ledger", "verify", "--ledger", file)
    assert (found["pruned"], found["sound"]) == (5, True) and found["checkpoint"].startswith("checkpoint 16 of ")
    (entry,) = answer("ledger", "query", "--ledger", file, "--kind", "checkpoint")
    of, cut = (datetime.fromisoformat(one) for one in re.findall(r"(?: of | cut at )(\S+Z)", found["checkpoint"]))
    late = timedelta(hours=1)
    assert datetime.now(UTC) - of < late and timedelta() <= of - cut - timedelta(days=100) < late
    assert entry["body"]["keep"] == "100d" and entry["body"]["by"].startswith("alice (said by ")


def test_how_many_names_were_forgotten_is_told(file: Path) -> None:
    prune = ("ledger", "prune", "--ledger", file, "--keep", "100d", *PERSON)
    found = answer(*prune)
    assert (found["entries"], found["names"]) == (5, 1)


def test_what_was_pruned_is_said_though_names_could_not_be_forgotten(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The entries are gone for good by then: it did not fail."""

    def full(_: object) -> int:
        raise DBAPIError("delete", {}, sqlite3.OperationalError("database or disk is full"))

    monkeypatch.setattr(forgetting, "forget", full)
    told = call("ledger", "prune", "--ledger", file, "--keep", "100d", *PERSON, "-o", "json", code=1)
    found = json.loads(told.stdout)
    assert (found["entries"], found["names"]) == (5, None)
    assert told.stderr.startswith("the chain of c: the entries are gone for good, but keys to names of people of whom")
    assert "cannot grow: database or disk is full. Free disk space" in told.stderr
    assert f"pruned under checkpoint {found['checkpoint']}" in call("ledger", "verify", "--ledger", file).stdout


def test_a_risk_report_says_that_it_is_short_of_what_was_pruned(file: Path) -> None:
    def asked(minute: float, form: str) -> str:
        window = ("--from", rfc(minute), "--to", rfc(90), "--as-of", rfc(90))
        return call("risk", "report", "--ledger", file, *window, "-o", form).stdout

    forms = ("json", "table", "html")
    whole = {form: asked(60, form) for form in forms}
    assert "prunedBefore" not in json.loads(whole["json"])
    removal.prune(file, cut=at(60), keep="1d", by="x", at=at(1000), cluster="c")
    assert {form: asked(60, form) for form in forms} == whole, "it begins at the cut, and misses nothing"
    assert json.loads(asked(59, "json"))["prunedBefore"] == rfc(60).replace("+00:00", "Z")
    for form in ("table", "html"):
        said = asked(59, form)
        assert "runed before" in said and "is counted by undead alone" in said and "pruned" not in whole[form]


def test_an_old_anchor_in_what_was_pruned_is_said(file: Path, tmp_path: Path) -> None:
    head = answer("ledger", "verify", "--ledger", file)["head"]
    early = json.loads(call("ledger", "export", "--ledger", file).stdout.splitlines()[2])
    call("ledger", "prune", "--ledger", file, "--keep", "100d", *PERSON)
    told = call("ledger", "verify", "--ledger", file, "--head", f"3:{early['hash']}").stdout
    assert "entry 3 was pruned, so there was nothing to compare" in told
    assert "compare" not in call("ledger", "verify", "--ledger", file, "--head", head).stdout


@pytest.mark.parametrize("what", [("--instance", "a"), ("--from", rfc(0), "--to", rfc(1)), ("--subject", "user-A")])
def test_a_hold_beats_retention(file: Path, what: tuple[str, ...]) -> None:
    hold = ("ledger", "hold", "add", "case-7", "--ledger", file, "--reason", "a lawsuit", *PERSON)
    assert call(*hold, *what).stdout == "held as case-7 by entry 16\n"
    assert "is there already" in call(*hold, *what, code=2).stderr
    (held,) = answer("ledger", "hold", "list", "--ledger", file)
    assert (held["name"], held["reason"]) == ("case-7", "a lawsuit")
    prune = ("ledger", "prune", "--ledger", file, "--keep", "100d", *PERSON)
    assert "held" in call(*prune, "--dry-run").stdout
    assert answer("ledger", "who", "--ledger", file, "--name", "a", "--at", rfc(5))["answer"] == "one"
    call(*prune)
    assert answer("ledger", "who", "--ledger", file, "--name", "a", "--at", rfc(5))["answer"] == "one"
    released = call("ledger", "hold", "release", "case-7", "--ledger", file, "--reason", "over", *PERSON).stdout
    assert released.startswith("released case-7 by entry ")
    assert call("ledger", "hold", "list", "--ledger", file).stdout == "nothing is held\n"
    call(*prune)
    assert answer("ledger", "who", "--ledger", file, "--name", "a", "--at", rfc(5))["answer"] == "none"
    assert answer("ledger", "verify", "--ledger", file)["sound"]


def test_a_hold_on_nothing_is_refused(file: Path) -> None:
    hold = ("ledger", "hold", "add", "h", "--ledger", file, "--reason", "r", *PERSON)
    assert "exactly one of" in call(*hold, code=2).stderr
    assert "exactly one of" in call(*hold, "--instance", "A", "--subject", "user-A", code=2).stderr
    assert "exactly one of" in call(*hold, "--from", "24h", code=2).stderr
    assert "knows no machine X" in call(*hold, "--instance", "X", code=2).stderr
    assert "knows nobody of the name 'carol'" in call(*hold, "--subject", "carol", code=2).stderr
    assert "before it begins" in call(*hold, "--from", "1h", "--to", "2h", code=2).stderr
    assert "There is no hold h" in call(*hold[:2], "release", "h", *hold[4:], code=2).stderr
    assert call("ledger", "hold", "list", "--ledger", file).stdout == "nothing is held\n"


def test_an_erased_name_is_gone_everywhere(file: Path) -> None:
    who = ("ledger", "who", "--ledger", file, "--name", "b", "--at", rfc(70))
    erase = ("ledger", "erase", "--ledger", file, "--subject", "user-B", "--reason", "asked to", *PERSON)
    (before,) = answer(*who)["instances"]
    assert [one["user"] for one in before["sessions"]] == ["user-B"]
    assert "copies of the ledger that were made before still have the name" in call(*erase).stdout
    (after,) = answer(*who)["instances"]
    assert [one["user"] for one in after["sessions"]] == ["erased"]
    for words in (("query", "--limit", 0), ("export",), ("export", "--format", "ocsf", "--names")):
        assert "user-B" not in call("ledger", *words, "--ledger", file).stdout
    assert answer("ledger", "verify", "--ledger", file, "--deep")["sound"]
    assert "knows nobody of the name 'user-B'" in call(*erase, code=2).stderr


def test_names_in_events_only_where_they_are_asked_for(file: Path) -> None:
    events = ("ledger", "export", "--ledger", file, "--format", "ocsf")
    assert "user-B" not in call(*events).stdout and "user-B" in call(*events, "--names").stdout
    assert "--names is for --format ocsf" in call("ledger", "export", "--ledger", file, "--names", code=2).stderr


def test_who_acts_must_be_known(file: Path, tmp_path: Path) -> None:
    for words in (("prune", "--keep", "1h"), ("erase", "--subject", "user-A")):
        told = call("ledger", *words, "--ledger", file, "--kubeconfig", tmp_path / "none", code=2).stderr
        assert told.startswith("error: Who does this is not known: ") and "say who you are by --by NAME" in told
    assert answer("ledger", "verify", "--ledger", file)["entries"] == 15


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any cluster."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(getpass, "getuser", lambda: "carol")


AS_CAROL = "recorded as done by carol (said by carol); --by NAME says another name. No cluster told it: There is no"


@pytest.mark.usefixtures("alone")
def test_without_a_cluster_the_account_on_this_machine_is_who_acts(file: Path) -> None:
    """As history.md names these commands: nothing else need be given."""
    told = call("ledger", "hold", "add", "--instance", "B", "--ledger", file)
    assert told.stderr.startswith(AS_CAROL)
    assert told.stdout == (
        f"held as instance-B by entry 16\nto release it: exuvia ledger hold release instance-B --ledger {file}\n"
    )
    assert call("ledger", "prune", "--keep", "100d", "--ledger", file).stderr.startswith(AS_CAROL)
    call(*told.stdout.splitlines()[1].split("exuvia ")[1].split())
    assert call("ledger", "hold", "list", "--ledger", file).stdout == "nothing is held\n"
    assert call("ledger", "erase", "--subject", "user-B", "--ledger", file).stderr.startswith(AS_CAROL)
    entries = answer("ledger", "query", "--ledger", file, "--limit", 0)[-4:]
    assert [one["type"] for one in entries] == ["hold", "checkpoint", "hold", "erased"]
    assert {one["body"]["by"] for one in entries} == {"carol (said by carol)"}
    assert [one["body"].get("reason") for one in entries] == ["", None, "", ""]
    shown = call("ledger", "query", "--ledger", file, "--kind", "erased").stdout
    assert (
        'reason="no reason given"' in shown
        and "no reason" not in call("ledger", "query", "--ledger", file, "--kind", "death").stdout
    )


@pytest.mark.usefixtures("alone")
def test_an_account_without_a_name_is_named_by_its_number(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found: 65532")

    monkeypatch.setattr(getpass, "getuser", unknown)
    call("ledger", "hold", "add", "h", "--instance", "A", "--ledger", file)
    call("ledger", "hold", "add", "i", "--instance", "A", "--by", "bob", "--ledger", file)
    found = answer("ledger", "hold", "list", "--ledger", file)
    account = f"uid {os.getuid()}"
    assert [one["by"] for one in found] == [f"{account} (said by {account})", f"bob (said by {account})"]


@pytest.mark.parametrize(
    ("what", "name"),
    [
        (("--instance", "a"), "instance-A"),
        (("--from", rfc(0), "--to", rfc(1)), "2026-01-01T00:00:00Z-2026-01-01T00:01:00Z"),
        (("--subject", "user-A"), "subject-"),
    ],
)
def test_a_hold_without_a_name_is_called_by_what_it_holds(file: Path, what: tuple[str, ...], name: str) -> None:
    hold = ("ledger", "hold", "add", "--ledger", file, *what, *PERSON)
    told = [call(*hold).stdout for _ in range(3)]
    found = answer("ledger", "hold", "list", "--ledger", file)
    first = found[0]["name"]
    assert first.startswith(name) and "user-A" not in first, "that name is erased once, and the chain is not"
    assert [one["name"] for one in found] == [first, f"{first}-2", f"{first}-3"]
    assert {one["reason"] for one in found} == {""}
    assert call("ledger", "hold", "list", "--ledger", file).stdout.count("no reason given") == 3
    for one in told:
        call(*one.splitlines()[1].split("exuvia ")[1].split(), *PERSON)
    assert call("ledger", "hold", "list", "--ledger", file).stdout == "nothing is held\n"


@pytest.mark.parametrize(
    ("keep", "problem"),
    [
        *((one, "is no span of time.") for one in ("soon", "-1d", "", "400")),
        ("0d", "--keep 0d would keep nothing of the dead."),
        ("9999999d", "reaches beyond all times."),
    ],
)
def test_what_is_no_span_to_keep(file: Path, keep: str, problem: str) -> None:
    told = call("ledger", "prune", "--ledger", file, "--keep", keep, *PERSON, code=2).stderr
    assert f"{problem} Write a span like 400d or 9600h.\n" in told
    assert answer("ledger", "verify", "--ledger", file)["pruned"] == 0


def test_several_chains_are_named(file: Path) -> None:
    importing.load(file, parsed(*life("X", 0, 50), *life("Y", 0, None)), cluster="other")
    several = "error: The ledger has several chains. Say which by --cluster NAME: c, other.\n"
    for words in (("export",), ("anchor",), ("erase", "--subject", "user-A", "--reason", "r", *PERSON)):
        assert call("ledger", *words, "--ledger", file, code=2).stderr == several
        assert (
            "no chain of x. Its chains: c, other."
            in call("ledger", *words, "--ledger", file, "--cluster", "x", code=2).stderr
        )
    found = answer("ledger", "prune", "--ledger", file, "--keep", "100d", *PERSON)
    assert [(one["cluster"], one["entries"]) for one in found] == [("c", 5), ("other", 5)]
    found = answer("ledger", "verify", "--ledger", file)
    assert [(one["cluster"], one["pruned"], one["sound"]) for one in found["chains"]] == [
        ("c", 5, True),
        ("other", 5, True),
    ]


def test_only_what_was_recorded_since(file: Path) -> None:
    everything = call("ledger", "export", "--ledger", file).stdout.splitlines()
    cut = datetime.now(UTC) + timedelta(hours=1)
    assert call("ledger", "export", "--ledger", file, "--since", "1h").stdout.splitlines() == everything
    assert call("ledger", "export", "--ledger", file, "--since", cut.isoformat()).stdout == ""


def _report(path: Path, began: float, ended: float) -> Any:
    window = ("--from", rfc(began), "--to", rfc(ended), "--as-of", rfc(ended))
    return answer("risk", "report", "--ledger", path, *window)


_SPAN = st.tuples(st.integers(0, 200), st.one_of(st.none(), st.integers(0, 120)))
_FOUND = st.tuples(st.sampled_from("VWX"), st.integers(-5, 60), st.one_of(st.none(), st.integers(0, 90)), st.booleans())


@settings(max_examples=20, deadline=None)
@given(
    machines=st.lists(st.tuples(_SPAN, st.lists(_FOUND, max_size=3)), max_size=5),
    scores=st.lists(
        st.tuples(st.sampled_from("VWX"), st.integers(0, 10), st.integers(0, 200), st.integers(0, 60)), max_size=6
    ),
    cut=st.integers(0, 250),
)
def test_a_risk_report_about_a_window_after_the_cut_stays_the_same(
    tmp_path_factory: pytest.TempPathFactory, machines: list[Any], scores: list[Any], cut: int
) -> None:
    """Every figure, the naive model that never forgets the dead too; pruned twice."""
    path = tmp_path_factory.mktemp("risk") / "l.db"
    told = [said("score", vulnerability="V", source="cvss", value="5", validFrom=rfc(0), recordedAt=rfc(0))]
    for number, ((born, lived), found) in enumerate(machines):
        died = None if lived is None else born + lived
        told.append(instance(f"M{number}", born, died, died or born))
        for name, after, length, retracted in found:
            began = born + after
            until = None if length is None else rfc(began + length)
            closed = "retracted" if retracted else "patched" if until else ""
            told.append(
                said(
                    "presence", uid=f"M{number}", vulnerability=name, from_=rfc(began), to=until, closed=closed,
                    recordedAt=rfc(max(began, 0)),
                )
            )  # fmt: skip
    for name, value, valid, late in scores:
        told.append(
            said(
                "score", vulnerability=name, source="cvss", value=str(value), validFrom=rfc(valid),
                recordedAt=rfc(valid + late),
            )
        )  # fmt: skip
    importing.load(path, parsed(*told), cluster="c")
    windows = [(cut, cut + 1), (cut, 400), (cut + 30, 300)]
    before = [_report(path, *window) for window in windows]
    for until in (cut // 2, cut):
        removal.prune(path, cut=at(until), keep="1d", by="x", at=at(1000), cluster="c")
    assert [_report(path, *window) for window in windows] == before
    assert answer("ledger", "verify", "--ledger", path, "--deep")["sound"]


@pytest.mark.cluster
async def test_the_cluster_says_who_acts(admin: Person, file: Path) -> None:
    done = await admin.call("ledger", "hold", "add", "case-7", "--instance", "A", "--reason", "r", "--ledger", file)
    assert done.stdout.startswith("held as case-7")
    (held,) = await admin.answer("ledger", "hold", "list", "--ledger", file)
    assert held["by"] and "said by" not in held["by"]


@pytest.mark.cluster
async def test_an_anchor_in_the_cluster_stands_beside_what_the_operator_notes(
    admin: Person, cluster: Cluster, file: Path, tmp_path: Path
) -> None:
    """Made where there is none, so that an operator can read it; where there is one, its own keys stay."""
    anchor = ("ledger", "anchor", "--ledger", file, "--config-map", "--namespace", "default")

    async def noted() -> dict[str, str]:
        found = await cluster.client.get(resources.CONFIG_MAPS, marks.LEDGER_HEAD, namespace="default")
        assert found is not None
        return dict(found["data"])

    await admin.call(*anchor)
    first = await noted()
    read = await anchoring.read(cluster.client, "default")
    assert ([one.seq for one in read], first["seq"]) == ([15, 15], "15")
    await asyncio.to_thread(importing.load, file, parsed(*life("D", 90, None)), cluster="c")
    await admin.call(*anchor)
    second = await noted()
    assert {**second, "anchor": ""} == {**first, "anchor": ""}
    (tmp_path / "head.json").write_text(second["anchor"])
    done = await admin.call("ledger", "verify", "--ledger", file, "--anchor", tmp_path / "head.json")
    assert "is sound: 20 entries" in done.stdout
    await anchoring.remove(cluster.client, "default")


def test_a_chain_without_a_name_is_named_by_an_empty_word(file: Path) -> None:
    """Given, it is that one; not given, or a variable that is empty, it is all of them, or the only one."""
    importing.load(file, parsed(*life("X", 0, 50), *life("Y", 0, None)), cluster="")
    told = call("ledger", "export", "--ledger", file, code=2).stderr
    assert "Say which by --cluster NAME: '' (the one without a name), c." in told
    nameless = call("ledger", "export", "--ledger", file, "--cluster", "").stdout.splitlines()
    assert {json.loads(one)["entry"]["cluster"] for one in nameless} == {""}
    assert call("ledger", "export", "--ledger", file, code=2, env={"EXUVIA_CLUSTER": ""}).stderr == told
    named = call("ledger", "export", "--ledger", file, env={"EXUVIA_CLUSTER": "c"}).stdout
    assert json.loads(named.splitlines()[0])["entry"]["cluster"] == "c"
    both = call("ledger", "verify", "--ledger", file, env={"EXUVIA_CLUSTER": ""}).stdout
    assert f"{file}, the chain without a name, is sound: " in both and f"{file}, the chain of c, is sound: " in both
    assert [one["cluster"] for one in answer("ledger", "verify", "--ledger", file)["chains"]] == ["", "c"]
    prune = ("ledger", "prune", "--ledger", file, "--keep", "100d", *PERSON)
    pruned = answer(*prune, "--cluster", "")
    assert (pruned["cluster"], pruned["entries"]) == ("", 5), "of that chain alone"
    lines = call("ledger", "prune", "--ledger", file, "--keep", "100d", "--dry-run").stdout.splitlines()
    assert [one.split(": ")[0] for one in lines] == ["the chain without a name", "the chain of c"]
    hold = ("ledger", "hold", "add", "case", "--instance", "Y", "--reason", "r", *PERSON, "--ledger", file)
    call(*hold, "--cluster", "")
    assert '"kind"' not in call("ledger", "export", "--ledger", file, "--cluster", "c").stdout
    last = call("ledger", "export", "--ledger", file, "--cluster", "").stdout.splitlines()[-1]
    assert json.loads(last)["entry"]["type"] == "hold"
    facts = file.parent / "more.ndjson"
    facts.write_text("\n".join(life("Z", 0, 50)))
    before = answer("ledger", "verify", "--ledger", file, "--cluster", "c")["entries"]
    call("ledger", "import", facts, "--ledger", file, "--cluster", "")
    assert answer("ledger", "verify", "--ledger", file, "--cluster", "c")["entries"] == before
    refused = call("ledger", "import", facts, "--ledger", file, env={"EXUVIA_CLUSTER": ""}, code=2).stderr
    assert "several chains. Say which by --cluster NAME: '' (the one without a name), c." in refused


def test_one_chain_is_not_missed_by_the_word_for_one_without_a_name(file: Path) -> None:
    told = call("ledger", "verify", "--ledger", file, "--cluster", "", code=2).stderr
    assert told == "error: The ledger has no chain without a name. Its chains: c.\n"
