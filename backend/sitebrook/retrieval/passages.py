"""Chunks found for a question, as they go into a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ARRAY, Text, any_, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.retrieval.fusion import FusedChunk
from sitebrook.retrieval.tables import chunk, document

# Made once: it runs for every question.
_BY_CHUNK: Final = (
    select(chunk, document.c.title, document.c.url)
    .join(document, document.c.id == chunk.c.document_id)
    .where(
        chunk.c.site_id == bindparam("site_id"),
        chunk.c.id == any_(bindparam("chunk_ids", type_=ARRAY(Text))),
    )
)


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk found for a question: what it says, where it stands, and why it was found.

    ``score`` is the fused one (0 to 1, relative to the question's other passages), or what a
    reranker gave (``fused`` keeps the fused one). ``position`` is the chunk's place in its document
    of that ``version``; ``neighbours`` counts chunks beside it whose text was joined to its own.
    """

    chunk_id: str
    document_id: str
    version: int
    position: int
    title: str
    url: str | None
    headings: tuple[str, ...]
    text: str
    language: str
    score: float
    fused: FusedChunk
    weight: float
    rerank_score: float | None = None
    neighbours: int = 0


async def load_passages(
    connection: AsyncConnection, site_id: str, fused: Sequence[FusedChunk], weight: float
) -> list[Passage]:
    """The passages of the site's chunks, in their order; ``weight`` is that of the vectors."""
    values = {"site_id": site_id, "chunk_ids": [found.chunk_id for found in fused]}
    rows = {row.id: row for row in await connection.execute(_BY_CHUNK, values)}
    return [
        Passage(
            chunk_id=row.id,
            document_id=row.document_id,
            version=row.version,
            position=row.position,
            title=row.title,
            url=row.url,
            headings=tuple(row.headings),
            text=row.text,
            language=row.language,
            score=found.score,
            fused=found,
            weight=weight,
        )
        for found in fused
        if (row := rows.get(found.chunk_id)) is not None
    ]
