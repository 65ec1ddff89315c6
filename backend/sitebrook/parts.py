"""The concrete objects of one process, built by ``sitebrook.wiring`` and used by handlers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from sitebrook.access.gate import Gate
from sitebrook.access.limits import Limiter
from sitebrook.chat.conversations import Conversations
from sitebrook.chat.open_answers import OpenAnswers
from sitebrook.chat.service import ChatService
from sitebrook.chat.standalone import FollowUps
from sitebrook.chat.writer import TurnWriter
from sitebrook.compute.pool import ComputePool
from sitebrook.db.engine import Database
from sitebrook.db.redis import RedisConnection
from sitebrook.events.log import EventLog
from sitebrook.ingestion.ingest import Ingester
from sitebrook.ingestion.website.websites import Websites
from sitebrook.jobs.engine import JobEngine, JobWorker
from sitebrook.jobs.intake import Intake
from sitebrook.jobs.watch import JobWatch
from sitebrook.providers.router import Router
from sitebrook.retrieval.indexer import Indexer
from sitebrook.retrieval.search import Searcher
from sitebrook.retrieval.site_embedders import SiteEmbedders
from sitebrook.settings import Settings
from sitebrook.stores.contents import Contents
from sitebrook.stores.files import Files
from sitebrook.stores.searching import StoreSearch
from sitebrook.stores.stores import Stores
from sitebrook.telemetry.latency import LatencyRecorder
from sitebrook.telemetry.metrics import Metrics
from sitebrook.telemetry.peers import WorkerPeers

# Answers that ended with the server get this long to be stored: with 25 s for streams, a second
# for their last event and one for connections, the whole stop stays under 30 s.
_DRAIN_S: Final = 2.0
_AGAIN_S: Final = 1.0
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that requests and commands work with."""

    settings: Settings
    database: Database
    compute: ComputePool
    indexer: Indexer
    redis: RedisConnection | None
    events: EventLog
    gate: Gate
    limiter: Limiter
    embedders: SiteEmbedders
    searcher: Searcher
    follow_ups: FollowUps
    ingester: Ingester
    intake: Intake
    websites: Websites
    files: Files
    stores: Stores
    contents: Contents
    store_search: StoreSearch
    router: Router
    conversations: Conversations
    writer: TurnWriter
    chat: ChatService
    jobs: JobEngine
    worker: JobWorker | None
    job_watch: JobWatch | None
    open_answers: OpenAnswers
    latency: LatencyRecorder
    metrics: Metrics
    peers: WorkerPeers | None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Keeps the background work going during the block; then ends it and closes everything."""
        if self.redis is not None:
            await self.redis.probe()  # the first request finds it known
        async with self.jobs.opened(), self._running_tasks():
            yield

    @contextlib.asynccontextmanager
    async def _running_tasks(self) -> AsyncGenerator[None]:
        working = None if self.worker is None else keep("worker", self.worker.run)
        tasks = {
            keep("writer", self.writer.run),
            keep("limiter", self.limiter.run),
            keep("events", self.events.run),
        }
        if self.redis is not None:
            tasks.add(keep("redis", self.redis.run))
        if self.job_watch is not None:
            tasks.add(keep("job_watch", self.job_watch.run))
        if self.peers is not None:
            peers, snapshot = self.peers, self.metrics.snapshot
            tasks.add(keep("peers", lambda: peers.run(snapshot)))
        try:
            yield
        finally:
            await self.writer.drain(_DRAIN_S)
            if self.worker is not None and working is not None:
                self.worker.stop()
                await asyncio.wait({working})
            await self.events.drain(_DRAIN_S)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await self.aclose()

    async def aclose(self) -> None:
        """Closes every connection and ends child processes; ``running`` does it at its end."""
        await self.compute.aclose()
        await self.router.aclose()
        for embedder in self.embedders.all:
            await embedder.aclose()
        await self.searcher.aclose()
        if self.redis is not None:
            await self.redis.aclose()
        await self.database.aclose()


def keep(
    name: str, run: Callable[[], Coroutine[Any, Any, None]], *, pause_s: float = _AGAIN_S
) -> asyncio.Task[None]:
    """A task that does work until it returns or is cancelled, and again after each fault.

    A process that served on without it would answer while nothing is stored or renewed.
    """
    return asyncio.create_task(_keep_going(name, run, pause_s), name=name)


async def _keep_going(
    name: str, run: Callable[[], Coroutine[Any, Any, None]], pause_s: float
) -> None:
    while True:
        work = asyncio.create_task(run(), name=name)
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError:
            work.cancel()
            await asyncio.wait({work})
            raise
        if work.cancelled() or (fault := work.exception()) is None:
            return
        _LOG.error("background work broke off and begins again: %s", name, exc_info=fault)
        await asyncio.sleep(pause_s)
