"""A store that is removed while others write to it: who comes second waits, and none is ended."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.integration.retrieval.stored import INDEXER, make_document, store

from sitebrook.access.sites import Site
from sitebrook.db.engine import Database
from sitebrook.retrieval.documents import find_sources
from sitebrook.retrieval.stored_postings import JoinStep, Scope, join_step
from sitebrook.retrieval.tables import holder, postings

_BLOCKED = sa.text(
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest.fixture
async def store_id(database: Database, site: Site) -> str:
    async with database.begin() as connection:
        await connection.execute(sa.insert(holder).values(id="vs_1", site_id=site.id))
    await store(database, "vs_1", make_document("first.md", "Sails are mended."))
    return "vs_1"


async def wait_for_blocked(database: Database) -> None:
    async with asyncio.timeout(10):
        while True:
            async with database.begin() as connection:
                if (await connection.execute(_BLOCKED)).first() is not None:
                    return
            await asyncio.sleep(0.01)


async def remove(database: Database, store_id: str) -> None:
    async with database.begin() as connection:
        await connection.execute(sa.delete(holder).where(holder.c.id == store_id))


async def test_a_removal_waits_for_a_document_that_is_being_stored(
    database: Database, store_id: str
) -> None:
    removing: list[asyncio.Task[None]] = []

    async def guard(_: AsyncConnection) -> None:
        removing.append(asyncio.create_task(remove(database, store_id)))
        await wait_for_blocked(database)

    new = replace(make_document("second.md", "Oars are oiled."), guard=guard)
    assert (await store(database, store_id, new)).status == "added"
    await removing[0]
    assert await find_sources(database, store_id, ["first.md", "second.md"]) == {}


async def test_a_join_has_locked_nothing_while_it_waits_for_a_removal(
    database: Database, store_id: str
) -> None:
    await store(database, store_id, make_document("second.md", "Oars are oiled."))
    rows = sa.select(postings.c.id).where(postings.c.site_id == store_id)
    async with database.begin() as connection:
        ids = tuple((await connection.execute(rows)).scalars())
        assert len(ids) == 2
        locked = sa.select(holder.c.id).where(holder.c.id == store_id).with_for_update()
        await connection.execute(locked)
        step = JoinStep(Scope(store_id), ids, 2, forgets=False)
        joining = asyncio.create_task(join_step(database, INDEXER, step))
        await wait_for_blocked(database)
        await connection.execute(rows.with_for_update(nowait=True))
        await connection.execute(sa.delete(holder).where(holder.c.id == store_id))
    assert not await joining
