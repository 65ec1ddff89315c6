"""What PostgreSQL says about itself, for those who look after it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import psycopg

from sitebrook.db.connect import not_answering
from sitebrook.db.direct import connect
from sitebrook.db.process_lock import LOCK

_FACTS: Final = """
    SELECT current_setting('server_version'), current_setting('server_version_num')::int,
        (SELECT extversion FROM pg_extension WHERE extname = 'vector'),
        (SELECT default_version FROM pg_available_extensions WHERE name = 'vector'),
        (SELECT count(DISTINCT pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
            AND objsubid = 1 AND classid = 0 AND objid = %s
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
        clock_timestamp()
"""


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """A server as it answered: at ``asked_at`` by this machine's clock, ``told_at`` by its own.

    ``pgvector`` is the extension's version in this database, ``available_pgvector`` the one that
    could be made there. ``processes`` are long-lived ones of ours.
    """

    version: str
    version_number: int
    pgvector: str | None
    available_pgvector: str | None
    processes: int
    told_at: datetime
    asked_at: datetime
    answer_ms: float


async def read_facts(url: str, now: Callable[[], datetime]) -> DatabaseFacts:
    """The facts, over a connection of its own. Raises StartError with what PostgreSQL said."""
    try:
        connection = await connect(url)
        async with connection:
            began_at = time.perf_counter()
            before = now()
            cursor = await connection.execute(_FACTS, (LOCK,))
            row = await cursor.fetchone()
            took_s = time.perf_counter() - began_at
    except psycopg.Error as error:
        raise not_answering(url, error) from None
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    middle = before + (now() - before) / 2
    return DatabaseFacts(*row, asked_at=middle, answer_ms=took_s * 1000)
