"""The words of chunks as packed arrays."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"

_TABLES = """
ALTER TABLE knowledge ADD COLUMN keyword_version BIGINT DEFAULT 0 NOT NULL;
ALTER TABLE knowledge ADD COLUMN keyword_format SMALLINT DEFAULT 0 NOT NULL;

CREATE TABLE postings (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    site_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    chunks INTEGER NOT NULL,
    language_names TEXT[] NOT NULL,
    numbers BYTEA NOT NULL,
    chunk_ids BYTEA NOT NULL,
    lengths BYTEA NOT NULL,
    languages BYTEA NOT NULL,
    id_order BYTEA NOT NULL,
    removed BYTEA NOT NULL,
    keys BYTEA NOT NULL,
    ends BYTEA NOT NULL,
    positions BYTEA NOT NULL,
    frequencies BYTEA NOT NULL,
    common_keys BYTEA NOT NULL,
    common_chunks BYTEA NOT NULL,
    common BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT postings_pkey PRIMARY KEY (id),
    CONSTRAINT postings_site_id_fkey FOREIGN KEY(site_id) REFERENCES site (id) ON DELETE CASCADE
);

CREATE INDEX postings_site_id_scope_ix ON postings (site_id, scope);
"""
_ARRAYS = (
    "numbers", "chunk_ids", "lengths", "languages", "id_order", "removed", "keys", "ends",
    "positions", "frequencies", "common_keys", "common_chunks", "common",
)  # fmt: skip


def upgrade() -> None:
    op.execute(_TABLES)
    # Compressing arrays of numbers costs time and gains little.
    for name in _ARRAYS:
        op.execute(f"ALTER TABLE postings ALTER COLUMN {name} SET STORAGE EXTERNAL")
