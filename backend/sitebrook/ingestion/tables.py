"""Files that wait for the job that takes them in."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text

from sitebrook.db.tables import created_at, metadata

staged_file = Table(
    "staged_file",
    metadata,
    Column("batch_id", Text, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("site_id", Text, ForeignKey("site.id", ondelete="CASCADE"), nullable=False),
    Column("source", Text, nullable=False),
    Column("content", LargeBinary),  # null: there is an outcome
    Column("is_text", Boolean, nullable=False, server_default="false"),
    Column("media_type", Text),
    Column("title", Text),
    Column("url", Text),
    Column("status", Text),  # null: nothing has become of it yet
    Column("document_id", Text),
    Column("chunks", Integer, nullable=False, server_default="0"),
    Column("reason", Text),
    Column("code", Text),
    Column("param", Text),
    created_at(),
    Index(None, "site_id"),
    Index(None, "created_at"),
)
