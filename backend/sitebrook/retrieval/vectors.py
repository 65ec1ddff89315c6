"""Chunks by the likeness of their vectors to a question's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import ARRAY, Float, Text, any_, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.retrieval.embedder import Vectors
from sitebrook.retrieval.knowledge import Knowledge
from sitebrook.retrieval.tables import embedding

# Made once: SQLAlchemy takes longer to hash a statement made anew than PostgreSQL to run it.
_DISTANCE: Final = embedding.c.vector.op("<#>", return_type=Float())(
    bindparam("question", type_=HALFVEC())
)
_SCORED: Final = select(embedding.c.chunk_id, -_DISTANCE).where(
    embedding.c.site_id == bindparam("site_id"), embedding.c.embedder == bindparam("embedder")
)
_NEAREST: Final = _SCORED.order_by(_DISTANCE, embedding.c.chunk_id).limit(bindparam("limit"))
_OF_CHUNKS: Final = _SCORED.where(
    embedding.c.chunk_id == any_(bindparam("chunk_ids", type_=ARRAY(Text)))
)


async def find_nearest(
    connection: AsyncConnection, knowledge: Knowledge, question: Vectors, limit: int
) -> list[tuple[str, float]]:
    """The chunks nearest to the question with their cosine, best first; exact.

    Vectors have length one, so the inner product is the cosine. A chunk whose vector has length
    zero (no words) has 0.
    """
    values = {**_values(knowledge, question), "limit": limit}
    return [(row[0], row[1]) for row in await connection.execute(_NEAREST, values)]


async def score_chunks(
    connection: AsyncConnection, knowledge: Knowledge, question: Vectors, chunk_ids: Sequence[str]
) -> dict[str, float]:
    """The cosine of each of the chunks that is still there."""
    if not chunk_ids:
        return {}
    values = {**_values(knowledge, question), "chunk_ids": list(chunk_ids)}
    return {row[0]: row[1] for row in await connection.execute(_OF_CHUNKS, values)}


def _values(knowledge: Knowledge, question: Vectors) -> dict[str, object]:
    return {"question": question, "site_id": knowledge.site_id, "embedder": knowledge.embedder}
