"""The first schema: entries, their chain, and the tables that answer questions.

Written out, and never changed again: a database of any age was made by exactly this. What comes later is a migration of
its own.
"""

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary, String, Text

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table, then the indexes."""
    for create in (_entries, _instances, _operations, _verdicts):
        create()


def _entries() -> None:
    """The chain, who leads, what was meant, and what could not be taken in."""
    op.create_table(
        "entries",
        Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
        Column("hash", LargeBinary(32), nullable=False),
        Column("kind", String(32), nullable=False),
        Column("recorded", BigInteger, nullable=False),
        Column("epoch", BigInteger, nullable=False),
        Column("body", Text, nullable=False),
    )
    op.create_index("entries_kind", "entries", ["kind", "seq"])
    op.create_table(
        "leadership",
        Column("cluster", String(253), primary_key=True),
        Column("epoch", BigInteger, nullable=False),
    )
    op.create_table(
        "intents",
        Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
        Column("operation", String(128), nullable=False),
        Column("step", String(64), nullable=False),
        Column("outcome", BigInteger),
    )
    op.create_index("intents_operation", "intents", ["operation"])
    op.create_table(
        "dead_letters",
        Column("id", Integer, primary_key=True, autoincrement=True),
        Column("recorded", BigInteger, nullable=False),
        Column("reason", Text, nullable=False),
        Column("body", Text, nullable=False),
        Column("settled", Boolean, nullable=False),
    )


def _instances() -> None:
    """Lives of machines, what they were called, and what ran on them."""
    op.create_table(
        "instances",
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
    )
    op.create_index("instances_alive", "instances", ["died"])
    op.create_table(
        "identities",
        Column("uid", String(128), primary_key=True),
        Column("attribute", String(32), primary_key=True),
        Column("value", String(512), primary_key=True),
        Column("began", BigInteger, primary_key=True),
        Column("ended", BigInteger),
    )
    op.create_index("identities_value", "identities", ["attribute", "value", "began"])
    op.create_table(
        "placements",
        Column("pod_uid", String(128), primary_key=True),
        Column("instance", String(128), nullable=False),
        Column("namespace", String(63), nullable=False),
        Column("name", String(253), nullable=False),
        Column("service_account", String(253), nullable=False),
        Column("owner", String(512), nullable=False),
        Column("images", Text, nullable=False),
        Column("began", BigInteger, nullable=False),
        Column("ended", BigInteger),
    )
    op.create_index("placements_instance", "placements", ["instance", "began"])
    op.create_index("placements_name", "placements", ["namespace", "name", "began"])


def _operations() -> None:
    """Rotations and Quarantines."""
    op.create_table(
        "operations",
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
    )
    op.create_index("operations_started", "operations", ["kind", "started"])


def _verdicts() -> None:
    """What policies said of machines."""
    op.create_table(
        "verdicts",
        Column("uid", String(128), primary_key=True),
        Column("policy", String(253), primary_key=True),
        Column("began", BigInteger, primary_key=True),
        Column("ended", BigInteger),
        Column("result", String(16), nullable=False),
        Column("severity", String(16), nullable=False),
    )
    op.create_index("verdicts_open", "verdicts", ["result", "ended"])
