"""Crawls that go on where they broke off."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.execute("ALTER TABLE source ADD COLUMN crawl_started_at TIMESTAMP WITH TIME ZONE")
