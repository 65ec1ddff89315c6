"""The workers of the jobs bench: ours, and procrastinate's own as the baseline.

Arguments: ``ours`` or ``plain``, the database's address, how many jobs at once. Each job that
starts is a line of output: when it was enqueued and when its handler began, in seconds.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time

import msgspec
import uvloop
from procrastinate import App, PsycopgConnector

from sitebrook.db.connect import to_libpq
from sitebrook.events.ring_log import RingLog
from sitebrook.jobs.connections import Connections
from sitebrook.jobs.context import JobContext
from sitebrook.jobs.engine import WorkerOptions
from sitebrook.jobs.job import NoArguments
from sitebrook.jobs.kinds import JobKind, JobKinds
from sitebrook.jobs.procrastinate_engine import ProcrastinateEngine
from sitebrook.settings import EventSettings, JobSettings

# Tasks of the library are told from our jobs by their queue.
PLAIN_QUEUE = "plain"


class Stamp(msgspec.Struct):
    """When the bench was about to enqueue the job."""

    at: float


async def _note(_context: JobContext, stamp: Stamp) -> None:
    """Says when it was enqueued and when it has begun."""
    print(stamp.at, time.time(), flush=True)


async def _hold(_context: JobContext, _arguments: msgspec.Struct) -> None:
    """Waits for its cancellation."""
    await asyncio.Event().wait()


KINDS = JobKinds(
    [
        JobKind(name="note", handler=_note, arguments=Stamp),
        JobKind(name="hold", handler=_hold, arguments=NoArguments),
    ]
)


def open_ours(url: str) -> ProcrastinateEngine:
    """The engine with the clocks that it has in use."""
    return ProcrastinateEngine(
        Connections(url, size=4), KINDS, JobSettings(), RingLog(EventSettings())
    )


def open_plain(url: str) -> App:
    """The library by itself."""
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    app = App(connector=PsycopgConnector(conninfo=to_libpq(url)))

    @app.task(name="note", queue=PLAIN_QUEUE)
    async def note(at: float) -> None:
        """The same."""
        print(at, time.time(), flush=True)

    return app


async def _run_ours(url: str, concurrency: int) -> None:
    engine = open_ours(url)
    worker = engine.worker(WorkerOptions(concurrency=concurrency, drain_s=0, queues=("default",)))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop_now)
    async with engine.opened():
        await worker.run()


async def _run_plain(url: str, concurrency: int) -> None:
    app = open_plain(url)
    async with app.open_async():
        await app.run_worker_async(
            queues=[PLAIN_QUEUE],
            concurrency=concurrency,
            fetch_job_polling_interval=1,
            abort_job_polling_interval=1,
        )


if __name__ == "__main__":
    run = {"ours": _run_ours, "plain": _run_plain}[sys.argv[1]]
    uvloop.run(run(sys.argv[2], int(sys.argv[3])))
