"""Keys to the names of people, outside of the chain, so that a name can be forgotten and the chain stays whole."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0002"


def upgrade() -> None:
    """Two tables; nothing that is there changes."""
    op.create_table(
        "installation",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.LargeBinary(length=64), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "subjects",
        sa.Column("lookup", sa.LargeBinary(length=32), nullable=False),
        sa.Column("subject", sa.String(length=32), nullable=False),
        sa.Column("key", sa.LargeBinary(length=64), nullable=False),
        sa.PrimaryKeyConstraint("lookup"),
    )
    op.create_index("subjects_subject", "subjects", ["subject"], unique=True)
