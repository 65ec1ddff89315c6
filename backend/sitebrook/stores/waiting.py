"""Files that wait to be read into a store: the next one, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import and_, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.db.engine import Database
from sitebrook.ingestion.chunks import SizesInCharacters
from sitebrook.ingestion.decoding import to_storable
from sitebrook.ingestion.ingest import Outcome, Refusal
from sitebrook.ingestion.loaders import RawDocument
from sitebrook.retrieval.tables import chunk, embedding
from sitebrook.stores.cleaning import to_source
from sitebrook.stores.entries import IN_PROGRESS, SizesInTokens
from sitebrook.stores.tables import file, store, store_file

# Of Latin text; that of other scripts has fewer, so its chunks have more tokens.
_CHARACTERS_PER_TOKEN: Final = 4
# Tables, code and the rest of a section make a chunk so much larger than it is about to be.
_LARGEST: Final = 1.5
_UNSUPPORTED: Final = "unsupported_media_type"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A file to be read."""

    file_id: str
    raw: RawDocument


async def find_next(database: Database, store_id: str, job_id: str) -> Waiting | None:
    """The first file of the store that waits for the job, or None."""
    query = (
        select(store_file, file.c.name, file.c.media_type, file.c.content)
        .join(file, file.c.id == store_file.c.file_id)
        .where(store_file.c.store_id == store_id, *_waits_for(job_id))
        .order_by(store_file.c.created_at, store_file.c.file_id)
        .limit(1)
    )
    async with database.begin() as connection:
        row = (await connection.execute(query)).first()
    if row is None:
        return None
    sizes = None
    if row.chunk_tokens is not None:
        sizes = to_characters(SizesInTokens(row.chunk_tokens, row.overlap_tokens))
    source = to_source(row.file_id, row.name)
    raw = RawDocument(source, row.content, row.media_type, sizes=sizes)
    return Waiting(row.file_id, raw)


def to_characters(sizes: SizesInTokens) -> SizesInCharacters:
    """Sizes in characters, by which no chunk has more tokens than it may."""
    characters = int(sizes.chunk_tokens * _CHARACTERS_PER_TOKEN / _LARGEST)
    return SizesInCharacters(characters, sizes.overlap_tokens * _CHARACTERS_PER_TOKEN)


def to_tokens(sizes: SizesInCharacters) -> SizesInTokens:
    """Sizes in tokens, as ``to_characters`` reads them."""
    tokens = int(sizes.characters * _LARGEST / _CHARACTERS_PER_TOKEN)
    return SizesInTokens(tokens, sizes.overlap_characters // _CHARACTERS_PER_TOKEN)


@dataclass(frozen=True, slots=True)
class JobCounts:
    """How many files of a job have each outcome, and how many there are."""

    completed: int
    failed: int
    done: int
    total: int


async def count(database: Database, store_id: str, job_id: str) -> JobCounts:
    """How the files stand that were put into the store for the job."""
    query = (
        select(store_file.c.status, func.count())
        .where(store_file.c.store_id == store_id, store_file.c.job_id == job_id)
        .group_by(store_file.c.status)
    )
    async with database.begin() as connection:
        counts = {status: int(files) for status, files in await connection.execute(query)}
    total = sum(counts.values())
    return JobCounts(
        completed=counts.get("completed", 0),
        failed=counts.get("failed", 0),
        done=total - counts.get(IN_PROGRESS, 0),
        total=total,
    )


async def check_waits(
    connection: AsyncConnection, store_id: str, file_id: str, job_id: str
) -> None:
    """Raises Unwanted for a file that was taken out, cancelled or added again."""
    waits = select(store_file.c.file_id).where(
        store_file.c.store_id == store_id, store_file.c.file_id == file_id, *_waits_for(job_id)
    )
    if (await connection.execute(waits)).first() is None:
        raise Unwanted("The file does not wait for this job any more.")


class Unwanted(Exception):
    """The file is no longer to be read by this job."""


async def settle(
    database: Database, store_id: str, file_id: str, job_id: str, outcome: Outcome
) -> bool:
    """Notes what became of a file; False when it was taken out, cancelled or added again."""
    is_it = and_(
        store_file.c.store_id == store_id, store_file.c.file_id == file_id, *_waits_for(job_id)
    )
    async with database.begin() as connection:
        values = await _to_values(connection, outcome)
        noted = await connection.execute(update(store_file).where(is_it).values(values))
        return noted.rowcount > 0


async def hand_over(
    connection: AsyncConnection, store_id: str, job_id: str, other_job_id: str
) -> None:
    """Lets the files that wait for the job wait for another one."""
    mine = update(store_file).where(store_file.c.store_id == store_id, *_waits_for(job_id))
    await connection.execute(mine.values(job_id=other_job_id))


async def is_store(database: Database, store_id: str) -> bool:
    """Whether the store is still there."""
    async with database.begin() as connection:
        found = await connection.execute(select(store.c.id).where(store.c.id == store_id))
        return found.first() is not None


def _waits_for(job_id: str) -> tuple[Any, Any]:
    return store_file.c.job_id == job_id, store_file.c.status == IN_PROGRESS


async def _to_values(connection: AsyncConnection, outcome: Outcome) -> dict[str, object]:
    if isinstance(outcome, Refusal):
        is_unsupported = outcome.code == _UNSUPPORTED
        return {
            "status": "failed",
            "error_code": "unsupported_file" if is_unsupported else "invalid_file",
            "error_message": to_storable(outcome.reason),
            "document_id": None,
            "usage_bytes": 0,
        }
    texts = select(func.coalesce(func.sum(func.octet_length(chunk.c.text)), 0)).where(
        chunk.c.document_id == outcome.document_id
    )
    vectors = (
        select(func.coalesce(func.sum(func.pg_column_size(embedding.c.vector)), 0))
        .join(chunk, chunk.c.id == embedding.c.chunk_id)
        .where(chunk.c.document_id == outcome.document_id)
    )
    return {
        "status": "completed",
        "document_id": outcome.document_id,
        "usage_bytes": (await connection.execute(texts)).scalar_one()
        + (await connection.execute(vectors)).scalar_one(),
        "error_code": None,
        "error_message": None,
    }
