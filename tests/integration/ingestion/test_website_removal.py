"""What is left of a website that is removed, also while it is read, and of what it shares."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.fakes.website import FakeWebsite, Page, html
from tests.integration.ingestion.crawling import Crawler

from sitebrook.access.sites import Site
from sitebrook.compute.pool import ComputePool
from sitebrook.db.engine import Database
from sitebrook.errors import NotFound, Overtaken, Unavailable
from sitebrook.ingestion.ingest import Ingester
from sitebrook.ingestion.website.rules import CrawlOptions
from sitebrook.ingestion.website.sources import delete_source, save_source
from sitebrook.ingestion.website.websites import CrawlHooks, Websites
from sitebrook.retrieval.documents import delete_documents, find_sources


class Breaking:
    """Stores a document, and ends before anybody hears of it."""

    def __init__(self, ingester: Ingester) -> None:
        self._ingester = ingester

    async def ingest_document(self, *args: object) -> None:
        await self._ingester.ingest_document(*args)
        raise Unavailable("The process ends here.")


async def test_a_website_that_is_added_again_while_its_old_crawl_goes_on_keeps_its_pages(
    crawler: Crawler, website: FakeWebsite, database: Database, site: Site
) -> None:
    reached, goes_on = asyncio.Event(), asyncio.Event()

    async def hold(writer: asyncio.StreamWriter) -> None:
        reached.set()
        await goes_on.wait()
        head = "HTTP/1.1 200 X\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n"
        writer.write(head.encode() + html("Held").body)

    website.pages |= {"/": html("Home", links=("/held",), etag='"1"'), "/held": Page(play=hold)}
    crawler.bounds["time_s"] = 30
    old = await save_source(database, site.id, website.url())
    async with asyncio.timeout(30):
        crawling = asyncio.create_task(crawler.websites.crawl(site, old))
        await reached.wait()
        while not await crawler.documents():
            await asyncio.sleep(0.01)
        await delete_source(database, site.id, old.id)
        new = await save_source(database, site.id, website.url(), CrawlOptions(max_depth=0))
        assert new.id != old.id
        await crawler.crawl_source(new)
        goes_on.set()
        with pytest.raises(NotFound, match="was removed while it was read"):
            await crawling
    assert await crawler.documents() == {"/": "Home"}


async def test_pages_of_two_websites_go_with_the_second_one(
    crawler: Crawler, website: FakeWebsite, database: Database, site: Site
) -> None:
    website.pages |= {
        "/": html("Home", links=("/docs/",)),
        "/docs/": html("Docs", etag='"docs"', links=("/docs/a",)),
        "/docs/a": html("A", etag='"a"'),
    }
    whole = await save_source(database, site.id, website.url())
    docs = await save_source(
        database, site.id, website.url("/docs/"), CrawlOptions(include=("/docs/*",))
    )
    for source in (whole, docs):
        await crawler.crawl_source(source)
    # Left out by one of them only.
    whole = await save_source(database, site.id, website.url(), CrawlOptions(exclude=("/docs/a",)))
    await crawler.crawl_source(whole)
    assert set(await crawler.documents()) == {"/", "/docs/", "/docs/a"}
    assert await delete_source(database, site.id, whole.id) == 1
    assert set(await crawler.documents()) == {"/docs/", "/docs/a"}
    assert await delete_source(database, site.id, docs.id) == 2
    assert await crawler.documents() == {}


async def test_a_page_whose_document_was_deleted_comes_back_though_it_is_unchanged(
    crawler: Crawler, website: FakeWebsite, database: Database, site: Site
) -> None:
    website.pages |= {"/": html("Home", links=("/a",), etag='"1"'), "/a": html("A", etag='"a"')}
    await crawler.crawl()
    found = await find_sources(database, site.id, [website.url("/a")])
    await delete_documents(database, site.id, [one.id for one in found.values()])
    await crawler.crawl()
    assert crawler.outcomes() == {"/": "unchanged", "/a": "added"}
    assert set(await crawler.documents()) == {"/", "/a"}


async def test_a_page_that_was_stored_by_a_crawl_which_ended_there_is_known(
    crawler: Crawler, website: FakeWebsite, database: Database, site: Site, pool: ComputePool
) -> None:
    website.pages |= {"/": html("Home", links=("/a",)), "/a": html("A")}
    broken = Websites(
        database, Breaking(crawler.websites._ingester), pool, crawler.websites._open_fetcher
    )
    source = await save_source(database, site.id, website.url())
    with pytest.raises(Unavailable, match="ends here"):
        await broken.crawl(site, source)
    assert set(await crawler.documents()) == {"/"}
    assert await delete_source(database, site.id, source.id) == 1
    assert await crawler.documents() == {}

    source = await save_source(database, site.id, website.url())
    with pytest.raises(Unavailable, match="ends here"):
        await broken.crawl(site, source)
    # The next one goes on behind it, to the pages that it links to.
    await crawler.crawl_source(source)
    assert crawler.outcomes() == {"/": "unchanged", "/a": "added"}


async def test_a_crawl_that_another_one_has_overtaken_stores_no_page(
    crawler: Crawler, website: FakeWebsite, database: Database, site: Site
) -> None:
    website.pages["/"] = html("Home")
    source = await save_source(database, site.id, website.url())

    async def refuse(_connection: AsyncConnection) -> None:
        raise Overtaken("Another attempt goes on with this job.")

    with pytest.raises(Overtaken):
        await crawler.websites.crawl(site, source, CrawlHooks(guard=refuse))
    assert await crawler.documents() == {}
