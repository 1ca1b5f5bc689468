"""The ledger's tables. `entries` is the truth, one chain for each cluster; the rest answers questions fast and can be
made anew from it. Every row of every table is only ever added: what changed has a later row.

Moments are whole microseconds since 1970 UTC. `recorded` is when it was learnt; of the rows of one thing the one with
the greatest (`recorded`, `rank`) holds, whole (history.md, Ledger). `seq` is the entry that said it.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text

metadata = MetaData()

NAME, CLUSTER = 253, 253
UID = String(128).with_variant(String(128, collation="C"), "postgresql")
"""Compared byte by byte everywhere, so that what is read in order by several reads can be joined."""


def _moment(name: str, *, key: bool = False, null: bool = False) -> Column[int]:
    return Column(name, BigInteger, primary_key=key, nullable=null, autoincrement=False)


def _seq() -> Column[int]:
    return Column("seq", BigInteger, nullable=False)


def _known() -> tuple[Column[int], Column[int]]:
    """When it was learnt; the rank settles what was learnt at the same moment. The last part of each primary key."""
    rank = Column("rank", Integer, primary_key=True, nullable=False, autoincrement=False)
    return _moment("recorded", key=True), rank


def _withdrawn() -> Column[bool]:
    return Column("withdrawn", Boolean, nullable=False)


entries = Table(
    "entries",
    metadata,
    Column("cluster", String(CLUSTER), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("recorded", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Index("entries_kind", "kind", "cluster", "seq"),
)

leadership = Table(
    "leadership",
    metadata,
    Column("cluster", String(CLUSTER), primary_key=True),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
)

lives = Table(
    "lives",
    metadata,
    Column("uid", UID, primary_key=True),
    *_known(),
    Column("cluster", String(CLUSTER), nullable=False),
    _seq(),
    Column("declared", BigInteger, nullable=False),  # the entry whose identities count: see `identities`
    Column("kind", String(32), nullable=False),
    Column("name", String(NAME), nullable=False),
    Column("pool", String(NAME), nullable=False),
    Column("zone", String(NAME), nullable=False),
    Column("born", BigInteger, nullable=False),
    Column("died", BigInteger),
    Column("died_not_before", BigInteger),
    Column("reason", String(64), nullable=False),
    Column("died_by", String(512), nullable=False),
    Column("persistent", Boolean, nullable=False),
    _withdrawn(),
    sqlite_with_rowid=False,
)

identities = Table(
    "identities",
    metadata,
    Column("uid", UID, primary_key=True),
    Column("attribute", String(32), primary_key=True),
    Column("value", String(512), primary_key=True),
    _moment("began", key=True),
    *_known(),
    _seq(),
    Column("declared", BigInteger, nullable=False),
    _moment("ended", null=True),
    Index("identities_value", "attribute", "value", "began"),
    sqlite_with_rowid=False,
)

placements = Table(
    "placements",
    metadata,
    Column("uid", UID, primary_key=True),  # of the instance
    _moment("began", key=True),
    Column("pod_uid", UID, primary_key=True),
    *_known(),
    _seq(),
    Column("namespace", String(253), nullable=False),
    Column("name", String(NAME), nullable=False),
    Column("service_account", String(253), nullable=False),
    Column("owner", String(512), nullable=False),
    Column("images", Text, nullable=False),
    _moment("ended", null=True),
    _withdrawn(),
    Index("placements_pod", "pod_uid"),
    Index("placements_name", "namespace", "name", "began"),
    sqlite_with_rowid=False,
)

sessions = Table(
    "sessions",
    metadata,
    Column("uid", UID, primary_key=True),
    _moment("began", key=True),
    Column("user", String(512), primary_key=True),
    *_known(),
    _seq(),
    _moment("ended", null=True),
    _withdrawn(),
    Index("sessions_user", "user", "began"),
    sqlite_with_rowid=False,
)

presences = Table(
    "presences",
    metadata,
    Column("uid", UID, primary_key=True),
    Column("vulnerability", UID, primary_key=True),
    _moment("began", key=True),
    *_known(),
    _seq(),
    _moment("ended", null=True),
    Column("closed", String(64), nullable=False),
    _withdrawn(),
    sqlite_with_rowid=False,
)

scores = Table(
    "scores",
    metadata,
    Column("vulnerability", UID, primary_key=True),
    Column("source", String(64), primary_key=True),
    _moment("valid_from", key=True),
    *_known(),
    _seq(),
    Column("value", String(64), nullable=False),
    Column("basis", String(64), nullable=False),
    _withdrawn(),
    sqlite_with_rowid=False,
)

freezes = Table(
    "freezes",
    metadata,
    Column("uid", UID, primary_key=True),
    _moment("began", key=True),
    *_known(),
    _seq(),
    _moment("ended", null=True),
    _withdrawn(),
    sqlite_with_rowid=False,
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("uid", UID, primary_key=True),
    Column("policy", String(NAME), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("result", String(16), nullable=False),  # "" ends the former and begins nothing
    Column("severity", String(16), nullable=False),
    sqlite_with_rowid=False,
)

operations = Table(
    "operations",
    metadata,
    Column("uid", UID, primary_key=True),
    Column("event", String(32), primary_key=True),
    _seq(),
    Column("at", BigInteger, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("name", String(NAME), nullable=False),
    Column("instance", UID, nullable=False),
    Column("policy", String(NAME), nullable=False),
    Column("rule", String(63), nullable=False),
    Column("pool", String(NAME), nullable=False),
    Column("result", String(128), nullable=False),
    Index("operations_at", "event", "kind", "at"),
    Index("operations_instance", "instance"),
)

intents = Table(
    "intents",
    metadata,
    Column("cluster", String(CLUSTER), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("operation", UID, nullable=False),
    Column("step", String(64), nullable=False),
    Index("intents_operation", "operation"),
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("cluster", String(CLUSTER), primary_key=True),
    Column("intent", BigInteger, primary_key=True, autoincrement=False),
    _seq(),
)

mentions = Table(
    "mentions",
    metadata,
    Column("uid", UID, primary_key=True),  # of an instance or an operation
    Column("cluster", String(CLUSTER), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

installation = Table(
    "installation",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", LargeBinary(64), nullable=False),
)

subjects = Table(
    "subjects",
    metadata,
    Column("lookup", LargeBinary(32), primary_key=True),  # HMAC of the name
    Column("subject", String(32), nullable=False),  # what stands for it in the chain
    Column("key", LargeBinary(64), nullable=False),
    Index("subjects_subject", "subject", unique=True),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("cluster", String(CLUSTER), nullable=False),
    Column("recorded", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("body", Text, nullable=False),
)
