"""The job engine's connections to PostgreSQL.

psycopg's own pool instead of SQLAlchemy's, which would take an idle worker 20 MB.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Generator, Mapping
from types import TracebackType
from typing import Any, Final, LiteralString, Self

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from sitebrook.db.connect import CONNECT_ARGS, CONNECT_S, no_database, to_libpq

Connection = psycopg.AsyncConnection[DictRow]
_ANSWER_S: Final = 10
# Who waited for a connection while PostgreSQL was away must not wait on long after its return:
# a heartbeat depends on it.
_LEND_S: Final = 1.0
# After this the pool forgets a connection that cannot be made, and makes one for who asks next.
_RECONNECT_S: Final = 0.5
# They write a line at each use of a connection, and at each job.
for _talkative in ("psycopg.pool", "procrastinate"):
    logging.getLogger(_talkative).setLevel(logging.WARNING)


class Connections:
    """Connections that are made when they are needed, at most ``size``; open it in its loop.

    Without ``waits_for_disk`` a crash of PostgreSQL may undo the statements of its last second,
    unless one of another connection behind them has waited.
    """

    def __init__(self, url: str, *, size: int, waits_for_disk: bool = True) -> None:
        self._address = to_libpq(url)
        arguments = dict(CONNECT_ARGS)
        if not waits_for_disk:
            arguments["options"] += " -c synchronous_commit=off"
        self.pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            self._address,
            connection_class=psycopg.AsyncConnection[DictRow],
            kwargs={**arguments, "row_factory": dict_row},
            configure=_commit_each,
            min_size=0,
            max_size=size,
            timeout=_LEND_S,
            reconnect_timeout=_RECONNECT_S,
            num_workers=1,
            open=False,
            name="jobs",
        )

    async def __aenter__(self) -> Self:
        await self.pool.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.pool.close(CONNECT_S)

    def hasty(self, size: int) -> Connections:
        """Further ones to the same database, which do not wait for its disk."""
        return Connections(self._address, size=size, waits_for_disk=False)

    async def connect(self) -> Connection:
        """A connection outside the pool, for who keeps it. Raises psycopg's errors."""
        return await psycopg.AsyncConnection[DictRow].connect(
            self._address, **CONNECT_ARGS, autocommit=True, row_factory=dict_row
        )

    def connect_blocking(self) -> psycopg.Connection[Any]:
        """A connection for a thread; each statement is committed. Raises psycopg's errors."""
        return psycopg.connect(self._address, **CONNECT_ARGS, autocommit=True)

    async def run(
        self, statement: LiteralString, parameters: Mapping[str, object]
    ) -> list[DictRow]:
        """The rows of one statement, committed. Raises Unavailable."""
        async with self._lend() as connection:
            return await run(connection, statement, parameters)

    @contextlib.asynccontextmanager
    async def begin(self) -> AsyncGenerator[Connection]:
        """A connection in a transaction that commits at the end. Raises Unavailable."""
        async with self._lend() as connection, connection.transaction():
            yield connection

    @contextlib.asynccontextmanager
    async def _lend(self) -> AsyncGenerator[Connection]:
        with telling_failures():
            async with self.pool.connection() as connection, asyncio.timeout(_ANSWER_S):
                yield connection


async def run(
    connection: psycopg.AsyncConnection[Any],
    statement: LiteralString,
    parameters: Mapping[str, object],
) -> list[DictRow]:
    """The rows of a statement as dictionaries."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement, parameters)
        return await cursor.fetchall() if cursor.description else []


@contextlib.contextmanager
def telling_failures() -> Generator[None]:
    """Raises Unavailable for what may go well later: PostgreSQL is away, or ended a statement."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError, TimeoutError) as error:
        raise no_database() from error


async def _commit_each(connection: psycopg.AsyncConnection[Any]) -> None:
    await connection.set_autocommit(True)
