"""The websites that a site's documents come from, and what is known of their pages."""

from __future__ import annotations

from sqlalchemy import ARRAY, Boolean, Column, DateTime, ForeignKey, Index, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from sitebrook.db.tables import created_at, metadata

source = Table(
    "source",
    metadata,
    Column("id", Text, primary_key=True),
    Column("site_id", Text, ForeignKey("site.id", ondelete="CASCADE"), nullable=False),
    Column("url", Text, nullable=False),
    Column("options", JSONB, nullable=False),
    # Hours from the end of one crawl to the next; none: only when somebody asks.
    Column("every_hours", Integer),
    created_at(),
    Column("crawled_at", DateTime(timezone=True)),
    # When the crawl began that has not ended yet: it goes on, and does not begin anew.
    Column("crawl_started_at", DateTime(timezone=True)),
    # How many pages had each outcome in the last crawl, and why it ended early.
    Column("counts", JSONB, nullable=False, server_default="{}"),
    Column("stopped", Text, nullable=False, server_default=""),
    Index(None, "site_id", "url", unique=True),
)

source_page = Table(
    "source_page",
    metadata,
    Column("source_id", Text, ForeignKey("source.id", ondelete="CASCADE"), primary_key=True),
    Column("url", Text, primary_key=True),
    Column("outcome", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("depth", Integer, nullable=False),
    Column("status", Integer, nullable=False, server_default="0"),
    # Whether it is a document of the site now.
    Column("is_stored", Boolean, nullable=False),
    Column("etag", Text, nullable=False, server_default=""),
    Column("last_modified", Text, nullable=False, server_default=""),
    Column("links", ARRAY(Text), nullable=False),
    Column("crawled_at", DateTime(timezone=True), nullable=False),
)
