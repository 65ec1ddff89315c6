"""One connection outside the pool, for what is sent so often that SQLAlchemy's share counts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, LiteralString

import psycopg
from psycopg import pq
from psycopg.errors import error_from_result
from sqlalchemy import make_url

from sitebrook.db.connect import CONNECT_ARGS, is_connection_failure, no_database
from sitebrook.db.engine import to_psycopg_url

_ANSWER_S: Final = 10
# A prepared statement keeps the plan of its first runs. Made while the tables are small, it would
# read them whole at each run until they are analysed: 95 us a turn became 520 behind 30,000.
_PLANNING: Final[LiteralString] = (
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off"
)
_FAILED: Final = frozenset({pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE})


class StatementRefused(Exception):
    """PostgreSQL refused a statement; only the kind is told, its text may quote what was sent."""


# SQL and its one parameter, ``$1``, as text: more of them go into one as JSON.
Statement = tuple[LiteralString, bytes]


class DirectConnection:
    """A connection that is opened when it is needed and again when it was lost.

    For one task at a time, and for statements that may be sent twice.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._pipeline: _Pipeline | None = None

    async def run(self, statements: Sequence[Statement]) -> None:
        """Runs the statements in one transaction, sent together; their rows are not read.

        After a connection that was lost meanwhile they are sent once more, over a new one. Raises
        Unavailable when PostgreSQL does not answer, StatementRefused when it does and refuses.
        """
        was_open = self._pipeline is not None
        try:
            await self._send(statements)
        except (psycopg.Error, TimeoutError) as error:
            if not _is_away(error):
                raise StatementRefused(type(error).__name__) from None
            if isinstance(error, TimeoutError) or not was_open:
                raise no_database() from error
            await self.run(statements)

    async def aclose(self) -> None:
        """Closes the connection; the next statement would open another."""
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            await pipeline.aclose()

    async def _send(self, statements: Sequence[Statement]) -> None:
        try:
            async with asyncio.timeout(_ANSWER_S):
                if self._pipeline is None or self._pipeline.is_lost:
                    await self.aclose()
                    connection = await connect(self._url)
                    await connection.execute(_PLANNING)
                    self._pipeline = _Pipeline(connection)
                await self._pipeline.run(statements)
        except BaseException:
            # What came later would be taken for the answer to something else.
            await self.aclose()
            raise


async def connect(url: str) -> psycopg.AsyncConnection[Any]:
    """A new connection in which each statement is a transaction, unless one is begun."""
    address = make_url(to_psycopg_url(url))
    positional, named = address.get_dialect()().create_connect_args(address)
    arguments = {**named, **CONNECT_ARGS, "autocommit": True}
    return await psycopg.AsyncConnection.connect(*positional, **arguments)


class _Pipeline:
    """An open connection in libpq's pipeline mode, read by a callback of the event loop.

    psycopg's cursors ask the loop to watch the socket anew for each statement and take a coroutine
    and a generator for each step: four times the processor time of this, and an eighth of what a
    lone answer cost. Statements are prepared when they come first.
    """

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self.is_lost = False
        self._connection = connection
        self._pgconn = connection.pgconn
        self._loop = asyncio.get_running_loop()
        self._names: dict[str, bytes] = {}
        self._answered: asyncio.Future[None] | None = None
        self._failure: psycopg.Error | None = None
        self._pgconn.enter_pipeline_mode()
        self._socket = self._pgconn.socket
        self._loop.add_reader(self._socket, self._read)

    async def run(self, statements: Sequence[Statement]) -> None:
        """Sends the statements together. Raises psycopg.Error; then it must be closed."""
        pgconn = self._pgconn
        for statement, parameter in statements:
            name = self._names.get(statement)
            if name is None:
                name = self._names[statement] = b"statement_%d" % len(self._names)
                pgconn.send_prepare(name, statement.encode())
            pgconn.send_query_prepared(name, [parameter])
        # Without BEGIN, what is sent up to here is one transaction of its own.
        pgconn.pipeline_sync()
        self._failure = None
        self._answered = self._loop.create_future()
        while pgconn.flush():
            await self._wait_until_writable()
        await self._answered
        if self._failure is not None:
            raise self._failure

    async def aclose(self) -> None:
        """Closes the connection."""
        self._loop.remove_reader(self._socket)
        await self._connection.close()

    async def _wait_until_writable(self) -> None:
        writable = self._loop.create_future()
        self._loop.add_writer(self._socket, _set_done, writable)
        try:
            await writable
        finally:
            self._loop.remove_writer(self._socket)

    def _read(self) -> None:
        try:
            self._pgconn.consume_input()
            is_over = self._answered is not None and self._take_results()
        except psycopg.Error as error:
            self.is_lost = is_over = True
            self._failure = self._failure or error
            self._loop.remove_reader(self._socket)  # it would be readable for ever
        if is_over:
            answered, self._answered = self._answered, None
            if answered is not None:
                _set_done(answered)

    def _take_results(self) -> bool:
        """Whether the answer to everything that was sent has come."""
        pgconn = self._pgconn
        has_result = True
        while not pgconn.is_busy():
            result = pgconn.get_result()
            if result is None:  # ends the results of a statement; twice in a row: no more have come
                if not has_result:
                    return False
                has_result = False
                continue
            has_result = True
            if result.status == pq.ExecStatus.PIPELINE_SYNC:
                return True
            if result.status in _FAILED and self._failure is None:
                self._failure = error_from_result(result)
        return False


def _set_done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _is_away(error: psycopg.Error | TimeoutError) -> bool:
    return isinstance(error, TimeoutError) or is_connection_failure(error)
