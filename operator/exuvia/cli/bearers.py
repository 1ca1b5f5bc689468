"""How the answer to `ledger who` is shown: none, one or several machines, what ran on them and who was on them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click

from exuvia.cli import printing, remembering
from exuvia.record import naming
from exuvia.record.former import Former
from exuvia.record.who import Bearer, Placement, Visit
from exuvia.report.text import Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was asked, and who bore it. `former` bore it last, where nobody does; `unknown` says why nothing can be
    said; `clusters`: the ledger holds several, so that people must be told of which each is; `pod`: it was asked what a
    pod ran on."""

    asked: str
    found: tuple[Bearer, ...] = ()
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
        click.echo(_sentence(answer))
        if answer.former is not None:
            click.echo(_before(answer.former, pod=answer.pod))
    data: dict[str, Any] = {"answer": answer.word, "instances": [_bearer(one) for one in answer.found]}
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
    told = sorted({one.cluster for one in answer.found})
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
    found = answer.found
    lives = tuple((one.name, one.uid, _time(one.born), _time(one.died), one.certainty, one.reason) for one in found)
    pods = tuple(
        (
            _on(one, answer),
            f"{pod.namespace}/{pod.name}",
            pod.service_account,
            pod.owner,
            _time(pod.began),
            _time(pod.ended),
        )
        for one in found
        for pod in one.placements
    )
    users = tuple((_on(one, answer), on.user, _time(on.began), _time(on.ended)) for one in found for on in one.sessions)
    machines = Rows(headings=("NAME", "UID", "BORN", "DIED", "CERTAINTY", "DEATH"), rows=lives)
    return [
        ("", _with_clusters(machines, found) if answer.clusters else machines),
        ("", Rows(headings=("ON", "POD", "SERVICE ACCOUNT", "OWNER", "FROM", "TO"), rows=pods)),
        ("", Rows(headings=("ON", "USER", "FROM", "TO"), rows=users)),
    ]


def _on(one: Bearer, answer: Answer) -> str:
    """Which machine is meant: several that bear one name are told apart by their UIDs."""
    return one.uid if len(answer.found) > 1 else one.name or one.uid


def _with_clusters(machines: Rows, found: tuple[Bearer, ...]) -> Rows:
    rows = tuple((one.cluster, *row) for one, row in zip(found, machines.rows, strict=True))
    return Rows(headings=("CLUSTER", *machines.headings), rows=rows)


def _bearer(one: Bearer) -> dict[str, Any]:
    return {
        "uid": one.uid,
        "name": one.name,
        "cluster": one.cluster,
        "born": _time(one.born),
        "died": _time(one.died) or None,
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
