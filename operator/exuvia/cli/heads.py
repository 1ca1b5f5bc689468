"""Whether the ledger holds the entry that is noted outside of it: what the operator asks at its start, for `doctor`."""

from __future__ import annotations

from exuvia import errors, ports
from exuvia.app import anchoring
from exuvia.app.anchoring import Anchor
from exuvia.cli.examining import Check, ok, problem, unknown
from exuvia.record import appending, missing, places, queries, trust
from exuvia.record.places import Place
from exuvia.record.reading import reading

SUBJECT = "ledger's head"


async def check(client: ports.Cluster, namespace: str, place: Place) -> list[Check]:
    """One line for each note, or none where there is no ledger to look into. What may not be read is unknown."""
    if places.absent(place):
        return []
    try:
        noted = await anchoring.read(client, namespace)
    except errors.Forbidden as trouble:
        return [unknown(SUBJECT, trouble.message, "Run it as somebody who may read that.")]
    except errors.InvalidObject as trouble:
        return [problem(SUBJECT, trouble.message, trouble.remedy)]
    if not noted:
        return [
            unknown(SUBJECT, "it is not noted in the cluster", "The operator notes it within a minute; see its log.")
        ]
    return [_compared(one, place) for one in noted if one.seq]


def _compared(noted: Anchor, place: Place) -> Check:
    """The chain that it names must hold it; of a note of a former version, which names none, any."""
    try:
        with reading(place) as connection:
            chains = queries.clusters(connection) if noted.cluster is None else (noted.cluster,)
            held = any(trust.holds(connection, one, noted.seq, noted.hash) for one in chains)
            head = max((appending.head(connection, one).seq for one in chains), default=0)
    except errors.LedgerError:
        return unknown(SUBJECT, "the ledger cannot be read", "See the line about the ledger.")
    if held:
        return ok(SUBJECT, f"entry {noted.seq}, which {noted.place} names, is there")
    said = missing.lost(head, noted.seq, noted.place)
    return problem(SUBJECT, f"{place} misses {said}: a restored backup, a cut tail or a lost file", missing.WAY_OUT)
