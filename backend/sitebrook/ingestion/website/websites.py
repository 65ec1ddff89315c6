"""Websites read into the knowledge of sites."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from sitebrook.access.sites import Site
from sitebrook.compute.pool import ComputePool
from sitebrook.db.engine import Database
from sitebrook.db.locks import try_lock
from sitebrook.errors import NotFound, Unavailable
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
    find_source,
    load_known,
    remove_pages,
    save_crawl,
    save_page,
)

OnPage = Callable[[PageReport, int], object]


class DocumentIngester(Protocol):
    """Takes one document in."""

    async def ingest_document(
        self, holder: Holder, raw: RawDocument, on_stage: OnStage
    ) -> IngestedDocument:
        """The document as stored. Raises InvalidRequest for one that cannot be taken in."""
        ...


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
        on_page: OnPage | None = None,
        *,
        on_stage: OnPageStage | None = None,
        time_s: float | None = None,
    ) -> CrawlReport:
        """What a crawl of the website did; ``on_page`` hears of each page and of how many wait.

        ``on_stage`` hears of what is being done with a page until then.

        Every page is kept when its fate is known: a crawl that broke off, or that was paused when
        its time was up, goes on with the next call. Raises Unavailable when another process is at
        it, NotFound when the website is removed meanwhile, with all that was made of it.
        """

        async def keep(page: PageReport, waiting: int) -> None:
            if not await save_page(self._database, source.id, page):
                raise NotFound("The website was removed while it was read.")
            if on_page is not None:
                on_page(page, waiting)

        async with (
            try_lock(self._database.url, "crawl", source.id) as lock,
            self._fetching() as fetcher,
        ):
            if lock is None:
                raise Unavailable("This website is being read already.")
            pages = _SitePages(self._database, self._ingester, site)
            parts = CrawlParts(
                fetcher=fetcher,
                store=pages,
                read_links=self._read_links,
                on_page=keep,
                on_stage=on_stage or _ignore,
            )
            started_at = await begin_crawl(self._database, source.id)
            known = await load_known(self._database, source.id, started_at)
            try:
                report = await Crawl(parts, source.url, source.options, known, time_s).run()
            finally:
                await asyncio.shield(self._remove_if_gone(source, pages))
            if not report.is_paused:
                await save_crawl(self._database, source.id, report, started_at)
        return report

    async def _remove_if_gone(self, source: Source, pages: _SitePages) -> None:
        with suppress(Unavailable):
            try:
                await find_source(self._database, source.site_id, source.id)
            except NotFound:
                await pages.remove_stored()

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

    def __init__(self, database: Database, ingester: DocumentIngester, site: Site) -> None:
        self._database = database
        self._ingester = ingester
        self._site = site
        self._stored: set[str] = set()

    async def store(self, page: Fetched, on_stage: OnStage) -> str:
        self._stored.add(page.url)
        raw = RawDocument(page.url, page.content, page.media_type or None, url=page.url)
        return (await self._ingester.ingest_document(self._site, raw, on_stage)).status

    async def remove(self, url: str) -> None:
        await remove_pages(self._database, self._site.id, [url])

    async def remove_stored(self) -> None:
        """Removes the documents of all pages that were stored by this crawl."""
        await remove_pages(self._database, self._site.id, list(self._stored))


def _ignore(_url: str, _stage: str, _chunks: int | None = None) -> None:
    pass
