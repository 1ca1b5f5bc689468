"""How the answer to `ledger who` is shown: none, one or several machines, what ran on them, who was on them, and what
was known of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exuvia.cli import printing, remembering
from exuvia.cli.portraying import Portrait
from exuvia.evaluate.risk.found import Found
from exuvia.record import naming
from exuvia.record.former import Former
from exuvia.record.knowing import QUARANTINE, Held, Identity
from exuvia.record.moments import moment
from exuvia.record.who import Bearer, Placement, Visit
from exuvia.report.text import Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was asked, and who bore it. `former` bore it last, where nobody does; `unknown` says why nothing can be
    said; `clusters`: the ledger holds several, so that people must be told of which each is; `pod`: it was asked what a
    pod ran on."""

    asked: str
    found: tuple[Portrait, ...] = ()
    former: Former | None = None
    unknown: str = ""
    clusters: bool = False
    pod: bool = False

    @property
    def word(self) -> str:
        """none, one or several."""
        return "none" if not self.found else "one" if len(self.found) == 1 else "several"


def show(answer: Answer, how: str) -> None:
    """As a table with a sentence first, or as data with `answer` and `instances`."""
    if how == "table":
        printing.say(_sentence(answer))
        if answer.former is not None:
            printing.say(_before(answer.former, pod=answer.pod))
    data: dict[str, Any] = {"answer": answer.word, "instances": [_instance(one) for one in answer.found]}
    if answer.former is not None:
        data["former"] = _former(answer.former)
    if answer.unknown:
        data["because"] = answer.unknown
    printing.show(_tables(answer), data, how)


def _sentence(answer: Answer) -> str:
    if answer.unknown:
        return f"none: {answer.unknown}"
    if answer.word == "none":
        return f"none: no machine is known for {answer.asked}"
    if answer.word == "one":
        return f"one machine for {answer.asked}"
    told = sorted({one.bearer.cluster for one in answer.found})
    way = f"; --cluster asks of one alone: {naming.listed(told)}" if len(told) > 1 else ""
    return f"several machines for {answer.asked}: which one it was cannot be told{way}"


def _before(former: Former, *, pod: bool) -> str:
    began, ended = _time(former.began), _time(former.ended)
    one = f"{former.name} ({former.uid})"
    did = f"it ran on {one}" if pod else f"{one} bore it"
    return f"{did} from {began} until {ended}; ask for a moment of that time by --at, as --at {began}"


def _former(one: Former) -> dict[str, Any]:
    return {"uid": one.uid, "name": one.name, "cluster": one.cluster, "from": _time(one.began), "to": _time(one.ended)}


def _tables(answer: Answer) -> list[tuple[str, Rows]]:
    found = tuple(one.bearer for one in answer.found)
    lives = tuple((one.name, one.uid, _time(one.born), _died(one), one.certainty, one.reason) for one in found)
    machines = Rows(headings=("NAME", "UID", "BORN", "DIED", "CERTAINTY", "DEATH"), rows=lives)
    placed = ("POD", "SERVICE ACCOUNT", "OWNER", "FROM", "TO")
    return [
        ("", _with_clusters(machines, found) if answer.clusters else machines),
        _about(answer, placed, _placements),
        _about(answer, ("USER", "FROM", "TO"), _sessions),
        _about(answer, ("IDENTITY", "VALUE"), _identities),
        _about(answer, ("OPERATION", "NAME", "POLICY", "FROM", "FROZEN SINCE"), _operations),
        _about(answer, ("POLICY", "VERDICT", "SEVERITY", "SINCE"), _verdicts),
        _about(answer, ("VULNERABILITY", "SCORE", "SOURCE", "FROM"), _vulnerabilities),
    ]


def _died(one: Bearer) -> str:
    """When, or within which interval where nobody watched."""
    died = _time(one.died)
    return died if one.not_before is None else f"between {_time(one.not_before)} and {died}"


_Lines = Iterator[tuple[str, ...]]


def _about(answer: Answer, headings: tuple[str, ...], lines: Callable[[Portrait], _Lines]) -> tuple[str, Rows]:
    """One table of all machines; each line says on which one it was."""
    rows = tuple((_on(one.bearer, answer), *line) for one in answer.found for line in lines(one))
    return "", Rows(headings=("ON", *headings), rows=rows)


