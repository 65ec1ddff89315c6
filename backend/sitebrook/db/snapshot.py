"""One moment of the database, read by statements that need not wait for each other's answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

import psycopg
from psycopg import abc
from psycopg.adapt import Transformer
from psycopg.pq import TransactionStatus
from psycopg.pq.abc import PGresult
from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.db.connect import conflict, is_conflict, is_connection_failure, no_database
from sitebrook.db.pipeline import Pipeline, Statement, StatementRefused, to_kind

Rows = Sequence[tuple[Any, ...]]
_Results = asyncio.Future[list[PGresult]]

_PIPELINE: Final = "pipeline"
_BEGIN: Final = Statement("BEGIN")
_COMMIT: Final = Statement("COMMIT")
_CANCEL_S: Final = 1


class PendingRows:
    """The rows that will come for statements that were sent."""

    def __init__(self, sent: Sequence[_Results], wanted: slice) -> None:
        self._sent = sent
        self._wanted = wanted

    async def rows(self) -> list[Rows]:
        """The rows of each statement.

        Raises Unavailable when PostgreSQL does not answer, StatementRefused when it refuses.
        """
        try:
            results = await self._sent[-1]
        except psycopg.Error:
            _check(self._sent)
            raise
        loader = Transformer()
        return [_load(loader, one) for one in results[self._wanted]]


class Snapshot:
    """A transaction whose statements all see the database as of the first; it cannot write."""

    def __init__(
        self, connection: AsyncConnection, driver: psycopg.AsyncConnection[Any], pipeline: Pipeline
    ) -> None:
        self._connection = connection
        self._driver = driver
        self._pipeline = pipeline
        self._sent: list[_Results] = []

    @property
    def is_lost(self) -> bool:
        """Whether the connection was lost meanwhile."""
        return self._pipeline.is_lost

    @classmethod
    async def over(cls, connection: AsyncConnection) -> Snapshot:
        """The snapshot that a connection of ``Database.begin_snapshot`` reads."""
        pooled = await connection.get_raw_connection()
        driver = cast("psycopg.AsyncConnection[Any]", pooled.driver_connection)
        # Kept with the connection, as it knows which statements are prepared there.
        pipeline = pooled.info.get(_PIPELINE)
        if pipeline is None:
            pipeline = pooled.info[_PIPELINE] = Pipeline(driver.pgconn)
        return cls(connection, driver, pipeline)

    def send(self, *statements: Statement, ends: bool = False) -> PendingRows:
        """Their rows, on their way behind those of earlier ones; ``ends``: these are the last."""
        sent = [*statements]
        if not self._pipeline.is_open:
            if self._driver.pgconn.transaction_status == TransactionStatus.IDLE:
                sent.insert(0, _BEGIN)
            self._pipeline.open()
        first = len(sent) - len(statements)
        if ends:
            sent.append(_COMMIT)
        self._sent.append(self._pipeline.send(sent))
        return PendingRows([*self._sent], slice(first, first + len(statements)))

    async def connection(self) -> AsyncConnection:
        """The same transaction for what is seldom read, once all that was sent is answered.

        Raises as ``PendingRows.rows`` when a statement that was sent has failed.
        """
        await self.settle()
        _check(self._sent)
        self._pipeline.close()
        return self._connection

    async def settle(self) -> None:
        """Waits until all that was sent is answered, well or not."""
        if self._sent and not self._sent[-1].done():
            await asyncio.wait({self._sent[-1]})

    async def leave(self) -> None:
        """Gives the connection back.

        One whose answers have not all come is closed; what runs on it is cancelled before, as
        PostgreSQL would only notice at its end.
        """
        self._pipeline.close()
        if not self._pipeline.is_lost:
            return
        try:
            if not self._pipeline.is_answered:
                with contextlib.suppress(psycopg.Error):
                    await self._driver.cancel_safe(timeout=_CANCEL_S)
        finally:
            await self._connection.invalidate()


def _check(sent: Iterable[_Results]) -> None:
    """Raises the first failure: in a transaction that has failed, all others are refused."""
    failures = (one.exception() for one in sent if one.done() and not one.cancelled())
    error = next((one for one in failures if one is not None), None)
    if error is None:
        return
    if is_connection_failure(error):
        raise no_database() from error
    if is_conflict(error):
        raise conflict() from error
    raise StatementRefused(to_kind(error)) from None


def _load(loader: abc.Transformer, result: PGresult) -> Rows:
    loader.set_pgresult(result)
    return loader.load_rows(0, result.ntuples, tuple)
