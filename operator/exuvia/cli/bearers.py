"""How the answer to `ledger who` is shown: none, one or several machines, what ran on them and who was on them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from exuvia.cli import printing, remembering
from exuvia.record.former import Former
from exuvia.record.who import Bearer, Placement, Visit
from exuvia.report.text import Rows


def show(found: tuple[Bearer, ...], asked: str, how: str, former: Former | None = None) -> None:
    """As a table with a sentence first, or as data with `answer` and `instances`; `former` bore it last, where nobody
    does."""
    answer = "none" if not found else "one" if len(found) == 1 else "several"
    if how == "table":
        click.echo(_sentence(answer, asked))
        if former is not None:
            click.echo(_before(former))
    data: dict[str, Any] = {"answer": answer, "instances": [_bearer(one) for one in found]}
    if former is not None:
        data["former"] = _former(former)
    printing.show(_tables(found), data, how)


def _sentence(answer: str, asked: str) -> str:
    if answer == "none":
        return f"none: no machine is known for {asked}"
    if answer == "one":
        return f"one machine for {asked}"
    return f"several machines for {asked}: which one it was cannot be told"


def _before(former: Former) -> str:
    began, ended = _time(former.began), _time(former.ended)
    one = f"{former.name} ({former.uid})"
    return f"{one} bore it from {began} until {ended}; ask for a moment of that time by --at, as --at {began}"


def _former(one: Former) -> dict[str, Any]:
    return {"uid": one.uid, "name": one.name, "from": _time(one.began), "to": _time(one.ended)}


def _tables(found: tuple[Bearer, ...]) -> list[tuple[str, Rows]]:
    lives = tuple((one.name, one.uid, _time(one.born), _time(one.died), one.certainty, one.reason) for one in found)
    pods = tuple(
        (one.name, f"{pod.namespace}/{pod.name}", pod.service_account, pod.owner, _time(pod.began), _time(pod.ended))
        for one in found
        for pod in one.placements
    )
    users = tuple((one.name, on.user, _time(on.began), _time(on.ended)) for one in found for on in one.sessions)
    return [
        ("", Rows(headings=("NAME", "UID", "BORN", "DIED", "CERTAINTY", "DEATH"), rows=lives)),
        ("", Rows(headings=("ON", "POD", "SERVICE ACCOUNT", "OWNER", "FROM", "TO"), rows=pods)),
        ("", Rows(headings=("ON", "USER", "FROM", "TO"), rows=users)),
    ]


def _bearer(one: Bearer) -> dict[str, Any]:
    return {
        "uid": one.uid,
        "name": one.name,
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
