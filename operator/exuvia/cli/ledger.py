"""`exuvia ledger`: the history. None of its commands needs a cluster, but those that enter a person's name ask it who
you are. Each command is in the file that bears its name.
"""

from __future__ import annotations

from datetime import UTC, datetime

import click

from exuvia.cli import (
    anchoring,
    cluster,
    exporting,
    identifying,
    importing,
    keeping,
    letters,
    preparing,
    printing,
    querying,
    verifying,
)
from exuvia.cli.ledgers import DEFAULT, chain_option, ledger_option, reading, there, writing_option
from exuvia.model import marks
from exuvia.record import accepting

__all__ = ["DEFAULT", "ledger", "ledger_option", "reading", "writing_option"]


@click.group()
def ledger() -> None:
    """Ask the history: lives, names, what ran where; and check its chain."""


@ledger.command()
@writing_option
@click.option("--reason", required=True, help="Why it is right that entries are missing; recorded with your name.")
@chain_option
@click.option("--namespace", default=marks.SYSTEM_NAMESPACE, show_default=True, help="Where its head is noted.")
@cluster.lease_option
@cluster.cluster_options
def accept(
    file: str, reason: str, named: str | None, namespace: str, lease_name: str, kubeconfig: str, context: str
) -> None:
    """Accept a ledger that misses entries (a restored backup), so that exuvia acts again.

    It is about the entries that are noted in the cluster and missing now, and about nothing that is lost later. An
    exuvia that leads is asked what it misses, which takes some seconds where it has not said it yet.
    """
    from exuvia.app import losses  # only where a cluster is asked: it takes a while to load
    from exuvia.cli import asking

    by = cluster.run(kubeconfig, context, cluster.whoami)
    outside = cluster.run(
        kubeconfig,
        context,
        lambda client: losses.noted(client, namespace, lease_name, lambda: asking.moment(client)),
    )
    receipt, lost = accepting.accept(
        there(file), by=by, reason=reason, at=datetime.now(UTC), noted=outside.noted, cluster=named
    )
    seqs = [one.partition(":")[0] for one in lost]
    which = f"entry {seqs[0]} is" if len(seqs) == 1 else f"entries {', '.join(seqs)} are"
    printing.say(f"accepted by {by} as entry {receipt.seq}: that {which} missing; {_next(outside.silent)}")


def _next(silent: str) -> str:
    if not silent:
        return "a running exuvia goes on within seconds"
    return (
        f"{silent} leads and says of nothing that it is missing: where it says so later, accept once more, and look"
        " whether --ledger names the ledger that it writes"
    )


for _module in (querying, identifying, letters, verifying, exporting, importing, anchoring, keeping, preparing):
    for _one in _module.COMMANDS:
        ledger.add_command(_one)
