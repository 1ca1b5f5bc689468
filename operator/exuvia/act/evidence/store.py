"""Evidence on a filesystem: names that cannot escape, files that only their owner reads, one rename at the end.

`Draft` is the temporary folder `<root>/.partial-<UID>` in which evidence grows. Its manifest is written after every
collector, so that a run that was cut off is taken up again: what the manifest lists and what still has its digest
stays, everything else is thrown away. Reading sealed evidence is in `reading`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from exuvia.act.evidence import manifest as manifests
from exuvia.act.evidence.manifest import Manifest
from exuvia.errors import EvidenceError

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,251}")
_FILE_NAME_LIMIT = 255
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_READ = os.O_RDONLY | os.O_NOFOLLOW


def segment(text: str) -> str:
    """One part of a path: the text itself where it is a plain name, else a digest of it. Never `..`, never a slash."""
    if _PLAIN.fullmatch(text):
        return text
    return "x-" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def folder_name(quarantine: str, uid: str) -> str:
    """`<quarantine name>-<its UID>`, the name cut so that a file system takes it."""
    plain_uid = segment(uid)[:64]
    return f"{segment(quarantine)[: _FILE_NAME_LIMIT - 1 - len(plain_uid)]}-{plain_uid}"


def sync_directory(path: Path) -> None:
    """Make names in a directory durable."""
    handle = os.open(path, _DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_directory(path: Path) -> None:
    """The directory and its missing parents, for the owner alone."""
    missing = [one for one in (path, *path.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)


def digest_of(path: Path) -> tuple[int, str]:
    """Size and SHA-256 of a regular file that is no link. Raises OSError."""
    sha, size = hashlib.sha256(), 0
    with os.fdopen(os.open(path, _READ), "rb") as file:
        while block := file.read(1024 * 1024):
            sha.update(block)
            size += len(block)
    return size, sha.hexdigest()


class Writer:
    """One new file, hashed while it grows, synced when it is closed. The file must not exist."""

    def __init__(self, path: Path) -> None:
        make_directory(path.parent)
        self._file = os.fdopen(os.open(path, _NEW_FILE, 0o600), "wb")
        self._sha = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        """Append."""
        self._file.write(data)
        self._sha.update(data)
        self.size += len(data)

    def close(self) -> str:
        """Durable when it returns; the SHA-256 in hex."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._sha.hexdigest()

    def abandon(self) -> None:
        """Close without a promise: the disk may be what failed."""
        with contextlib.suppress(OSError):
            self._file.close()


@dataclass(frozen=True, slots=True)
class Draft:
    """The temporary folder of one Quarantine's evidence. Every method may raise OSError."""

    root: Path
    quarantine: str
    uid: str

    @property
    def folder(self) -> Path:
        """Where evidence grows."""
        return self.root / f".partial-{segment(self.uid)}"

    @property
    def sealed(self) -> Path:
        """Where it lies in the end."""
        return self.root / folder_name(self.quarantine, self.uid)

    def resume(self) -> Manifest | None:
        """What an earlier run left and is still sound; everything else in the folder is removed."""
        make_directory(self.root)
        earlier = self._journal()
        kept = tuple(one for one in earlier.items if self._sound(one.path, one.sha256)) if earlier else ()
        if earlier is None or not kept:
            shutil.rmtree(self.folder, ignore_errors=True)
            make_directory(self.folder)
            return None
        found = Manifest(header=earlier.header, items=kept, started=earlier.started, finished=earlier.finished)
        self.tidy(found)
        return found

    def tidy(self, manifest: Manifest) -> None:
        """Remove what is in the folder and not in the manifest: what a cut-off run left."""
        kept = {one.path for one in manifest.items} | {manifests.FILE}
        for directory, _, files in os.walk(self.folder):
            for path in (Path(directory) / name for name in files):
                if path.relative_to(self.folder).as_posix() not in kept:
                    path.unlink()

    def path(self, *parts: str) -> str:
        """The path under the folder, each part made harmless."""
        return "/".join(segment(part) for part in parts)

    def writer(self, path: str) -> Writer:
        """A new file at a path that `path` gave; what a cut-off try left there is removed first."""
        target = self.folder / path
        target.unlink(missing_ok=True)
        return Writer(target)

    def discard(self, path: str, writer: Writer) -> None:
        """Forget a file that was not finished."""
        writer.abandon()
        (self.folder / path).unlink(missing_ok=True)

    def journal(self, manifest: Manifest) -> str:
        """Write the manifest as it is now, in one rename. The digest of its file."""
        raw = manifests.encode(manifest)
        fresh = self.folder / ".manifest.new"
        fresh.unlink(missing_ok=True)
        writer = Writer(fresh)
        writer.write(raw)
        digest = writer.close()
        fresh.replace(self.folder / manifests.FILE)
        sync_directory(self.folder)
        return digest

    def seal(self) -> None:
        """Sync all directories, and give the folder its name: evidence is there whole, or not at all."""
        if self.sealed.exists():
            raise EvidenceError(f"evidence folder {self.sealed.name} is there already and is not sound.")
        for directory, _, _ in os.walk(self.folder):
            sync_directory(Path(directory))
        self.folder.rename(self.sealed)
        sync_directory(self.root)

    def set_aside(self) -> str:
        """Rename damaged evidence so that it stays for people and is in nobody's way; its new name."""
        for count in range(1, 1000):
            aside = self.root / f".damaged-{count}-{segment(self.uid)}"
            if not aside.exists():
                self.sealed.rename(aside)
                sync_directory(self.root)
                return aside.name
        raise EvidenceError(f"evidence folder {self.sealed.name} is damaged and cannot be set aside.")

    def _journal(self) -> Manifest | None:
        try:
            return manifests.decode((self.folder / manifests.FILE).read_bytes())
        except (OSError, EvidenceError):
            return None

    def _sound(self, path: str, sha256: str) -> bool:
        if not harmless(path):
            return False
        try:
            return digest_of(self.folder / path)[1] == sha256
        except OSError:
            return False


def harmless(path: str) -> bool:
    """Whether a path from a manifest stays inside its folder."""
    return bool(path) and all(_PLAIN.fullmatch(part) for part in path.split("/"))
