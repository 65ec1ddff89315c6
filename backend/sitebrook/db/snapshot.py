"""One moment of the database, read by statements that need not wait for each other's answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, cast

import psycopg
from psycopg import abc
from psycopg.adapt import Transformer
from psycopg.pq import TransactionStatus
from psycopg.pq.abc import PGconn, PGresult
from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.db.connect import conflict, is_conflict, is_connection_failure, no_database
from sitebrook.db.pipeline import Pipeline, Statement, StatementRefused

Rows = Sequence[tuple[Any, ...]]

_PIPELINE: Final = "pipeline"
_BEGIN: Final = Statement("BEGIN")
_COMMIT: Final = Statement("COMMIT")


class Answer:
    """What will come for statements that were sent."""

    def __init__(self, results: asyncio.Future[list[PGresult]], wanted: slice) -> None:
        self._results = results
        self._wanted = wanted

    async def rows(self) -> list[Rows]:
        """The rows of each statement.

        Raises Unavailable when PostgreSQL does not answer, StatementRefused when it refuses.
        """
        try:
            results = await self._results
        except psycopg.Error as error:
            if is_connection_failure(error):
                raise no_database() from error
            if is_conflict(error):
                raise conflict() from error
            raise StatementRefused(type(error).__name__) from None
        loader = Transformer()
        return [_load(loader, one) for one in results[self._wanted]]


class Snapshot:
    """A transaction whose statements all see the database as of the first; it cannot write."""

    def __init__(self, connection: AsyncConnection, pgconn: PGconn, pipeline: Pipeline) -> None:
        self._connection = connection
        self._pgconn = pgconn
        self._pipeline = pipeline
        self._last: asyncio.Future[list[PGresult]] | None = None

    @property
    def is_lost(self) -> bool:
        """Whether the connection was lost meanwhile."""
        return self._pipeline.is_lost

    @classmethod
    async def over(cls, connection: AsyncConnection) -> Snapshot:
        """The snapshot that a connection of ``Database.snapshot`` reads."""
        pooled = await connection.get_raw_connection()
        driver = cast("psycopg.AsyncConnection[Any]", pooled.driver_connection)
        # Kept with the connection, as it knows which statements are prepared there.
        pipeline = pooled.info.get(_PIPELINE)
        if pipeline is None:
            pipeline = pooled.info[_PIPELINE] = Pipeline(driver.pgconn)
        return cls(connection, driver.pgconn, pipeline)

    def send(self, *statements: Statement, ends: bool = False) -> Answer:
        """The answer, on its way, after those to what was sent before; ``ends``: the last ones."""
        sent = [*statements]
        if not self._pipeline.is_open:
            if self._pgconn.transaction_status == TransactionStatus.IDLE:
                sent.insert(0, _BEGIN)
            self._pipeline.open()
        first = len(sent) - len(statements)
        if ends:
            sent.append(_COMMIT)
        self._last = self._pipeline.send(sent)
        return Answer(self._last, slice(first, first + len(statements)))

    async def connection(self) -> AsyncConnection:
        """The same transaction for what is seldom read, once all that was sent is answered."""
        await self.settle()
        self._pipeline.close()
        return self._connection

    async def settle(self) -> None:
        """Waits until all that was sent is answered, well or not."""
        if self._last is not None and not self._last.done():
            await asyncio.wait({self._last})

    async def leave(self) -> None:
        """Gives the connection back; one whose answers have not all come is closed."""
        self._pipeline.close()
        if self._pipeline.is_lost:
            await self._connection.invalidate()


def _load(loader: abc.Transformer, result: PGresult) -> Rows:
    loader.set_pgresult(result)
    return loader.load_rows(0, result.ntuples, tuple)
