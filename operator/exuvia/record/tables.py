"""The ledger's tables. `entries` is the truth, chained and only ever added to; the rest answers questions fast and can
be made anew from it. Moments are whole microseconds since 1970 UTC."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text

metadata = MetaData()

entries = Table(
    "entries",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("recorded", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Index("entries_kind", "kind", "seq"),
)

leadership = Table(
    "leadership",
    metadata,
    Column("cluster", String(253), primary_key=True),
    Column("epoch", BigInteger, nullable=False),
)

instances = Table(
    "instances",
    metadata,
    Column("uid", String(128), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("name", String(253), nullable=False),
    Column("pool", String(253), nullable=False),
    Column("zone", String(253), nullable=False),
    Column("provider_id", String(512), nullable=False),
    Column("machine_id", String(128), nullable=False),
    Column("boot_id", String(128), nullable=False),
    Column("born", BigInteger, nullable=False),
    Column("died", BigInteger),
    Column("died_not_before", BigInteger),
    Column("reason", String(32)),
    Column("died_by", String(512)),
    Index("instances_alive", "died"),
)

identities = Table(
    "identities",
    metadata,
    Column("uid", String(128), primary_key=True),
    Column("attribute", String(32), primary_key=True),
    Column("value", String(512), primary_key=True),
    Column("began", BigInteger, primary_key=True),
    Column("ended", BigInteger),
    Index("identities_value", "attribute", "value", "began"),
)

placements = Table(
    "placements",
    metadata,
    Column("pod_uid", String(128), primary_key=True),
    Column("instance", String(128), nullable=False),
    Column("namespace", String(63), nullable=False),
    Column("name", String(253), nullable=False),
    Column("service_account", String(253), nullable=False),
    Column("owner", String(512), nullable=False),
    Column("images", Text, nullable=False),
    Column("began", BigInteger, nullable=False),
    Column("ended", BigInteger),
    Index("placements_instance", "instance", "began"),
    Index("placements_name", "namespace", "name", "began"),
)

operations = Table(
    "operations",
    metadata,
    Column("uid", String(128), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("name", String(253), nullable=False),
    Column("instance", String(128), nullable=False),
    Column("policy", String(253), nullable=False),
    Column("rule", String(63), nullable=False),
    Column("pool", String(253), nullable=False),
    Column("started", BigInteger),
    Column("ended", BigInteger),
    Column("result", String(128), nullable=False),
    Index("operations_started", "kind", "started"),
)

intents = Table(
    "intents",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("operation", String(128), nullable=False),
    Column("step", String(64), nullable=False),
    Column("outcome", BigInteger),
    Index("intents_operation", "operation"),
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("uid", String(128), primary_key=True),
    Column("policy", String(253), primary_key=True),
    Column("began", BigInteger, primary_key=True),
    Column("ended", BigInteger),
    Column("result", String(16), nullable=False),
    Column("severity", String(16), nullable=False),
    Index("verdicts_open", "result", "ended"),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("recorded", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("settled", Boolean, nullable=False, default=False),
)
