"""Connections to PostgreSQL, one short transaction at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, cast

import psycopg
from pgvector import HalfVector
from psycopg.adapt import Dumper
from psycopg.pq import Format
from sqlalchemy import event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
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

_TRUSTED_S: Final = 1.0
_USED_AT: Final = "used_at"
_PING: Final = text("SELECT 1")
# Searches read snapshots and compute in between. With all of 16 at once, a round of the event loop
# took up to 22 ms of processor time, with four at a time up to 9: streams go on.
_SNAPSHOTS_AT_ONCE: Final = 4

_Turns = tuple[asyncio.Semaphore, ...]


class Database:
    """A pool of connections; every wait for one is bounded."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.url = url
        self._engine = create_async_engine(
            to_psycopg_url(url),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=CONNECT_S,
            hide_parameters=True,  # a failed statement is logged, what visitors wrote is not
            connect_args=dict(CONNECT_ARGS),
        )
        # The pool's own queue lets whoever comes pass those who wait: a task that takes one
        # connection after the other would keep them waiting until they give up.
        self._turns = (asyncio.Semaphore(pool_size),)
        snapshots = asyncio.Semaphore(min(_SNAPSHOTS_AT_ONCE, pool_size))
        self._snapshot_turns = (snapshots, *self._turns)
        # Set with the statement that begins: SET TRANSACTION would be one more to wait for.
        self._snapshots = self._engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        event.listen(self._engine.sync_engine, "connect", _send_vectors_binary)
        event.listen(self._engine.sync_engine, "checkin", _note_use)
        event.listen(self._engine.sync_engine, "checkout", self._check_idle)

    @property
    def connections_in_use(self) -> int:
        """The pooled connections that somebody holds at this moment."""
        return cast("QueuePool", self._engine.pool).checkedout()

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[AsyncConnection]:
        """A connection in a transaction that commits at the end and rolls back on an error.

        Raises Unavailable when PostgreSQL does not answer, or ends the transaction because others
        beside it wait for each other. Hold it for one step only: never while
        a provider is awaited or a stream runs.
        """
        async with self._open(self._engine, self._turns) as connection:
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[AsyncConnection]:
        """A connection whose statements all see the database as of the first; it cannot write.

        Four at once, the others wait their turn. Otherwise as ``begin``.
        """
        async with self._open(self._snapshots, self._snapshot_turns) as connection:
            yield connection

    @asynccontextmanager
    async def _open(self, engine: AsyncEngine, turns: _Turns) -> AsyncGenerator[AsyncConnection]:
        try:
            connection = await self._connect(engine, turns)
            try:
                async with aclosing(connection), connection.begin():
                    yield connection
            finally:
                _release(turns)
        except PoolTimeout:
            raise no_database() from None
        except DBAPIError as error:
            if error.connection_invalidated or is_connection_failure(error.orig):
                raise no_database() from error
            if is_conflict(error.orig):
                raise conflict() from error
            raise

    async def check(self) -> None:
        """Raises Unavailable unless PostgreSQL answers."""
        async with self.begin() as connection:
            await connection.execute(_PING)

    @staticmethod
    async def _connect(engine: AsyncEngine, turns: _Turns) -> AsyncConnection:
        """A connection that answered just now, with the turns, to be given back with it.

        The wait for all of them is bounded.
        """
        taken: list[asyncio.Semaphore] = []
        try:
            async with asyncio.timeout(CONNECT_S):
                for turn in turns:
                    await turn.acquire()
                    taken.append(turn)
                return await engine.connect()
        except TimeoutError:
            _release(taken)
            raise no_database() from None
        except BaseException:
            _release(taken)
            raise

    def _check_idle(
        self, connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: object
    ) -> None:
        """Asks a connection whether it is alive, unless it was used within the last second.

        ``pool_pre_ping`` would ask at every use, which costs as much as a small query.
        """
        used_at = record.info.get(_USED_AT)
        if used_at is None or time.monotonic() - used_at < _TRUSTED_S:
            return
        dialect = self._engine.dialect
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error:
            raise InvalidatePoolError from None

    async def aclose(self) -> None:
        """Closes every pooled connection."""
        await self._engine.dispose()


def _release(turns: Iterable[asyncio.Semaphore]) -> None:
    for turn in turns:
        turn.release()


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


def _note_use(_connection: object, record: ConnectionPoolEntry) -> None:
    record.info[_USED_AT] = time.monotonic()
