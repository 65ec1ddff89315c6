"""One connection outside the pool, for what is sent so often that SQLAlchemy's share counts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, LiteralString

import psycopg
from sqlalchemy import make_url

from sitebrook.db.engine import CONNECT_ARGS, is_connection_failure, no_database, to_psycopg_url

_ANSWER_S: Final = 10


class StatementRefused(Exception):
    """PostgreSQL refused a statement; only the kind is told, its text may quote what was sent."""


Statement = tuple[LiteralString, Sequence[object]]


class DirectConnection:
    """A connection that is opened when it is needed and again when it was lost.

    For one task at a time, and for statements that may be sent twice.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.AsyncConnection[Any] | None = None

    async def run(self, statements: Sequence[Statement]) -> None:
        """Runs the statements in one transaction, sent together; their rows are not read.

        After a connection that was lost meanwhile they are sent once more, over a new one. Raises
        Unavailable when PostgreSQL does not answer, StatementRefused when it does and refuses.
        """
        was_open = self._connection is not None
        try:
            await self._send(statements)
        except (psycopg.Error, TimeoutError) as error:
            if not _is_away(error):
                raise StatementRefused(type(error).__name__) from None
            await self.aclose()
            if isinstance(error, TimeoutError) or not was_open:
                raise no_database() from error
            await self.run(statements)

    async def aclose(self) -> None:
        """Closes the connection; the next statement would open another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _send(self, statements: Sequence[Statement]) -> None:
        async with asyncio.timeout(_ANSWER_S):
            connection = self._connection
            if connection is None:
                connection = self._connection = await connect(self._url)
            if len(statements) == 1:
                await connection.execute(*statements[0], prepare=True)
                return
            # Without BEGIN, what is sent up to the pipeline's end is one transaction of its own.
            async with connection.pipeline():
                for statement in statements:
                    await connection.execute(*statement, prepare=True)


async def connect(url: str) -> psycopg.AsyncConnection[Any]:
    """A new connection in which each statement is a transaction, unless one is begun."""
    address = make_url(to_psycopg_url(url))
    positional, named = address.get_dialect()().create_connect_args(address)
    arguments = {**named, **CONNECT_ARGS, "autocommit": True}
    return await psycopg.AsyncConnection.connect(*positional, **arguments)


def _is_away(error: psycopg.Error | TimeoutError) -> bool:
    return isinstance(error, TimeoutError) or is_connection_failure(error)
