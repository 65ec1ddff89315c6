"""Chunks found for a question, as they go into a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sitebrook.db.pipeline import Statement, to_array
from sitebrook.db.snapshot import Snapshot
from sitebrook.retrieval.fusion import FusedChunk

_BY_CHUNK: Final = """
SELECT chunk.id, document_id, chunk.version, position, title, url, headings, chunk.text,
    chunk.language
FROM chunk JOIN document ON document.id = document_id
WHERE chunk.site_id = $1 AND chunk.id = ANY($2::text[])
"""


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
    snapshot: Snapshot, site_id: str, fused: Sequence[FusedChunk], weight: float
) -> list[Passage]:
    """The passages of the site's chunks, in their order; ``weight`` is that of the vectors."""
    ids = to_array(found.chunk_id for found in fused)
    (rows,) = await snapshot.send(Statement(_BY_CHUNK, (site_id.encode(), ids))).rows()
    by_id = {row[0]: row for row in rows}
    return [
        _to_passage(row, found, weight)
        for found in fused
        if (row := by_id.get(found.chunk_id)) is not None
    ]


def _to_passage(row: tuple[Any, ...], found: FusedChunk, weight: float) -> Passage:
    chunk_id, document_id, version, position, title, url, headings, body, language = row
    return Passage(
        chunk_id=chunk_id,
        document_id=document_id,
        version=version,
        position=position,
        title=title,
        url=url,
        headings=tuple(headings),
        text=body,
        language=language,
        score=found.score,
        fused=found,
        weight=weight,
    )
