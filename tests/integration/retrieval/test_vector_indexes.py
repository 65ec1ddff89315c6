"""The indexes of large sites' vectors, in a real database."""

from __future__ import annotations

import asyncio
import contextlib

import psycopg
import pytest
from pgvector import HalfVector
from sqlalchemy import text
from tests.databases import to_libpq
from tests.integration.retrieval.synthetic import (
    DIMENSION,
    NAME,
    make_vectors,
    nearest,
    random_vectors,
)

from sitebrook.db.engine import Database
from sitebrook.db.locks import try_lock
from sitebrook.db.pipeline import BINARY, Statement
from sitebrook.retrieval.embedder import Vectors
from sitebrook.retrieval.knowledge import Knowledge
from sitebrook.retrieval.vector_indexes import TendedIndexes, tend_indexes
from sitebrook.retrieval.vectors import VectorSearch, to_nearest, to_statement

LEAST = 500


async def index_names(database: Database) -> dict[str, bool]:
    statement = (
        "SELECT relname, indisvalid FROM pg_index JOIN pg_class ON oid = indexrelid"
        " WHERE relname LIKE 'embedding_hnsw%'"
    )
    async with database.begin() as connection:
        return {row[0]: row[1] for row in await connection.execute(text(statement))}


async def search(
    database: Database, knowledge: Knowledge, question: Vectors, limit: int
) -> list[tuple[str, float]]:
    async with database.pipelined() as snapshot:
        (rows,) = await VectorSearch(snapshot, knowledge, question).find_nearest(limit).rows()
    return list(to_nearest(rows))


async def plan(database: Database, site_id: str) -> str:
    statement = "EXPLAIN " + to_statement(site_id, NAME, DIMENSION, 100)
    question = HalfVector(random_vectors(1, "question")[0]).to_binary()
    async with database.pipelined() as snapshot:
        (rows,) = await snapshot.send(Statement(statement, (question,), (BINARY,))).rows()
    return "\n".join(row[0] for row in rows)


async def test_a_large_site_is_searched_by_its_own_index_and_a_small_one_exactly(
    database: Database,
) -> None:
    large, large_vectors = await make_vectors(database, "Large", 2_000)
    small, small_vectors = await make_vectors(database, "Small", 20)
    assert await tend_indexes(database, indexed_chunks=LEAST) == TendedIndexes(built=1)
    (name,) = await index_names(database)
    assert f"Index Scan using {name}" in await plan(database, large.site_id)
    assert name not in await plan(database, small.site_id)

    for number in range(10):
        question = random_vectors(1, f"question {number}")[0]
        found = await search(database, large, question, 100)
        scores = [score for _, score in found]
        assert scores == sorted(scores, reverse=True)
        assert len({one for one, _ in found} & nearest(large_vectors, question, 100)) >= 97
        # 1 % of the rows are this site's: a shared index would find hardly any of them.
        few = {one for one, _ in await search(database, small, question, 10)}
        assert few == nearest(small_vectors, question, 10)


async def test_the_index_stays_in_use_once_statements_are_prepared(database: Database) -> None:
    large, _ = await make_vectors(database, "Large", 2_000)
    await tend_indexes(database, indexed_chunks=LEAST)
    (name,) = await index_names(database)
    for number in range(20):
        await search(database, large, random_vectors(1, str(number))[0], 100)
    async with database.begin_snapshot() as connection:
        await connection.execute(text("SELECT pg_stat_force_next_flush()"))
    statement = text("SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = :name")
    async with database.begin() as connection:
        assert (await connection.execute(statement, {"name": name})).scalar_one() == 20


async def test_chunks_that_were_deleted_are_not_found_and_others_come_up(
    database: Database,
) -> None:
    large, vectors = await make_vectors(database, "Large", 2_000)
    await tend_indexes(database, indexed_chunks=LEAST)
    question = random_vectors(1, "question")[0]
    gone = nearest(vectors, question, 1_000)
    async with database.begin() as connection:
        statement = text("DELETE FROM chunk WHERE id = ANY(:gone)")
        await connection.execute(statement, {"gone": list(gone)})
        count = (await connection.execute(text("SELECT count(*) FROM embedding"))).scalar_one()
    assert count == 1_000
    found = {one for one, _ in await search(database, large, question, 100)}
    left = {one: vector for one, vector in vectors.items() if one not in gone}
    assert len(found) == 100
    assert len(found & nearest(left, question, 100)) >= 90
    async with database.pipelined() as snapshot:
        assert await VectorSearch(snapshot, large, question).score(list(gone)).rows() == [[]]


