"""Giving a site another embedder while questions go on being answered with the old one's vectors.

New vectors are stored beside the old ones until every chunk has one; then one transaction makes
the new embedder the site's, and the old vectors are removed. Every step is kept in the database:
whatever is killed, the same call goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, and_, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.db.engine import Database
from sitebrook.db.locks import try_lock
from sitebrook.errors import InvalidRequest, Unavailable
from sitebrook.retrieval.embedder import Embedder
from sitebrook.retrieval.knowledge import count_up, dimension_changed, to_indexed_text
from sitebrook.retrieval.locking import lock_knowledge
from sitebrook.retrieval.tables import chunk, document, embedding, holder, knowledge
from sitebrook.retrieval.vector_indexes import tend_indexes
from sitebrook.retrieval.vector_rows import remove_unused, write_vectors

_BATCH: Final = 128
_INDEX_WAIT_S: Final = 2.0
_INDEX_TRIES: Final = 900

OnProgress = Callable[["SwitchProgress"], None]


@dataclass(frozen=True, slots=True)
class SwitchProgress:
    """``done`` of ``total`` chunks have a vector of the new embedder.

    ``is_indexing`` when all have, and the index of a large site is built.
    """

    done: int
    total: int
    is_indexing: bool = False


@dataclass(frozen=True, slots=True)
class Switched:
    """What a switch did: the embedders before and after, vectors made by this call and removed."""

    before: str
    after: str
    made: int
    removed: int


def _ignore(_progress: SwitchProgress) -> None:
    pass


async def switch_embedder(
    database: Database,
    site_id: str,
    target: Embedder,
    *,
    on_progress: OnProgress = _ignore,
) -> Switched:
    """The site with ``target`` as its embedder; begins the switch or goes on with it.

    Searches use the old vectors until the end. Raises InvalidRequest for a site without documents
    or with a switch to another embedder under way, Unavailable when another process is at it or
    the new embedder fails.
    """
    async with try_lock(database.url, "switch", site_id) as lock:
        if lock is None:
            raise Unavailable("Another process is switching this site's embedder already.")
        before = await _begin(database, site_id, target.name)
        made = 0
        if before != target.name:
            made = await _switch(database, site_id, target, on_progress)
        # A search that began before reads a snapshot that still has what is removed here.
        await tend_indexes(database)
        removed = await remove_unused(database, site_id)
    return Switched(before, target.name, made, removed)


async def switch_with_stores(
    database: Database,
    site_id: str,
    target: Embedder,
    *,
    on_progress: OnProgress = _ignore,
) -> Switched:
    """As ``switch_embedder`` for the site and then for its stores that have documents.

    What was done is the sum; ``before`` is that of the first. A store that is deleted meanwhile is
    passed over.
    """
    done: list[Switched] = []
    for one in await _list_holders(database, site_id) or [site_id]:
        try:
            done.append(await switch_embedder(database, one, target, on_progress=on_progress))
        except InvalidRequest:
            if one == site_id or one in await _list_holders(database, site_id):
                raise
    return Switched(
        done[0].before if done else target.name,
        target.name,
        made=sum(one.made for one in done),
        removed=sum(one.removed for one in done),
    )


async def check_can_switch(database: Database, site_id: str, target: str) -> None:
    """Raises InvalidRequest as ``switch_embedder`` would; changes nothing."""
    async with database.begin() as connection:
        query = select(knowledge).where(knowledge.c.site_id == site_id)
        _check_begin((await connection.execute(query)).first(), target)


async def stop_switch(database: Database, site_id: str) -> str | None:
    """The embedder that a switch was under way to, of the site or a store; None: there was none.

    Its vectors are gone.
    """
    stopped = [await _stop(database, one) for one in await _list_holders(database, site_id)]
    return next((name for name in stopped if name is not None), None)


async def _list_holders(database: Database, site_id: str) -> list[str]:
    """The site and its stores, those that have an embedder; the site first."""
    query = (
        select(holder.c.id)
        .join(knowledge, knowledge.c.site_id == holder.c.id)
        .where(holder.c.site_id == site_id)
        .order_by(holder.c.id != site_id, holder.c.id)
    )
    async with database.begin() as connection:
        return list((await connection.execute(query)).scalars())


async def _stop(database: Database, site_id: str) -> str | None:
    async with database.begin() as connection:
        row = await lock_knowledge(connection, site_id)
        if row is None or row.next_embedder is None:
            return None
        await _set(connection, site_id, next_embedder=None)
    await remove_unused(database, site_id)
    return str(row.next_embedder)


async def _begin(database: Database, site_id: str, target: str) -> str:
    """The site's embedder at this moment; the switch is noted unless it is the target already."""
    async with database.begin() as connection:
        row = _check_begin(await lock_knowledge(connection, site_id), target)
        if row.embedder != target:
            await _set(connection, site_id, next_embedder=target)
    return str(row.embedder)


