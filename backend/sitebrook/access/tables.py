"""Sites, their keys and their visitors."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    Text,
    func,
    text,
)

from sitebrook.db.tables import created_at, metadata

site = Table(
    "site",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("allowed_origins", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("instructions", Text, nullable=False, server_default=""),
    Column("model", Text, nullable=False, server_default="auto"),
    Column("language", Text, nullable=False, server_default="en"),
    Column("greeting", Text, nullable=False, server_default=""),
    Column("starters", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    created_at(),
)

key = Table(
    "key",
    metadata,
    Column("id", Text, primary_key=True),
    Column("site_id", Text, ForeignKey("site.id", ondelete="CASCADE"), nullable=False),
    Column("role", Text, nullable=False),
    Column("name", Text, nullable=False, server_default=""),
    Column("prefix", Text, nullable=False),
    Column("sha256", LargeBinary, nullable=False, unique=True),
    Column("publishable_value", Text),
    created_at(),
    Column("revoked_at", DateTime(timezone=True)),
    CheckConstraint("role IN ('publishable', 'site', 'admin')", name="key_role_check"),
    CheckConstraint(
        "(role = 'publishable') = (publishable_value IS NOT NULL)", name="key_value_check"
    ),
    Index(None, "site_id"),
)

visitor = Table(
    "visitor",
    metadata,
    Column("id", Text, primary_key=True),
    Column("site_id", Text, ForeignKey("site.id", ondelete="CASCADE"), nullable=False),
    Column("origin", Text, nullable=False),
    created_at(),
    Column("seen_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index(None, "site_id"),
)

signing_secret = Table(
    "signing_secret",
    metadata,
    Column("id", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
    created_at(),
)

ticket = Table(
    "ticket",
    metadata,
    Column("sha256", LargeBinary, primary_key=True),
    Column("key_id", Text, ForeignKey("key.id", ondelete="CASCADE"), nullable=False),
    Column("visitor_id", Text),
    Column("origin", Text),
    Column("path", Text, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Index(None, "expires_at"),
)
