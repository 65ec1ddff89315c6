"""Files that were sent to be kept, and the stores that they are in."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

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

# Its documents are those of the holder with its id.
store = Table(
    "store",
    metadata,
    Column("id", Text, ForeignKey("holder.id", ondelete="CASCADE"), primary_key=True),
    Column("site_id", Text, ForeignKey("site.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("metadata", JSONB, nullable=False),
    Column("expires_after_days", Integer),  # since it was last active; null: never
    Column("last_active_at", DateTime(timezone=True), nullable=False),
    created_at(),
    Index(None, "site_id", "created_at", "id"),
)

store_batch = Table(
    "store_batch",
    metadata,
    Column("id", Text, primary_key=True),
    Column("store_id", Text, ForeignKey("store.id", ondelete="CASCADE"), nullable=False),
    created_at(),
    Index(None, "store_id"),
)

store_file = Table(
    "store_file",
    metadata,
    Column("store_id", Text, ForeignKey("store.id", ondelete="CASCADE"), primary_key=True),
    Column("file_id", Text, ForeignKey("file.id", ondelete="CASCADE"), primary_key=True),
    Column("batch_id", Text, ForeignKey("store_batch.id", ondelete="CASCADE")),
    # The job that reads it; one that ended without saying what became of the file has failed it.
    Column("job_id", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="in_progress"),
    Column("attributes", JSONB, nullable=False, server_default=text("'{}'")),
    Column("chunk_tokens", Integer),  # null: as the settings say
    Column("overlap_tokens", Integer),
    # The document made of it; when it is read again, that of the time before until then.
    Column("document_id", Text),
    Column("usage_bytes", BigInteger, nullable=False, server_default="0"),
    Column("error_code", Text),
    Column("error_message", Text),
    created_at(),
    CheckConstraint(
        "status IN ('in_progress', 'completed', 'failed', 'cancelled')",
        name="store_file_status_check",
    ),
    Index(None, "store_id", "created_at", "file_id"),
    Index(None, "file_id"),
    Index(None, "batch_id"),
    Index(None, "job_id"),
)
