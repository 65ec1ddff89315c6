from __future__ import annotations

import asyncio
import contextlib

import pytest
from psycopg import OperationalError
from sqlalchemy import text

from sitebrook.db.direct import connect
from sitebrook.db.engine import Database
from sitebrook.db.pipeline import Pipeline, Statement, StatementRefused, to_array
from sitebrook.errors import Unavailable

_ONE = Statement("SELECT 1")
_WORDS = "SELECT word FROM unnest($1::text[]) AS word"
_PID = Statement("SELECT pg_backend_pid()")
_PREPARED = text("SELECT count(*) FROM pg_prepared_statements")


async def read(database: Database, statement: Statement) -> list[object]:
    async with database.pipelined() as snapshot:
        (rows,) = await snapshot.send(statement).rows()
    return [value for (value,) in rows]


async def test_answers_come_in_the_order_that_was_sent(database: Database) -> None:
    async with database.pipelined() as snapshot:
        first = snapshot.send(Statement("SELECT 1, pg_sleep(0.02)::text"), _ONE)
        second = snapshot.send(Statement("SELECT $1::integer + 1", (b"41",)))
        assert await second.rows() == [[(42,)]]
        assert await first.rows() == [[(1, "")], [(1,)]]


async def test_any_text_is_part_of_an_array(database: Database) -> None:
    words = ["a_1-B", "", "null", "NULL", "nullify", 'a "b" \\ c', "{x,y}", "\u00e9 \u4e2d", " "]
    assert await read(database, Statement(_WORDS, (to_array(words),))) == words


async def test_what_is_sent_later_sees_the_same_moment(database: Database) -> None:
    async with database.begin() as connection:
        await connection.execute(text("CREATE TABLE moment (word TEXT)"))
    count = "SELECT count(*) FROM moment"
    async with database.pipelined() as snapshot:
        assert await snapshot.send(Statement(count)).rows() == [[(0,)]]
        async with database.begin() as connection:
            await connection.execute(text("INSERT INTO moment VALUES ('later')"))
        ahead = snapshot.send(Statement(count))
        connection = await snapshot.connection()
        assert (await connection.execute(text(count))).scalar_one() == 0
        assert await ahead.rows() == [[(0,)]]
        assert await snapshot.send(Statement(count), ends=True).rows() == [[(0,)]]
    assert await read(database, Statement(count)) == [1]
    with pytest.raises(StatementRefused):
        await read(database, Statement("INSERT INTO moment VALUES ('never')"))
    async with database.begin() as connection:
        await connection.execute(text("DROP TABLE moment"))


async def test_a_refused_statement_tells_its_kind_and_the_next_snapshot_goes_on(
    database_url: str,
) -> None:
    database = Database(database_url, pool_size=2)
    (before,) = await read(database, _PID)
    for _ in range(2):
        with pytest.raises(StatementRefused) as refused:
            await read(database, Statement("SELECT $1::integer", (b"my secret",)))
        assert "secret" not in str(refused.value)
    with pytest.raises(StatementRefused):
        await read(database, Statement("SELECT nothing FROM nowhere"))
    assert await read(database, Statement("SELECT $1::integer", (b"7",))) == [7]
    assert await read(database, _PID) == [before]
    await database.aclose()


async def test_a_search_that_is_cancelled_leaves_nobody_its_answer(database_url: str) -> None:
    database = Database(database_url, pool_size=2)
    (before,) = await read(database, _PID)
    waiting = asyncio.create_task(read(database, Statement("SELECT pg_sleep(60)::text")))
    await until(database, "state = 'active'", before)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await until(database, "state IS DISTINCT FROM 'active'", before)
    assert await read(database, _PID) != [before]
    assert database.pools["search"].in_use == 0
    await database.aclose()


async def until(database: Database, what: str, pid: object) -> None:
    """Returns once this is so of a backend, or it has ended."""
    query = text(
        "SELECT 1 FROM (VALUES (CAST(:pid AS integer))) AS given(pid)"
        f" LEFT JOIN pg_stat_activity USING (pid) WHERE {what}"
    )
    async with asyncio.timeout(20):
        while True:
            async with database.begin() as connection:
                if (await connection.execute(query, {"pid": pid})).first():
                    return


async def test_what_fails_first_is_told_of_what_was_sent_behind_it(database: Database) -> None:
    async with database.pipelined() as snapshot:
        snapshot.send(Statement("SELECT nothing FROM nowhere"))
        behind = snapshot.send(_ONE)
        with pytest.raises(StatementRefused, match="UndefinedTable, SQLSTATE 42P01"):
            await behind.rows()
        with pytest.raises(StatementRefused, match="UndefinedTable"):
            await snapshot.connection()


async def test_a_lost_connection_is_unavailable_once(database_url: str) -> None:
    database = Database(database_url, pool_size=2)
    with pytest.raises(Unavailable):
        await read(database, Statement("SELECT pg_terminate_backend(pg_backend_pid())"))
    assert await read(database, _ONE) == [1]
    await database.aclose()


async def test_a_connection_lost_behind_the_last_answer_is_unavailable_too(
    database_url: str,
) -> None:
    database = Database(database_url, pool_size=2)
    with pytest.raises(Unavailable, match="does not answer"):
        async with database.pipelined() as snapshot:
            snapshot.send(Statement("SELECT pg_terminate_backend(pg_backend_pid())"))
    assert await read(database, _ONE) == [1]
    await database.aclose()


async def test_a_lost_connection_that_was_being_written_to_is_no_longer_watched(
    database: Database,
) -> None:
    loop = asyncio.get_running_loop()
    failed: list[object] = []
    loop.set_exception_handler(lambda _, context: failed.append(context))
    lost = await connect(database.url)
    file = lost.pgconn.socket
    pipeline = Pipeline(lost.pgconn)
    pipeline.open()
    # It sleeps and reads nothing, so the rest of what follows cannot be written.
    pipeline.send([Statement("SELECT pg_sleep(60)::text")])
    sent = pipeline.send([Statement("SELECT length($1)", (b"x" * 20_000_000,))])
    async with database.begin() as connection:
        kill = "SELECT pg_terminate_backend(:pid)"
        await connection.execute(text(kill), {"pid": lost.pgconn.backend_pid})
    with pytest.raises(OperationalError):
        await sent
    assert pipeline.is_lost
    assert not loop.remove_writer(file)
    assert not loop.remove_reader(file)
    assert failed == []
    pipeline.close()
    await lost.close()


async def test_a_statement_that_was_prepared_and_failed_is_not_prepared_again(
    database_url: str,
) -> None:
    database = Database(database_url, pool_size=2)
    for word in (b"a", b"b", b"7"):
        with contextlib.suppress(StatementRefused):
            await read(database, Statement("SELECT $1::integer", (word,)))
        with pytest.raises(StatementRefused):
            await read(database, Statement("SELECT nothing FROM nowhere"))
    async with database.begin_snapshot() as connection:
        prepared = await connection.execute(
            text("SELECT statement FROM pg_prepared_statements WHERE statement LIKE 'SELECT $%'")
        )
        assert list(prepared.scalars()) == ["SELECT $1::integer"]
    await database.aclose()


async def test_statements_used_longest_ago_are_no_longer_prepared(database_url: str) -> None:
    database = Database(database_url, pool_size=2)
    for number in range(150):
        assert await read(database, Statement(f"SELECT {number}")) == [number]
        assert await read(database, _ONE) == [1]
    async with database.begin_snapshot() as connection:
        assert (await connection.execute(_PREPARED)).scalar_one() == 100
    await database.aclose()
