"""A worker as a process of its own, with the kinds of jobs that the tests of faults need.

Arguments: the database's address, and options as JSON. Like ``sitebrook worker`` but for its kinds.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time

import msgspec
import uvloop
from tests.integration.jobs.engines import Note, kind

from sitebrook.events.ring_log import RingLog
from sitebrook.jobs.connections import Connections
from sitebrook.jobs.context import JobContext
from sitebrook.jobs.engine import WorkerOptions
from sitebrook.jobs.kinds import JobKinds
from sitebrook.jobs.procrastinate_engine import ProcrastinateEngine
from sitebrook.settings import EventSettings, JobSettings


class Options(msgspec.Struct):
    """What a process is told."""

    concurrency: int = 4
    drain_s: float = 0.0
    cron: str | None = None
    settings: dict[str, float] = {}


async def sleep(context: JobContext, note: Note) -> dict[str, int]:
    """Takes the seconds that it is told, for the first attempt and for others; says who did it."""
    first, *others = note.text.split()
    await asyncio.sleep(float(others[0] if others and context.attempt > 1 else first))
    context.progress(pid=os.getpid())
    return {"pid": os.getpid(), "attempt": context.attempt}


async def block(_context: JobContext, note: Note) -> None:
    time.sleep(float(note.text))


async def count(context: JobContext, note: Note) -> int:
    """Shows progress again and again."""
    for number in range(int(note.text)):
        context.progress(number=number)
        await asyncio.sleep(0.05)
    return context.attempt


async def settle(context: JobContext, note: Note) -> int:
    """As ``count``, of things that are done for good."""
    context.settled()
    return await count(context, note)


KINDS = [
    kind("sleep", sleep),
    kind("block", block),
    kind("count", count),
    kind("settle", settle),
]


async def main() -> None:
    options = msgspec.json.decode(sys.argv[2], type=Options)
    chosen = JobSettings(**options.settings)
    engine = ProcrastinateEngine(
        Connections(sys.argv[1], size=4), JobKinds(KINDS), chosen, RingLog(EventSettings())
    )
    worker = engine.worker(
        WorkerOptions(
            concurrency=options.concurrency,
            drain_s=options.drain_s,
            replace=lambda: os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]]),
        )
    )
    loop = asyncio.get_running_loop()
    told = False

    def stop() -> None:
        nonlocal told
        worker.stop_now() if told else worker.stop()
        told = True

    loop.add_signal_handler(signal.SIGTERM, stop)
    async with engine.opened():
        await worker.run()


if __name__ == "__main__":
    uvloop.run(main())
