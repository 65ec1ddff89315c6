"""What a site knows: documents, their versions, the chunks of a version, their embeddings."""

from __future__ import annotations

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
)

from sitebrook.db.tables import created_at, metadata
from sitebrook.retrieval.postings import ARRAYS

# Whose documents they are: a site's own, under the site's id, or those of one of its stores, under
# the store's. Every ``site_id`` below is the id of a holder; a new site gets its row by a trigger.
holder = Table(
    "holder",
    metadata,
    Column("id", Text, primary_key=True),
    Column("site_id", Text, ForeignKey("site.id", ondelete="CASCADE"), nullable=False),
    Index(None, "site_id"),
)

knowledge = Table(
    "knowledge",
    metadata,
    Column("site_id", Text, ForeignKey("holder.id", ondelete="CASCADE"), primary_key=True),
    # The embedder of the site's chunks, fixed by its first document; only a switch changes it.
    Column("embedder", Text, nullable=False),
    # The embedder that a switch is under way to; documents stored meanwhile get its vectors too.
    Column("next_embedder", Text),
    # The weight of the vectors found by judged questions for this embedder; null: the rule.
    Column("vector_weight", Double),
    # Counts every change of the site's documents; what is cached about them carries it.
    Column("version", BigInteger, nullable=False, server_default="0"),
    Column("next_chunk_number", Integer, nullable=False, server_default="0"),
    # The version that the site's postings are of, and the format of the words in them. Where they
    # lag behind, as after a writer that knew no postings, what is missing is made from the chunks.
    Column("keyword_version", BigInteger, nullable=False, server_default="0"),
    Column("keyword_format", SmallInteger, nullable=False, server_default="0"),
)

document = Table(
    "document",
    metadata,
    Column("id", Text, primary_key=True),
    Column("site_id", Text, ForeignKey("holder.id", ondelete="CASCADE"), nullable=False),
    # What makes it the same document when it comes again: its path, or a name that the caller gave.
    Column("source", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("url", Text),
    Column("language", Text, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("characters", Integer, nullable=False),
    Column("chunks", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    created_at(),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("site_id", "source"),
)

document_version = Table(
    "document_version",
    metadata,
    Column("document_id", Text, ForeignKey("document.id", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("text", Text, nullable=False),
    created_at(),
)

chunk = Table(
    "chunk",
    metadata,
    Column("id", Text, primary_key=True),
    Column("site_id", Text, ForeignKey("holder.id", ondelete="CASCADE"), nullable=False),
    Column("document_id", Text, ForeignKey("document.id", ondelete="CASCADE"), nullable=False),
    Column("version", Integer, nullable=False),
    # Order of age within the site. Never reused: a replaced or deleted document leaves a gap.
    Column("number", Integer, nullable=False),
    Column("position", Integer, nullable=False),  # order within the document
    Column("headings", ARRAY(Text), nullable=False),
    Column("text", Text, nullable=False),
    Column("language", Text, nullable=False),
    UniqueConstraint("site_id", "number"),
    UniqueConstraint("document_id", "version", "position"),
)

embedding = Table(
    "embedding",
    metadata,
    Column("chunk_id", Text, ForeignKey("chunk.id", ondelete="CASCADE"), primary_key=True),
    Column("embedder", Text, primary_key=True),
    Column("site_id", Text, ForeignKey("holder.id", ondelete="CASCADE"), nullable=False),
    # No fixed dimension: each embedder has its own, and all rows of one embedder agree.
    Column("vector", HALFVEC(), nullable=False),
    Index(None, "site_id", "embedder"),
)

# Packed arrays, see retrieval/postings.py: little endian, each column one of them. A row never
# changes; rows are joined to fewer and larger ones that take their place.
postings = Table(
    "postings",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("site_id", Text, ForeignKey("holder.id", ondelete="CASCADE"), nullable=False),
    # Which of the site's indexes it is part of; empty for that of the site's own documents.
    Column("scope", Text, nullable=False),
    Column("chunks", Integer, nullable=False),
    Column("language_names", ARRAY(Text), nullable=False),
    *(Column(name, LargeBinary, nullable=False) for name in ARRAYS),
    created_at(),
    Index(None, "site_id", "scope"),
)
