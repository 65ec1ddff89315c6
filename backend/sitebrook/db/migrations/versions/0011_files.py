"""Files that were sent to be kept."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"

_TABLES = """
CREATE TABLE file (
    id TEXT NOT NULL,
    site_id TEXT NOT NULL,
    name TEXT NOT NULL,
    purpose TEXT NOT NULL,
    media_type TEXT,
    size_bytes BIGINT NOT NULL,
    content BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT file_pkey PRIMARY KEY (id),
    CONSTRAINT file_site_id_fkey FOREIGN KEY(site_id) REFERENCES site (id) ON DELETE CASCADE
);

CREATE INDEX file_site_id_created_at_id_ix ON file (site_id, created_at, id);

CREATE INDEX file_expires_at_ix ON file (expires_at);
"""


def upgrade() -> None:
    op.execute(_TABLES)
