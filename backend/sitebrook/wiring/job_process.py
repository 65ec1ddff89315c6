"""A process that only runs jobs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sitebrook.db.redis import RedisConnection
from sitebrook.events.redis_log import RedisLog
from sitebrook.events.ring_log import RingLog
from sitebrook.jobs.engine import JobWorker, WorkerOptions
from sitebrook.settings import Settings
from sitebrook.wiring.jobs import build_jobs

if TYPE_CHECKING:  # imported when a handler needs them
    from sitebrook.parts import Parts

_DRAIN_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class RunningWorker:
    """A worker at work; ``ended`` is done when it has been told to stop and has no more jobs."""

    worker: JobWorker
    ended: asyncio.Task[None]


@contextlib.asynccontextmanager
async def running_worker(
    settings: Settings, replace: Callable[[], object]
) -> AsyncGenerator[RunningWorker]:
    """A worker of a process that only runs jobs, for the length of a block.

    It takes jobs of the queues in the settings. Raises StartError for one that there is not.
    """
    redis = RedisConnection(settings.redis) if settings.redis.url else None
    log = RedisLog(redis, settings.events) if redis else RingLog(settings.events)
    async with contextlib.AsyncExitStack() as open_things:
        parts = _LaterParts(settings, open_things)
        jobs = build_jobs(settings, log, parts.open)
        await open_things.enter_async_context(jobs.opened())
        options = WorkerOptions(
            concurrency=settings.jobs.concurrency,
            drain_s=settings.server.drain_s,
            queues=settings.jobs.queues or None,
            replace=replace,
        )
        worker = jobs.worker(options)
        upkeep = [asyncio.create_task(log.run())]
        if redis is not None:
            upkeep.append(asyncio.create_task(redis.run()))
        working = asyncio.create_task(worker.run())
        try:
            yield RunningWorker(worker, working)
        finally:
            worker.stop_now()
            await asyncio.wait({working})
            await log.drain(_DRAIN_S)
            for task in upkeep:
                task.cancel()
            await asyncio.wait(upkeep)
            if redis is not None:
                await redis.aclose()


class _LaterParts:
    """The parts of a process, made when a handler first needs them: they take 60 MB."""

    def __init__(self, settings: Settings, open_things: contextlib.AsyncExitStack) -> None:
        self._settings = settings
        self._open_things = open_things
        self._lock = asyncio.Lock()
        self._parts: Parts | None = None

    async def open(self) -> Parts:
        """The one set of parts of this process, running."""
        async with self._lock:
            if self._parts is None:
                from sitebrook.wiring.process import build_parts

                parts = build_parts(self._settings)
                await self._open_things.enter_async_context(parts.running())
                self._parts = parts
            return self._parts