async def test_an_index_that_broke_off_is_found_and_built_again(database: Database) -> None:
    await make_vectors(database, "Large", 1_000)
    await tend_indexes(database, indexed_chunks=LEAST)
    (name,) = await index_names(database)
    async with database.begin() as connection:
        broken = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = CAST(:name AS regclass)"
        await connection.execute(text(broken), {"name": name})
    assert await tend_indexes(database, indexed_chunks=LEAST) == TendedIndexes(built=1, dropped=1)
    assert await index_names(database) == {name: True}
    assert await tend_indexes(database, indexed_chunks=LEAST) == TendedIndexes()


async def test_a_build_that_is_cut_off_leaves_what_the_next_call_repairs(
    database: Database,
) -> None:
    await make_vectors(database, "Large", 1_000)
    # A transaction that writes keeps the build from ending.
    with psycopg.connect(to_libpq(database.url)) as writer:
        writer.execute("UPDATE embedding SET embedder = embedder WHERE false")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await tend_indexes(database, indexed_chunks=LEAST)
    await _until_free(database)
    assert list((await index_names(database)).values()) == [False]
    assert (await tend_indexes(database, indexed_chunks=LEAST)).built == 1
    assert list((await index_names(database)).values()) == [True]


async def _until_free(database: Database) -> None:
    """PostgreSQL notices after a moment that who held the lock is gone."""
    async with asyncio.timeout(10):
        while True:
            async with try_lock(database.url, "vector indexes") as lock:
                if lock is not None:
                    return
            await asyncio.sleep(0.01)


async def test_indexes_of_sites_that_are_gone_or_small_or_switched_are_dropped(
    database: Database,
) -> None:
    gone, _ = await make_vectors(database, "Gone", 600)
    shrunk, _ = await make_vectors(database, "Shrunk", 600)
    switched, _ = await make_vectors(database, "Switched", 600)
    kept, _ = await make_vectors(database, "Kept", 600)
    assert (await tend_indexes(database, indexed_chunks=LEAST)).built == 4
    async with database.begin() as connection:
        for statement, site in (
            ("DELETE FROM site WHERE id = :id", gone),
            ("DELETE FROM chunk WHERE site_id = :id AND number >= 200", shrunk),
            ("UPDATE knowledge SET embedder = 'other' WHERE site_id = :id", switched),
            ("DELETE FROM chunk WHERE site_id = :id AND number >= 300", kept),
        ):
            await connection.execute(text(statement), {"id": site.site_id})
    assert await tend_indexes(database, indexed_chunks=LEAST) == TendedIndexes(dropped=3)
    assert "embedding_hnsw" in await plan(database, kept.site_id)


async def test_only_one_process_builds_at_a_time(database: Database) -> None:
    await make_vectors(database, "Large", 600)
    async with try_lock(database.url, "vector indexes"):
        busy = await tend_indexes(database, indexed_chunks=LEAST)
    assert busy == TendedIndexes(is_busy=True)
    results = await asyncio.gather(
        *(tend_indexes(database, indexed_chunks=LEAST) for _ in range(3))
    )
    assert sum(one.built for one in results) == 1


async def test_writers_and_searches_go_on_while_an_index_is_built(database: Database) -> None:
    large, vectors = await make_vectors(database, "Large", 3_000)
    question = random_vectors(1, "question")[0]
    building = asyncio.create_task(tend_indexes(database, indexed_chunks=LEAST))
    searches = 0
    while not building.done():
        found = await search(database, large, question, 10)
        assert {one for one, _ in found} == nearest(vectors, question, 10)
        async with database.begin() as connection:
            statement = text("UPDATE embedding SET embedder = embedder WHERE chunk_id = :id")
            await connection.execute(statement, {"id": found[0][0]})
        searches += 1
    assert (await building).built == 1
    assert searches > 1


async def test_a_lock_is_free_again_after_its_block(database: Database) -> None:
    with contextlib.suppress(ValueError):
        async with try_lock(database.url, "a", "b") as held:
            assert held is not None
            async with try_lock(database.url, "a", "c") as other:
                assert other is not None
            raise ValueError
    async with try_lock(database.url, "a", "b") as again:
        assert again is not None
