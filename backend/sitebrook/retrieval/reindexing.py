"""Postings made from the chunks that have none: after a change of words, or of older writers.

Every step is kept in the database: whatever is killed, the next call goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from sqlalchemy import ARRAY, Integer, Row, any_, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.db.engine import Database
from sitebrook.db.locks import try_lock
from sitebrook.errors import Unavailable
from sitebrook.retrieval.indexer import Indexer
from sitebrook.retrieval.indexing import UnindexedChunk
from sitebrook.retrieval.knowledge import to_indexed_text
from sitebrook.retrieval.locking import lock_knowledge
from sitebrook.retrieval.postings import Numbers, Postings
from sitebrook.retrieval.stored_postings import (
    Scope,
    delete_postings,
    list_postings,
    load_numbers,
    write_postings,
    write_removed,
)
from sitebrook.retrieval.tables import chunk, document, knowledge
from sitebrook.retrieval.words import WORDS_FORMAT

# Texts read at once, and chunks whose postings are written in one transaction.
_READ: Final = 1_000
_WRITTEN: Final = 16_000
_WAIT_S: Final = 0.2
_WAITS: Final = 150


async def reindex(database: Database, indexer: Indexer, site_id: str) -> int:
    """How many chunks got postings, so that every chunk of the site has them.

    Others may write meanwhile. Raises Unavailable when another process is at it for long, or when
    no child can do it; what is done by then stays.
    """
    for _ in range(_WAITS):
        async with try_lock(database.url, "postings", site_id) as lock:
            if lock is not None:
                return await _reindex(database, indexer, Scope(site_id))
        await asyncio.sleep(_WAIT_S)
    raise Unavailable(
        "The site's documents are being indexed anew; try again in a minute.",
        code="indexing",
        retry_after_s=60,
    )


async def _reindex(database: Database, indexer: Indexer, scope: Scope) -> int:
    if not await _begin(database, scope):
        return 0
    made = 0
    while not await _finish(database, scope):
        missing = await _find_missing(database, scope)
        for start in range(0, len(missing), _WRITTEN):
            made += await _write(database, indexer, scope, missing[start : start + _WRITTEN])
    return made


async def _begin(database: Database, scope: Scope) -> bool:
    """Whether there is anything to do; postings of other words are gone."""
    async with database.begin() as connection:
        row = await lock_knowledge(connection, scope.site_id)
        if row is None or (row.keyword_version == row.version and not _is_old(row)):
            return False
        if _is_old(row):
            await delete_postings(connection, await list_postings(connection, scope))
            await _set(connection, scope, keyword_format=WORDS_FORMAT, keyword_version=-1)
    return True


def _is_old(row: Row[Any]) -> bool:
    return bool(row.keyword_format < WORDS_FORMAT)


async def _find_missing(database: Database, scope: Scope) -> Numbers:
    async with database.begin_snapshot() as connection:
        present = await _load_present(connection, scope)
        return np.setdiff1d(present, await load_numbers(connection, scope))


async def _load_present(connection: AsyncConnection, scope: Scope) -> Numbers:
    query = select(chunk.c.number).where(chunk.c.site_id == scope.site_id)
    return np.fromiter((await connection.execute(query)).scalars(), np.uint32)


async def _write(database: Database, indexer: Indexer, scope: Scope, numbers: Numbers) -> int:
    """How many of the chunks are still there and got postings."""
    parts: list[Postings] = []
    for start in range(0, len(numbers), _READ):
        rows = await _load_texts(database, scope, numbers[start : start + _READ])
        parts.append(await indexer.index(_to_unindexed(rows)))
    made = await indexer.join(parts)
    async with database.begin() as connection:
        await lock_knowledge(connection, scope.site_id)
        known = await load_numbers(connection, scope)
        if np.intersect1d(known, made.numbers).size:
            return 0  # another process was taken to be dead and was not
        await write_postings(connection, scope, made)
    return len(made)


async def _load_texts(database: Database, scope: Scope, numbers: Numbers) -> list[Any]:
    wanted = literal(numbers.tolist(), ARRAY(Integer))
    query = (
        select(
            chunk.c.number,
            chunk.c.id,
            chunk.c.language,
            document.c.title,
            chunk.c.headings,
            chunk.c.text,
        )
        .join(document, document.c.id == chunk.c.document_id)
        .where(chunk.c.site_id == scope.site_id, chunk.c.number == any_(wanted))
        .order_by(chunk.c.number)
    )
    async with database.begin() as connection:
        return list(await connection.execute(query))


def _to_unindexed(rows: Sequence[Any]) -> list[UnindexedChunk]:
    return [
        UnindexedChunk(
            row.number, row.id, row.language, to_indexed_text(row.title, row.headings, row.text)
        )
        for row in rows
    ]


async def _finish(database: Database, scope: Scope) -> bool:
    """Whether every chunk has postings; then they count as the version's."""
    async with database.begin() as connection:
        row = await lock_knowledge(connection, scope.site_id)
        if row is None:
            return True
        known = await load_numbers(connection, scope)
        present = await _load_present(connection, scope)
        if np.setdiff1d(present, known).size:
            return False
        gone = np.setdiff1d(known, present)
        if gone.size:
            await write_removed(connection, scope, gone.tolist())
        version = row.version + 1
        await _set(connection, scope, version=version, keyword_version=version)
    return True


async def _set(connection: AsyncConnection, scope: Scope, **values: int) -> None:
    await connection.execute(
        update(knowledge).where(knowledge.c.site_id == scope.site_id).values(**values)
    )
