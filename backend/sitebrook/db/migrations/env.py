"""Runs the revisions over the connection that ``sitebrook.db.migrate`` hands in."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=context.config.attributes.get("metadata"),
)
with context.begin_transaction():
    context.run_migrations()
