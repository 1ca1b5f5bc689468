"""Runs a migration on the connection that `opening.migrate` hands over."""

from alembic import context

from exuvia.record import tables

context.configure(connection=context.config.attributes["connection"], target_metadata=tables.metadata)
with context.begin_transaction():
    context.run_migrations()
