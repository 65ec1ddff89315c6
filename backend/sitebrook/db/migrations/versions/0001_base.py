"""The first tables."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

_TABLES = """
CREATE EXTENSION IF NOT EXISTS vector;

CREATE TABLE signing_secret (
    id TEXT NOT NULL,
    value BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT signing_secret_pkey PRIMARY KEY (id)
);

CREATE TABLE site (
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    allowed_origins TEXT[] DEFAULT '{}' NOT NULL,
    instructions TEXT DEFAULT '' NOT NULL,
    model TEXT DEFAULT 'auto' NOT NULL,
    language TEXT DEFAULT 'en' NOT NULL,
    greeting TEXT DEFAULT '' NOT NULL,
    starters TEXT[] DEFAULT '{}' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT site_pkey PRIMARY KEY (id),
    CONSTRAINT site_name_key UNIQUE (name)
);

CREATE TABLE document (
    id TEXT NOT NULL,
    site_id TEXT NOT NULL,
    source TEXT NOT NULL,
    title TEXT NOT NULL,
    url TEXT,
    language TEXT NOT NULL,
    sha256 BYTEA NOT NULL,
    characters INTEGER NOT NULL,
    chunks INTEGER NOT NULL,
    version INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT document_pkey PRIMARY KEY (id),
    CONSTRAINT document_site_id_source_key UNIQUE (site_id, source),
    CONSTRAINT document_site_id_fkey FOREIGN KEY(site_id) REFERENCES site (id) ON DELETE CASCADE
);

CREATE TABLE key (
    id TEXT NOT NULL,
    site_id TEXT NOT NULL,
    role TEXT NOT NULL,
    name TEXT DEFAULT '' NOT NULL,
    prefix TEXT NOT NULL,
    sha256 BYTEA NOT NULL,
    publishable_value TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    revoked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT key_pkey PRIMARY KEY (id),
    CONSTRAINT key_role_check CHECK (role IN ('publishable', 'site', 'admin')),
    CONSTRAINT key_value_check CHECK ((role = 'publishable') = (publishable_value IS NOT NULL)),
    CONSTRAINT key_site_id_fkey FOREIGN KEY(site_id) REFERENCES site (id) ON DELETE CASCADE,
    CONSTRAINT key_sha256_key UNIQUE (sha256)
);

CREATE INDEX key_site_id_ix ON key (site_id);

CREATE TABLE knowledge (
    site_id TEXT NOT NULL,
    embedder TEXT NOT NULL,
    version BIGINT DEFAULT '0' NOT NULL,
    next_chunk_number INTEGER DEFAULT '0' NOT NULL,
    CONSTRAINT knowledge_pkey PRIMARY KEY (site_id),
    CONSTRAINT knowledge_site_id_fkey FOREIGN KEY(site_id) REFERENCES site (id) ON DELETE CASCADE
);

CREATE TABLE visitor (
    id TEXT NOT NULL,
    site_id TEXT NOT NULL,
    origin TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT visitor_pkey PRIMARY KEY (id),
    CONSTRAINT visitor_site_id_fkey FOREIGN KEY(site_id) REFERENCES site (id) ON DELETE CASCADE
);

CREATE INDEX visitor_site_id_ix ON visitor (site_id);

CREATE TABLE chunk (
    id TEXT NOT NULL,
    site_id TEXT NOT NULL,
    document_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    number INTEGER NOT NULL,
    position INTEGER NOT NULL,
    headings TEXT[] NOT NULL,
    text TEXT NOT NULL,
    language TEXT NOT NULL,
    CONSTRAINT chunk_pkey PRIMARY KEY (id),
    CONSTRAINT chunk_site_id_number_key UNIQUE (site_id, number),
    CONSTRAINT chunk_document_id_version_position_key UNIQUE (document_id, version, position),
    CONSTRAINT chunk_site_id_fkey FOREIGN KEY(site_id) REFERENCES site (id) ON DELETE CASCADE,
    CONSTRAINT chunk_document_id_fkey FOREIGN KEY(document_id) REFERENCES document (id) ON DELETE CASCADE
);

CREATE TABLE conversation (
    id TEXT NOT NULL,
    site_id TEXT NOT NULL,
    visitor_id TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT conversation_pkey PRIMARY KEY (id),
    CONSTRAINT conversation_site_id_fkey FOREIGN KEY(site_id) REFERENCES site (id) ON DELETE CASCADE,
    CONSTRAINT conversation_visitor_id_fkey FOREIGN KEY(visitor_id) REFERENCES visitor (id) ON DELETE CASCADE
);

CREATE INDEX conversation_site_id_updated_at_ix ON conversation (site_id, updated_at);

CREATE INDEX conversation_visitor_id_ix ON conversation (visitor_id);

CREATE TABLE document_version (
    document_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    text TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT document_version_pkey PRIMARY KEY (document_id, version),
    CONSTRAINT document_version_document_id_fkey FOREIGN KEY(document_id) REFERENCES document (id) ON DELETE CASCADE
);

CREATE TABLE embedding (
    chunk_id TEXT NOT NULL,
    embedder TEXT NOT NULL,
    site_id TEXT NOT NULL,
    vector HALFVEC NOT NULL,
    CONSTRAINT embedding_pkey PRIMARY KEY (chunk_id, embedder),
    CONSTRAINT embedding_chunk_id_fkey FOREIGN KEY(chunk_id) REFERENCES chunk (id) ON DELETE CASCADE,
    CONSTRAINT embedding_site_id_fkey FOREIGN KEY(site_id) REFERENCES site (id) ON DELETE CASCADE
);

CREATE INDEX embedding_site_id_embedder_ix ON embedding (site_id, embedder);

CREATE TABLE message (
    id TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    role TEXT NOT NULL,
    content TEXT NOT NULL,
    status TEXT DEFAULT 'complete' NOT NULL,
    citations JSONB DEFAULT '[]' NOT NULL,
    model TEXT,
    provider TEXT,
    finish_reason TEXT,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT message_pkey PRIMARY KEY (id),
    CONSTRAINT message_role_check CHECK (role IN ('user', 'assistant')),
    CONSTRAINT message_status_check CHECK (status IN ('complete', 'interrupted')),
    CONSTRAINT message_conversation_id_number_key UNIQUE (conversation_id, number),
    CONSTRAINT message_conversation_id_fkey FOREIGN KEY(conversation_id) REFERENCES conversation (id) ON DELETE CASCADE
);
"""


def upgrade() -> None:
    op.execute(_TABLES)
