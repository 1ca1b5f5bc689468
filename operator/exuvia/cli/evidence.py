"""`exuvia evidence list | verify | export`: what was kept of quarantined machines, and whether it is still the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from sqlalchemy import select

from exuvia import errors, ports
from exuvia.act.evidence import Verification, reading
from exuvia.act.evidence import manifest as manifests
from exuvia.cli import cluster, ledger, printing
from exuvia.model import resources
from exuvia.model.facts import FactKind
from exuvia.record import tables
from exuvia.report.text import Rows

DEFAULT = "/var/lib/exuvia/evidence"

_directory = click.option(
    "--evidence-dir", "root", envvar="EXUVIA_EVIDENCE_DIR", default=DEFAULT, show_default=True,
    type=click.Path(path_type=Path), metavar="DIR", help="The operator's evidence directory.",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What a witness outside of the folder says of the manifest of one Quarantine (by its UID)."""

    witness: str
    folder: str
    digest: str


@click.group()
def evidence() -> None:
    """What was kept of quarantined machines."""


@evidence.command("list")
@_directory
@printing.output_option
def list_(root: Path, output: str) -> None:
    """Show all sealed evidence. Exit code 1 when a folder holds none that can be read."""
    found = [_listed(folder) for folder in reading.folders(root)]
    _show_list(found, output)
    printing.finish(findings=any(one["state"] == "unreadable" for one in found))


@evidence.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@_directory
@click.option(
    "--ledger",
    "file",
    envvar="EXUVIA_LEDGER",
    default="",
    metavar="FILE-or-URL",
    help="Compare with the digests in this ledger.",
)
@click.option("--quarantines", is_flag=True, help="Compare with the digests in the cluster's Quarantines.")
@click.option("--digest", default="", metavar="SHA256", help="The digest that one manifest must have.")
@cluster.cluster_options
@printing.output_option
def verify(
    names: tuple[str, ...],
    root: Path,
    file: str,
    quarantines: bool,
    digest: str,
    kubeconfig: str,
    context: str,
    output: str,
) -> None:
    """Read every byte again and compare it: with the manifest, and the manifest with what stands elsewhere.

    Without NAMEs everything is verified, and evidence that a witness knows must be there. Exit code 1 on damage.
    """
    if digest and len(names) != 1:
        raise click.UsageError("--digest goes with exactly one NAME.")
    witnesses = [*_from_ledger(file)] if file else []
    if quarantines:
        witnesses += cluster.run(kubeconfig, context, _from_quarantines)
    if digest:
        witnesses.append(Digest(witness="--digest", folder=names[0], digest=digest.lower()))
    folders = [_folder(root, name) for name in names] or reading.folders(root)
    found = [_verified(folder, witnesses) for folder in folders]
    missing = [] if names else _missing({folder.name for folder in folders}, witnesses)
    _show_verified([*found, *missing], output)


@evidence.command()
@click.argument("name")
@click.option(
    "--to",
    "target",
    envvar="EXUVIA_TO",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.tar.gz",
)
@_directory
def export(name: str, target: Path, root: Path) -> None:
    """Write one sound piece of evidence as an archive, the same bytes every time, and print its SHA-256."""
    try:
        sha = reading.export(_folder(root, name), target)
    except OSError as trouble:
        raise errors.EvidenceError(
            f"{target} cannot be written: {trouble.strerror}.", remedy="Name a new file on a disk with room."
        ) from trouble
    click.echo(f"{sha}  {target}")


def _folder(root: Path, name: str) -> Path:
    """By the folder's name, or by that of the Quarantine where it is the only one."""
    folders = reading.folders(root)
    exact = [one for one in folders if one.name == name]
    fit = exact or [one for one in folders if _quarantine(one).get("name") == name]
    if len(fit) == 1:
        return fit[0]
    said = f"Several pieces of evidence are of {name}" if fit else f"There is no evidence {name} in {root}"
    raise errors.EvidenceError(f"{said}.", remedy="See `exuvia evidence list` for their names.")


def _quarantine(folder: Path) -> Mapping[str, Any]:
    try:
        header = manifests.decode((folder / manifests.FILE).read_bytes()).header
    except (OSError, errors.EvidenceError):
        return {}
    found = header.get("quarantine")
    return found if isinstance(found, Mapping) else {}


