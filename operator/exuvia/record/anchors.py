"""The head of a chain, noted outside the ledger: a restored backup and a cut tail do not hold the entry that it names.

A note may be signed with Ed25519, so that whoever can change the ledger cannot also make a note that fits.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from exuvia import errors
from exuvia.record import chain

TYPE = "exuvia-ledger-head/v1"
_MAKE = "openssl genpkey -algorithm ed25519 -out key.pem"
_PUBLIC = "openssl pkey -in key.pem -pubout -out public.pem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """The last entry of a chain: whose, its number, its hash in hex, and when it was recorded (RFC 3339)."""

    cluster: str
    seq: int
    hash: str
    time: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """An anchor as it was read; `signature` is empty where it is not signed."""

    anchor: Anchor
    signature: bytes


def signed_bytes(anchor: Anchor) -> bytes:
    """What is signed: the canonical JSON of the note without its signature."""
    return chain.canonical(_fields(anchor))


def written(anchor: Anchor, key: Ed25519PrivateKey | None = None) -> str:
    """The note: one line of JSON, with a signature in base64 where there is a key."""
    said: dict[str, Any] = _fields(anchor)
    if key is not None:
        said["signature"] = base64.b64encode(key.sign(signed_bytes(anchor))).decode()
    return chain.canonical(said).decode()


def read(text: str) -> Note:
    """From a note. Raises `errors.InvalidObject`."""
    try:
        said = json.loads(text)
        if said["type"] != TYPE or not all(isinstance(said[one], str) for one in ("cluster", "hash", "time")):
            raise ValueError(said["type"])
        anchor = Anchor(cluster=said["cluster"], seq=said["seq"], hash=said["hash"], time=said["time"])
        if type(anchor.seq) is not int or anchor.seq < 0 or len(bytes.fromhex(anchor.hash)) != 32:
            raise ValueError(f"{anchor.seq}:{anchor.hash}")
        signature = base64.b64decode(said.get("signature", ""), validate=True)
    except (ValueError, KeyError, TypeError) as trouble:
        remedy = "Give a file that `exuvia ledger anchor` wrote."
        raise errors.InvalidObject("This is no anchor of a ledger.", place="anchor", remedy=remedy) from trouble
    return Note(anchor=anchor, signature=signature)


def signed_by(note: Note, key: Ed25519PublicKey) -> bool:
    """Whether the note was signed with the private part of that key, as it is."""
    try:
        key.verify(note.signature, signed_bytes(note.anchor))
    except InvalidSignature:
        return False
    return True


def private_key(path: Path) -> Ed25519PrivateKey:
    """From a PEM file without a password. Raises `errors.SettingsError`."""
    try:
        found = serialization.load_pem_private_key(_bytes(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        found = None
    if not isinstance(found, Ed25519PrivateKey):
        raise errors.SettingsError(f"{path} is no Ed25519 key in PEM without a password.", remedy=f"Make one: {_MAKE}")
    return found


def public_key(path: Path) -> Ed25519PublicKey:
    """From a PEM file. Raises `errors.SettingsError`."""
    try:
        found = serialization.load_pem_public_key(_bytes(path))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        found = None
    if not isinstance(found, Ed25519PublicKey):
        raise errors.SettingsError(f"{path} is no public Ed25519 key in PEM.", remedy=f"Make it: {_PUBLIC}")
    return found


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as trouble:
        raise errors.SettingsError(
            f"{path} cannot be read: {trouble.strerror}.", remedy="Name the key's file."
        ) from trouble


def _fields(anchor: Anchor) -> dict[str, Any]:
    return {"type": TYPE, "cluster": anchor.cluster, "seq": anchor.seq, "hash": anchor.hash, "time": anchor.time}
