"""What rules must know of a machine beside itself, for whoever is not the operator: read from a ledger that is named.

The operator knows it from memory. Whoever explains a machine from outside reads the same from the same entries; what
only the operator can know is said to be unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, select

from exuvia import errors, ports
from exuvia.app import seat_signs
from exuvia.app.policies import Policies
from exuvia.app.risks import figures
from exuvia.decide.seats import entries, recall
from exuvia.model import resources
from exuvia.model.facts import microseconds
from exuvia.model.instances import Instance
from exuvia.model.learnt import Doubt, Learnt, RiskFigure, SeatSign
from exuvia.record import places, seat_entries, tables, versions
from exuvia.record.reading import reading

NOT_NAMED = "it stands in the operator's ledger, which --ledger names"
NOT_FOUND = "nothing was ever found on it by the ledger, and whether it was scanned only the operator knows"


async def learnt(cluster: ports.Cluster, ledger: str, policies: Policies, machine: Instance, now: datetime) -> Instance:
    """The machine, with what the rules of these policies ask for. `ledger`: a file or URL, "" for none."""
    if not policies.seat_pools and not policies.needs_risk:
        return machine
    if not ledger:
        return replace(machine, learnt=_unknown(policies, NOT_NAMED))
    pools = {name: await _uid(cluster, name) for name in sorted(policies.seat_pools)}
    try:
        found = await asyncio.to_thread(_read, ledger, pools, machine, now)
    except errors.LedgerError as trouble:
        found = _unknown(policies, f"the ledger cannot be read: {trouble.message}")
    return replace(machine, learnt=found)


def _unknown(policies: Policies, message: str) -> Learnt:
    seats = dict.fromkeys(policies.seat_pools, seat_signs.unknown(message))
    return Learnt(seats=seats, risk=Doubt(message=message))


async def _uid(cluster: ports.Cluster, name: str) -> str | SeatSign:
    """The UID of a licence pool, or why there is none to be had."""
    try:
        body = await cluster.get(resources.LICENSE_POOLS, name)
    except errors.ClusterError as trouble:
        return seat_signs.unknown(f"LicensePool {name} cannot be read: {trouble.message}")
    return seat_signs.unknown(f"there is no LicensePool {name}") if body is None else str(body["metadata"]["uid"])


def _read(ledger: str, pools: Mapping[str, str | SeatSign], machine: Instance, now: datetime) -> Learnt:
    at = microseconds(now)
    with reading(places.place(ledger)) as connection:
        cluster = _cluster(connection, machine.uid)
        seats = {
            name: found if isinstance(found, SeatSign) else _sign(connection, found, cluster, machine.uid, at)
            for name, found in pools.items()
        }
        risk: RiskFigure | Doubt = figures(connection, [machine.uid], at).get(machine.uid) or Doubt(message=NOT_FOUND)
    return Learnt(seats=seats, risk=risk)


def _sign(connection: Connection, pool: str, cluster: str | None, uid: str, at: int) -> SeatSign:
    if cluster is None:
        return seat_signs.unknown("the ledger does not know the machine")
    changes = (entries.read(body, since) for since, body in seat_entries.of_pool(connection, pool, cluster))
    return seat_signs.signs(recall(changes, at=at), [uid])[uid]


def _cluster(connection: Connection, uid: str) -> str | None:
    table = tables.lives
    found: str | None = connection.scalar(select(table.c.cluster).where(table.c.uid == uid, versions.holds(table)))
    return found
