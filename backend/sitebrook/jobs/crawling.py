"""Jobs that read websites, and the one that starts them when they are due."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from sitebrook.errors import NotFound, Unavailable
from sitebrook.jobs.context import JobContext
from sitebrook.jobs.job import NewJob, NoArguments, Priority
from sitebrook.jobs.kinds import MOST_TIMEOUT_S, JobKind
from sitebrook.jobs.pace import Pace

if TYPE_CHECKING:  # an idle worker does without SQLAlchemy, which takes 20 MB
    from sqlalchemy.ext.asyncio import AsyncConnection

    from sitebrook.db.engine import Database
    from sitebrook.ingestion.website.crawl import PageReport
    from sitebrook.ingestion.website.websites import Websites
    from sitebrook.jobs.engine import JobEngine

CRAWL: Final = "crawl"
CRAWL_DUE: Final = "crawl_due"
_PART_S: Final = MOST_TIMEOUT_S - 120
_MAX_PARTS: Final = 500
# Of those who start a crawl at the same moment one makes the job.
_LOCK: Final = "SELECT id FROM source WHERE id = %(source_id)s FOR NO KEY UPDATE"
_OPEN: Final = """
    SELECT id FROM job WHERE kind = 'crawl' AND arguments->>'source_id' = %(source_id)s
    AND status IN ('queued', 'running', 'waiting') ORDER BY number LIMIT 1
"""


class CrawlArguments(msgspec.Struct, frozen=True):
    """Which website to read."""

    source_id: str


@dataclass(frozen=True, slots=True)
class CrawlTools:
    """What reading websites needs."""

    database: Database
    websites: Websites
    jobs: JobEngine


OpenTools = Callable[[], Awaitable[CrawlTools]]


async def enqueue_crawl(
    connection: AsyncConnection, jobs: JobEngine, site_id: str, source_id: str
) -> str:
    """The id of the job that reads the website: a new one, or the one that is open already."""
    await connection.exec_driver_sql(_LOCK, {"source_id": source_id})
    found = (await connection.exec_driver_sql(_OPEN, {"source_id": source_id})).first()
    if found is not None:
        return str(found[0])
    new = NewJob(kind=CRAWL, arguments=CrawlArguments(source_id), site_id=site_id)
    return await jobs.enqueue(connection, new)


def crawl_kind(open_tools: OpenTools) -> JobKind[CrawlArguments]:
    """The kind that reads one website; an attempt goes on where the last one was."""

    async def handle(context: JobContext, arguments: CrawlArguments) -> dict[str, object]:
        from sitebrook.access.sites import find_site
        from sitebrook.ingestion.website.sources import STORED, find_source
        from sitebrook.ingestion.website.websites import CrawlHooks

        tools = await open_tools()
        source = await find_source(tools.database, context.site_id or "", arguments.source_id)
        async with tools.database.begin() as connection:
            site = await find_site(connection, source.site_id)
        if site is None:
            raise NotFound("There is no such site.")
        progress = _Progress(context)

        def settle(page: PageReport, waiting: int) -> None:
            if page.outcome in STORED:  # the others are told again by the next attempt
                context.settled()
            progress.count(page, waiting)

        hooks = CrawlHooks(settle, progress.show, context.check_current)
        report = await tools.websites.crawl(site, source, hooks, time_s=_PART_S)
        if report.is_paused:
            raise Unavailable("The crawl goes on in a moment.", retry_after_s=1)
        return {**report.counts, "stopped": report.stopped}

    return JobKind(
        name=CRAWL,
        handler=handle,
        arguments=CrawlArguments,
        queue=CRAWL,
        timeout_s=MOST_TIMEOUT_S,
        max_attempts=_MAX_PARTS,
    )


def due_kind(open_tools: OpenTools) -> JobKind[NoArguments]:
    """The kind that starts a crawl of each website whose next one has come."""

    async def handle(_context: JobContext, _arguments: NoArguments) -> dict[str, int]:
        from sitebrook.ingestion.website.sources import list_due

        tools = await open_tools()
        due = await list_due(tools.database)
        for source in due:
            async with tools.database.begin() as connection:
                await enqueue_crawl(connection, tools.jobs, source.site_id, source.id)
        return {"due": len(due)}

    return JobKind(
        name=CRAWL_DUE,
        handler=handle,
        arguments=NoArguments,
        priority=Priority.LOW,
        cron="*/10 * * * *",
    )


class _Progress:
    """How far an attempt is; several pages are read at once."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._pace = Pace()
        self._done = 0
        self._total = 1  # the start page, until others are known
        self._chunks: dict[str, int] = {}

    def show(self, url: str, stage: str, chunks: int | None = None) -> None:
        """Shows what is being done with a page."""
        if chunks is not None:
            self._chunks[url] = chunks
        self._show(url, stage, source_chunks=self._chunks.get(url))

    def count(self, page: PageReport, waiting: int) -> None:
        """Shows what became of a page, and counts it."""
        self._done += 1
        self._total = self._done + waiting
        self._chunks.pop(page.url, None)
        self._show(page.url, "done", outcome=page.outcome)

    def _show(self, url: str, stage: str, **more: object) -> None:
        self._context.progress(
            stage=stage,
            url=url,
            done=self._done,
            total=self._total,
            left_s=self._pace.left_s(self._done, self._total),
            **more,
        )
