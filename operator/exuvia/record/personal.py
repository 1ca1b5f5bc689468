"""Names of people who were on machines: in the chain they are sealed, each person's under a key of its own that stands
outside of it. Destroying the key forgets the name; the chain stays whole, and what the person did stays one person's.

Sealed is `enc:v1:<subject>:<AES-SIV of the name>`. The subject is a random token that says nothing of the name; the
same name has the same one, so that corrections find what they correct, until its key is destroyed. The name is found by
an HMAC under a secret of the installation. AES-SIV of the same name is the same text, so the order in which lines come
in says nothing (history.md, Ledger), and a name that was exchanged is found.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import unicodedata
from dataclasses import replace
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from sqlalchemy import Connection, Table, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from exuvia import errors
from exuvia.model.facts import Fact, FactKind
from exuvia.record import tables

PREFIX = "enc:v1:"
ERASED = "erased"
SEALED = "sealed"
LONGEST = 345
"""Bytes of a name: sealed it fits where names stand."""

_SECRET = "subjects"


def sealed(connection: Connection, fact: Fact) -> Fact:
    """The same fact with the name of a person sealed; others are as they were. Raises `errors.InvalidObject`."""
    user = fact.body.get("user") if fact.kind is FactKind.SESSION else None
    if not isinstance(user, str) or not user:
        return fact
    return replace(fact, body={**fact.body, "user": _seal(connection, user)})


def revealed(connection: Connection, stored: str) -> str:
    """The name; `erased` where its key was destroyed, `sealed` where it never was here (a chain from elsewhere)."""
    if not stored.startswith(PREFIX):
        return stored
    named, table = subject(stored), tables.subjects
    key = connection.scalar(select(table.c.key).where(table.c.subject == named))
    if key is None:
        return ERASED if named in erased(connection) else SEALED
    try:
        return AESSIV(bytes(key)).decrypt(_decoded(stored.rsplit(":", 1)[1]), _bound(named)).decode()
    except (InvalidTag, ValueError):
        return SEALED


def subject(stored: str) -> str:
    """The token that stands for a person in a sealed name; a name that is not sealed stands for itself."""
    return stored.split(":")[2] if stored.startswith(PREFIX) and stored.count(":") == 3 else stored


def known(connection: Connection, name: str) -> str:
    """The token of a person by name, or "" where nobody of that name is known (any more)."""
    secret, table = _secret(connection), tables.subjects
    if secret is None:
        return ""
    return connection.scalar(select(table.c.subject).where(table.c.lookup == _lookup(secret, name))) or ""


def erased(connection: Connection) -> set[str]:
    """The tokens of everybody whose name was forgotten."""
    table = tables.entries
    bodies = connection.scalars(select(table.c.body).where(table.c.kind == FactKind.ERASED.value))
    return {str(json.loads(body)["body"]["subject"]) for body in bodies}


def _seal(connection: Connection, name: str) -> str:
    if name.startswith(PREFIX):
        remedy = f"A name may not begin with {PREFIX}; a chain from elsewhere is imported as it was exported."
        raise errors.InvalidObject(f"{name[:40]!r} is a sealed name.", place="user", remedy=remedy)
    plain = unicodedata.normalize("NFC", name)
    if len(plain.encode()) > LONGEST:
        remedy = f"A name has at most {LONGEST} bytes."
        raise errors.InvalidObject(f"{len(plain.encode())} bytes are too many.", place="user", remedy=remedy)
    token, key = _key(connection, plain)
    text = base64.urlsafe_b64encode(AESSIV(key).encrypt(plain.encode(), _bound(token))).decode().rstrip("=")
    return f"{PREFIX}{token}:{text}"


def _key(connection: Connection, name: str) -> tuple[str, bytes]:
    """The token and the key of a person, made now where there are none."""
    lookup = _lookup(_secret(connection) or _make_secret(connection), name)
    row = connection.execute(_KEY, {"of": lookup}).first()
    if row is None:
        made = {"lookup": lookup, "subject": secrets.token_urlsafe(16), "key": AESSIV.generate_key(512)}
        _add(connection, tables.subjects, made)
        row = connection.execute(_KEY, {"of": lookup}).one()
    return str(row.subject), bytes(row.key)


def _lookup(secret: bytes, name: str) -> bytes:
    """Without the secret nobody can try names; and it says nothing once the row is gone."""
    return hmac.new(secret, unicodedata.normalize("NFC", name).encode(), hashlib.sha256).digest()


def _secret(connection: Connection) -> bytes | None:
    found = connection.scalar(_SECRETS, {"of": _SECRET})
    return None if found is None else bytes(found)


def _make_secret(connection: Connection) -> bytes:
    _add(connection, tables.installation, {"name": _SECRET, "value": os.urandom(32)})
    found = _secret(connection)
    assert found is not None, "it was made now, or by another writer just before"
    return found


def _add(connection: Connection, table: Table, row: dict[str, Any]) -> None:
    """Writers of several clusters may meet the same name at the same moment: the first one's row counts for all."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(table).values(row).on_conflict_do_nothing())


def _bound(token: str) -> list[bytes]:
    return [b"exuvia/v1", token.encode()]


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


_SECRETS = select(tables.installation.c.value).where(tables.installation.c.name == bindparam("of"))
_KEY = select(tables.subjects.c.subject, tables.subjects.c.key).where(tables.subjects.c.lookup == bindparam("of"))
