"""Batches of files that wait in the database for the job that takes them in.

Whoever sends files may be gone before they are taken in, and the worker that does it may run on
another machine: what it needs is stored, and so is what became of each file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.db.engine import Database
from sitebrook.ids import new_id
from sitebrook.ingestion.decoding import to_storable
from sitebrook.ingestion.ingest import IngestedDocument, Outcome, Refusal, status_of
from sitebrook.ingestion.loaders import RawDocument
from sitebrook.ingestion.tables import staged_file

_REFUSED: Final = "refused"


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A file that waits: the ``position``-th of its batch."""

    position: int
    raw: RawDocument


@dataclass(frozen=True, slots=True)
class Counts:
    """How far a batch is: files with an outcome, and all; ``chunks`` counts those written."""

    done: int
    total: int
    chunks: int
    refused: int

    def plus(self, outcome: Outcome) -> Counts:
        """The same with one more outcome."""
        refused = isinstance(outcome, Refusal)
        written = 0 if refused or outcome.status == "unchanged" else outcome.chunks
        return Counts(self.done + 1, self.total, self.chunks + written, self.refused + int(refused))


def new_batch() -> str:
    """The id of a batch that has no files yet."""
    return new_id("batch")


async def stage(
    connection: AsyncConnection,
    site_id: str,
    batch_id: str,
    files: Sequence[RawDocument | Outcome],
    *,
    first: int = 0,
) -> None:
    """Adds files, from the position ``first``; of those that have an outcome no content is kept."""
    rows = [
        {**_NO_FILE, **_to_row(one), "batch_id": batch_id, "position": at, "site_id": site_id}
        for at, one in enumerate(files, start=first)
    ]
    if rows:
        await connection.execute(insert(staged_file), rows)


async def next_file(database: Database, batch_id: str) -> StagedFile | None:
    """The first file without an outcome, or None."""
    query = (
        select(staged_file)
        .where(staged_file.c.batch_id == batch_id, staged_file.c.status.is_(None))
        .order_by(staged_file.c.position)
        .limit(1)
    )
    async with database.begin() as connection:
        row = (await connection.execute(query)).first()
    return None if row is None else StagedFile(row.position, _to_raw(row))


async def settle(database: Database, batch_id: str, position: int, outcome: Outcome) -> None:
    """Notes what became of a file and lets go of its content; the first outcome counts."""
    is_it = (
        staged_file.c.batch_id == batch_id,
        staged_file.c.position == position,
        staged_file.c.status.is_(None),
    )
    values = {**_to_outcome(outcome), "content": None}
    async with database.begin() as connection:
        await connection.execute(update(staged_file).where(*is_it).values(values))


async def count(database: Database, batch_id: str) -> Counts:
    """How far the batch is."""
    status = staged_file.c.status
    written = status.in_(("added", "replaced"))
    query = select(
        func.count(status),
        func.count(),
        func.coalesce(func.sum(staged_file.c.chunks).filter(written), 0),
        func.count().filter(status == _REFUSED),
    ).where(staged_file.c.batch_id == batch_id)
    async with database.begin() as connection:
        row = (await connection.execute(query)).one()
    return Counts(*row)


async def outcomes(database: Database, batch_id: str) -> list[Outcome]:
    """What became of each file so far, in the order of the batch."""
    query = (
        select(staged_file)
        .where(staged_file.c.batch_id == batch_id, staged_file.c.status.is_not(None))
        .order_by(staged_file.c.position)
    )
    async with database.begin() as connection:
        rows = (await connection.execute(query)).all()
    return [_from_row(row) for row in rows]


async def sources(database: Database, batch_id: str) -> list[str]:
    """The sources of all files of the batch."""
    query = select(staged_file.c.source).where(staged_file.c.batch_id == batch_id)
    async with database.begin() as connection:
        return list((await connection.execute(query)).scalars())


_NO_FILE: Final[dict[str, object]] = {
    "content": None,
    "is_text": False,
    "media_type": None,
    "title": None,
    "url": None,
    "status": None,
    "document_id": None,
    "chunks": 0,
    "reason": None,
    "code": None,
    "param": None,
}


def _to_row(file: RawDocument | Outcome) -> dict[str, object]:
    if not isinstance(file, RawDocument):
        return {"source": to_storable(file.source), **_to_outcome(file)}
    content = file.content
    return {
        "source": file.source,
        "content": to_storable(content).encode() if isinstance(content, str) else content,
        "is_text": isinstance(content, str),
        "media_type": file.media_type and to_storable(file.media_type),
        "title": file.title and to_storable(file.title),
        "url": file.url and to_storable(file.url),
    }


def _to_raw(row: Row[Any]) -> RawDocument:
    content: bytes = row.content
    return RawDocument(
        row.source, content.decode() if row.is_text else content, row.media_type, row.title, row.url
    )


def _to_outcome(outcome: Outcome) -> dict[str, object]:
    if isinstance(outcome, Refusal):
        reason = to_storable(outcome.reason)
        return {
            "status": status_of(outcome),
            "reason": reason,
            "code": outcome.code,
            "param": outcome.param,
        }
    return {
        "status": outcome.status,
        "document_id": outcome.document_id,
        "chunks": outcome.chunks,
    }


def _from_row(row: Row[Any]) -> Outcome:
    if row.status == _REFUSED:
        return Refusal(row.source, row.reason, row.code, row.param)
    return IngestedDocument(row.document_id, row.source, row.status, row.chunks)
