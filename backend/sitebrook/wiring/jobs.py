"""The job engine of a process and the kinds of jobs that it knows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from sitebrook.events.log import EventLog
from sitebrook.jobs.connections import Connections
from sitebrook.jobs.crawling import CrawlTools, crawl_kind, due_kind
from sitebrook.jobs.housekeeping import housekeeping
from sitebrook.jobs.ingestion import IngestTools, ingest_kind, sweep_kind
from sitebrook.jobs.joining import JoinTools, join_due_kind, join_kind
from sitebrook.jobs.kinds import JobKinds
from sitebrook.jobs.procrastinate_engine import ProcrastinateEngine
from sitebrook.jobs.vectors import VectorTools, index_kind, switch_kind
from sitebrook.settings import Settings
from sitebrook.stores.expiring import ExpireTools, expire_kind
from sitebrook.stores.filling import FillTools, fill_kind

if TYPE_CHECKING:  # an idle worker does without them, which take twice as much as it has
    from sitebrook.parts import Parts

# Statements of a worker are short; its handlers have connections of their own.
_CONNECTIONS: Final = 4

OpenParts = Callable[[], "Awaitable[Parts]"]


def build_jobs(settings: Settings, log: EventLog, open_parts: OpenParts) -> ProcrastinateEngine:
    """The engine over the configured database; handlers get the parts when they need them.

    Raises StartError for a queue in the settings that there is not.
    """
    connections = Connections(settings.database.url or "", size=_CONNECTIONS)
    kinds = build_kinds(settings, connections, open_parts)
    kinds.check_queues(settings.jobs.queues)
    return ProcrastinateEngine(connections, kinds, settings.jobs, log)


def build_kinds(settings: Settings, connections: Connections, open_parts: OpenParts) -> JobKinds:
    """Every kind of job that there is."""

    async def open_ingest_tools() -> IngestTools:
        parts = await open_parts()
        return IngestTools(parts.database, parts.ingester)

    async def open_vector_tools() -> VectorTools:
        parts = await open_parts()
        return VectorTools(parts.database, parts.embedders)

    async def open_join_tools() -> JoinTools:
        parts = await open_parts()
        return JoinTools(parts.database, parts.jobs, parts.indexer)

    async def open_crawl_tools() -> CrawlTools:
        parts = await open_parts()
        return CrawlTools(parts.database, parts.websites, parts.jobs)

    async def open_fill_tools() -> FillTools:
        parts = await open_parts()
        return FillTools(parts.database, parts.ingester, parts.jobs)

    async def open_expire_tools() -> ExpireTools:
        parts = await open_parts()
        return ExpireTools(parts.files, parts.stores)

    return JobKinds(
        [
            housekeeping(connections, settings.jobs),
            ingest_kind(open_ingest_tools),
            sweep_kind(connections),
            index_kind(open_vector_tools),
            switch_kind(open_vector_tools),
            join_kind(open_join_tools),
            join_due_kind(open_join_tools),
            crawl_kind(open_crawl_tools),
            due_kind(open_crawl_tools),
            fill_kind(open_fill_tools),
            expire_kind(open_expire_tools),
        ]
    )
