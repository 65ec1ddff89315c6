"""A pool of connections that are given out in turn, none that is known to have ended."""

from __future__ import annotations

import asyncio
import select
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, cast

import psycopg
from pgvector import HalfVector
from psycopg.adapt import Dumper
from psycopg.pq import Format, TransactionStatus
from sqlalchemy import event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidatePoolError, InvalidRequestError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from sitebrook.db.connect import (
    CONNECT_ARGS,
    CONNECT_S,
    conflict,
    is_conflict,
    is_connection_failure,
    no_database,
)
from sitebrook.errors import StartError

_NOT_READY: Final = frozenset({TransactionStatus.ACTIVE, TransactionStatus.UNKNOWN})


class Pool:
    """So many connections with the same options beside the usual ones; waits are bounded."""

    def __init__(self, url: str, size: int, **options: Any) -> None:
        self._engine = create_async_engine(
            to_psycopg_url(url),
            pool_size=size,
            max_overflow=0,
            pool_timeout=CONNECT_S,
            hide_parameters=True,  # a failed statement is logged, what visitors wrote is not
            connect_args={**CONNECT_ARGS, **options},
        )
        self.size = size
        # The pool's own queue lets whoever comes pass those who wait: a task that takes one
        # connection after the other would keep them waiting until they give up.
        self._turns = asyncio.Semaphore(size)
        event.listen(self._engine.sync_engine, "connect", _send_vectors_binary)
        event.listen(self._engine.sync_engine, "checkout", self._check_idle)

    @property
    def in_use(self) -> int:
        """The connections that somebody holds at this moment."""
        return cast("QueuePool", self._engine.pool).checkedout()

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[AsyncConnection]:
        """A connection in a transaction that commits at the end and rolls back on an error.

        Raises Unavailable when PostgreSQL does not answer, or ends the transaction because others
        beside it wait for each other.
        """
        try:
            connection = await self._connect()
            try:
                async with aclosing(connection), connection.begin():
                    try:
                        yield connection
                    except BaseException:
                        await _drop_unless_ready(connection)
                        raise
            finally:
                self._turns.release()
        except PoolTimeout:
            raise no_database() from None
        except DBAPIError as error:
            if error.connection_invalidated or is_connection_failure(error.orig):
                raise no_database() from error
            if is_conflict(error.orig):
                raise conflict() from error
            raise

    async def aclose(self) -> None:
        """Closes every connection."""
        await self._engine.dispose()

    async def _connect(self) -> AsyncConnection:
        """A connection that is open as far as one can see, with the turn to be given back with it.

        The wait for both is bounded.
        """
        has_turn = False
        try:
            async with asyncio.timeout(CONNECT_S):
                has_turn = await self._turns.acquire()
                return await self._engine.connect()
        except BaseException as error:
            if has_turn:
                self._turns.release()
            # SQLAlchemy's word for a new connection that has ended at once is InvalidRequestError.
            if isinstance(error, TimeoutError | InvalidRequestError):
                raise no_database() from None
            raise

    def _check_idle(
        self, connection: DBAPIConnection, _record: ConnectionPoolEntry, _proxy: object
    ) -> None:
        """Asks a connection whether it is alive when something has come while it was idle.

        That may be its end: the server's, or that the kernel found the host to be gone.
        ``pool_pre_ping`` would ask at every use, which costs as much as a small query.
        """
        if not _has_news(connection):
            return
        dialect = self._engine.dialect
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error:
            raise InvalidatePoolError from None


async def _drop_unless_ready(connection: AsyncConnection) -> None:
    """Gives up a connection that could not even roll back, which would hide why it was left.

    It was left in the middle of a COPY, or the driver has closed it as a statement did not end.
    """
    if connection.invalidated:
        return
    driver = (await connection.get_raw_connection()).driver_connection
    if cast("psycopg.AsyncConnection[Any]", driver).info.transaction_status in _NOT_READY:
        await connection.invalidate()


def _has_news(connection: DBAPIConnection) -> bool:
    """Whether there is something to read from a connection on which nothing was asked."""
    driver = cast("psycopg.AsyncConnection[Any]", cast("Any", connection).driver_connection)
    poll = select.poll()
    poll.register(driver.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def to_psycopg_url(url: str) -> str:
    """The same address with the driver that sitebrook uses.

    Raises StartError for what is not an address of PostgreSQL; the message never repeats it.
    """
    for prefix in ("postgres://", "postgresql://", "postgresql+psycopg2://"):
        if url.startswith(prefix):
            url = "postgresql+psycopg://" + url.removeprefix(prefix)
    try:
        driver = make_url(url).drivername
    except (ArgumentError, ValueError):
        driver = None
    if driver != "postgresql+psycopg":
        raise StartError(
            "DATABASE_URL is not the address of a PostgreSQL database; write it like "
            "postgresql://user:password@host/database."
        )
    return url


class _HalfVectorDumper(Dumper):
    """Vectors as PostgreSQL stores them: as text, one of 384 numbers takes 0.3 ms to write."""

    format = Format.BINARY

    def dump(self, obj: HalfVector) -> bytes:
        return obj.to_binary()


def _send_vectors_binary(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    driver = cast("psycopg.AsyncConnection[Any]", connection.driver_connection)
    driver.adapters.register_dumper(HalfVector, _HalfVectorDumper)