def _listed(folder: Path) -> dict[str, Any]:
    try:
        found = manifests.decode((folder / manifests.FILE).read_bytes())
    except FileNotFoundError:
        said = (
            f"it has no {manifests.FILE}: it is no evidence of exuvia, or not whole; is --evidence-dir the right one?"
        )
        return {"name": folder.name, "state": "unreadable", "message": said}
    except OSError as trouble:
        said = f"{manifests.FILE} cannot be read: {trouble.strerror}"
        return {"name": folder.name, "state": "unreadable", "message": said}
    except errors.EvidenceError as trouble:
        return {"name": folder.name, "state": "unreadable", "message": printing.one_line(str(trouble))}
    return {
        "name": folder.name,
        "state": "complete" if found.complete else "incomplete",
        "quarantine": found.header.get("quarantine"),
        "instance": found.header.get("instance"),
        "sealed": found.finished.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "items": len(found.items),
        "bytes": found.bytes,
        "message": "; ".join(f"{one.collector}: {one.message}" for one in found.collectors if one.message),
    }


def _show_list(found: list[dict[str, Any]], how: str) -> None:
    if how == "table" and not found:
        printing.say("no evidence")
    rows = tuple(
        (
            one["name"],
            str((one.get("instance") or {}).get("name") or ""),
            one["state"],
            str(one.get("sealed") or ""),
            str(one.get("items") or ""),
            str(one.get("bytes") or ""),
            printing.one_line(one["message"]),
        )
        for one in found
    )
    headings = ("NAME", "INSTANCE", "STATE", "SEALED", "ITEMS", "BYTES", "MESSAGE")
    printing.show([("", Rows(headings=headings, rows=rows))], found, how)


def _from_ledger(file: str) -> list[Digest]:
    """The last digest that the ledger has of each folder."""
    found: dict[str, Digest] = {}
    table = tables.entries
    with ledger.reading(file) as connection:
        chosen = select(table.c.body).where(table.c.kind == FactKind.EVIDENCE).order_by(table.c.recorded, table.c.seq)
        for text in connection.scalars(chosen):
            body = json.loads(text)["body"]
            folder = str(body["manifest"]).split("/")[0]
            found[folder] = Digest(witness="ledger", folder=folder, digest=str(body["digest"]))
    return list(found.values())


async def _from_quarantines(client: ports.Cluster) -> list[Digest]:
    found = []
    for body in await cluster.every(client, resources.QUARANTINES):
        kept = (body.get("status") or {}).get("evidence") or {}
        if kept.get("digest") and kept.get("manifest"):
            folder = str(kept["manifest"]).split("/")[0]
            found.append(Digest(witness="Quarantine", folder=folder, digest=str(kept["digest"])))
    return found


def _verified(folder: Path, witnesses: list[Digest]) -> dict[str, Any]:
    checked: Verification = reading.verify(folder)
    asked = [one for one in witnesses if one.folder in (folder.name, _quarantine(folder).get("name"))]
    wrong = [
        f"the {one.witness} says that the manifest has the digest {one.digest}, it has {checked.digest}"
        for one in asked
        if one.digest != checked.digest
    ]
    problems = [*checked.problems, *wrong]
    return {
        "name": folder.name,
        "state": "damaged" if problems else "sound",
        "digest": checked.digest,
        "comparedWith": ["manifest", *(one.witness for one in asked)],
        "problems": problems,
    }


def _missing(there: set[str], witnesses: list[Digest]) -> list[dict[str, Any]]:
    return [
        {
            "name": one.folder,
            "state": "missing",
            "digest": one.digest,
            "comparedWith": [one.witness],
            "problems": [f"the {one.witness} knows it, and it is not here"],
        }
        for one in witnesses
        if one.folder not in there
    ]


def _show_verified(found: list[dict[str, Any]], how: str) -> None:
    if how == "table" and not found:
        printing.say("no evidence")
    rows = tuple(
        (one["name"], one["state"], ", ".join(one["comparedWith"]), problem)
        for one in found
        for problem in (one["problems"] or [""])
    )
    printing.show([("", Rows(headings=("NAME", "STATE", "COMPARED WITH", "PROBLEM"), rows=rows))], found, how)
    printing.finish(findings=any(one["problems"] for one in found))
