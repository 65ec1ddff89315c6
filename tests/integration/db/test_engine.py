from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import cast

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from sitebrook.db.engine import Database
from sitebrook.errors import Unavailable


async def test_a_server_that_accepts_and_says_nothing_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        database = Database(f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/none")
        with pytest.raises(Unavailable, match="does not answer"):
            await database.check()
        await database.aclose()


async def test_a_failed_statement_does_not_tell_its_values(database: Database) -> None:
    with pytest.raises(DBAPIError) as failed:
        async with database.begin() as connection:
            await connection.execute(text("SELECT :words FROM nowhere"), {"words": "my secret"})
    assert "my secret" not in str(failed.value)


async def test_a_snapshot_sees_one_moment_and_cannot_write(database: Database) -> None:
    async with database.begin() as connection:
        await connection.execute(text("CREATE TABLE note (word TEXT)"))
    count = text("SELECT count(*) FROM note")
    async with database.begin_snapshot() as snapshot:
        assert (await snapshot.execute(count)).scalar_one() == 0
        async with database.begin() as connection:
            await connection.execute(text("INSERT INTO note VALUES ('later')"))
        assert (await snapshot.execute(count)).scalar_one() == 0
    with pytest.raises(DBAPIError, match="read-only"):
        async with database.begin_snapshot() as snapshot:
            await snapshot.execute(text("INSERT INTO note VALUES ('never')"))
    async with database.begin() as connection:
        assert (await connection.execute(count)).scalar_one() == 1
        await connection.execute(text("DELETE FROM note"))


async def test_of_two_that_wait_for_each_other_one_is_told_to_try_again(database: Database) -> None:
    async with database.begin() as connection:
        await connection.execute(text("CREATE TABLE pair (id INTEGER PRIMARY KEY)"))
        await connection.execute(text("INSERT INTO pair VALUES (1), (2)"))
    have_one = asyncio.Barrier(2)

    async def lock(*ids: int) -> str:
        try:
            async with database.begin() as connection:
                for one in ids:
                    query = text("SELECT FROM pair WHERE id = :id FOR UPDATE")
                    await connection.execute(query, {"id": one})
                    if one == ids[0]:
                        await have_one.wait()
        except Unavailable as error:
            return error.code or ""
        return "both"

    async with asyncio.timeout(30):
        ended = await asyncio.gather(lock(1, 2), lock(2, 1))
    assert sorted(ended) == ["both", "database_conflict"]


async def test_who_takes_one_connection_after_the_other_lets_others_have_their_turn(
    database_url: str,
) -> None:
    database = Database(database_url, pool_size=2)
    order: list[str] = []

    async def use(name: str) -> None:
        async with database.begin() as connection:
            await connection.execute(text("SELECT 1"))
            order.append(name)

    async def use_again_and_again() -> None:
        for _ in range(20):
            await use("greedy")

    async with asyncio.TaskGroup() as group:
        group.create_task(use_again_and_again())
        for _ in range(3):
            group.create_task(use("patient"))
    assert order[:4] == ["greedy", "patient", "patient", "patient"]
    # A turn comes back from a transaction that failed, and from who was cancelled in waiting.
    with pytest.raises(DBAPIError):
        async with database.begin() as connection:
            await connection.execute(text("SELECT nothing"))
    async with database.begin():
        waiting = asyncio.create_task(use("cancelled"))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
    await use("last")
    assert order[-1] == "last"
    await database.aclose()


async def test_snapshots_leave_connections_for_others(database_url: str) -> None:
    database = Database(database_url, pool_size=6)
    async with contextlib.AsyncExitStack() as held:
        for _ in range(4):
            await held.enter_async_context(database.begin_snapshot())
        fifth = asyncio.create_task(use_snapshot(database))
        async with database.begin() as connection:
            assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1
        assert not fifth.done()
    assert await fifth == 1
    await database.aclose()


async def use_snapshot(database: Database) -> int:
    async with database.begin_snapshot() as snapshot:
        return (await snapshot.execute(text("SELECT 1"))).scalar_one()


async def test_a_connection_that_ended_while_it_was_idle_is_replaced(database_url: str) -> None:
    database = Database(database_url, pool_size=2)  # one for snapshots, one for all else
    who = text("SELECT pg_backend_pid()")
    for begin in (database.begin, database.begin_snapshot):
        async with begin() as connection:
            first = (await connection.execute(who)).scalar_one()
        async with begin() as connection:
            assert (await connection.execute(who)).scalar_one() == first
        other = Database(database_url)
        async with other.begin() as connection:
            ended = text("SELECT pg_terminate_backend(:pid, 10000)")  # waits for that
            assert (await connection.execute(ended, {"pid": first})).scalar_one()
        await other.aclose()
        async with begin() as connection:
            assert (await connection.execute(who)).scalar_one() != first
    await database.aclose()


async def test_who_is_cancelled_in_a_copy_is_cancelled_and_leaves_no_busy_connection(
    database_url: str,
) -> None:
    database = Database(database_url, pool_size=2)
    begun = asyncio.Event()

    async def copy() -> None:
        async with database.begin() as connection:
            await connection.execute(text("CREATE TABLE note (word TEXT)"))
            raw = await connection.get_raw_connection()
            driver = cast("psycopg.AsyncConnection", raw.driver_connection)
            driver.pgconn.send_query(b"COPY note FROM STDIN")
            begun.set()
            await asyncio.sleep(60)

    copying = asyncio.create_task(copy())
    await begun.wait()
    copying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await copying
    async with database.begin() as connection:
        found = await connection.execute(text("SELECT to_regclass('note')"))
        assert found.scalar_one() is None
    await database.aclose()