def _check_begin(row: Row[Any] | None, target: str) -> Row[Any]:
    if row is None:
        raise InvalidRequest(
            "The site has no documents yet: its first document gets the embedder of the settings."
        )
    if row.next_embedder not in {None, target}:
        raise InvalidRequest(
            f"A switch to {row.next_embedder} is under way: go on with it, or stop it with "
            "`sitebrook embedder switch --stop`."
        )
    return row


async def _switch(
    database: Database, site_id: str, target: Embedder, on_progress: OnProgress
) -> int:
    made = await _fill(database, site_id, target, on_progress)
    total, done = await _count(database, site_id, target.name)
    on_progress(SwitchProgress(done, total, is_indexing=True))
    # Before the switch: the first question would otherwise read every vector of a large site.
    await _build_indexes(database)
    while not await _finish(database, site_id, target.name):
        made += await _fill(database, site_id, target, on_progress)
    return made


async def _fill(database: Database, site_id: str, target: Embedder, on_progress: OnProgress) -> int:
    """How many vectors were made, so that each chunk stored before the call has one."""
    made, after = 0, -1
    total, done = await _count(database, site_id, target.name)
    on_progress(SwitchProgress(done, total))
    while rows := await _load_missing(database, site_id, target.name, after):
        after = rows[-1].number
        texts = [to_indexed_text(row.title, row.headings, row.text) for row in rows]
        vectors = await target.embed(texts)
        async with database.begin() as connection:
            await _check_target(connection, site_id, target.name, vectors.shape[1])
            await write_vectors(connection, target.name, [row.id for row in rows], vectors)
        made += len(rows)
        on_progress(SwitchProgress(min(done + made, total), total))
    return made


async def _check_target(
    connection: AsyncConnection, site_id: str, target: str, dimension: int
) -> None:
    """Keeps writers of the site away until the transaction ends, as chunks must not vanish."""
    row = await lock_knowledge(connection, site_id)
    if row is None or row.next_embedder != target:
        raise InvalidRequest("The switch was stopped, or its site was deleted.")
    query = select(func.vector_dims(embedding.c.vector)).where(
        embedding.c.site_id == site_id, embedding.c.embedder == target
    )
    stored = (await connection.execute(query.limit(1))).scalar_one_or_none()
    if stored not in {None, dimension}:
        raise dimension_changed(dimension, int(stored or 0))


async def _build_indexes(database: Database) -> None:
    for _ in range(_INDEX_TRIES):
        tended = await tend_indexes(database)
        if not tended.is_busy:
            return
        await asyncio.sleep(_INDEX_WAIT_S)


async def _finish(database: Database, site_id: str, target: str) -> bool:
    """Whether the site was switched: not when a chunk came meanwhile that has no new vector."""
    async with database.begin() as connection:
        row = await lock_knowledge(connection, site_id)
        if row is None or row.next_embedder != target:
            raise InvalidRequest("The switch was stopped, or its site was deleted.")
        missing = _missing(site_id, target).with_only_columns(chunk.c.id).limit(1)
        if (await connection.execute(missing)).first() is not None:
            return False
        await _set(connection, site_id, embedder=target, next_embedder=None, vector_weight=None)
        await count_up(connection, site_id)
    return True


async def _load_missing(
    database: Database, site_id: str, target: str, after: int
) -> list[Row[Any]]:
    query = _missing(site_id, target).where(chunk.c.number > after)
    async with database.begin() as connection:
        found = await connection.execute(query.order_by(chunk.c.number).limit(_BATCH))
        return list(found.all())


def _missing(site_id: str, target: str) -> Any:
    has_vector = and_(embedding.c.chunk_id == chunk.c.id, embedding.c.embedder == target)
    columns = (chunk.c.id, chunk.c.number, document.c.title, chunk.c.headings, chunk.c.text)
    return (
        select(*columns)
        .join(document, document.c.id == chunk.c.document_id)
        .where(chunk.c.site_id == site_id, ~select(embedding.c.chunk_id).where(has_vector).exists())
    )


async def _count(database: Database, site_id: str, target: str) -> tuple[int, int]:
    """All chunks, and those that have a vector of the target."""
    chunks = select(func.count()).where(chunk.c.site_id == site_id)
    vectors = select(func.count()).where(
        embedding.c.site_id == site_id, embedding.c.embedder == target
    )
    async with database.begin() as connection:
        total = (await connection.execute(chunks)).scalar_one()
        return total, (await connection.execute(vectors)).scalar_one()


async def _set(connection: AsyncConnection, site_id: str, **values: str | None) -> None:
    await connection.execute(
        update(knowledge).where(knowledge.c.site_id == site_id).values(**values)
    )
