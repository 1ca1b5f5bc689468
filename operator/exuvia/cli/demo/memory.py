"""What the ledger knows of machines that are gone: what was on them, how risky they really were, whose seats they held.

A scanner's report is simulated: nothing scans here. What exuvia makes of it is not.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from exuvia import errors
from exuvia.cli.demo import stage
from exuvia.cli.demo.narrator import Narrator
from exuvia.cli.demo.stage import Stage
from exuvia.model import resources
from exuvia.model.facts import text
from exuvia.model.specs.rotation import Rotation

VULNERABILITY = "CVE-2026-1000"
AT_FIRST, RAISED = 5.0, 9.8
SEATS = 13
"""As in manifests/seats.yaml."""
RETURNED_WITHIN = 5.0
"""Seconds from the death of a machine to the return of its seat."""

_WINDOW = ("--from", "1h")

Run = Callable[..., subprocess.CompletedProcess[str]]
"""`exuvia ...` as a person would run it."""


def scan(place: Stage) -> None:
    """What a scanner would say of the web server's image, before anything is rotated."""
    plane = place.plane
    plane.kubectl("apply", "-f", "-", stdin=stage.text("scanner.yaml"))
    plane.kubectl("wait", "--for=condition=Established", f"crd/{resources.VULNERABILITY_REPORTS.full_name}")
    owners = json.loads(plane.kubectl("get", "replicasets", "-n", "shop", "-o", "json"))["items"]
    owner = next(one["metadata"] for one in owners if one["metadata"]["name"].startswith("web-"))
    plane.kubectl("apply", "-f", "-", stdin=json.dumps(_report(owner["name"], owner["uid"])))


def _report(owner: str, uid: str) -> dict[str, Any]:
    resource = {"kind": "ReplicaSet", "name": owner, "namespace": "shop"}
    reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": uid}
    labels = {f"trivy-operator.resource.{key}": value for key, value in resource.items()}
    found = {"vulnerabilityID": VULNERABILITY, "severity": "MEDIUM", "score": AT_FIRST}
    return {
        "apiVersion": resources.VULNERABILITY_REPORTS.api_version,
        "kind": "VulnerabilityReport",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "labels": {**labels, "trivy-operator.container.name": "web"},
            "ownerReferences": [reference],
        },
        "report": {
            "updateTimestamp": text(datetime.now(UTC)),
            "artifact": {"repository": "web"},
            "vulnerabilities": [{**found, "publishedDate": "2026-01-01T00:00:00Z"}],
        },
    }


def tell(place: Stage, narrator: Narrator, run: Run, first: Rotation | None) -> None:
    """The score is raised after machines with it are gone; then the ledger is asked. Raises `errors.ExuviaError`."""
    now = text(datetime.now(UTC))
    score = {"type": "score", "vulnerability": VULNERABILITY, "source": "nvd", "value": RAISED, "basis": "threat"}
    facts = place.plane.folder / "raised.ndjson"
    facts.write_text(json.dumps({**score, "validFrom": now}) + "\n", encoding="utf-8")
    _show(narrator, run, "ledger", "import", str(facts), "--ledger", str(place.ledger))
    narrator.say(f"{VULNERABILITY} was {AT_FIRST} while they lived; now it is exploited, and {RAISED}")
    found = report(place, run)
    if first is None or found is None:
        raise errors.LedgerError("The ledger tells of no machine that was rotated.", remedy=f"See {place.log}.")
    exposure, naive = found["exposure"], found["naive"]
    narrator.say(f"score-hours as it really was {exposure['now']:.2f}, and as was known then {exposure['then']:.2f};")
    said = f"today's score for all of the past would say {naive['rescore']:.2f}"
    narrator.say(f"{said}, dead machines never closed {naive['undead']:.2f}, living ones only {naive['liveOnly']:.2f}")
    _show(narrator, run, *_who(place, first), lines=3)
    _show(narrator, run, "license", "status")


def judge(place: Stage, run: Run, first: Rotation | None) -> Iterator[tuple[str, bool]]:
    """Every claim of this part with its answer, from the ledger alone."""
    name = first.spec.instance.name if first else "the machine that was rotated first"
    yield f"{name} is remembered: one machine, and exuvia rotated it", first is not None and _known(place, run, first)
    yield "a score raised today counts for no machine that was gone before", _in_order(report(place, run))
    deaths = {one["body"]["uid"]: one["at"] for one in _entries(place, run, "death")}
    seats = [(one["at"], one["body"]) for one in _entries(place, run, "seat")]
    yield f"every seat of a dead machine was back within {RETURNED_WITHIN:g} s", _back(deaths, seats)
    yield "no seat was held twice, and never more than there are", 0 < _most(seats) <= SEATS


def report(place: Stage, run: Run) -> dict[str, Any] | None:
    """The risk report of the last hour; None where the ledger does not answer yet."""
    done = run("risk", "report", *_WINDOW, "--ledger", str(place.ledger), "-o", "json")
    return dict(json.loads(done.stdout)) if done.returncode == 0 else None


def _in_order(found: dict[str, Any] | None) -> bool:
    """Whether what really was is less than what today's score says of it, and that less than if nobody ever died."""
    if found is None:
        return False
    return bool(0 < found["exposure"]["now"] < found["naive"]["rescore"] < found["naive"]["undead"])


def _known(place: Stage, run: Run, one: Rotation) -> bool:
    who = json.loads(run(*_who(place, one), "-o", "json").stdout or "{}")
    return [(found["uid"], found["reason"]) for found in who.get("instances", ())] == [
        (one.spec.instance.uid, "exuvia")
    ]


def _who(place: Stage, one: Rotation) -> tuple[str, ...]:
    began = one.status.started_at
    moment = f"{began:%Y-%m-%dT%H:%M:%SZ}" if began else "1m"
    return ("ledger", "who", "--name", one.spec.instance.name, "--at", moment, "--ledger", str(place.ledger))


def _entries(place: Stage, run: Run, kind: str) -> list[dict[str, Any]]:
    asked = ("ledger", "query", "--kind", kind, "--limit", "0", "--ledger", str(place.ledger), "-o", "json")
    return list(json.loads(run(*asked).stdout or "[]"))


def _back(deaths: dict[str, str], seats: list[tuple[str, dict[str, Any]]]) -> bool:
    """Whether each machine that died gave its seat back in time."""
    granted = {body["instance"] for _, body in seats if body["event"] == "granted"}
    back = {body["instance"]: at for at, body in seats if body["event"] == "returned"}
    dead = granted & set(deaths)
    if not dead or not dead <= set(back):
        return False
    took = [datetime.fromisoformat(back[uid]) - datetime.fromisoformat(deaths[uid]) for uid in dead]
    return max(took).total_seconds() <= RETURNED_WITHIN


def _most(seats: list[tuple[str, dict[str, Any]]]) -> int:
    """How many seats were held at most; 99 where one was given twice."""
    held: set[str] = set()
    most = 0
    for _, body in seats:
        if body["event"] == "granted":
            if body["instance"] in held:
                return 99
            held.add(body["instance"])
            most = max(most, len(held))
        elif body["event"] == "returned":
            held.discard(body["instance"])
    return most


def _show(narrator: Narrator, run: Run, *command: str, lines: int = 4) -> None:
    narrator.say("$ exuvia " + " ".join(command))
    done = run(*command)
    for line in (done.stdout or done.stderr).strip().splitlines()[:lines]:
        narrator.say(line)
