"""`exuvia ledger who | query | dead-letters` where the ledger holds several clusters, and where a question is odd."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exuvia.cli import querying
from exuvia.model import facts
from exuvia.record import importing, lines
from tests.cli.calling import answer, call
from tests.record import world
from tests.record.world import at

LEARNT = facts.microseconds(datetime(2026, 1, 2, tzinfo=UTC))
THEN = "2026-01-01T00:30:00Z"


def life(uid: str, name: str, address: str) -> list[dict[str, object]]:
    said = {"kind": "Node", "name": name, "pool": "p", "born": "2026-01-01T00:00:00Z", "died": "2026-01-01T01:00:00Z"}
    return [
        {"type": "instance", "uid": uid, **said, "addresses": [address]},
        {"type": "session", "uid": uid, "user": f"user-{uid}", "from": "2026-01-01T00:05:00Z"},
        {"type": "session", "uid": uid, "user": "late", "from": "2026-01-01T00:05:00Z", "to": "2025-01-01T00:00:00Z"},
    ]


def load(file: Path, cluster: str, *told: dict[str, object]) -> None:
    importing.load(file, [lines.of(one, recorded=LEARNT) for one in told], cluster=cluster)


@pytest.fixture
def one(tmp_path: Path) -> Path:
    load(tmp_path / "one.db", "berlin", *life("B", "worker-1", "FD00:0:0::7"))
    return tmp_path / "one.db"


@pytest.fixture
def both(one: Path) -> Path:
    load(one, "", *life("N", "worker-1", "10.0.0.7"))
    return one


def test_each_machine_says_of_which_cluster_it_is(both: Path) -> None:
    who = ("ledger", "who", "--ledger", both, "--name", "worker-1", "--at", THEN)
    found = answer(*who)
    assert found["answer"] == "several"
    assert [(each["uid"], each["cluster"]) for each in found["instances"]] == [("B", "berlin"), ("N", "")]
    said = call(*who).stdout
    assert "several machines for name worker-1" in said
    assert "--cluster asks of one alone: '' (the one without a name), berlin" in said
    assert [line.split()[:3] for line in said.splitlines()[1:4]] == [
        ["CLUSTER", "NAME", "UID"],
        ["berlin", "worker-1", "B"],
        ["-", "worker-1", "N"],
    ]
    told = [line.split()[:2] for line in said.splitlines()]
    assert ["B", "user-B"] in told and ["N", "user-N"] in told, "told apart"


def test_one_cluster_alone_is_asked_also_the_one_without_a_name(both: Path) -> None:
    who = ("ledger", "who", "--ledger", both, "--name", "worker-1", "--at", THEN)
    for named, uid, words in (("berlin", "B", "in cluster berlin"), ("", "N", "in the chain without a name")):
        (found,) = answer(*who, "--cluster", named)["instances"]
        assert (found["uid"], found["cluster"], found["certainty"]) == (uid, named, "certain")
        assert f"one machine for name worker-1 at {THEN} {words}" in call(*who, "--cluster", named).stdout
    refused = call(*who, "--cluster", "bonn", code=2).stderr
    assert "no chain of bonn. Its chains: '' (the one without a name), berlin." in refused
    assert answer(*who, env={"EXUVIA_CLUSTER": ""})["answer"] == "several", "an empty variable names nothing"
    assert answer(*who, env={"EXUVIA_CLUSTER": "berlin"})["instances"][0]["uid"] == "B"


def test_who_bore_it_last_is_of_that_cluster_too(both: Path) -> None:
    gone = ("ledger", "who", "--ledger", both, "--ip", "10.0.0.7")
    assert answer(*gone)["former"]["cluster"] == ""
    assert answer(*gone, "--cluster", "") == answer(*gone)
    assert answer(*gone, "--cluster", "berlin") == {"answer": "none", "instances": []}


def test_what_a_pod_ran_on_last(one: Path) -> None:
    pod = {"type": "placement", "uid": "B", "namespace": "shop", "pod": "cart-1"}
    ended = {"from": "2026-01-01T00:10:00Z", "to": "2026-01-01T00:20:00Z"}
    load(one, "berlin", {**pod, "podUid": "P1", **ended}, {**pod, "podUid": "P2", "from": "2026-01-01T00:40:00Z"})
    who = ("ledger", "who", "--ledger", one, "--pod", "shop/cart-1")
    spans = []
    for when in ("2026-01-01T00:05:00Z", "2026-01-01T00:30:00Z", "2026-01-01T00:50:00Z", "2026-01-02T00:00:00Z"):
        former = answer(*who, "--at", when).get("former", {})
        spans.append((former.get("uid"), former.get("from", "")[11:16], former.get("to", "")[11:16]))
    assert spans == [(None, "", ""), ("B", "00:10", "00:20"), (None, "", ""), ("B", "00:40", "01:00")]
    said = call(*who).stdout
    assert "it ran on worker-1 (B) from 2026-01-01T00:40:00Z until 2026-01-01T01:00:00Z" in said
    assert "former" not in answer(*who[:-1], "shop/other")


def test_with_one_cluster_there_is_no_column(one: Path) -> None:
    for command in (("who", "--name", "worker-1", "--at", THEN), ("query",)):
        assert "CLUSTER" not in call("ledger", *command, "--ledger", one).stdout
    assert "CLUSTER" not in call("ledger", "dead-letters", "--ledger", one, code=1).stdout
    (found,) = answer("ledger", "who", "--name", "worker-1", "--at", THEN, "--ledger", one)["instances"]
    assert found["cluster"] == "berlin", "data always say it"


def test_entries_by_cluster(both: Path) -> None:
    query = ("ledger", "query", "--ledger", both)
    assert [(each["cluster"], each["seq"]) for each in answer(*query)] == [
        ("berlin", 1), ("berlin", 2), ("", 1), ("", 2),
    ]  # fmt: skip
    said = call(*query, "--limit", 0).stdout.splitlines()
    assert said[0].split() == ["CLUSTER", "SEQ", "AT", "KIND", "WHAT"] and len(said) == 5
    assert [each["body"]["uid"] for each in answer(*query, "--cluster", "", "--kind", "instance")] == ["N"]
    assert call(*query, "--cluster", "").stdout.splitlines()[0].split() == ["SEQ", "AT", "KIND", "WHAT"]
    assert "B, N" in call(*query, "--instance", "worker-1", code=2).stderr
    mine = answer(*query, "--instance", "worker-1", "--cluster", "berlin")
    assert [each["type"] for each in mine] == ["instance", "session"] and mine[1]["body"]["user"] == "user-B"
    assert "no chain of bonn" in call(*query, "--cluster", "bonn", code=2).stderr
    assert "not both" in call(*query, "--instance", "B", "--operation", "O", code=2).stderr
    assert "x>=0" in call(*query, "--limit", -1, code=2).stderr


def test_moments_in_a_table_are_written_as_moments() -> None:
    moment = facts.microseconds(datetime(2026, 1, 1, 0, 0, 0, 995322, tzinfo=UTC))
    said = querying.words({"heard": moment, "notBefore": moment, "order": moment, "due": None, "since": "a year"})
    told = "2026-01-01T00:00:00.995322Z"
    assert said == f'heard={told} notBefore={told} order={moment} since="a year"'


def test_entries_of_the_last_days(both: Path) -> None:
    assert answer("ledger", "query", "--ledger", both, "--since", "1d") == []
    assert len(answer("ledger", "query", "--ledger", both, "--since", "99999d", "--limit", 0)) == 4
    assert call("ledger", "query", "--ledger", both, "--since", "1d").stdout == "no entry\n"
    assert "names no zone" in call("ledger", "query", "--ledger", both, "--since", "2026-01-01", code=2).stderr


@pytest.mark.parametrize("form", ["table", "json", "yaml"])
def test_whoever_reads_no_further_is_told_nothing(one: Path, form: str) -> None:
    """`| head`: the pipe is closed while the ledger is read."""
    load(one, "berlin", *(each for uid in range(2000) for each in life(f"U{uid}", "w" * 50, "10.0.0.8")[:1]))
    command = [sys.executable, "-m", "exuvia.cli.main", "ledger", "query", "--limit", "0", "-o", form, "--ledger", one]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None and running.stderr is not None
        assert running.stdout.readline()
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait() == 141, "no finding, and no error"


def test_a_command_whose_output_is_closed_prints_nothing_and_ends_well(one: Path) -> None:
    """`>&-`: there is nowhere to print to, which is no trouble."""
    load(one, "berlin", *life("U1", "w", "10.0.0.8"))
    command = f'"{sys.executable}" -m exuvia.cli.main ledger verify --ledger "{one}" >&-'
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [("ledger", "export"), ("ledger", "query", "--limit", "0")])
def test_an_output_that_cannot_be_written_is_said(one: Path, words: tuple[str, ...], unbuffered: str) -> None:
    command = [sys.executable, "-m", "exuvia.cli.main", *words, "--ledger", one]
    told = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=told)
    said = "error: The output, or a temporary file, cannot be written: No space left on device. Free room where it goes"
    assert done.returncode == 2 and done.stderr.startswith(said) and done.stderr.count("\n") == 1


def test_another_file_is_not_only_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "facts.ndjson").write_text(json.dumps(life("A", "a", "10.0.0.7")[0]) * 9)
    said = call("ledger", "query", "--ledger", tmp_path / "facts.ndjson", code=2).stderr
    assert "is damaged, or it is another file: file is not a database. Name the right file by --ledger." in said
    assert "a running exuvia goes on by itself" in said


def test_an_address_is_asked_for_in_any_form_and_nothing_else_is_one(both: Path) -> None:
    who = ("ledger", "who", "--ledger", both, "--at", THEN, "--ip")
    for text in ("fd00::7", "FD00::0007", "fd00:0000:0:0:0:0:0:7"):
        assert [each["uid"] for each in answer(*who, text)["instances"]] == ["B"]
    assert [each["uid"] for each in answer(*who, "::ffff:10.0.0.7")["instances"]] == ["N"]
    for text in ("worker-1", "10.0.0.777", "10.0.0.0/8", "fd00:::7"):
        said = call(*who, text, code=2).stderr
        assert f"'{text}' is no IP address. Write one like 10.0.0.7 or fd00::7" in said and "--name" in said


@pytest.mark.parametrize("pod", ["cart-1", "/cart-1", "shop/", "a/b/c"])
def test_what_names_no_pod(one: Path, pod: str) -> None:
    assert "names no pod. Write NAMESPACE/NAME." in call("ledger", "who", "--ledger", one, "--pod", pod, code=2).stderr


@pytest.mark.parametrize("command", [("who", "--name"), ("query", "--instance"), ("query", "--operation")])
def test_what_is_no_text_is_no_question(one: Path, command: tuple[str, ...]) -> None:
    """As a shell passes bytes on that are no UTF-8."""
    said = call("ledger", command[0], "--ledger", one, command[1], "\udcff", code=2).stderr
    assert r"'\udcff' is no text of UTF-8. Write it in UTF-8." in said


def test_a_moment_after_what_counts_is_said_to_be_unknown(one: Path) -> None:
    who = ("ledger", "who", "--ledger", one, "--name", "worker-1")
    late = (*who, "--as-of", "2026-01-02T00:00:00Z", "--at", "2026-01-02T00:00:01Z")
    found = answer(*late)
    assert (found["answer"], found["instances"], "former" in found) == ("none", [], False)
    assert "2026-01-02T00:00:01Z is after 2026-01-02T00:00:00Z, the --as-of" in found["because"]
    said = call(*late).stdout
    assert said.startswith("none: 2026-01-02T00:00:01Z is after") and "with a later --as-of" in said
    assert (
        "2099-01-01T00:00:00Z is still to come, and nothing is known of it"
        in call(*who, "--at", "2099-01-01T00:00:00Z").stdout
    )


def test_as_of_a_moment_asks_about_that_moment(tmp_path: Path) -> None:
    file = tmp_path / "l.db"
    told = {"type": "instance", "uid": "A", "name": "a", "born": "2026-01-01T00:00:00Z"}
    gone = {**told, "died": "2026-01-01T01:00:00Z", "recordedAt": "2026-01-01T02:00:00Z"}
    load(file, "c", {**told, "recordedAt": "2026-01-01T00:00:00Z"}, gone)
    who = ("ledger", "who", "--ledger", file, "--name", "a")
    for when, known in ((THEN, "one"), ("2026-01-01T01:30:00Z", "one"), ("2026-01-01T02:00:00Z", "none")):
        assert answer(*who, "--as-of", when)["answer"] == known


def test_nothing_is_asked_as_of_a_moment_to_come(one: Path) -> None:
    said = call("ledger", "who", "--ledger", one, "--name", "a", "--as-of", "2099-01-01T00:00:00Z", code=2).stderr
    assert "--as-of 2099-01-01T00:00:00Z is still to come" in said


def test_an_end_that_nobody_watched_is_shown_as_an_interval(tmp_path: Path) -> None:
    unsure = life("A", "worker-1", "10.0.0.7")[0] | {"notBefore": "2026-01-01T00:20:00Z"}
    load(tmp_path / "l.db", "", unsure, life("B", "worker-2", "10.0.0.8")[0])
    who = ("ledger", "who", "--ledger", tmp_path / "l.db", "--name")
    told = "between 2026-01-01T00:20:00Z and 2026-01-01T01:00:00Z"
    for when, sure in (("2026-01-01T00:10:00Z", "certain"), (THEN, "uncertain")):
        (found,) = answer(*who, "worker-1", "--at", when)["instances"]
        interval = {"notBefore": "2026-01-01T00:20:00Z", "died": "2026-01-01T01:00:00Z", "certainty": sure}
        assert found | interval == found
        assert f"{told}  {sure}" in call(*who, "worker-1", "--at", when).stdout
    (known,) = answer(*who, "worker-2", "--at", THEN)["instances"]
    assert known["notBefore"] is None
    assert "between" not in call(*who, "worker-2", "--at", THEN).stdout


def test_dead_letters_say_when_why_and_what(both: Path) -> None:
    asked = ("ledger", "dead-letters", "--ledger", both)
    found = answer(*asked, code=1)
    assert [(each["cluster"], each["reason"]) for each in found] == [
        ("berlin", "ended before it began"), ("", "ended before it began"),
    ]  # fmt: skip
    (last,) = answer(*asked, "--limit", 1, code=1)
    assert last == found[-1] and last["recorded"] == last["entry"]["recorded"]
    assert last["entry"]["type"] == "session"
    assert last["entry"]["body"] == {
        "uid": "N", "user": "late", "from": "2026-01-01T00:05:00Z", "to": "2025-01-01T00:00:00Z",
    }  # fmt: skip
    said = call(*asked, code=1).stdout.splitlines()
    assert said[0].split() == ["CLUSTER", "CAME", "IN", "KIND", "WHY", "WHAT"]
    assert said[1].startswith(
        f"berlin   {found[0]['recorded']}  session  ended before it began  from=2026-01-01T00:05:00Z"
    )
    assert "user=late" in said[1]


def test_dead_letters_by_cluster_and_time(both: Path, tmp_path: Path) -> None:
    asked = ("ledger", "dead-letters", "--ledger", both)
    assert [each["cluster"] for each in answer(*asked, "--cluster", "", code=1)] == [""]
    assert len(answer(*asked, "--since", "1d", code=1)) == 2
    assert answer(*asked, "--since", "0s") == []
    assert call(*asked, "--since", "0s").stdout == "no dead letter\n"
    assert "no chain of bonn" in call(*asked, "--cluster", "bonn", code=2).stderr
    facts_ = tmp_path / "facts.ndjson"
    facts_.write_text(json.dumps(life("X", "x", "10.0.0.9")[2]))
    call("ledger", "import", facts_, "--cluster", "bonn", "--ledger", both, code=1)
    assert [each["cluster"] for each in answer(*asked, "--cluster", "bonn", code=1)] == ["bonn"], "it has no chain yet"


def test_what_the_operator_could_not_enter_is_said_with_moments(tmp_path: Path) -> None:
    with world.written(
        tmp_path / "l.db", world.birth("A", 60), facts.death(uid="A", reason=facts.DeathReason.SPOT, at=at(0))
    ):
        pass
    (found,) = answer("ledger", "dead-letters", "--ledger", tmp_path / "l.db", code=1)
    assert found["reason"] == "died 2026-01-01T00:00:00Z before it was born 2026-01-01T01:00:00Z"
    assert (found["entry"]["type"], found["entry"]["at"]) == ("death", "2026-01-01T00:00:00Z")


@pytest.fixture
def busy(tmp_path: Path) -> Path:
    """A machine with more entries than are shown where nothing else is asked for."""
    born = {"type": "instance", "uid": "B", "name": "busy", "born": "2026-01-01T00:00:00Z"}
    began = "2026-01-01T00:05:00Z"
    pods = [{"type": "placement", "uid": "B", "podUid": f"P{number}", "from": began} for number in range(querying.LAST)]
    load(tmp_path / "busy.db", "berlin", born, *pods)
    return tmp_path / "busy.db"


@pytest.mark.parametrize("named", ["B", "busy"])
def test_the_whole_life_of_a_machine_is_never_cut(busy: Path, named: str) -> None:
    query = ("ledger", "query", "--ledger", busy, "--instance", named)
    done = call(*query, "-o", "json")
    found = json.loads(done.stdout)
    assert ([found[0]["type"], len(found)], done.stderr) == (["instance", querying.LAST + 1], "")
    done = call(*query, "--limit", 3, "-o", "json")
    assert (len(json.loads(done.stdout)), done.stderr) == (3, ""), "that was asked for"


@pytest.mark.parametrize("form", ["json", "yaml", "table"])
def test_that_older_entries_are_not_shown_is_said_beside_the_answer(busy: Path, form: str) -> None:
    query = ("ledger", "query", "--ledger", busy, "-o", form)
    told = "older entries are not shown, only the last 100 that fit; --limit 0 shows all\n"
    done = call(*query)
    assert done.stderr == told and "older" not in done.stdout
    assert [each["seq"] for each in answer(*query[:4])] == list(range(2, querying.LAST + 2)), "the last ones"
    for words in (("--limit", 0), ("--limit", 100), ("--kind", "placement")):
        assert call(*query, *words).stderr == ""
