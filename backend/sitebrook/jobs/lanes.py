"""Lanes: how many jobs of one site may run at once, and which of them are next."""

from __future__ import annotations

from typing import Any

import psycopg

from sitebrook.jobs import statements
from sitebrook.jobs.connections import Connections, run


async def admit(connection: psycopg.AsyncConnection[Any], site_id: str, lanes: int) -> None:
    """Gives the site's free lanes to its first jobs, within a transaction.

    Does nothing while another transaction does: nobody waits for a caller's. Whatever is left over
    by that is found by ``admit_left_over``, a second later at most.
    """
    parameters = {"site_id": site_id, "lanes": lanes}
    [lock] = await run(connection, statements.LOCK_LANES, parameters)
    if not lock["pg_try_advisory_xact_lock"]:
        return
    await run(connection, statements.MAKE_ROOM, parameters)
    await run(connection, statements.FILL_LANES, parameters)


async def admit_left_over(connections: Connections, lanes: int) -> None:
    """Queues jobs whose retry is due, and those that nobody gave a lane although there is one."""
    await connections.run(statements.DUE, {})
    await connections.run(statements.FREE_LANES, {})
    for row in await connections.run(statements.SITES_WITH_ROOM, {"lanes": lanes}):
        async with connections.begin() as connection:
            await admit(connection, row["site_id"], lanes)
