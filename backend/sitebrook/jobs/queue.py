"""Procrastinate's queue as the job engine uses it: rows that may start, and who is at work.

Its own worker is not used: it ends at the first statement that fails and then waits for its jobs
without a heartbeat, so that a restart of PostgreSQL would start every long job again.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import msgspec
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job as QueueRow
from procrastinate.manager import get_channel_for_queues
from psycopg import sql

from sitebrook.db.connect import no_database
from sitebrook.jobs.connections import Connections, telling_failures

# A worker that was not seen for so long has no jobs left that somebody might ask about.
_FORGET_S: Final = 3600.0
_SILENCE_S: Final = 30.0
# One to fetch, one for all else.
_CONNECTIONS: Final = 2

_BEAT: Final[LiteralString] = """
    UPDATE procrastinate_workers SET last_heartbeat = now() WHERE id = %(worker_id)s RETURNING id
"""
_IS_SETTLED: Final[LiteralString] = """
    SELECT now() - pg_postmaster_start_time() > %(seconds)s * interval '1 second' AS is_settled
"""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A row of the queue: it lets one worker start one attempt of a job."""

    engine_id: int
    job_id: str
    attempt: int


class Queue:
    """The rows of the queue, and the workers. Everything raises Unavailable.

    It has connections of its own, so that no heartbeat waits for a job's statement. They do not
    wait for the disk: the start of an attempt does, and with it the fetch before it is kept.
    """

    def __init__(self, connections: Connections, queues: Sequence[str] | None) -> None:
        self._connections = connections.hasty(_CONNECTIONS)
        self._queues = None if queues is None else list(queues)
        self._app = App(connector=PsycopgConnector())

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """The queue for the length of a block."""
        async with self._connections, self._app.open_async(self._connections.pool):
            yield

    async def join(self) -> int:
        """The number under which this worker shows that it is alive."""
        with _telling_failures():
            return await self._app.job_manager.register_worker()

    async def beat(self, worker_id: int) -> bool:
        """Shows that the worker is alive; False when nobody knows it any more."""
        return bool(await self._connections.run(_BEAT, {"worker_id": worker_id}))

    async def leave(self, worker_id: int) -> None:
        """Takes the worker off the list; what it was running is then found by ``stalled``."""
        with _telling_failures():
            await self._app.job_manager.unregister_worker(worker_id)

    async def fetch(self, worker_id: int) -> Ticket | None:
        """The first row that may start, taken for this worker; None when there is none."""
        with _telling_failures():
            row = await self._app.job_manager.fetch_job(self._queues, worker_id)
        return None if row is None else _to_ticket(row)

    async def listen(
        self, on_job: Callable[[], object], on_cancel: Callable[[int], object]
    ) -> None:
        """Calls back for each new row, and for each running one that is to end, until it fails.

        What comes while nobody listens is not told later, so it begins with a call.
        """
        with telling_failures():
            async with await self._connections.connect() as connection:
                for channel in get_channel_for_queues(self._queues):
                    await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                on_job()
                while True:
                    async for heard in connection.notifies(timeout=_SILENCE_S):
                        told = msgspec.json.decode(heard.payload)
                        if told["type"] == "abort_job_requested":
                            on_cancel(told["job_id"])
                        else:
                            on_job()
                    await connection.execute("SELECT 1")  # is it still there?

    async def stalled(self, seconds: float) -> list[Ticket]:
        """Running rows whose worker was not seen for so long, or has left."""
        with _telling_failures():
            rows = await self._app.job_manager.get_stalled_jobs(seconds_since_heartbeat=seconds)
            await self._app.job_manager.prune_stalled_workers(max(_FORGET_S, 10 * seconds))
        return [_to_ticket(row) for row in rows]

    async def is_settled(self, seconds: float) -> bool:
        """Whether PostgreSQL has been up for so long, so that who lives could show it."""
        [row] = await self._connections.run(_IS_SETTLED, {"seconds": seconds})
        return row["is_settled"]


def _to_ticket(row: QueueRow) -> Ticket:
    arguments: dict[str, Any] = row.task_kwargs
    return Ticket(row.id or 0, str(arguments["job"]), int(arguments["attempt"]))


@contextlib.contextmanager
def _telling_failures() -> Generator[None]:
    try:
        yield
    except (ConnectorException, TimeoutError) as error:
        raise no_database() from error
