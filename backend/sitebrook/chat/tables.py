"""Conversations and their messages."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from sitebrook.db.tables import created_at, metadata

conversation = Table(
    "conversation",
    metadata,
    Column("id", Text, primary_key=True),
    Column("site_id", Text, ForeignKey("site.id", ondelete="CASCADE"), nullable=False),
    Column("visitor_id", Text, ForeignKey("visitor.id", ondelete="CASCADE")),
    created_at(),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index(None, "site_id", "updated_at"),
    Index(None, "visitor_id"),
)

message = Table(
    "message",
    metadata,
    Column("id", Text, primary_key=True),
    Column(
        "conversation_id", Text, ForeignKey("conversation.id", ondelete="CASCADE"), nullable=False
    ),
    Column("number", Integer, nullable=False),
    Column("role", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="complete"),
    Column("citations", JSONB, nullable=False, server_default=text("'[]'")),
    Column("model", Text),
    Column("provider", Text),
    Column("finish_reason", Text),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("upstream_model", Text),
    Column("cached_tokens", Integer),
    Column("reasoning_tokens", Integer),
    Column("is_estimated", Boolean),  # null: of a question, or not known
    Column("cost", Numeric),  # money, exact; null: unknown
    created_at(),
    CheckConstraint("role IN ('user', 'assistant')", name="message_role_check"),
    CheckConstraint("status IN ('complete', 'interrupted')", name="message_status_check"),
    UniqueConstraint("conversation_id", "number"),
    Index(None, "created_at", postgresql_where=text("role = 'assistant'")),
)
