"""Stores: documents of a site beside its own."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"

_HOLDERS = """
CREATE TABLE holder (
    id TEXT NOT NULL,
    site_id TEXT NOT NULL,
    CONSTRAINT holder_pkey PRIMARY KEY (id),
    CONSTRAINT holder_site_id_fkey FOREIGN KEY(site_id) REFERENCES site (id) ON DELETE CASCADE
);

CREATE INDEX holder_site_id_ix ON holder (site_id);

CREATE FUNCTION add_holder_of_site() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO holder (id, site_id) VALUES (NEW.id, NEW.id);
    RETURN NULL;
END
$$;

CREATE TRIGGER site_is_holder AFTER INSERT ON site
FOR EACH ROW EXECUTE FUNCTION add_holder_of_site();

INSERT INTO holder (id, site_id) SELECT id, id FROM site;
"""
_HELD = ("knowledge", "document", "chunk", "embedding", "postings")
_TABLES = """
CREATE TABLE store (
    id TEXT NOT NULL,
    site_id TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    metadata JSONB NOT NULL,
    expires_after_days INTEGER,
    last_active_at TIMESTAMP WITH TIME ZONE NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT store_pkey PRIMARY KEY (id),
    CONSTRAINT store_id_fkey FOREIGN KEY(id) REFERENCES holder (id) ON DELETE CASCADE,
    CONSTRAINT store_site_id_fkey FOREIGN KEY(site_id) REFERENCES site (id) ON DELETE CASCADE
);

CREATE INDEX store_site_id_created_at_id_ix ON store (site_id, created_at, id);

CREATE TABLE store_batch (
    id TEXT NOT NULL,
    store_id TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT store_batch_pkey PRIMARY KEY (id),
    CONSTRAINT store_batch_store_id_fkey FOREIGN KEY(store_id) REFERENCES store (id) ON DELETE CASCADE
);

CREATE INDEX store_batch_store_id_ix ON store_batch (store_id);

CREATE TABLE store_file (
    store_id TEXT NOT NULL,
    file_id TEXT NOT NULL,
    batch_id TEXT,
    job_id TEXT NOT NULL,
    status TEXT DEFAULT 'in_progress' NOT NULL,
    attributes JSONB DEFAULT '{}' NOT NULL,
    chunk_tokens INTEGER,
    overlap_tokens INTEGER,
    document_id TEXT,
    usage_bytes BIGINT DEFAULT '0' NOT NULL,
    error_code TEXT,
    error_message TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT store_file_pkey PRIMARY KEY (store_id, file_id),
    CONSTRAINT store_file_status_check CHECK (status IN ('in_progress', 'completed', 'failed', 'cancelled')),
    CONSTRAINT store_file_store_id_fkey FOREIGN KEY(store_id) REFERENCES store (id) ON DELETE CASCADE,
    CONSTRAINT store_file_file_id_fkey FOREIGN KEY(file_id) REFERENCES file (id) ON DELETE CASCADE,
    CONSTRAINT store_file_batch_id_fkey FOREIGN KEY(batch_id) REFERENCES store_batch (id) ON DELETE CASCADE
);

CREATE INDEX store_file_store_id_created_at_file_id_ix ON store_file (store_id, created_at, file_id);

CREATE INDEX store_file_file_id_ix ON store_file (file_id);

CREATE INDEX store_file_batch_id_ix ON store_file (batch_id);

CREATE INDEX store_file_job_id_ix ON store_file (job_id);
"""


def upgrade() -> None:
    op.execute(_HOLDERS)
    for table in _HELD:
        name = f"{table}_site_id_fkey"
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        op.create_foreign_key(name, table, "holder", ["site_id"], ["id"], ondelete="CASCADE")
    op.execute(_TABLES)
