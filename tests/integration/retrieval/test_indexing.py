"""Documents indexed and rows joined when children refuse, are killed or are busy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import func, select
from tests.factories import make_site
from tests.fakes import work
from tests.integration.retrieval.indexed import check_index, count_rows
from tests.integration.retrieval.stored import EMBEDDER, INDEXER, make_document, store

from sitebrook.compute.pool import ComputePool
from sitebrook.compute.work import Work
from sitebrook.db.engine import Database
from sitebrook.errors import Unavailable, WorkFailed
from sitebrook.retrieval import stored_postings
from sitebrook.retrieval.documents import delete_documents, list_documents
from sitebrook.retrieval.indexer import Indexer
from sitebrook.retrieval.indexing import UnindexedChunk
from sitebrook.retrieval.knowledge import NewDocument, replace_document
from sitebrook.retrieval.stored_postings import (
    JoinStep,
    Scope,
    join_step,
    list_joinable,
    list_postings,
    list_steps,
    write_postings,
    write_removed,
)
from sitebrook.retrieval.tables import holder, postings
from sitebrook.settings import ComputeSettings

SLEEP = Work(f"tests.fakes.work:{work.sleep.__name__}", float, type(None))
TOO_SMALL_BYTES = 30_000_000  # for NumPy, which all of this work imports


@asynccontextmanager
async def running_pool(**over: Any) -> AsyncIterator[ComputePool]:
    pool = ComputePool(ComputeSettings(**{"children": 1, **over}))
    try:
        yield pool
    finally:
        await pool.aclose()


def make_large(source: str) -> NewDocument:
    """One whose rows are too large to be joined at once."""
    words = [" ".join(f"{source}{at}x{word}" for word in range(30)) for at in range(100)]
    return make_document(source, *(f"walrus newt {one}" for one in words))


async def store_by(database: Database, pool: ComputePool, site_id: str, new: NewDocument) -> str:
    vectors = await EMBEDDER.embed([piece.text for piece in new.chunks])
    stored = await replace_document(database, Indexer(pool), site_id, new, {EMBEDDER.name: vectors})
    return stored.status


async def to_step(database: Database, site_id: str) -> JoinStep:
    scope = Scope(site_id)
    async with database.begin() as connection:
        sizes = await list_postings(connection, scope)
    return JoinStep(scope, tuple(sizes), sum(sizes.values()), forgets=False)


async def test_children_index_and_join_a_site_s_documents(database: Database) -> None:
    site = await make_site(database)
    async with running_pool() as pool:
        for at in range(4):
            await store_by(database, pool, site.id, make_large(f"{at}.md"))
        assert await store_by(database, pool, site.id, make_large("2.md")) == "unchanged"
    assert await count_rows(database, site.id) == 1
    await check_index(database, site.id, "walrus 2.md", "newt 2.md7x8")


async def test_a_document_that_no_child_can_index_is_not_stored(database: Database) -> None:
    site = await make_site(database)
    async with running_pool(memory_bytes=TOO_SMALL_BYTES) as pool:
        with pytest.raises(WorkFailed):
            await store_by(database, pool, site.id, make_large("a.md"))
    assert (await list_documents(database, site.id)).documents == ()
    async with running_pool() as pool:
        assert await store_by(database, pool, site.id, make_large("a.md")) == "added"
    await check_index(database, site.id)


async def test_a_document_is_refused_while_too_much_waits_and_stored_later(
    database: Database,
) -> None:
    site = await make_site(database)
    async with running_pool(waiting=0) as pool:
        busy = asyncio.create_task(pool.run(SLEEP, 60.0))
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="try again") as raised:
            await store_by(database, pool, site.id, make_large("a.md"))
        assert raised.value.retry_after_s
        busy.cancel()
        await asyncio.wait({busy})
        assert await store_by(database, pool, site.id, make_large("a.md")) == "added"


async def test_a_document_stays_stored_whose_rows_no_child_joins(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    site = await make_site(database)
    for at in range(3):
        await store(database, site.id, make_large(f"{at}.md"))
    async with running_pool(memory_bytes=TOO_SMALL_BYTES) as pool:
        # Itself it is indexed at once.
        small = make_document("small.md", *["newt"] * 100)
        assert await store_by(database, pool, site.id, small) == "added"
    assert await count_rows(database, site.id) == 4
    assert "were not joined" in caplog.text
    await check_index(database, site.id)
    await store(database, site.id, make_document("next.md", "newt"))
    assert await count_rows(database, site.id) == 1


@pytest.mark.parametrize(
    ("over", "causes"),
    [({"memory_bytes": TOO_SMALL_BYTES}, {"memory", "start"}), ({"time_s": 0.0}, {"time"})],
)
async def test_a_join_whose_child_is_killed_says_why_and_changes_nothing(
    database: Database, over: dict[str, Any], causes: set[str]
) -> None:
    site = await make_site(database)
    for at in range(3):
        await store(database, site.id, make_large(f"{at}.md"))
    step = await to_step(database, site.id)
    async with running_pool(**over) as pool:
        with pytest.raises(WorkFailed) as raised:
            await join_step(database, Indexer(pool), step)
    assert raised.value.cause in causes
    assert await to_step(database, site.id) == step
    assert await join_step(database, INDEXER, step)
    await check_index(database, site.id)


async def test_a_join_whose_caller_is_cancelled_changes_nothing(database: Database) -> None:
    site = await make_site(database)
    for at in range(3):
        await store(database, site.id, make_large(f"{at}.md"))
    step = await to_step(database, site.id)
    async with running_pool() as pool:
        busy = asyncio.create_task(pool.run(SLEEP, 60.0))
        joining = asyncio.create_task(join_step(database, Indexer(pool), step))
        await until(lambda: len(pool._claims) == 2)
        joining.cancel()
        busy.cancel()
        with pytest.raises(asyncio.CancelledError):
            await joining
    assert await to_step(database, site.id) == step


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_rows_with_many_words_are_joined_fewer_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope = Scope((await make_site(database)).id)
    for row in range(4):
        words = " ".join(f"w{row}x{at}" for at in range(6_000))
        made = await INDEXER.index([UnindexedChunk(row, f"chunk_{row}", "en", words)])
        async with database.begin() as connection:
            await write_postings(connection, scope, made)
    [step] = await list_steps(database, scope)
    assert (len(step.ids), step.chunks) == (4, 4)
    monkeypatch.setattr(stored_postings, "_CHUNK_BYTES", 1)
    # Each row has 6,000 bytes of postings, and keys that count for 96,000.
    monkeypatch.setattr(stored_postings, "MAX_CHUNKS", 320_000)
    [step] = await list_steps(database, scope)
    assert (len(step.ids), step.chunks) == (3, 3)


async def test_words_of_one_chunk_each_count_when_rows_are_joined(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope = Scope((await make_site(database)).id)
    for row in range(4):
        words = [" ".join(f"w{row}x{at}x{word}" for word in range(100)) for at in range(8)]
        chunks = [
            UnindexedChunk(8 * row + at, f"chunk_{row}{at}", "en", one)
            for at, one in enumerate(words)
        ]
        made = await INDEXER.index(chunks)
        async with database.begin() as connection:
            await write_postings(connection, scope, made)
            await write_removed(connection, scope, range(8 * row, 8 * row + 7))
    monkeypatch.setattr(stored_postings, "_CHUNK_BYTES", 1)
    monkeypatch.setattr(stored_postings, "_MANY_REMOVED", 1)
    monkeypatch.setattr(stored_postings, "MAX_CHUNKS", 50_000)  # each row has 800 times 27 bytes
    steps = await list_steps(database, scope)
    assert [(len(step.ids), step.chunks, step.forgets) for step in steps] == [
        (2, 16, True),
        (3, 16, True),
    ]
    # A row that no child takes is left as it is, and what was removed stays with it.
    monkeypatch.setattr(stored_postings, "MAX_CHUNKS", 20_000)
    assert await list_steps(database, scope) == []
    assert await list_joinable(database) == {}


class Failing:
    """A pool whose children have a fault in their code."""

    async def run(self, *_args: object) -> None:
        raise WorkFailed("The work failed with KeyError.", detail="KeyError: 'of the code'")


async def test_a_fault_of_the_join_is_logged_with_what_it_was(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    site = await make_site(database)
    for at in range(3):
        await store(database, site.id, make_large(f"{at}.md"))
    small = make_document("small.md", *["newt"] * 100)
    assert await store_by(database, Failing(), site.id, small) == "added"
    [record] = [one for one in caplog.records if "were not joined" in one.message]
    assert record.levelname == "ERROR"
    assert record.message.endswith("(error): KeyError: 'of the code'")
    assert await count_rows(database, site.id) == 4


async def test_a_deadlock_while_rows_are_copied_may_be_tried_again(database: Database) -> None:
    sites = [(await make_site(database, name=name)).id for name in ("a", "b")]
    made = await INDEXER.index([UnindexedChunk(0, "chunk_0", "en", "newt")])
    both = asyncio.Barrier(2)

    async def write(mine: str, other: str) -> None:
        async with database.begin() as connection:
            own = select(holder.c.id).where(holder.c.id == mine).with_for_update()
            await connection.execute(own)
            await both.wait()
            await write_postings(connection, Scope(other), made)

    ends = await asyncio.gather(write(*sites), write(*sites[::-1]), return_exceptions=True)
    [error] = [end for end in ends if end is not None]
    assert isinstance(error, Unavailable)
    assert (error.code, error.retry_after_s) == ("database_conflict", 1)


async def test_documents_deleted_one_by_one_leave_one_row(database: Database) -> None:
    site = await make_site(database)
    stored = [await store(database, site.id, make_document(f"{at}.md", "newt")) for at in range(9)]
    before = await count_rows(database, site.id)
    for one in stored[:7]:
        await delete_documents(database, site.id, [one.document_id])
    assert await count_rows(database, site.id) == before + 1
    async with database.begin() as connection:
        said = select(func.sum(func.octet_length(postings.c.removed)))
        assert (await connection.execute(said)).scalar_one() == 7 * 4
    assert len(await check_index(database, site.id)) == 2
