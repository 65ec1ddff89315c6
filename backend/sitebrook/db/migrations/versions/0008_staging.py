"""Files that wait for the job that takes them in."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"

_TABLES = """
CREATE TABLE staged_file (
    batch_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    site_id TEXT NOT NULL,
    source TEXT NOT NULL,
    content BYTEA,
    is_text BOOLEAN DEFAULT 'false' NOT NULL,
    media_type TEXT,
    title TEXT,
    url TEXT,
    status TEXT,
    document_id TEXT,
    chunks INTEGER DEFAULT '0' NOT NULL,
    reason TEXT,
    code TEXT,
    param TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT staged_file_pkey PRIMARY KEY (batch_id, position),
    CONSTRAINT staged_file_site_id_fkey FOREIGN KEY(site_id) REFERENCES site (id) ON DELETE CASCADE
);

CREATE INDEX staged_file_site_id_ix ON staged_file (site_id);

CREATE INDEX staged_file_created_at_ix ON staged_file (created_at);
"""


def upgrade() -> None:
    op.execute(_TABLES)
