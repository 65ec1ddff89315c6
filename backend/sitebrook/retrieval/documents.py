"""The stored documents of a site: listed, found, removed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Row,
    Text,
    all_,
    and_,
    any_,
    delete,
    literal,
    or_,
    select,
    tuple_,
)

from sitebrook.db.engine import Database
from sitebrook.errors import InvalidRequest
from sitebrook.ids import is_id
from sitebrook.retrieval.knowledge import count_up
from sitebrook.retrieval.locking import lock_knowledge
from sitebrook.retrieval.stored_postings import Scope, write_removed
from sitebrook.retrieval.tables import chunk, document, document_version


@dataclass(frozen=True, slots=True)
class Document:
    """A stored document without its text; ``chunks`` is their count."""

    id: str
    source: str
    title: str
    url: str | None
    language: str
    sha256: bytes
    characters: int
    chunks: int
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """Some of a site's documents, newest first; ask on with the last one's id."""

    documents: tuple[Document, ...]
    has_more: bool


@dataclass(frozen=True, slots=True)
class SourceText:
    """A document as a page of its own."""

    title: str
    language: str
    text: str


_COLUMNS = tuple(document.c[name] for name in Document.__slots__)


async def list_documents(
    database: Database, site_id: str, *, limit: int = 20, after: str | None = None
) -> DocumentPage:
    """The site's documents, newest first, those after the document ``after``.

    Raises InvalidRequest for an ``after`` that is not, or no longer, one of them: an empty page
    would say that there are no more.
    """
    mine = document.c.site_id == site_id
    age = tuple_(document.c.created_at, document.c.id)
    query = select(*_COLUMNS).where(mine).limit(limit + 1)
    query = query.order_by(document.c.created_at.desc(), document.c.id.desc())
    if after is not None:
        last = await find_document(database, site_id, after)
        if last is None:
            raise InvalidRequest(
                "There is no such document, or it was removed; list from the start again.",
                param="after",
            )
        query = query.where(age < tuple_(literal(last.created_at), literal(last.id)))
    async with database.begin() as connection:
        rows = (await connection.execute(query)).all()
    return DocumentPage(tuple(map(_to_document, rows[:limit])), len(rows) > limit)


async def find_document(database: Database, site_id: str, document_id: str) -> Document | None:
    """The document, or None when the site has none by that id."""
    if not is_id(document_id):
        return None
    async with database.begin() as connection:
        row = (await connection.execute(select(*_COLUMNS).where(_is(site_id, document_id)))).first()
    return None if row is None else _to_document(row)


async def find_source_text(database: Database, document_id: str) -> SourceText | None:
    """What the source page of a document shows, or None; the caller has checked who may see it."""
    is_current = and_(
        document_version.c.document_id == document.c.id,
        document_version.c.version == document.c.version,
    )
    query = (
        select(document.c.title, document.c.language, document_version.c.text)
        .join(document, is_current)
        .where(document.c.id == document_id)
    )
    async with database.begin() as connection:
        row = (await connection.execute(query)).first()
    return None if row is None else SourceText(*row)


async def find_sources(
    database: Database, site_id: str, sources: Sequence[str]
) -> dict[str, Document]:
    """The site's documents that have one of the sources, by source."""
    has_source = document.c.source == any_(literal(list(sources), ARRAY(Text)))
    query = select(*_COLUMNS).where(document.c.site_id == site_id, has_source)
    async with database.begin() as connection:
        rows = (await connection.execute(query)).all()
    return {row.source: _to_document(row) for row in rows}


async def load_source_names(
    database: Database, site_id: str, document_ids: Collection[str]
) -> dict[str, str]:
    """The sources of those of the documents that the site has, by their ids."""
    wanted = document.c.id == any_(literal(list(document_ids), ARRAY(Text)))
    query = select(document.c.id, document.c.source).where(document.c.site_id == site_id, wanted)
    async with database.begin() as connection:
        rows = (await connection.execute(query)).all()
    return {row.id: row.source for row in rows}


async def delete_documents(database: Database, site_id: str, document_ids: Sequence[str]) -> int:
    """How many of the documents there were; they and their chunks are gone."""
    known = [document_id for document_id in document_ids if is_id(document_id)]
    return await _delete(database, site_id, document.c.id == any_(literal(known, ARRAY(Text))))


async def prune(
    database: Database,
    site_id: str,
    keep_sources: Sequence[str],
    *,
    under: Sequence[str],
    not_under: Sequence[str] = (),
) -> int:
    """How many documents were removed: those whose source begins with ``under`` and is not kept.

    Sources that begin with one of ``not_under`` are kept too.
    """
    if not under:
        return 0
    source = document.c.source
    starts = [source.startswith(prefix, autoescape=True) for prefix in under]
    kept = [~source.startswith(prefix, autoescape=True) for prefix in not_under]
    is_gone = source != all_(literal(list(keep_sources), ARRAY(Text)))
    return await _delete(database, site_id, and_(or_(*starts), is_gone, *kept))


async def _delete(database: Database, site_id: str, condition: ColumnElement[bool]) -> int:
    mine = document.c.site_id == site_id
    numbers = (
        select(chunk.c.number)
        .join(document, document.c.id == chunk.c.document_id)
        .where(mine, condition)
    )
    async with database.begin() as connection:
        await lock_knowledge(connection, site_id)
        gone = list((await connection.execute(numbers)).scalars())
        removed = (await connection.execute(delete(document).where(mine, condition))).rowcount
        if removed:
            await write_removed(connection, Scope(site_id), gone)
            await count_up(connection, site_id)
    return removed


def _is(site_id: str, document_id: str) -> ColumnElement[bool]:
    return and_(document.c.site_id == site_id, document.c.id == document_id)


def _to_document(row: Row[Any]) -> Document:
    return Document(*row)
