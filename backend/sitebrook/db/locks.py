"""Locks that all processes of one database respect, for work that takes minutes."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from sitebrook.db.direct import connect


@asynccontextmanager
async def try_lock(url: str, *names: str) -> AsyncGenerator[psycopg.AsyncConnection[Any] | None]:
    """The lock for the length of a block, as the connection that holds it; None: another has it.

    A killed process loses the lock with its connection. Nobody waits for it: a statement that
    waits would hold up every index that is built meanwhile. Statements on it may take any time.
    """
    digest = hashlib.sha256("\0".join(names).encode()).digest()
    connection = await connect(url)
    try:
        number = int.from_bytes(digest[:8], "big", signed=True)
        cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", (number,))
        row = await cursor.fetchone()
        await connection.execute("SET statement_timeout = 0")
        yield connection if row is not None and row[0] else None
    finally:
        await connection.close()
