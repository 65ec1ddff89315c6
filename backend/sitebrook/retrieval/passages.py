"""Chunks found for a question, as they go into a prompt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ARRAY, Text, any_, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.retrieval.fusion import FusedChunk
from sitebrook.retrieval.tables import chunk, document

_MAX_OF_ONE_DOCUMENT: Final = 3
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

    ``score`` is the fused one (0 to 1, relative to the question's other passages), the others are
    BM25's and the cosine; a rank (from 1) is None when that leg did not have it among its best.
    """

    chunk_id: str
    document_id: str
    title: str
    url: str | None
    headings: tuple[str, ...]
    text: str
    language: str
    score: float
    keyword_score: float
    keyword_rank: int | None
    vector_score: float | None
    vector_rank: int | None


async def load_passages(
    connection: AsyncConnection, site_id: str, fused: Sequence[FusedChunk]
) -> list[Passage]:
    """The passages of the site's chunks, in their order."""
    values = {"site_id": site_id, "chunk_ids": [found.chunk_id for found in fused]}
    rows = {row.id: row for row in await connection.execute(_BY_CHUNK, values)}
    return [
        Passage(
            chunk_id=row.id,
            document_id=row.document_id,
            title=row.title,
            url=row.url,
            headings=tuple(row.headings),
            text=row.text,
            language=row.language,
            score=found.score,
            keyword_score=found.keyword_score,
            keyword_rank=found.keyword_rank,
            vector_score=found.vector_score,
            vector_rank=found.vector_rank,
        )
        for found in fused
        if (row := rows.get(found.chunk_id)) is not None
    ]


def choose(passages: Sequence[Passage], limit: int) -> list[Passage]:
    """The best passages, each text once, three of one document unless there are no others."""
    chosen: list[Passage] = []
    spare: list[Passage] = []
    texts: set[str] = set()
    counts: Counter[str] = Counter()
    for passage in passages:
        text = " ".join(passage.text.split()).casefold()
        if text in texts:
            continue
        texts.add(text)
        counts[passage.document_id] += 1
        is_spare = counts[passage.document_id] > _MAX_OF_ONE_DOCUMENT
        (spare if is_spare else chosen).append(passage)
    best = [*chosen[:limit], *spare[: max(0, limit - len(chosen))]]
    return sorted(best, key=lambda passage: -passage.score)
