"""Websites that documents come from."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"

_TABLES = """
CREATE TABLE source (
    id TEXT NOT NULL,
    site_id TEXT NOT NULL,
    url TEXT NOT NULL,
    options JSONB NOT NULL,
    every_hours INTEGER,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    crawled_at TIMESTAMP WITH TIME ZONE,
    counts JSONB DEFAULT '{}' NOT NULL,
    stopped TEXT DEFAULT '' NOT NULL,
    CONSTRAINT source_pkey PRIMARY KEY (id),
    CONSTRAINT source_site_id_fkey FOREIGN KEY(site_id) REFERENCES site (id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX source_site_id_url_ix ON source (site_id, url);

CREATE TABLE source_page (
    source_id TEXT NOT NULL,
    url TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT DEFAULT '' NOT NULL,
    depth INTEGER NOT NULL,
    status INTEGER DEFAULT '0' NOT NULL,
    is_stored BOOLEAN NOT NULL,
    etag TEXT DEFAULT '' NOT NULL,
    last_modified TEXT DEFAULT '' NOT NULL,
    links TEXT[] NOT NULL,
    crawled_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT source_page_pkey PRIMARY KEY (source_id, url),
    CONSTRAINT source_page_source_id_fkey FOREIGN KEY(source_id) REFERENCES source (id) ON DELETE CASCADE
);
"""


def upgrade() -> None:
    op.execute(_TABLES)
