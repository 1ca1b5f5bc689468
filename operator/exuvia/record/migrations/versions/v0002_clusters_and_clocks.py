"""Tables that only grow, one chain for each cluster, two clocks.

The entries are kept as they are; all else is made anew from them afterwards.
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

UID = sa.String(length=128).with_variant(sa.String(length=128, collation="C"), "postgresql")
FORMER = ("instances", "identities", "placements", "operations", "intents", "verdicts")


def upgrade() -> None:
    """Put every entry in its cluster's chain; its hash and its canonical text do not change."""
    for name in FORMER:
        op.drop_table(name)
    for name in ("entries", "leadership", "dead_letters"):
        op.rename_table(name, f"former_{name}")
    op.drop_index("entries_kind", "former_entries")
    for create in (_entries, _lives, _occupants, _findings, _operations, _verdicts):
        create()
    _keep()
    for name in ("entries", "leadership", "dead_letters"):
        op.drop_table(f"former_{name}")


def _keep() -> None:
    """One chain stays one chain: that of the cluster which wrote last."""
    connection = op.get_bind()
    connection.execute(sa.text("INSERT INTO leadership SELECT cluster, epoch FROM former_leadership"))
    last = connection.scalar(sa.text("SELECT body FROM former_entries ORDER BY seq DESC LIMIT 1"))
    of = {"cluster": "" if last is None else json.loads(last)["cluster"]}
    columns = "seq, hash, kind, recorded, epoch, body"
    kept = f"INSERT INTO entries (cluster, {columns}) SELECT :cluster, {columns} FROM former_entries"
    connection.execute(sa.text(kept), of)
    letters = "INSERT INTO dead_letters (cluster, recorded, reason, body) SELECT :cluster, recorded, reason, body"
    connection.execute(sa.text(f"{letters} FROM former_dead_letters ORDER BY id"), of)


def _entries() -> None:
    """The chains, who leads, and what could not be taken in."""
    op.create_table(
        "entries",
        sa.Column("cluster", sa.String(length=253), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("recorded", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("cluster", "seq"),
    )
    op.create_index("entries_kind", "entries", ["kind", "cluster", "seq"], unique=False)
    op.create_table(
        "leadership",
        sa.Column("cluster", sa.String(length=253), nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("cluster", "epoch"),
    )
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("cluster", sa.String(length=253), nullable=False),
        sa.Column("recorded", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "mentions",
        sa.Column("uid", UID, nullable=False),
        sa.Column("cluster", sa.String(length=253), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("uid", "cluster", "seq"),
        sqlite_with_rowid=False,
    )


def _lives() -> None:
    """Lives of machines, and what they bore."""
    op.create_table(
        "lives",
        sa.Column("uid", UID, nullable=False),
        sa.Column("recorded", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("rank", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("cluster", sa.String(length=253), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("declared", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=253), nullable=False),
        sa.Column("pool", sa.String(length=253), nullable=False),
        sa.Column("zone", sa.String(length=253), nullable=False),
        sa.Column("born", sa.BigInteger(), nullable=False),
        sa.Column("died", sa.BigInteger(), nullable=True),
        sa.Column("died_not_before", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("died_by", sa.String(length=512), nullable=False),
        sa.Column("persistent", sa.Boolean(), nullable=False),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("uid", "recorded", "rank"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "identities",
        sa.Column("uid", UID, nullable=False),
        sa.Column("attribute", sa.String(length=32), nullable=False),
        sa.Column("value", sa.String(length=512), nullable=False),
        sa.Column("began", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("recorded", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("rank", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("declared", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.PrimaryKeyConstraint("uid", "attribute", "value", "began", "recorded", "rank"),
        sqlite_with_rowid=False,
    )
    op.create_index("identities_value", "identities", ["attribute", "value", "began"], unique=False)


def _occupants() -> None:
    """What ran on machines, and who was on them."""
    op.create_table(
        "placements",
        sa.Column("uid", UID, nullable=False),
        sa.Column("began", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("pod_uid", UID, nullable=False),
        sa.Column("recorded", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("rank", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("namespace", sa.String(length=253), nullable=False),
        sa.Column("name", sa.String(length=253), nullable=False),
        sa.Column("service_account", sa.String(length=253), nullable=False),
        sa.Column("owner", sa.String(length=512), nullable=False),
        sa.Column("images", sa.Text(), nullable=False),
        sa.Column("ended", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("uid", "began", "pod_uid", "recorded", "rank"),
        sqlite_with_rowid=False,
    )
    op.create_index("placements_name", "placements", ["namespace", "name", "began"], unique=False)
    op.create_index("placements_pod", "placements", ["pod_uid"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("uid", UID, nullable=False),
        sa.Column("began", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("user", sa.String(length=512), nullable=False),
        sa.Column("recorded", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("rank", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("uid", "began", "user", "recorded", "rank"),
        sqlite_with_rowid=False,
    )
    op.create_index("sessions_user", "sessions", ["user", "began"], unique=False)


def _findings() -> None:
    """Vulnerabilities on machines, their scores, and when a machine was cut off."""
    op.create_table(
        "presences",
        sa.Column("uid", UID, nullable=False),
        sa.Column("vulnerability", UID, nullable=False),
        sa.Column("began", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("recorded", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("rank", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("closed", sa.String(length=64), nullable=False),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("uid", "vulnerability", "began", "recorded", "rank"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "scores",
        sa.Column("vulnerability", UID, nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("recorded", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("rank", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.String(length=64), nullable=False),
        sa.Column("basis", sa.String(length=64), nullable=False),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("vulnerability", "source", "valid_from", "recorded", "rank"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "freezes",
        sa.Column("uid", UID, nullable=False),
        sa.Column("began", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("recorded", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("rank", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("uid", "began", "recorded", "rank"),
        sqlite_with_rowid=False,
    )


def _operations() -> None:
    """Rotations and Quarantines, step by step."""
    op.create_table(
        "operations",
        sa.Column("uid", UID, nullable=False),
        sa.Column("event", sa.String(length=32), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=253), nullable=False),
        sa.Column("instance", UID, nullable=False),
        sa.Column("policy", sa.String(length=253), nullable=False),
        sa.Column("rule", sa.String(length=63), nullable=False),
        sa.Column("pool", sa.String(length=253), nullable=False),
        sa.Column("result", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("uid", "event"),
    )
    op.create_index("operations_at", "operations", ["event", "kind", "at"], unique=False)
    op.create_index("operations_instance", "operations", ["instance"], unique=False)
    op.create_table(
        "intents",
        sa.Column("cluster", sa.String(length=253), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("operation", UID, nullable=False),
        sa.Column("step", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("cluster", "seq"),
    )
    op.create_index("intents_operation", "intents", ["operation"], unique=False)
    op.create_table(
        "outcomes",
        sa.Column("cluster", sa.String(length=253), nullable=False),
        sa.Column("intent", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("cluster", "intent"),
    )


def _verdicts() -> None:
    """What policies said of machines."""
    op.create_table(
        "verdicts",
        sa.Column("uid", UID, nullable=False),
        sa.Column("policy", sa.String(length=253), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("result", sa.String(length=16), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("uid", "policy", "seq"),
        sqlite_with_rowid=False,
    )
