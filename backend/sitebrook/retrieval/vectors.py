"""Chunks by the likeness of their vectors to a question's."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Final

from pgvector import HalfVector
from psycopg import sql
from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.retrieval.embedder import Vectors
from sitebrook.retrieval.knowledge import Knowledge
from sitebrook.retrieval.within import Within

# Site and embedder stand in the statement itself: the planner must see them to use the index that
# holds only their rows. The limit does too: a plan for any limit would sort all rows.
_NEAREST: Final = sql.SQL(
    "SELECT chunk_id,"
    " -(vector::halfvec({dimension}) <#> %(question)s::halfvec({dimension})) AS cosine"
    " FROM embedding WHERE site_id = {site_id} AND embedder = {embedder}"
    " ORDER BY vector::halfvec({dimension}) <#> %(question)s::halfvec({dimension}) LIMIT {limit}"
)
_OF_DOCUMENTS: Final = (
    "SELECT chunk_id, -(vector <#> %(question)s::halfvec) AS cosine FROM embedding"
    " JOIN chunk ON chunk.id = embedding.chunk_id"
    " WHERE chunk.document_id = ANY(%(document_ids)s) AND embedding.site_id = %(site_id)s"
    " AND embedder = %(embedder)s ORDER BY cosine DESC, chunk_id LIMIT %(limit)s"
)
_OF_CHUNKS: Final = (
    "SELECT chunk_id, -(vector <#> %(question)s::halfvec) AS cosine FROM embedding"
    " WHERE site_id = %(site_id)s AND embedder = %(embedder)s AND chunk_id = ANY(%(chunk_ids)s)"
)


async def find_nearest(
    connection: AsyncConnection, knowledge: Knowledge, question: Vectors, limit: int
) -> list[tuple[str, float]]:
    """The chunks nearest to the question with their cosine, best first.

    Exact for a site without an index of its own (``vector_indexes``), else by that index. Vectors
    have length one, so the inner product is the cosine; a vector of zeros (no words) has 0.
    """
    statement = to_statement(knowledge.site_id, knowledge.embedder, len(question), limit)
    rows = await _read(connection, statement, {"question": HalfVector(question)})
    # An index that goes on scanning gives its later rows in nearly the right order.
    return sorted(rows, key=lambda row: (-row[1], row[0]))


async def find_nearest_of(
    connection: AsyncConnection, knowledge: Knowledge, question: Vectors, within: Within, limit: int
) -> list[tuple[str, float]]:
    """As ``find_nearest`` among some documents; always exact, as no index knows documents."""
    values: dict[str, Any] = {
        "question": HalfVector(question),
        "site_id": knowledge.site_id,
        "embedder": knowledge.embedder,
        "document_ids": list(within.document_ids),
        "limit": limit,
    }
    return await _read(connection, _OF_DOCUMENTS, values)


async def score_chunks(
    connection: AsyncConnection, knowledge: Knowledge, question: Vectors, chunk_ids: Sequence[str]
) -> dict[str, float]:
    """The exact cosine of each of the chunks that is still there."""
    if not chunk_ids:
        return {}
    values: dict[str, Any] = {
        "question": HalfVector(question),
        "site_id": knowledge.site_id,
        "embedder": knowledge.embedder,
        "chunk_ids": list(chunk_ids),
    }
    return dict(await _read(connection, _OF_CHUNKS, values))


@functools.lru_cache(maxsize=1000)
def to_statement(site_id: str, embedder: str, dimension: int, limit: int) -> str:
    """The search of one site's vectors, for a parameter ``question``."""
    names = {"site_id": site_id, "embedder": embedder}
    # The driver takes a percent sign for the start of a parameter.
    texts = {name: sql.SQL(_quoted(value)) for name, value in names.items()}
    numbers = {"dimension": sql.Literal(dimension), "limit": sql.Literal(limit)}
    return _NEAREST.format(**texts, **numbers).as_string()


def _quoted(value: str) -> Any:
    return sql.Literal(value).as_string().replace("%", "%%")


async def _read(
    connection: AsyncConnection, statement: str, values: dict[str, Any]
) -> list[tuple[str, float]]:
    found = await connection.exec_driver_sql(statement, values)
    return [(row.chunk_id, row.cosine) for row in found.all()]
