"""Tickets for streams."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

_TABLES = """
CREATE TABLE ticket (
    sha256 BYTEA NOT NULL,
    key_id TEXT NOT NULL,
    visitor_id TEXT,
    origin TEXT,
    path TEXT NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT ticket_pkey PRIMARY KEY (sha256),
    CONSTRAINT ticket_key_id_fkey FOREIGN KEY(key_id) REFERENCES key (id) ON DELETE CASCADE
);

CREATE INDEX ticket_expires_at_ix ON ticket (expires_at);
"""


def upgrade() -> None:
    op.execute(_TABLES)
