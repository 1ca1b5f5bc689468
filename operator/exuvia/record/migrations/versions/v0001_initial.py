"""The first schema: entries, their chain, and the tables that answer questions."""

from alembic import op

from exuvia.record import tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table."""
    tables.metadata.create_all(op.get_bind())
