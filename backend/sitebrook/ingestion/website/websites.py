"""Websites read into the knowledge of sites."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.access.sites import Site
from sitebrook.compute.pool import ComputePool
from sitebrook.db.engine import Database
from sitebrook.db.locks import try_lock
from sitebrook.errors import Unavailable
from sitebrook.ingestion.ingest import Holder, IngestedDocument, OnStage
from sitebrook.ingestion.loaders import RawDocument
from sitebrook.ingestion.website.crawl import (
    Crawl,
    CrawlParts,
    CrawlReport,
    OnPageStage,
    PageReport,
)
from sitebrook.ingestion.website.fetcher import Fetched, Fetcher
from sitebrook.ingestion.website.links import PageLinks, PageRequest, load_links
from sitebrook.ingestion.website.sources import (
    Source,
    begin_crawl,
    load_known,
    note_stored,
    remove_pages,
    save_crawl,
    save_page,
    source_removed,
)
from sitebrook.retrieval.knowledge import Guard

OnPage = Callable[[PageReport, int], object]


class DocumentIngester(Protocol):
    """Takes one document in."""

    async def ingest_document(
        self, holder: Holder, raw: RawDocument, on_stage: OnStage, guard: Guard
    ) -> IngestedDocument:
        """The document as stored. Raises InvalidRequest for one that cannot be taken in.

        ``guard`` is asked in the transaction that stores it, and raises to prevent it.
        """
        ...


@dataclass(frozen=True, slots=True)
class CrawlHooks:
    """Who hears of a crawl, and who is asked before it stores a page.

    ``on_page`` hears of each page whose fate is known and of how many wait, ``on_stage`` of what
    is being done with a page until then. ``guard`` is as that of a ``NewDocument``.
    """

    on_page: OnPage | None = None
    on_stage: OnPageStage | None = None
    guard: Guard | None = None


_NO_HOOKS: Final = CrawlHooks()


class Websites:
    """Crawls websites of sites; a page is a document whose source and address is the page's."""

    def __init__(
        self,
        database: Database,
        ingester: DocumentIngester,
        pool: ComputePool,
        open_fetcher: Callable[[], Fetcher] = Fetcher,
    ) -> None:
        self._database = database
        self._ingester = ingester
        self._pool = pool
        self._open_fetcher = open_fetcher

    async def crawl(
        self,
        site: Site,
        source: Source,
        hooks: CrawlHooks = _NO_HOOKS,
        *,
        time_s: float | None = None,
    ) -> CrawlReport:
        """What a crawl of the website did.

        Every page is kept when its fate is known: a crawl that broke off, or that was paused when
        its time was up, goes on with the next call. Raises Unavailable when another process is at
        it, NotFound when the website is removed meanwhile, of which nothing is stored any more,
        and what the guard raises.
        """

        async def keep(page: PageReport, waiting: int) -> None:
            if not await save_page(self._database, source.id, page):
                raise source_removed()
            if hooks.on_page is not None:
                hooks.on_page(page, waiting)

        async with (
            try_lock(self._database.url, "crawl", source.id) as lock,
            self._fetching() as fetcher,
        ):
            if lock is None:
                raise Unavailable("This website is being read already.")
            parts = CrawlParts(
                fetcher=fetcher,
                store=_SitePages(self._database, self._ingester, site, source, hooks.guard),
                read_links=self._read_links,
                on_page=keep,
                on_stage=hooks.on_stage or _ignore,
            )
            started_at = await begin_crawl(self._database, source.id)
            known = await load_known(self._database, source, started_at)
            report = await Crawl(parts, source.url, source.options, known, time_s).run()
            if not report.is_paused:
                await save_crawl(self._database, source.id, report, started_at)
        return report

    @asynccontextmanager
    async def _fetching(self) -> AsyncGenerator[Fetcher]:
        fetcher = self._open_fetcher()
        try:
            yield fetcher
        finally:
            await asyncio.shield(fetcher.aclose())

    def _read_links(self, asked: PageRequest) -> Awaitable[PageLinks]:
        return load_links(self._pool, asked)


class _SitePages:
    """The documents of one site as the pages of a website."""

    def __init__(
        self,
        database: Database,
        ingester: DocumentIngester,
        site: Site,
        source: Source,
        guard: Guard | None,
    ) -> None:
        self._database = database
        self._ingester = ingester
        self._site = site
        self._source = source
        self._guard = guard

    async def store(self, page: Fetched, on_stage: OnStage) -> str:
        async def guard(connection: AsyncConnection) -> None:
            if self._guard is not None:
                await self._guard(connection)
            await note_stored(connection, self._source.id, page.url)

        raw = RawDocument(page.url, page.content, page.media_type or None, url=page.url)
        return (await self._ingester.ingest_document(self._site, raw, on_stage, guard)).status

    async def remove(self, url: str) -> None:
        await remove_pages(self._database, self._source.site_id, self._source.id, [url])


def _ignore(_url: str, _stage: str, _chunks: int | None = None) -> None:
    pass
