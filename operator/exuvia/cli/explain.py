"""`exuvia explain INSTANCE`: rules and who wins, every brake, pods and budgets in the way, and what to change."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from exuvia.app.concluding import conclusion
from exuvia.app.explaining import explain
from exuvia.app.explanations import BrakeAnswer, Explanation, PodInTheWay
from exuvia.app.snapshot import gather
from exuvia.cli import cluster, printing
from exuvia.model.findings import Assessment, Finding, Verdict, Wish
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from exuvia.report.text import Rows


@click.command("explain")
@click.argument("instance")
@click.option(
    "--all", "everything", envvar="EXUVIA_ALL", is_flag=True, help="Show the brakes that do not hold as well."
)
@click.option("--simulated-cloud", default="", metavar="URL", help="The simulated cloud that the operator was given.")
@click.option(
    "--ledger",
    envvar="EXUVIA_LEDGER",
    default="",
    metavar="FILE",
    help="The operator's ledger, a file or URL: licence seats and risk are read from it.",
)
@cluster.cluster_options
@printing.output_option
def explain_(
    instance: str,
    kubeconfig: str,
    context: str,
    everything: bool,
    simulated_cloud: str,
    ledger: str,
    output: str,
) -> None:
    """Say why a machine is, or is not, rotated or quarantined, and which field to change.

    It is computed here, from a fresh look at the cluster, by the engine that the operator runs. Brakes that do not hold
    are counted only; --all, json and yaml show them. Licence seats and risk are not known without --ledger. Exit code 1
    when the machine does not comply, cannot be judged, or an operation of it is open.
    """
    snapshot = cluster.run(
        kubeconfig,
        context,
        lambda client: gather(client, instance, simulated_cloud=simulated_cloud, ledger=ledger),
    )
    found = explain(snapshot)
    if output == "table":
        printing.say(_headline(found))
        printing.say(f"{conclusion(found)}\n")
    printing.show(_sections(found, everything=everything), _data(found), output)
    if output == "table":
        printing.say(_folded(found, everything=everything), nl=False)
        for note in found.notes:
            printing.say(f"note: {note}")
    complies = found.verdict not in (Verdict.VIOLATING, Verdict.UNKNOWN)
    printing.finish(findings=not complies or bool(found.operations) or bool(found.unusable))


def _headline(found: Explanation) -> str:
    one = found.instance
    where = f"pool {one.pool or '(none)'}, zone {one.zone or '(none)'}"
    age = printing.since(one.born, found.taken)
    return f"{one.kind} {one.name} ({one.uid}), {where}, {age} old: {found.verdict or 'selected by no policy'}"


def _folded(found: Explanation, *, everything: bool) -> str:
    """What the table of brakes leaves out."""
    free = len(found.brakes) - len(found.holding)
    if everything or not free:
        return ""
    if not found.holding:
        return f"\nNone of {printing.count(free, 'brake')} holds it (--all shows them).\n"
    does = "does not hold it and is" if free == 1 else "do not hold it and are"
    return f"\n{printing.count(free, 'other brake')} {does} not shown (--all shows them).\n"


def _sections(found: Explanation, *, everything: bool) -> list[tuple[str, Rows]]:
    kind = found.started.KIND if found.started else found.kind
    what = f"BRAKES OF THE {kind.upper()}" if found.started else f"BRAKES ON THE START OF A {kind.upper()}"
    return [
        ("OPERATIONS", _operations(found)),
        ("RULES", _rules(found)),
        (what, _brakes(found.brakes if everything else found.holding)),
        ("PODS IN THE WAY", _pods(found)),
        ("SETTINGS IT HAS" if found.started else "SETTINGS IT WOULD GET", _settings(found)),
    ]


def _operations(found: Explanation) -> Rows:
    rows = tuple((one.KIND, one.name, str(one.status.phase), _held(one)) for one in found.operations)
    return Rows(headings=("KIND", "NAME", "PHASE", "HELD BY"), rows=rows)


def _held(one: Rotation | Quarantine) -> str:
    held = one.status.blocked
    return printing.one_line(f"{held.reason}: {held.message}") if held else ""


def _rules(found: Explanation) -> Rows:
    rows = [
        (
            name,
            one.rule,
            str(one.result),
            str(one.severity),
            str(one.action),
            _winner(found, assessment, one),
            printing.one_line(one.message),
        )
        for name, assessment in sorted(found.judgement.assessments.items())
        for one in assessment.findings
    ]
    rows += [(name, "", "unusable", "", "", "", printing.one_line(why)) for name, why in found.unusable]
    return Rows(headings=("POLICY", "RULE", "RESULT", "SEVERITY", "ACTION", "WINS", "MESSAGE"), rows=tuple(rows))


def _winner(found: Explanation, assessment: Assessment, one: Finding) -> str:
    for wish, word in ((found.wish, "yes"), (found.would, "in Audit")):
        if wish is not None and (wish.policy, wish.rule) == (assessment.policy, one.rule):
            return word
    return ""


def _brakes(brakes: Sequence[BrakeAnswer]) -> Rows:
    rows = tuple(
        (
            one.title,
            "yes" if one.holds else "no",
            one.reason,
            "" if one.next is None else _time(one.next),
            one.change,
            printing.one_line(one.message),
        )
        for one in brakes
    )
    return Rows(headings=("BRAKE", "HOLDS", "REASON", "NEXT TRY", "TO CHANGE", "MESSAGE"), rows=rows)


def _pods(found: Explanation) -> Rows:
    rows = tuple(
        (
            one.judged.pod.key,
            str(one.judged.lot),
            ", ".join(budget.key for budget in one.budgets),
            printing.one_line(one.held_by),
        )
        for one in found.pods
    )
    return Rows(headings=("POD", "WHAT BECOMES OF IT", "PDB", "HELD BY"), rows=rows)


def _settings(found: Explanation) -> Rows:
    rows: list[tuple[str, str]] = [
        ("(from)", _lender(found)),
        ("provider", found.settings.provider or found.provider.problem),
    ]
    for part in ("rotation", "drain", "quarantine"):
        value = getattr(found.settings, part)
        if value is not None:
            rows += [(f"{part}.{key}", _short(inner)) for key, inner in value.wire().items() if key != "provider"]
    return Rows(headings=("FIELD", "VALUE"), rows=tuple(rows))


def _lender(found: Explanation) -> str:
    """Whose settings they are: those of a policy that selects it count only while that one wants something of it."""
    if found.started is not None:
        return f"{found.started.KIND} {found.started.name}, as they were when it started"
    winner = found.wish or found.would
    if winner is not None:
        return f"policy {winner.policy}, by its rule {winner.rule}"
    return "the defaults: no policy wants anything of it now, and only one that does lends its settings"


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_short(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return "; ".join(_short(inner) for inner in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _data(found: Explanation) -> dict[str, Any]:
    one = found.instance
    return {
        "instance": {
            "kind": str(one.kind),
            "name": one.name,
            "uid": one.uid,
            "providerID": one.provider_id,
            "pool": one.pool,
            "zone": one.zone,
            "born": _time(one.born),
        },
        "verdict": str(found.verdict) if found.verdict else None,
        "conclusion": conclusion(found),
        "policies": [_assessment(found, name, said) for name, said in sorted(found.judgement.assessments.items())],
        "unusable": [{"policy": name, "message": why} for name, why in found.unusable],
        "winner": _wish(found.wish),
        "wouldWin": _wish(found.would),
        "operations": [
            {"kind": each.KIND, "name": each.name, "phase": str(each.status.phase), "heldBy": _held(each) or None}
            for each in found.operations
        ],
        "start": found.kind,
        "brakes": [_brake(each) for each in found.brakes],
        "pods": [_pod(each) for each in found.pods] if found.pods_known else None,
        "settings": found.settings.wire(),
        "settingsFrom": _lender(found),
        "provider": {"name": found.provider.name or None, "problem": found.provider.problem or None},
        "nextTry": None if found.next is None else _time(found.next),
        "leader": found.leads or None,
        "idle": found.idle or None,
        "notes": list(found.notes),
    }


def _assessment(found: Explanation, name: str, said: Assessment) -> dict[str, Any]:
    return {
        "policy": name,
        "verdict": str(said.verdict),
        "rules": [
            {
                "rule": one.rule,
                "result": str(one.result),
                "severity": str(one.severity),
                "action": str(one.action),
                "message": one.message,
                "wins": bool(_winner(found, said, one)),
            }
            for one in said.findings
        ],
    }


def _wish(wish: Wish | None) -> dict[str, Any] | None:
    if wish is None:
        return None
    return {
        "policy": wish.policy,
        "rule": wish.rule,
        "action": str(wish.action),
        "severity": str(wish.severity),
        "message": wish.message,
    }


def _brake(one: BrakeAnswer) -> dict[str, Any]:
    return {
        "brake": one.title,
        "holds": one.holds,
        "reason": one.reason or None,
        "message": one.message or None,
        "change": one.change or None,
        "next": None if one.next is None else _time(one.next),
    }


def _pod(one: PodInTheWay) -> dict[str, Any]:
    return {
        "pod": one.judged.pod.key,
        "uid": one.judged.pod.uid,
        "lot": str(one.judged.lot),
        "reason": str(one.judged.reason) if one.judged.reason else None,
        "heldBy": one.held_by or None,
        "budgets": [
            {"name": each.key, "allowed": each.allowed, "healthy": each.healthy, "desired": each.desired}
            for each in one.budgets
        ],
    }


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
