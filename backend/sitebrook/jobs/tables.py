"""Jobs: the truth about background work. The tables of the queue are procrastinate's own."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from sitebrook.db.tables import created_at, metadata

job = Table(
    "job",
    metadata,
    Column("id", Text, primary_key=True),
    Column("number", BigInteger, Identity(always=True), nullable=False, unique=True),
    Column("site_id", Text, ForeignKey("site.id", ondelete="CASCADE")),  # null: of no site
    Column("kind", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("priority", Text, nullable=False),
    Column("rank", Integer, nullable=False),  # the lowest starts first, see ``Priority``
    Column("status", Text, nullable=False, server_default="queued"),
    # The fence: every write of a worker names the attempt that it was given.
    Column("attempt", Integer, nullable=False, server_default="1"),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("losses", Integer, nullable=False, server_default="0"),
    Column("lane", Text, unique=True),  # while it may start or runs
    Column("engine_id", BigInteger),  # its row of the queue, while it runs
    Column("arguments", JSONB, nullable=False),
    Column("result", JSONB),
    Column("progress", JSONB),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("scheduled_for", DateTime(timezone=True)),
    Column("due_at", DateTime(timezone=True)),
    Column("cancel_requested_at", DateTime(timezone=True)),
    created_at(),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    UniqueConstraint("kind", "scheduled_for"),
    CheckConstraint("priority IN ('low', 'normal', 'high', 'urgent')", name="job_priority_check"),
    CheckConstraint(
        "status IN ('queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled')",
        name="job_status_check",
    ),
    Index(None, "site_id", "number"),
    Index(
        None,
        "site_id",
        "rank",
        "number",
        postgresql_where=text("status = 'queued' AND lane IS NULL"),
    ),
    Index(None, "site_id", postgresql_where=text("lane IS NOT NULL")),
    Index(None, "due_at", postgresql_where=text("status = 'waiting'")),
    Index(None, "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
    Index(
        None,
        "status",
        "kind",
        postgresql_where=text("status IN ('queued', 'running', 'waiting')"),
    ),
)
