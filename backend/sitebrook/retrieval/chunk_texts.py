"""The texts of all chunks of a site, for those who compare searches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import bindparam, select

from sitebrook.db.engine import Database
from sitebrook.retrieval.knowledge import to_indexed_text
from sitebrook.retrieval.tables import chunk, document

_ALL: Final = (
    select(
        chunk.c.id,
        chunk.c.document_id,
        chunk.c.headings,
        chunk.c.text,
        document.c.title,
        document.c.source,
        document.c.url,
    )
    .join(document, document.c.id == chunk.c.document_id)
    .where(chunk.c.site_id == bindparam("site_id"))
    .order_by(chunk.c.number)
)


@dataclass(frozen=True, slots=True)
class ChunkText:
    """What is indexed of a chunk, and the names of its document."""

    chunk_id: str
    document_id: str
    source: str
    url: str | None
    text: str


async def load_chunk_texts(database: Database, site_id: str) -> list[ChunkText]:
    """Every chunk of the site, oldest first."""
    async with database.begin() as connection:
        rows = (await connection.execute(_ALL, {"site_id": site_id})).all()
    return [
        ChunkText(
            chunk_id=row.id,
            document_id=row.document_id,
            source=row.source,
            url=row.url,
            text=to_indexed_text(row.title, row.headings, row.text),
        )
        for row in rows
    ]
