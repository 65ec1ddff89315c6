"""The stored vectors of chunks: written, found again by text, removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from pgvector import HalfVector
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.db.engine import Database
from sitebrook.retrieval.embedder import Vectors
from sitebrook.retrieval.locking import lock_knowledge

# What a chunk's vector is made of: its document's title, its headings, its text.
Embedded = tuple[str, tuple[str, ...], str]

_WRITE: Final = """
INSERT INTO embedding (chunk_id, embedder, site_id, vector)
SELECT id, %(embedder)s, site_id, %(vector)s::halfvec FROM chunk WHERE id = %(chunk_id)s
ON CONFLICT DO NOTHING
"""
_OF_SOURCE: Final = """
SELECT document.title, chunk.headings, chunk.text, halfvec_send(embedding.vector) AS vector
FROM document JOIN chunk ON chunk.document_id = document.id
JOIN embedding ON embedding.chunk_id = chunk.id AND embedding.embedder = %(embedder)s
WHERE document.site_id = %(site_id)s AND document.source = %(source)s
"""
_HEAD_BYTES: Final = 4  # the number of dimensions and two bytes that are 0
# Few at a time: whoever stores a document meanwhile waits no longer than for these.
_REMOVED_AT_ONCE: Final = 2_000
_REMOVE: Final = """
DELETE FROM embedding WHERE (chunk_id, embedder) IN (
    SELECT embedding.chunk_id, embedding.embedder FROM embedding JOIN knowledge USING (site_id)
    WHERE embedding.site_id = %(site_id)s AND embedding.embedder <> knowledge.embedder
    AND embedding.embedder IS DISTINCT FROM knowledge.next_embedder
    LIMIT %(limit)s)
"""


async def write_vectors(
    connection: AsyncConnection, embedder: str, chunk_ids: Sequence[str], vectors: Vectors
) -> None:
    """Stores a row for each chunk that is there and has none of this embedder."""
    rows = [
        {"chunk_id": chunk_id, "embedder": embedder, "vector": HalfVector(vector)}
        for chunk_id, vector in zip(chunk_ids, vectors, strict=True)
    ]
    if rows:
        await connection.exec_driver_sql(_WRITE, rows)


async def load_vectors(
    database: Database, site_id: str, source: str, embedder: str
) -> Mapping[Embedded, Vectors]:
    """The vectors of the source's document by what was embedded: they can be used again.

    They have the precision they are stored with, so storing them again changes nothing.
    """
    values = {"site_id": site_id, "source": source, "embedder": embedder}
    async with database.begin() as connection:
        rows = (await connection.exec_driver_sql(_OF_SOURCE, values)).mappings().all()
    return {(row["title"], tuple(row["headings"]), row["text"]): _vector(row) for row in rows}


async def remove_unused(database: Database, site_id: str) -> int:
    """How many vectors there were that the site neither uses nor is about to use; they are gone."""
    removed = 0
    values: dict[str, Any] = {"site_id": site_id, "limit": _REMOVED_AT_ONCE}
    while True:
        async with database.begin() as connection:
            await lock_knowledge(connection, site_id)
            count = (await connection.exec_driver_sql(_REMOVE, values)).rowcount
        removed += count
        if count < _REMOVED_AT_ONCE:
            return removed


def _vector(row: RowMapping) -> Vectors:
    return np.frombuffer(row["vector"], dtype=">f2", offset=_HEAD_BYTES).astype(np.float32)
