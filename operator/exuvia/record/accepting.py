"""A person accepts a ledger that misses entries: one more entry in the chain, with who and why, and what is missing.

It may be added while the operator runs (that one sees it within seconds) and while it does not. It is entered under the
epoch that the ledger knows, so it takes leadership from nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from exuvia import errors
from exuvia.model import facts
from exuvia.record import appending, chain, importing, missing, naming, opening, places, queries, trust
from exuvia.record.places import Place
from exuvia.record.trust import Noted


def accept(
    place: Place, *, by: str, reason: str, at: datetime, noted: Iterable[Noted], cluster: str | None = None
) -> tuple[facts.Receipt, list[str]]:
    """Add the acceptance of those entries which are noted outside and missing here; durable when it returns. With it
    comes what was accepted, `number:hash`.

    Raises `errors.Refused` where nothing is missing, `errors.InvalidObject` without a reason, `errors.LedgerError` as
    ever. A chain that is damaged in itself cannot be accepted.
    """
    if not reason.strip():
        raise errors.InvalidObject("An acceptance needs a reason.", place="reason", remedy="Say why by --reason TEXT.")
    if isinstance(place, Path) and places.absent(place):
        raise places.nowhere(place)
    engine = opening.open_for_writing(place)
    try:
        with opening.in_words(place), engine.begin() as connection:
            writer = importing.writer_for(connection, cluster)
            opening.alone(connection, writer.cluster)
            _check_chain(place, connection, writer.cluster)
            said = list(noted)
            lost = trust.unaccepted(connection, writer.cluster, said)
            _check_missing(place, lost, writer.cluster, said)
            fact = facts.accepted(by=by, reason=reason, at=at, missing=lost)
            made = appending.add(connection, appending.head(connection, writer.cluster), fact, writer)
            assert made is not None, "an acceptance is never a dead letter"
            return appending.receipt(made), lost
    finally:
        engine.dispose()


def _check_missing(place: Place, lost: list[str], cluster: str, noted: Iterable[Noted]) -> None:
    if lost:
        return
    about = {one.cluster for one in noted}
    others = {one for one in about if one is not None}
    if others and not about & {cluster, None}:
        raise errors.Refused(
            f"Nothing is missing in {naming.called(cluster)}: what is noted in the cluster is about"
            f" {naming.called(min(others))}, so nothing was accepted.",
            remedy="Name that chain by --cluster, or the cluster that writes this one by --context.",
        )
    raise errors.Refused(
        f"Nothing is missing: the ledger {place} holds every entry that is noted in the cluster, so nothing was"
        " accepted.",
        remedy="Where a running exuvia says that one is missing, name the ledger that it writes by --ledger, and its"
        " Lease by --lease-name.",
    )


def _check_chain(place: Place, connection: Connection, cluster: str) -> None:
    found = chain.verify(queries.links(connection, cluster))
    if found.first_bad is not None:
        said = f"The ledger {place} is damaged: {found.problem}."
        raise errors.LedgerCorrupt(said, remedy=missing.way_out(place))
