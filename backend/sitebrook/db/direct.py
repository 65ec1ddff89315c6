"""One connection outside the pool, for what is sent so often that SQLAlchemy's share counts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, LiteralString

import psycopg
from sqlalchemy import make_url

from sitebrook.db.connect import CONNECT_ARGS, is_connection_failure, no_database
from sitebrook.db.pipeline import Pipeline, Statement, StatementRefused, to_kind
from sitebrook.db.pool import to_psycopg_url

_ANSWER_S: Final = 10
# A prepared statement keeps the plan of its first runs. Made while the tables are small, it would
# read them whole at each run until they are analysed: 95 us a turn became 520 behind 30,000.
_PLANNING: Final[LiteralString] = (
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off"
)


class DirectConnection:
    """A connection that is opened when it is needed and again when it was lost.

    For one task at a time, and for statements that may be sent twice.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._pipeline: Pipeline | None = None

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
                raise StatementRefused(to_kind(error)) from None
            if isinstance(error, TimeoutError) or not was_open:
                raise no_database() from error
            await self.run(statements)

    async def aclose(self) -> None:
        """Closes the connection; the next statement would open another."""
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            pipeline.close()
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _send(self, statements: Sequence[Statement]) -> None:
        try:
            async with asyncio.timeout(_ANSWER_S):
                pipeline = await self._open()
                await pipeline.send(statements)
        except BaseException:
            # What came later would be taken for the answer to something else.
            await self.aclose()
            raise

    async def _open(self) -> Pipeline:
        if self._pipeline is None or self._pipeline.is_lost:
            await self.aclose()
            self._connection = await connect(self._url)
            await self._connection.execute(_PLANNING)
            self._pipeline = Pipeline(self._connection.pgconn)
            self._pipeline.open()
        return self._pipeline


async def connect(url: str) -> psycopg.AsyncConnection[Any]:
    """A new connection in which each statement is a transaction, unless one is begun."""
    address = make_url(to_psycopg_url(url))
    positional, named = address.get_dialect()().create_connect_args(address)
    arguments = {**named, **CONNECT_ARGS, "autocommit": True}
    return await psycopg.AsyncConnection.connect(*positional, **arguments)


def _is_away(error: psycopg.Error | TimeoutError) -> bool:
    return isinstance(error, TimeoutError) or is_connection_failure(error)
