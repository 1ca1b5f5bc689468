"""`exuvia ledger prune | hold | erase`: how long history is kept, what is kept longer, and whose name is forgotten."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click

from exuvia import errors
from exuvia.cli import cluster, ledgers, moments, printing, remembering
from exuvia.model.facts import microseconds
from exuvia.record import erasing, holds, naming, personal, pruning, removal
from exuvia.record.moments import moment
from exuvia.record.places import Place
from exuvia.report.text import Rows

_SPAN = "Write a span like 400d or 9600h."
_WHY: Mapping[pruning.Kept, str] = {
    pruning.Kept.YOUNG: "younger than that",
    pruning.Kept.LIVING: "of machines that live",
    pruning.Kept.OPEN: "of open operations or seats",
    pruning.Kept.SEALED: "of machines with sealed evidence",
    pruning.Kept.HELD: "held",
    pruning.Kept.SHARED: "of machines that another chain tells of too",
    pruning.Kept.NEEDED: "needed",
}


@click.command()
@ledgers.writing_option
@ledgers.cluster_option("Only the chain of this cluster. Default: all.")
@click.option("--keep", required=True, metavar="SPAN", help="Keep what was so, or was learnt, since: 400d, 9600h.")
@click.option("--dry-run", is_flag=True, help="Say what would go; change nothing.")
@ledgers.by_option
@printing.output_option
@cluster.cluster_options
def prune(
    file: str, named: str | None, keep: str, dry_run: bool, by: str, output: str, kubeconfig: str, context: str
) -> None:
    """Take out machines that are over for longer, with all that is known of them. The rest can be checked as before.

    What lives, is open, is held or has sealed evidence stays. A checkpoint with your name is entered.
    """
    place, now = ledgers.there(file), datetime.now(UTC)
    cut = _cut(keep, now)
    with ledgers.reading(file) as connection:
        which = ledgers.chains(connection, named)
    if dry_run:
        found = [removal.foresee(place, cut=cut, cluster=one) for one in which]
    else:
        who = ledgers.person(by, kubeconfig, context)
        found = [removal.prune(place, cut=cut, keep=keep, by=who, at=now, cluster=one) for one in which]
    _show(found, cut, dry_run=dry_run, how=output)
    for one in found:
        if one.unforgotten:
            printing.say(_unforgotten(one), err=True)
    printing.finish(findings=any(one.unforgotten for one in found))


@click.group()
def hold() -> None:
    """Legal holds: what pruning leaves and erasing does not take, for as long as they hold."""


@hold.command("add")
@ledgers.writing_option
@click.argument("name", default="")
@click.option("--instance", default="", metavar="UID", help="All that is known of one machine (its UID, or a name).")
@click.option("--subject", default="", metavar="NAME", help="All machines that this person was on, and the name.")
@click.option(
    "--from",
    "began",
    envvar="EXUVIA_FROM",
    default="",
    metavar="TIME",
    help="All machines of a span of time: where it begins.",
)
@click.option("--to", "ended", envvar="EXUVIA_TO", default="", metavar="TIME", help="Where it ends, itself not in it.")
@ledgers.reason_option
@ledgers.by_option
@ledgers.chain_option
@cluster.cluster_options
def add(
    file: str,
    name: str,
    instance: str,
    subject: str,
    began: str,
    ended: str,
    reason: str,
    by: str,
    named: str | None,
    kubeconfig: str,
    context: str,
) -> None:
    """Hold something under a NAME of your choice, for example the number of a case; by default one is made from what is
    held, and told."""
    place, now = ledgers.there(file), datetime.now(UTC)
    if bool(instance) + bool(subject) + bool(began or ended) != 1 or bool(began) != bool(ended):
        raise click.UsageError("Give exactly one of --instance, --subject, and --from with --to.")
    held = {"instance": _uid(file, instance), "subject": _subject(file, subject), **_held(began, ended, now)}
    which = ledgers.chain_of(file, named)
    called = name or _free_name(file, held)
    wanted = holds.Hold(name=called, by=ledgers.person(by, kubeconfig, context), reason=reason, **held)
    receipt = holds.add(place, wanted, at=now, cluster=which)
    printing.say(f"held as {called} by entry {receipt.seq}")
    if not name:
        printing.say(f"to release it: {_releasing(called, place, which, named)}")


@hold.command("release")
@ledgers.writing_option
@click.argument("name")
@ledgers.reason_option
@ledgers.by_option
@ledgers.chain_option
@cluster.cluster_options
def release(file: str, name: str, reason: str, by: str, named: str | None, kubeconfig: str, context: str) -> None:
    """End the hold of that NAME."""
    place = ledgers.there(file)
    who = ledgers.person(by, kubeconfig, context)
    which = ledgers.chain_of(file, named)
    receipt = holds.release(place, name, by=who, reason=reason, at=datetime.now(UTC), cluster=which)
    printing.say(f"released {name} by entry {receipt.seq}")


@click.command()
@ledgers.writing_option
@click.option("--subject", required=True, metavar="NAME", help="Whose name to forget, as it was told.")
@ledgers.reason_option
@ledgers.by_option
@ledgers.chain_option
@cluster.cluster_options
def erase(file: str, subject: str, reason: str, by: str, named: str | None, kubeconfig: str, context: str) -> None:
    """Forget a person's name for good: its key is destroyed, the chain stays whole. A hold refuses it."""
    place, which = ledgers.there(file), ledgers.chain_of(file, named)
    who = ledgers.person(by, kubeconfig, context)
    receipt = erasing.erase(place, subject, by=who, reason=reason, at=datetime.now(UTC), cluster=which)
    printing.say(f"erased by entry {receipt.seq}; copies of the ledger that were made before still have the name")


