"""Rows of keyword indexes joined by jobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
from sqlalchemy import text
from tests.integration.jobs.engines import Engine, open_engine
from tests.integration.retrieval.indexed import check_index, count_rows
from tests.integration.retrieval.stored import EMBEDDER, INDEXER, make_document, store

from sitebrook.access.sites import Site
from sitebrook.db.engine import Database
from sitebrook.jobs.joining import JoinTools, enqueue_join, join_due_kind, join_kind
from sitebrook.retrieval.knowledge import replace_document
from sitebrook.retrieval.stored_postings import list_joinable

_LARGE = 1_024


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[Engine]:
    opened: list[Engine] = []

    async def open_tools() -> JoinTools:
        return JoinTools(database, opened[0].jobs, INDEXER)

    async with open_engine(database, [join_kind(open_tools), join_due_kind(open_tools)]) as engine:
        opened.append(engine)
        yield engine


async def store_large(database: Database, site: Site, source: str) -> None:
    document = make_document(source, *(f"walrus {source} {at % 7}" for at in range(_LARGE)))
    vectors = np.ones((_LARGE, 2), dtype=np.float32)
    await replace_document(database, INDEXER, site.id, document, {EMBEDDER.name: vectors})


async def enqueue(engine: Engine, site: Site) -> str:
    async with engine.database.begin() as connection:
        job_id = await enqueue_join(connection, engine.jobs, site.id)
    engine.sites[job_id] = site.id
    return job_id


async def test_large_rows_wait_for_a_job_which_tells_how_far_it_is(
    engine: Engine, site: Site
) -> None:
    for at in range(3):
        await store_large(engine.database, site, f"{at}.md")
    assert await list_joinable(engine.database) == {}
    await store_large(engine.database, site, "3.md")
    assert await count_rows(engine.database, site.id) == 4
    due = await engine.enqueue_plain("join_due")
    async with engine.working():
        [row] = await engine.ended(due)
        assert row["result"] == {"due": 1}
        [job] = await engine.until(
            "SELECT * FROM job WHERE kind = 'join_postings' AND status = 'succeeded'"
        )
    assert (job["site_id"], job["priority"]) == (site.id, "low")
    assert job["result"] == {"rows": 1, "chunks": 4 * _LARGE}
    assert job["progress"] == {
        "stage": "join",
        "done": 4 * _LARGE,
        "total": 4 * _LARGE,
        "rows": 1,
        "left_s": 0.0,
    }
    assert await count_rows(engine.database, site.id) == 1
    assert await list_joinable(engine.database) == {}
    index = await check_index(engine.database, site.id, "nothing")
    assert len(index) == 4 * _LARGE


async def test_removed_chunks_are_dropped_when_they_are_many(engine: Engine, site: Site) -> None:
    database = engine.database
    await store(database, site.id, make_document("a.md", *["walrus"] * 300))
    await store(database, site.id, make_document("b.md", "newt"))
    await store(database, site.id, make_document("a.md", "walrus"))
    assert list(await list_joinable(database)) == [site.id]
    job_id = await enqueue(engine, site)
    async with engine.working():
        [row] = await engine.ended(job_id)
    assert row["result"] == {"rows": 1, "chunks": 302}
    sizes = text("SELECT chunks, length(removed) FROM postings")
    async with database.begin() as connection:
        assert (await connection.execute(sizes)).all() == [(2, 0)]
    assert await list_joinable(database) == {}
    await check_index(database, site.id)


async def test_a_site_has_one_open_join(engine: Engine, site: Site) -> None:
    first, second = await asyncio.gather(enqueue(engine, site), enqueue(engine, site))
    assert first == second
    await engine.jobs.cancel(first)
    assert await enqueue(engine, site) != first


async def test_a_cancelled_join_changes_nothing_and_another_one_does_it(
    engine: Engine, site: Site
) -> None:
    for at in range(4):
        await store_large(engine.database, site, f"{at}.md")
    job_id = await enqueue(engine, site)
    async with engine.working():
        async with engine.database.begin() as connection:
            await connection.execute(text("LOCK TABLE postings IN EXCLUSIVE MODE"))
            await engine.until("SELECT 1 FROM job WHERE progress->>'stage' = 'join'")
            await engine.jobs.cancel(job_id)
            [row] = await engine.ended(job_id)
        assert row["status"] == "cancelled"
        assert await count_rows(engine.database, site.id) == 4
        again = await enqueue(engine, site)
        [row] = await engine.ended(again)
    assert row["status"] == "succeeded"
    assert await count_rows(engine.database, site.id) == 1


async def test_documents_are_stored_while_rows_are_joined(engine: Engine, site: Site) -> None:
    for at in range(4):
        await store_large(engine.database, site, f"{at}.md")
    job_id = await enqueue(engine, site)
    async with engine.working():
        for at in range(6):
            document = make_document(f"small{at}.md", "newt")
            vectors = np.ones((1, 2), dtype=np.float32)
            await replace_document(
                engine.database, INDEXER, site.id, document, {EMBEDDER.name: vectors}
            )
        [row] = await engine.ended(job_id)
    assert row["status"] == "succeeded"
    assert len(await check_index(engine.database, site.id, "newt")) == 4 * _LARGE + 6
