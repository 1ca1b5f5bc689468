"""What a LicensePool really did, from the entries that the ledger holds of its seats."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection

from exuvia import errors
from exuvia.cli import clusters, ledgers
from exuvia.cli.instance_facts import Origin
from exuvia.decide.seats import entries
from exuvia.decide.seats.retelling import retold
from exuvia.decide.seats.simulating import Replay
from exuvia.record import checkpoints, naming, seat_entries
from exuvia.record.places import Place
from exuvia.record.reading import reading

_MOST = 20  # so many are named at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the ledger has of one pool. `pruned`: up to when (microseconds) machines that died are not in it any more,
    None where none ever were pruned. `origin` only where there are several clusters."""

    done: Replay
    pruned: int | None
    origin: Origin | None


def told(ledger: Place, name: str, cluster: str | None) -> Told:
    """Everything that was entered of the LicensePool of that name, also where it was made anew; of a cluster, or of the
    only one that had it. Raises `errors.SettingsError` naming those that there are, `errors.LedgerError`."""
    with reading(ledger) as connection:
        asked = clusters.chosen(connection, cluster)
        known = _known(connection, asked)
        chain = _only(name, sorted({of for of, _, called in known if called == name}), asked, known)
        uids = [uid for of, uid, called in known if (of, called) == (chain, name)]
        stories = (seat_entries.of_pool(connection, uid, chain) for uid in uids)
        done = retold((entries.read(body, at) for at, body in one) for one in stories)
        several = clusters.several(connection)
        pruned = checkpoints.cut(connection, (chain,))
    return Told(done=done, pruned=pruned, origin=Origin(asked=chain, clusters={}) if several else None)


def names(ledger: Place, cluster: str | None) -> list[str]:
    """Of every LicensePool that the ledger tells of, of one cluster, or of all. `errors.LedgerError`."""
    with reading(ledger) as connection:
        return _names(_known(connection, cluster))


def listed(found: Iterable[str]) -> str:
    """Names for a sentence; of very many the first."""
    some = list(found)
    return ", ".join(some[:_MOST]) + (f" and {len(some) - _MOST} more" if len(some) > _MOST else "")


def _known(connection: Connection, cluster: str | None) -> list[tuple[str, str, str]]:
    """Cluster, UID and name of every pool, in the order in which they were first told of."""
    chains = ledgers.chains(connection, cluster)
    return [(of, uid, name) for of in chains for uid, name in seat_entries.others(connection, (), of).items()]


def _names(known: Iterable[tuple[str, str, str]]) -> list[str]:
    return sorted({name for _, _, name in known})


def _only(name: str, chains: list[str], asked: str | None, known: Iterable[tuple[str, str, str]]) -> str:
    """The chain that tells of it."""
    if not chains:
        there = listed(_names(known))
        remedy = (
            f"It tells of {there}." if there else "It tells of none: `exuvia license status` shows those there are."
        )
        said = f"The ledger tells of no LicensePool {name!r}{clusters.within(asked)}."
        raise errors.SettingsError(said, remedy=remedy)
    if len(chains) > 1:
        said = f"Several clusters have a LicensePool {name}: {naming.listed(chains)}."
        raise errors.SettingsError(said, remedy="Name one by --cluster.")
    return chains[0]
