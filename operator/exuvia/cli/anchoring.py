"""`exuvia ledger anchor`: the last entry of a chain, noted outside of the ledger; and such a note, read again."""

from __future__ import annotations

from pathlib import Path

import click

from exuvia import errors, ports
from exuvia.cli import cluster, ledgers, printing, remembering
from exuvia.model import marks, resources
from exuvia.record import anchors, appending, chain, missing, naming, places, queries
from exuvia.record.moments import moment


@click.command()
@ledgers.ledger_option
@ledgers.cluster_option("The chain of this cluster. Default: the only one.")
@click.option("--key", default="", metavar="PEM", help="Sign it with this Ed25519 key (docs/ledger.md).")
@click.option(
    "--to", "target", envvar="EXUVIA_TO", default="", metavar="NOTE", help="Write it to this file. Default: print it."
)
@click.option("--config-map", is_flag=True, help="Put it into the ConfigMap exuvia-ledger-head, beside the operator's.")
@click.option("--namespace", default="exuvia-system", show_default=True, help="Of the ConfigMap.")
@cluster.cluster_options
def anchor(
    file: str, named: str | None, key: str, target: str, config_map: bool, namespace: str, kubeconfig: str, context: str
) -> None:
    """Note the last entry of the chain outside the ledger, so that a cut tail or a restored backup is found later."""
    private = anchors.private_key(Path(key)) if key else None
    with ledgers.reading(file) as connection:
        which = naming.only(ledgers.chains(connection, named))
        head, found = appending.head(connection, which), chain.verify(queries.links(connection, which))
    if found.problem:
        said = f"The ledger {places.place(file)} is not sound: {found.problem}."
        raise errors.LedgerCorrupt(said, remedy=missing.way_out(places.place(file)))
    if not head.seq:
        said = f"The ledger {places.place(file)} has no entry in {naming.called(which)} yet: there is nothing to note."
        raise errors.InvalidObject(said, remedy="Note its head once something was entered.")
    noted = anchors.Anchor(
        cluster=which, seq=head.seq, hash=head.hash.hex(), time=remembering.written(moment(head.recorded))
    )
    line = anchors.written(noted, private)
    if target:
        _write(Path(target), line)
    if config_map:
        cluster.run(kubeconfig, context, lambda client: _put(client, namespace, noted, line))
    if not (target or config_map):
        click.echo(line)
        return
    where = [target] if target else []
    where += [f"the ConfigMap {namespace}/{marks.LEDGER_HEAD}"] if config_map else []
    signed = "signed" if private else "not signed"
    printing.say(f"entry {head.seq} of {naming.called(which)} is noted in {' and in '.join(where)}, {signed}")


def note(file: str, public_key: str) -> anchors.Note | None:
    """From a file of `ledger anchor`, None where none is named; with a key it must be signed by it. Raises
    `errors.InvalidObject`, `errors.SettingsError`."""
    if not file:
        if public_key:
            raise click.UsageError("--public-key says who signed an anchor: name it by --anchor.")
        return None
    with ledgers.text(file) as opened:
        found = anchors.read(opened.read())
    if public_key and not anchors.signed_by(found, anchors.public_key(Path(public_key))):
        raise errors.InvalidObject(
            f"The anchor {file} is not signed by {public_key}: it, or the key, is another one.",
            remedy="Take the anchor from where it was first written.",
        )
    return found


def _write(target: Path, note: str) -> None:
    try:
        target.write_text(note + "\n", encoding="utf-8")
    except OSError as trouble:
        remedy = "Name a file that can be written."
        raise errors.SettingsError(f"{target} cannot be written: {trouble.strerror}.", remedy=remedy) from trouble


async def _put(client: ports.Cluster, namespace: str, head: anchors.Anchor, note: str) -> None:
    """A key of its own beside those that the operator writes. Where it wrote nothing yet, its keys come along."""
    found = await client.get(resources.CONFIG_MAPS, marks.LEDGER_HEAD, namespace=namespace)
    if found is not None:
        added = {"data": {"anchor": note}}
        await client.merge_patch(resources.CONFIG_MAPS, marks.LEDGER_HEAD, added, namespace=namespace)
        return
    own = {"seq": str(head.seq), "hash": head.hash, "cluster": head.cluster, "epoch": "0", "at": head.time}
    data = {**own, "anchor": note}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": marks.LEDGER_HEAD}, "data": data}
    await client.create(resources.CONFIG_MAPS, body, namespace=namespace)


COMMANDS: tuple[click.Command, ...] = (anchor,)
"""For the group `ledger`."""