def _placements(one: Portrait) -> _Lines:
    for pod in one.bearer.placements:
        named = f"{pod.namespace}/{pod.name}"
        yield named, pod.service_account, pod.owner, _time(pod.began), _time(pod.ended)


def _sessions(one: Portrait) -> _Lines:
    for on in one.bearer.sessions:
        yield on.user, _time(on.began), _time(on.ended)


def _identities(one: Portrait) -> _Lines:
    bore = one.known.identity
    named = (("providerID", bore.provider_id), ("machineID", bore.machine_id), ("bootID", bore.boot_id))
    yield from ((name, value) for name, value in named if value)
    yield from (("address", value) for value in bore.addresses)


def _operations(one: Portrait) -> _Lines:
    said = _operation(one)
    if said is not None:
        yield tuple(said[key] or "" for key in ("kind", "name", "policy", "from", "frozenSince"))


def _verdicts(one: Portrait) -> _Lines:
    for held in one.known.verdicts:
        yield held.policy, held.result, held.severity, _time(held.since)


def _vulnerabilities(one: Portrait) -> _Lines:
    for on in one.vulnerabilities:
        score, source = (on.score.value, on.score.source) if on.score is not None else ("", "")
        yield on.vulnerability, score, source, _time(moment(on.since))


def _on(one: Bearer, answer: Answer) -> str:
    """Which machine is meant: several that bear one name are told apart by their UIDs."""
    return one.uid if len(answer.found) > 1 else one.name or one.uid


def _with_clusters(machines: Rows, found: tuple[Bearer, ...]) -> Rows:
    rows = tuple((one.cluster, *row) for one, row in zip(found, machines.rows, strict=True))
    return Rows(headings=("CLUSTER", *machines.headings), rows=rows)


def _instance(one: Portrait) -> dict[str, Any]:
    return _bearer(one.bearer) | {
        "identity": _identity(one.known.identity),
        "operation": _operation(one),
        "verdicts": [_held(held) for held in one.known.verdicts],
        "vulnerabilities": [_on_it(on) for on in one.vulnerabilities],
    }


def _identity(bore: Identity) -> dict[str, Any]:
    return {
        "providerID": bore.provider_id or None,
        "machineID": bore.machine_id or None,
        "bootID": bore.boot_id or None,
        "addresses": list(bore.addresses),
    }


def _operation(one: Portrait) -> dict[str, Any] | None:
    """What was under way. A freeze that was told without its operation is that of a Quarantine nobody names."""
    under_way, frozen = one.known.operation, _time(one.frozen) or None
    if under_way is None:
        unnamed = {"kind": QUARANTINE, "name": None, "uid": None, "policy": None}
        return None if frozen is None else {**unnamed, "from": frozen, "frozenSince": frozen}
    return {
        "kind": under_way.kind,
        "name": under_way.name,
        "uid": under_way.uid,
        "policy": under_way.policy or None,
        "from": _time(under_way.began),
        "frozenSince": frozen,
    }


def _held(held: Held) -> dict[str, Any]:
    return {
        "policy": held.policy,
        "result": held.result,
        "severity": held.severity or None,
        "since": _time(held.since),
    }


def _on_it(on: Found) -> dict[str, Any]:
    return {
        "vulnerability": on.vulnerability,
        "from": _time(moment(on.since)),
        "score": None if on.score is None else float(on.score.value),
        "source": None if on.score is None else on.score.source,
    }


def _bearer(one: Bearer) -> dict[str, Any]:
    return {
        "uid": one.uid,
        "name": one.name,
        "cluster": one.cluster,
        "born": _time(one.born),
        "died": _time(one.died) or None,
        "notBefore": _time(one.not_before) or None,
        "reason": one.reason or None,
        "certainty": one.certainty,
        "sessions": [_visit(on) for on in one.sessions],
        "placements": [_placement(pod) for pod in one.placements],
    }


def _visit(on: Visit) -> dict[str, Any]:
    return {"user": on.user, "from": _time(on.began), "to": _time(on.ended) or None}


def _placement(pod: Placement) -> dict[str, Any]:
    return {
        "pod": pod.name,
        "podUid": pod.pod_uid,
        "namespace": pod.namespace,
        "serviceAccount": pod.service_account,
        "owner": pod.owner,
        "images": list(pod.images),
        "from": _time(pod.began),
        "to": _time(pod.ended) or None,
    }


def _time(moment: datetime | None) -> str:
    return "" if moment is None else remembering.written(moment)