@hold.command("list")
@ledgers.ledger_option
@printing.output_option
def list_(file: str, output: str) -> None:
    """Show what is held, by whom and why."""
    with ledgers.reading(file) as connection:
        found = holds.active(connection)
    data = [_data(one) for one in found]
    rows = tuple((one["name"], one["what"], one["by"], one["reason"] or ledgers.UNREASONED) for one in data)
    if output == "table" and not rows:
        printing.say("nothing is held")
    printing.show([("", Rows(headings=("NAME", "WHAT", "BY", "WHY"), rows=rows))], data, output)


def _data(one: holds.Hold) -> dict[str, Any]:
    what = f"instance {one.instance}" if one.instance else f"person {one.subject}"
    if one.since is not None and one.until is not None:
        what = f"{remembering.written(moment(one.since))} to {remembering.written(moment(one.until))}"
    return {"name": one.name, "what": what, "by": one.by, "reason": one.reason}


def _free_name(file: str, held: Mapping[str, Any]) -> str:
    """One that says what is held, and is no other hold's. Of a person it has the token: names are erased, not this."""
    begun = next((f"{key}-{held[key]}" for key in ("instance", "subject") if held[key]), "")
    if not begun:
        begun = "-".join(remembering.written(moment(held[key])) for key in ("since", "until"))
    with ledgers.reading(file) as connection:
        taken = {one.name for one in holds.active(connection)}
    return next(one for one in (begun, *(f"{begun}-{n}" for n in range(2, len(taken) + 3))) if one not in taken)


def _releasing(name: str, place: Place, which: str, named: str | None) -> str:
    """The command, as it is typed; without a password."""
    where = [] if str(place) == ledgers.DEFAULT else ["--ledger", str(place)]
    chain = [] if named is None else ["--cluster", which]
    return shlex.join(["exuvia", "ledger", "hold", "release", name, *where, *chain])


def _cut(keep: str, now: datetime) -> datetime:
    """What was so, or was learnt, since then is kept. Nothing to keep would be everything to lose."""
    try:
        cut = moments.earlier(keep, now) if (span := moments.span(keep)) else now
    except errors.SettingsError as trouble:
        raise errors.SettingsError(trouble.message, remedy=_SPAN) from trouble
    if not span:
        raise errors.SettingsError(f"--keep {keep} would keep nothing of the dead.", remedy=_SPAN)
    return cut


def _uid(file: str, instance: str) -> str:
    if not instance:
        return ""
    with ledgers.reading(file) as connection:
        found = remembering.uid(connection, instance)
        if not remembering.known(connection, found):
            remedy = "Ask `exuvia ledger who --name NAME --at TIME` which machine it was."
            raise errors.SettingsError(f"The ledger knows no machine {instance}.", remedy=remedy)
        return found


def _subject(file: str, name: str) -> str:
    if not name:
        return ""
    with ledgers.reading(file) as connection:
        found = personal.known(connection, name)
    if not found:
        remedy = "Write it as it was told; one that was erased cannot be held."
        raise errors.SettingsError(f"The ledger knows nobody of the name {name!r}.", remedy=remedy)
    return found


def _held(began: str, ended: str, now: datetime) -> dict[str, Any]:
    if not began:
        return {}
    since, until = moments.earlier(began, now), moments.earlier(ended, now)
    if until <= since:
        raise errors.SettingsError(f"The span ends at {ended}, before it begins.", remedy="Write --to after --from.")
    return {"since": microseconds(since), "until": microseconds(until)}


def _show(found: list[removal.Pruned], cut: datetime, *, dry_run: bool, how: str) -> None:
    told = {"cut": remembering.written(cut), "dryRun": dry_run}
    data = [_pruned(one) | {"names": None if dry_run or one.unforgotten else one.names} | told for one in found]
    if how != "table":
        printing.show([], data[0] if len(data) == 1 else data, how)
        return
    for one in found:
        whose = f"{naming.called(one.cluster)}: " if len(found) > 1 else ""
        done = "would be pruned" if dry_run else "pruned"
        under = f" under checkpoint {one.checkpoint}" if one.checkpoint else ""
        names = f", {_names(one.names)} forgotten" if one.names else ""
        left = ", ".join(f"{count} {_WHY[why]}" for why, count in one.kept.items() if count)
        printing.say(f"{whose}{_entries(one.entries)} {done}{under}{names}; left: {left or 'nothing'}")


def _pruned(one: removal.Pruned) -> dict[str, Any]:
    kept = {why.value: count for why, count in one.kept.items() if count}
    return {"cluster": one.cluster, "entries": one.entries, "kept": kept, "checkpoint": one.checkpoint or None}


def _unforgotten(one: removal.Pruned) -> str:
    return (
        f"{naming.called(one.cluster)}: the entries are gone for good, but keys to names of people of whom nothing is"
        f" left still stand: {one.unforgotten} The next pruning that takes something out destroys them."
    )


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count} entries"


def _names(count: int) -> str:
    return "1 name of a person" if count == 1 else f"{count} names of people"


COMMANDS: tuple[click.Command, ...] = (prune, hold, erase)
"""For the group `ledger`."""
