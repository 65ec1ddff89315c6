"""A crawler of a fake website, for the tests of crawls."""

from __future__ import annotations

from sqlalchemy import text
from tests.fakes.website import FakeWebsite

from sitebrook.access.sites import Site
from sitebrook.compute.pool import ComputePool
from sitebrook.db.engine import Database
from sitebrook.ingestion.ingest import Ingester
from sitebrook.ingestion.reading import Reader
from sitebrook.ingestion.website.crawl import CrawlReport, PageReport
from sitebrook.ingestion.website.rules import CrawlOptions
from sitebrook.ingestion.website.sources import Source, save_source
from sitebrook.ingestion.website.websites import CrawlHooks, Websites
from sitebrook.retrieval.embedder import HashingEmbedder
from sitebrook.retrieval.indexer import Indexer
from sitebrook.retrieval.site_embedders import SiteEmbedders
from sitebrook.settings import Settings


class Crawler:
    """Crawls the website into the site, as wiring would have it but for the addresses."""

    def __init__(
        self, database: Database, pool: ComputePool, site: Site, website: FakeWebsite
    ) -> None:
        self._database, self._site, self._website = database, site, website
        ingester = Ingester(
            database,
            SiteEmbedders(database, HashingEmbedder()).find,
            Reader(pool, Settings()),
            Indexer(pool),
            Settings(),
        )
        self.bounds: dict[str, float] = {"time_s": 2, "max_bytes": 1_000_000}
        self.hosts = ("shop.example",)
        self.websites = Websites(database, ingester, pool, self._open)
        self.pages: dict[str, PageReport] = {}

    def _open(self):
        return self._website.fetcher(hosts=self.hosts, **self.bounds)

    async def crawl(self, start: str = "/", **options: object) -> CrawlReport:
        """One crawl; ``pages`` has what became of each, by path."""
        source = await save_source(
            self._database, self._site.id, self._website.url(start), CrawlOptions(**options)
        )
        return await self.crawl_source(source)

    async def crawl_source(self, source: Source) -> CrawlReport:
        self.pages = {}
        self._website.asked.clear()

        def keep(page: PageReport, _waiting: int) -> None:
            path = page.url.removeprefix(self._website.url("")) or "/"
            assert path not in self.pages, path
            self.pages[path] = page

        return await self.websites.crawl(self._site, source, CrawlHooks(keep))

    async def documents(self) -> dict[str, str]:
        """Title by path of the site's documents."""
        statement = text("SELECT source, title FROM document WHERE site_id = :site")
        async with self._database.begin() as connection:
            rows = await connection.execute(statement, {"site": self._site.id})
            return {row.source.removeprefix(self._website.url("")): row.title for row in rows}

    def outcomes(self) -> dict[str, str]:
        return {path: page.outcome for path, page in self.pages.items()}
