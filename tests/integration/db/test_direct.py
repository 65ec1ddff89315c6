from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from sitebrook.db.direct import DirectConnection
from sitebrook.db.engine import Database
from sitebrook.db.pipeline import Statement, StatementRefused
from sitebrook.errors import Unavailable

_MADE = "CREATE TABLE IF NOT EXISTS direct_note (words text NOT NULL)"
_KEEP = "INSERT INTO direct_note VALUES ($1)"
_KEEP_NUMBER = "INSERT INTO direct_note VALUES ($1::integer::text)"
_LEAVE = "SELECT pg_terminate_backend(pg_backend_pid()) WHERE $1 = 'now'"


@pytest.fixture
async def direct(database: Database) -> AsyncIterator[DirectConnection]:
    async with database.begin() as connection:
        await connection.execute(text(_MADE))
    opened = DirectConnection(database.url)
    yield opened
    await opened.aclose()


async def kept(database: Database) -> list[str]:
    async with database.begin() as connection:
        return list((await connection.execute(text("SELECT words FROM direct_note"))).scalars())


async def test_statements_are_prepared_once_and_run_in_order(
    database: Database, direct: DirectConnection
) -> None:
    for number in range(3):
        await direct.run(
            [Statement(_KEEP, (b"a%d" % number,)), Statement(_KEEP_NUMBER, (b"%d" % number,))]
        )
    await direct.run([Statement(_KEEP, ("\u00e9\u4e2d".encode(),))])
    assert await kept(database) == ["a0", "0", "a1", "1", "a2", "2", "\u00e9\u4e2d"]


async def test_of_a_transaction_that_is_refused_nothing_stays(
    database: Database, direct: DirectConnection
) -> None:
    bad: list[list[Statement]] = [
        [Statement(_KEEP, (b"first",)), Statement(_KEEP_NUMBER, (b"no number",))],
        [Statement(_KEEP, (b"\xff",))],
        [Statement(_KEEP, (b"first",)), Statement("INSERT INTO nowhere VALUES ($1)", (b"",))],
    ]
    for statements in bad:
        with pytest.raises(StatementRefused) as refused:
            await direct.run(statements)
        assert "number" not in str(refused.value)
    await direct.run([Statement(_KEEP, (b"second",)), Statement(_KEEP_NUMBER, (b"3",))])
    assert await kept(database) == ["second", "3"]


async def test_a_parameter_may_be_larger_than_what_the_socket_takes_at_once(
    database: Database, direct: DirectConnection
) -> None:
    await direct.run([Statement(_KEEP, (b"x" * 20_000_000,)), Statement(_KEEP, (b"y",))])
    assert [len(words) for words in await kept(database)] == [20_000_000, 1]


async def test_a_connection_that_was_lost_is_opened_again(
    database: Database, direct: DirectConnection
) -> None:
    await direct.run([Statement(_KEEP, (b"before",))])
    async with database.begin() as connection:
        others = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE :sent"
        )
        await connection.execute(text(others), {"sent": "INSERT INTO direct_note%"})
    await direct.run([Statement(_KEEP, (b"after",))])
    assert await kept(database) == ["before", "after"]


async def test_a_connection_that_is_lost_each_time_is_no_connection(
    direct: DirectConnection,
) -> None:
    await direct.run([Statement(_KEEP, (b"before",))])
    with pytest.raises(Unavailable):
        await direct.run([Statement(_LEAVE, (b"now",))])
    await direct.run([Statement(_LEAVE, (b"never",))])


async def test_a_server_that_says_nothing_or_is_not_there_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        direct = DirectConnection(f"postgresql://nobody@127.0.0.1:{port}/none")
        with pytest.raises(Unavailable):
            await direct.run([Statement(_KEEP, (b"x",))])
    with pytest.raises(Unavailable):
        await direct.run([Statement(_KEEP, (b"x",))])
