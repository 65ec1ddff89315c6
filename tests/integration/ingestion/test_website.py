"""A fake website crawled into a real database."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter

import pytest
from sqlalchemy import text
from tests.fakes.website import ODD, FakeWebsite, Page, html, make_site
from tests.integration.ingestion.crawling import Crawler

from sitebrook.access.sites import Site
from sitebrook.db.engine import Database
from sitebrook.db.locks import try_lock
from sitebrook.errors import Unavailable
from sitebrook.ingestion.website.rules import CrawlOptions
from sitebrook.ingestion.website.sources import (
    delete_source,
    find_source,
    list_due,
    list_pages,
    list_sources,
    save_source,
)


def expected_paths() -> set[str]:
    products = {f"/page/{number}" for number in range(1, 481)}
    lists = {f"/list/{at}" for at in range(10)}
    odd = {path for path, (_, outcome, _) in ODD.items() if outcome == "added"}
    return products | lists | odd | {"/", "/moved-to", "/real"}


async def test_a_website_of_500_pages_is_read_whole_then_kept_fresh(
    crawler: Crawler, website: FakeWebsite, database: Database, site: Site
) -> None:
    website.pages |= make_site(website.port)
    report = await crawler.crawl(exclude=("/excluded/*",))
    assert report.stopped == ""
    assert set(await crawler.documents()) == expected_paths()
    for path, (_, outcome, reason) in ODD.items():
        page = crawler.pages[path]
        assert (page.outcome, reason in page.reason) == (outcome, True), (path, page)
    assert report.counts["added"] == len(expected_paths())
    assert report.counts["outside"] == 2
    assert website.counts["/private/secret"] == website.counts["/excluded/a"] == 0
    assert website.counts["/logo.png"] == 0
    assert max(website.counts.values()) <= 2, website.counts.most_common(3)
    assert website.most_at_once <= 4

    again = await crawler.crawl(exclude=("/excluded/*",))
    unchanged = {path for path, page in crawler.pages.items() if page.outcome == "unchanged"}
    assert unchanged == expected_paths()
    assert "added" not in again.counts
    assert sum(page.status == 304 for page in crawler.pages.values()) == 480

    website.pages["/page/7"] = html("Product 7 costs nothing now.", etag='"new"')
    website.pages["/page/8"] = html(
        "Product 8 is new.", last_modified="Sat, 21 Nov 2026 10:00:00 GMT"
    )
    website.pages["/page/9"] = Page(b"", 410)
    del website.pages["/page/10"]
    website.pages["/page/11"] = html("x", head='<meta name="robots" content="noindex">')
    website.pages["/page/12"] = Page(b"", 500)
    website.pages["/robots.txt"] = Page(b"User-agent: sitebrook\nDisallow: /page/13$\n")
    website.pages["/"] = html("Welcome again", links=("/list/0", "/fresh"))
    website.pages["/fresh"] = html("A fresh page")
    third = await crawler.crawl(exclude=("/excluded/*", "/page/14"))
    outcomes = crawler.outcomes()
    assert [outcomes[f"/page/{at}"] for at in range(7, 15)] == [
        *("replaced", "replaced", "gone", "gone", "gone", "failed", "gone", "gone")
    ]
    assert outcomes["/fresh"] == "added"
    documents = await crawler.documents()
    gone = {f"/page/{at}" for at in (9, 10, 11, 13, 14)}
    assert set(documents) == (expected_paths() | {"/fresh"}) - gone
    assert documents["/page/7"].startswith("Product 7 costs nothing")
    assert third.counts["unchanged"] == len(expected_paths()) - 9

    (source,) = await list_sources(database, site.id)
    assert source.counts == third.counts
    kept = {page.url: page for page in await list_pages(database, source.id, limit=1000)}
    failed = kept[website.url("/page/12")]
    assert (failed.outcome, failed.reason, failed.is_stored) == ("failed", "HTTP 500", True)
    removed = await delete_source(database, site.id, source.id)
    assert removed == len(documents)
    assert await crawler.documents() == {}
    assert await list_pages(database, source.id) == []


async def test_depth_and_number_of_pages_are_bounded(
    crawler: Crawler, website: FakeWebsite
) -> None:
    for number in range(40):
        website.pages[f"/{number or ''}"] = html(f"Page {number}", links=(f"/{number + 1}",))
    await crawler.crawl(max_depth=3)
    assert set(await crawler.documents()) == {"/", "/1", "/2", "/3"}
    assert crawler.pages["/4"].reason == "it is more than 3 links away"
    report = await crawler.crawl(max_pages=10)
    assert report.stopped == "10 pages were read (max_pages)"
    assert len(await crawler.documents()) == 10
    await crawler.crawl(max_depth=0, sitemaps=False)
    assert website.counts["/sitemap.xml"] == 0


async def test_an_endless_website_ends(crawler: Crawler, website: FakeWebsite) -> None:
    class Endless(dict):
        def get(self, path: str, default: Page) -> Page:
            if path in {"/robots.txt", "/sitemap.xml"}:
                return default
            return html(f"Day {path}", links=(f"{path.rstrip('/')}/next", f"{path}?day=1"))

    website.pages = Endless()
    report = await crawler.crawl(max_pages=25)
    assert "25 pages" in report.stopped
    assert len(await crawler.documents()) == 25


async def test_include_leaves_everything_else_out(crawler: Crawler, website: FakeWebsite) -> None:
    website.pages |= {
        "/docs/": html("Docs", links=("/docs/a", "/docs/b?print=1", "/blog/c", "/docs/b")),
        "/docs/a": html("A"),
        "/docs/b": html("B"),
        "/docs/b?print=1": html("B printed"),
        "/blog/c": html("C"),
    }
    await crawler.crawl("/docs/", include=("/docs/*",), exclude=("*?print=*",))
    assert set(await crawler.documents()) == {"/docs/", "/docs/a", "/docs/b"}
    assert crawler.pages["/blog/c"].reason == "no pattern includes it"


@pytest.mark.parametrize(
    ("robots", "reason"),
    [
        (Page(b"User-agent: *\nDisallow: /\n"), "does not allow"),
        (Page(b"User-agent: other\nAllow: /\n\nUser-agent: SiteBrook\nDisallow: /"), "not allow"),
        (Page(b"", 500), "robots.txt answers with HTTP 500"),
        (Page(b"", 429), "robots.txt answers with HTTP 429"),
        (html("x", delay_s=9), "robots.txt cannot be read"),
    ],
)
async def test_robots_can_close_a_website(
    crawler: Crawler, website: FakeWebsite, robots: Page, reason: str
) -> None:
    website.pages |= {"/": html("Home"), "/robots.txt": robots}
    crawler.bounds["time_s"] = 0.5
    await crawler.crawl()
    assert await crawler.documents() == {}
    assert reason in crawler.pages["/"].reason


@pytest.mark.parametrize(
    "robots",
    [
        Page(b"", 403),
        Page(b"", 404),
        Page(status=302, headers={"location": "http://127.0.0.1/"}),
        Page(b"\xff\xfe\x00nonsense"),
        Page(b"User-agent: *\nDisallow: /a\n\nUser-agent: sitebrook\nDisallow:\n"),
        html("Not a robots file"),
    ],
)
async def test_robots_that_say_nothing_allow_everything(
    crawler: Crawler, website: FakeWebsite, robots: Page
) -> None:
    website.pages |= {"/": html("Home", links=("/a",)), "/a": html("A"), "/robots.txt": robots}
    crawler.hosts = ("shop.example",)
    await crawler.crawl()
    assert set(await crawler.documents()) == {"/", "/a"}


async def test_a_closed_robots_file_leaves_what_is_stored(
    crawler: Crawler, website: FakeWebsite
) -> None:
    website.pages |= {"/": html("Home", links=("/a",)), "/a": html("A")}
    await crawler.crawl()
    website.pages["/robots.txt"] = Page(b"", 503)
    await crawler.crawl()
    assert set(await crawler.documents()) == {"/", "/a"}
    website.pages["/robots.txt"] = Page(b"User-agent: *\nDisallow: /a\n")
    await crawler.crawl()
    assert set(await crawler.documents()) == {"/"}


async def test_the_website_s_delay_is_kept(crawler: Crawler, website: FakeWebsite) -> None:
    website.pages |= {"/robots.txt": Page(b"User-agent: *\nCrawl-delay: 0.2\n")}
    website.pages |= {"/": html("Home", links=tuple(f"/{at}" for at in range(5)))}
    website.pages |= {f"/{at}": html(f"Page {at}") for at in range(5)}
    loop = asyncio.get_running_loop()
    started = loop.time()
    await crawler.crawl()
    assert loop.time() - started >= 5 * 0.2
    assert website.most_at_once == 1


async def test_a_busy_server_is_asked_again_after_the_time_that_it_names(
    crawler: Crawler, website: FakeWebsite
) -> None:
    busy = Page(b"", 503, headers={"retry-after": "0"})
    website.pages |= {"/": html("Home", links=("/a",)), "/a": busy}
    await crawler.crawl()
    assert website.counts["/a"] == 3
    assert crawler.pages["/a"].reason == "HTTP 503"


async def test_a_website_that_is_away_loses_no_page(crawler: Crawler, website: FakeWebsite) -> None:
    paths = tuple(f"/{at}" for at in range(30))
    website.pages |= {"/": html("Home", links=paths)} | {path: html(path) for path in paths}
    await crawler.crawl()
    assert len(await crawler.documents()) == 31
    crawler.hosts = ()
    report = await crawler.crawl()
    assert "the start page was not read" in report.stopped
    assert len(await crawler.documents()) == 31
    crawler.hosts = ("shop.example",)

    async def drop(writer: asyncio.StreamWriter) -> None:
        writer.close()

    website.pages |= {path: Page(play=drop) for path in paths}
    report = await crawler.crawl()
    assert report.stopped == "20 pages in a row did not come"
    assert len(await crawler.documents()) == 31


async def test_a_start_page_that_moved_to_another_host_is_followed(
    crawler: Crawler, website: FakeWebsite
) -> None:
    website.pages |= {
        "/start": Page(status=301, headers={"location": website.url("/", "www.shop.example")}),
        "/": html("Home", links=("/a", website.url("/b", "other.example"))),
        "/a": html("A"),
    }
    crawler.hosts = ("shop.example", "www.shop.example", "other.example")
    report = await crawler.crawl("/start")
    home = website.url("/", "www.shop.example")
    assert set(await crawler.documents()) == {home, home + "a"}
    assert report.counts["outside"] == 1


async def test_pages_that_call_each_other_canonical_are_kept_once(
    crawler: Crawler, website: FakeWebsite
) -> None:
    head = '<link rel="canonical" href="{}">'
    website.pages |= {
        "/": html("Home", links=("/a",)),
        "/a": html("A and B", head=head.format("/b")),
        "/b": html("B and A", head=head.format("/a")),
    }
    await crawler.crawl()
    assert set(await crawler.documents()) == {"/", "/b"}


async def test_a_crawl_that_broke_off_is_no_loss_and_is_not_done_twice_at_once(
    crawler: Crawler, website: FakeWebsite, database: Database, site: Site
) -> None:
    paths = tuple(f"/{at}" for at in range(12))
    website.pages |= {"/": html("Home", links=paths)}
    website.pages |= {path: html(f"Page {path}", etag=f'"{path}"') for path in paths}
    website.pages["/9"] = dataclasses.replace(website.pages["/9"], delay_s=1.5)
    crawling = asyncio.create_task(crawler.crawl())
    async with asyncio.timeout(20):
        while len(crawler.pages) < 5:
            await asyncio.sleep(0.01)
    (source,) = await list_sources(database, site.id)
    with pytest.raises(Unavailable, match="being read already"):
        await Crawler(database, None, site, website).crawl_source(source)
    crawling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await crawling
    stored = set(await crawler.documents())
    assert stored
    async with asyncio.timeout(10):
        while True:
            async with try_lock(database.url, "crawl", source.id) as lock:
                if lock is not None:
                    break
    await crawler.crawl()
    assert set(await crawler.documents()) == {"/", *paths}
    # What the crawl before it had read last is not asked again.
    again = [crawler.pages[path].outcome for path in stored if path in crawler.pages]
    assert set(again) <= {"unchanged"}


async def test_a_crawl_whose_time_is_up_goes_on_with_what_is_left(
    crawler: Crawler, website: FakeWebsite, database: Database, site: Site
) -> None:
    paths = tuple(f"/{at}" for at in range(20))
    website.pages |= {"/": html("Home", links=paths)} | {path: html(path) for path in paths}
    source = await save_source(database, site.id, website.url(), CrawlOptions(delay_s=0.05))
    parts = 0
    asked = Counter[str]()
    while True:
        report = await crawler.websites.crawl(site, source, time_s=0.4)
        asked += website.counts
        website.asked.clear()
        parts += 1
        if not report.is_paused:
            break
        assert (await find_source(database, site.id, source.id)).crawled_at is None
    assert parts > 1
    assert sum(asked[path] for path in paths) == 20
    assert report.counts["added"] == 21
    assert set(await crawler.documents()) == {"/", *paths}
    # What was read before this crawl began is asked again.
    report = await crawler.crawl_source(source)
    assert report.counts == {"unchanged": 21}
    assert website.counts["/7"] == 1


async def test_websites_are_due_by_their_hours(
    crawler: Crawler, website: FakeWebsite, database: Database, site: Site
) -> None:
    website.pages |= {"/": html("Home")}
    never = await save_source(database, site.id, "https://never.example/")
    daily = await save_source(database, site.id, website.url(), None, 24)
    assert [one.id for one in await list_due(database)] == [daily.id]
    await crawler.crawl_source(daily)
    assert await list_due(database) == []
    statement = text("UPDATE source SET crawled_at = crawled_at - interval '25 hours'")
    async with database.begin() as connection:
        await connection.execute(statement)
    assert [one.id for one in await list_due(database)] == [daily.id]
    same = await save_source(database, site.id, website.url(), CrawlOptions(max_depth=1), 12)
    assert (same.id, same.every_hours, same.options.max_depth) == (daily.id, 12, 1)
    assert {one.id for one in await list_sources(database, site.id)} == {never.id, daily.id}


async def test_a_pattern_full_of_stars_is_quick(crawler: Crawler, website: FakeWebsite) -> None:
    website.pages |= {"/" + "a" * 900: html("A")}
    await crawler.crawl("/" + "a" * 900, exclude=("*a" * 100 + "b",))
    assert len(await crawler.documents()) == 1
