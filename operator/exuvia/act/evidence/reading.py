"""Reading sealed evidence: list it, verify every byte of it, export it as one archive. Nothing is ever changed."""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from exuvia.act.evidence import manifest as manifests
from exuvia.act.evidence import store
from exuvia.act.evidence.manifest import Manifest
from exuvia.errors import EvidenceError


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What reading one folder says. No problems: every byte is what the manifest lists, and nothing else is there."""

    name: str
    digest: str = ""
    manifest: Manifest | None = None
    problems: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether it can be relied on."""
        return not self.problems


def folders(root: Path) -> list[Path]:
    """The sealed evidence under the root, by name. What is hidden (being written, set aside) is not listed, nor what a
    file system keeps at the top of a volume."""
    if not root.is_dir():
        raise EvidenceError(
            f"{root} is no directory.", remedy="Give the operator's evidence directory with --evidence-dir."
        )
    named = (one for one in root.iterdir() if not one.name.startswith(".") and one.name != "lost+found")
    return sorted(one for one in named if one.is_dir())


def verify(folder: Path, *, digest: str = "") -> Verification:
    """Read everything again. `digest`: what the status or the ledger says of the manifest, "" when it is not known."""
    try:
        raw = _read(folder / manifests.FILE)
    except OSError as trouble:
        return Verification(name=folder.name, problems=(f"{manifests.FILE} cannot be read: {trouble.strerror}",))
    found = hashlib.sha256(raw).hexdigest()
    wrong = [f"{manifests.FILE} has digest {found}, not {digest}"] if digest and digest != found else []
    try:
        manifest = manifests.decode(raw)
    except EvidenceError as trouble:
        return Verification(name=folder.name, digest=found, problems=(*wrong, str(trouble)))
    problems = (*wrong, *_file_problems(folder, manifest))
    return Verification(name=folder.name, digest=found, manifest=manifest, problems=problems)


def export(folder: Path, target: Path) -> str:
    """One `.tar.gz` of a sound folder, the same bytes every time; its SHA-256. Raises `EvidenceError`, OSError."""
    checked = verify(folder)
    if not checked.sound:
        raise EvidenceError(
            f"evidence {folder.name} is not sound: {checked.problems[0]}.",
            remedy="See all of it with `exuvia evidence verify`.",
        )
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with (
        os.fdopen(handle, "wb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in (manifests.FILE, *sorted(one.path for one in _manifest(checked).items if one.path)):
            _add(archive, folder, path)
    return store.digest_of(target)[1]


def _manifest(checked: Verification) -> Manifest:
    if checked.manifest is None:
        raise EvidenceError(f"evidence {checked.name} has no manifest.")
    return checked.manifest


def _add(archive: tarfile.TarFile, folder: Path, path: str) -> None:
    with (folder / path).open("rb") as file:
        info = tarfile.TarInfo(f"{folder.name}/{path}")
        info.size = os.fstat(file.fileno()).st_size
        info.mode = 0o600
        archive.addfile(info, file)


def _file_problems(folder: Path, manifest: Manifest) -> Iterator[str]:
    listed = {one.path: one for one in manifest.items if one.path}
    for path, one in sorted(listed.items()):
        if not store.harmless(path):
            yield f"the manifest names {path!r}, which is outside of the folder"
            continue
        try:
            size, sha = store.digest_of(folder / path)
        except OSError as trouble:
            yield f"{path} cannot be read: {trouble.strerror}"
            continue
        if (size, sha) != (one.bytes, one.sha256):
            yield f"{path} was changed: it has {size} bytes and digest {sha}, not {one.bytes} and {one.sha256}"
    for extra in sorted(_all_files(folder) - set(listed) - {manifests.FILE}):
        yield f"{extra} is not in the manifest"


def _all_files(folder: Path) -> set[str]:
    """Everything but plain directories: links to directories count as files that do not belong here."""
    found: set[str] = set()
    for directory, directories, files in os.walk(folder):
        here = Path(directory)
        links = [name for name in directories if (here / name).is_symlink()]
        found |= {(here / name).relative_to(folder).as_posix() for name in (*files, *links)}
    return found


def _read(path: Path) -> bytes:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        return file.read()
