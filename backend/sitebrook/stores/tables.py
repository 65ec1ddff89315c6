"""Files that were sent to be kept."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Index, LargeBinary, Table, Text

from sitebrook.db.tables import created_at, metadata

file = Table(
    "file",
    metadata,
    Column("id", Text, primary_key=True),
    Column("site_id", Text, ForeignKey("site.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("media_type", Text),
    Column("size_bytes", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
    created_at(),
    Column("expires_at", DateTime(timezone=True)),  # null: it stays until it is deleted
    Index(None, "site_id", "created_at", "id"),
    Index(None, "expires_at"),
)
