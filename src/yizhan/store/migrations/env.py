"""Alembic's entry: runs the steps on the connection that ``store/schema.py`` hands over, in its transaction."""

from __future__ import annotations

from alembic import context

from yizhan.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # also on SQLite, where we begin transactions ourselves
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
