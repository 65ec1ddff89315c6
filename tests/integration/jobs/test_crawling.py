"""Websites read by jobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from sqlalchemy import text
from tests.fakes.website import FakeWebsite, Page, html
from tests.integration.jobs.engines import SOON_S, Engine, open_engine
from tests.integration.retrieval.stored import EMBEDDER, make_document, store

from sitebrook.access.sites import Site
from sitebrook.compute.pool import ComputePool
from sitebrook.db.engine import Database
from sitebrook.db.locks import try_lock
from sitebrook.errors import InvalidRequest
from sitebrook.ingestion.ingest import Ingester
from sitebrook.ingestion.reading import Reader
from sitebrook.ingestion.website.sources import delete_source, find_source, save_source
from sitebrook.ingestion.website.websites import Websites
from sitebrook.jobs.crawling import CrawlTools, crawl_kind, due_kind, enqueue_crawl
from sitebrook.jobs.job import NewJob
from sitebrook.jobs.vectors import (
    SwitchArguments,
    VectorTools,
    cancel_switches,
    enqueue_switch,
    index_kind,
    switch_kind,
)
from sitebrook.retrieval.embedder import HashingEmbedder
from sitebrook.retrieval.indexer import Indexer
from sitebrook.retrieval.site_embedders import SiteEmbedders
from sitebrook.settings import ComputeSettings, Settings


class Other(HashingEmbedder):
    name = "other-512"


@pytest.fixture
async def engine(database: Database, website: FakeWebsite) -> AsyncIterator[Engine]:
    pool = ComputePool(ComputeSettings(children=1))
    embedders = SiteEmbedders(database, EMBEDDER, Other())
    ingester = Ingester(
        database, embedders.find, Reader(pool, Settings()), Indexer(pool), Settings()
    )
    websites = Websites(database, ingester, pool, website.fetcher)
    opened: list[Engine] = []

    async def open_crawl_tools() -> CrawlTools:
        return CrawlTools(database, websites, opened[0].jobs)

    async def open_vector_tools() -> VectorTools:
        return VectorTools(database, embedders)

    kinds = [
        crawl_kind(open_crawl_tools),
        due_kind(open_crawl_tools),
        switch_kind(open_vector_tools),
        index_kind(open_vector_tools),
    ]
    async with open_engine(database, kinds) as engine:
        opened.append(engine)
        yield engine
    await pool.aclose()


@pytest.fixture
def start(engine: Engine) -> Callable[..., Any]:
    async def start_one(site: Site, source_id: str) -> str:
        async with engine.database.begin() as connection:
            job_id = await enqueue_crawl(connection, engine.jobs, site.id, source_id)
        engine.sites[job_id] = site.id
        return job_id

    return start_one


async def test_a_job_reads_a_website_and_shows_how_far_it_is(
    engine: Engine, website: FakeWebsite, site: Site, start: Callable[..., Any]
) -> None:
    paths = tuple(f"/{at}" for at in range(4))
    website.pages |= {"/": html("Home", links=paths)} | {path: html(path) for path in paths[:3]}
    source = await save_source(engine.database, site.id, website.url())
    job_id = await start(site, source.id)
    assert await start(site, source.id) == job_id
    async with engine.working():
        [row] = await engine.ended(job_id)
    assert row["status"] == "succeeded"
    assert row["result"] == {"added": 4, "gone": 1, "stopped": ""}
    told = [one.payload for one in await engine.events(job_id) if one.kind == "progress"]
    stages = {
        path: [one["stage"] for one in told if one["url"] == website.url(path)]
        for path in ("/", *paths)
    }
    stored = ["fetch", "parse", "split", "embed", "index", "done"]
    assert stages == dict.fromkeys(("/", *paths[:3]), stored) | {"/3": ["fetch", "done"]}
    assert (told[0]["done"], told[0]["total"], told[0]["left_s"]) == (0, 1, None)
    assert [one["source_chunks"] for one in told if one["stage"] == "index"] == [1] * 4
    ends = [one for one in told if one["stage"] == "done"]
    assert [one["done"] for one in ends] == [1, 2, 3, 4, 5]
    assert {one["total"] for one in ends} == {5}
    assert all(one["left_s"] > 0 for one in ends[:-1])
    assert ends[-1]["left_s"] == 0
    assert (await find_source(engine.database, site.id, source.id)).counts["added"] == 4
    assert await start(site, source.id) != job_id


async def test_websites_that_are_due_are_read_once(
    engine: Engine, website: FakeWebsite, site: Site
) -> None:
    website.pages["/"] = html("Home")
    source = await save_source(engine.database, site.id, website.url(), None, 24)
    due = [await engine.enqueue_plain("crawl_due") for _ in range(2)]
    async with engine.working():
        await engine.ended(*due)
        [job] = await engine.until("SELECT id, status FROM job WHERE kind = 'crawl'")
        await engine.until("SELECT id FROM job WHERE kind = 'crawl' AND status = 'succeeded'")
        again = await engine.enqueue_plain("crawl_due")
        await engine.ended(again)
    assert [one["id"] for one in await engine.rows("SELECT id FROM job WHERE kind = 'crawl'")] == [
        job["id"]
    ]
    assert (await find_source(engine.database, site.id, source.id)).crawled_at is not None


async def test_a_cancelled_crawl_stops(
    engine: Engine, website: FakeWebsite, site: Site, start: Callable[..., Any]
) -> None:
    paths = tuple(f"/{at}" for at in range(50))
    website.pages |= {"/": html("Home", links=paths)}
    website.pages |= {path: html(path, delay_s=0.5) for path in paths}
    source = await save_source(engine.database, site.id, website.url())
    job_id = await start(site, source.id)
    async with engine.working():
        await engine.until("SELECT 1 FROM source_page WHERE outcome = 'added' LIMIT 1")
        await engine.jobs.cancel(job_id)
        [row] = await engine.ended(job_id)
    assert row["status"] == "cancelled"
    asked = len(website.asked)
    assert asked < 50
    await website.settle()
    assert len(website.asked) == asked


async def test_a_website_that_is_removed_while_it_is_read_leaves_nothing(
    engine: Engine, website: FakeWebsite, site: Site, start: Callable[..., Any]
) -> None:
    paths = tuple(f"/{at}" for at in range(30))
    website.pages |= {"/": html("Home", links=paths)}
    website.pages |= {path: html(path, delay_s=0.1) for path in paths}
    source = await save_source(engine.database, site.id, website.url())
    job_id = await start(site, source.id)
    async with engine.working():
        await engine.until("SELECT 1 FROM source_page WHERE outcome = 'added' OFFSET 5 LIMIT 1")
        assert await delete_source(engine.database, site.id, source.id) > 5
        [row] = await engine.ended(job_id)
    assert (row["status"], row["error_code"]) == ("failed", "not_found")
    assert "removed" in row["error_message"]
    assert len(website.asked) < len(paths)
    left = "SELECT id FROM document UNION ALL SELECT url FROM source_page"
    assert await engine.rows(left) == []


async def test_an_attempt_that_was_given_up_stores_no_page(
    engine: Engine, website: FakeWebsite, site: Site, start: Callable[..., Any]
) -> None:
    async def give_up(writer: asyncio.StreamWriter) -> None:
        await engine.rows("UPDATE job SET attempt = attempt + 1 WHERE kind = 'crawl'")
        head = "HTTP/1.1 200 X\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n"
        writer.write(head.encode() + html("Later").body)

    website.pages |= {"/": html("Home", links=("/later",)), "/later": Page(play=give_up)}
    source = await save_source(engine.database, site.id, website.url())
    await start(site, source.id)
    async with engine.working(), asyncio.timeout(SOON_S):
        await engine.until("SELECT 1 FROM job WHERE attempt > 1")
        is_over = False
        while not is_over:
            async with try_lock(engine.database.url, "crawl", source.id) as lock:
                is_over = lock is not None
    for left in ("SELECT source AS url FROM document", "SELECT url FROM source_page"):
        assert await engine.rows(left) == [{"url": website.url()}]


async def test_a_website_that_is_gone_fails_for_good(
    engine: Engine, site: Site, start: Callable[..., Any]
) -> None:
    job_id = await start(site, "src_0000000000000000000000")
    async with engine.working():
        [row] = await engine.ended(job_id)
    assert (row["status"], row["error_code"]) == ("failed", "not_found")


async def test_a_job_switches_the_embedder_of_its_site(engine: Engine, site: Site) -> None:
    await store(engine.database, site.id, make_document("a.md", "one", "two"))
    new = NewJob(kind="switch_embedder", arguments=SwitchArguments("other"), site_id=site.id)
    async with engine.database.begin() as connection:
        job_id = await engine.jobs.enqueue(connection, new)
    engine.sites[job_id] = site.id
    tending = await engine.enqueue_plain("tend_indexes")
    async with engine.working():
        row, tended = await engine.ended(job_id, tending)
    names = {"before": EMBEDDER.name, "after": Other.name}
    assert row["result"] == {**names, "made": 2, "removed": 2}
    told = [one.payload for one in await engine.events(job_id) if one.kind == "progress"]
    assert [(one["stage"], one["done"]) for one in told] == [
        ("embed", 0),
        ("embed", 2),
        ("index", 2),
    ]
    assert {one["total"] for one in told} == {2}
    assert [one["left_s"] for one in told] == [None, 0.0, None]
    assert tended["result"] == {"built": 0, "dropped": 0}
    async with engine.database.begin() as connection:
        found = await connection.execute(text("SELECT DISTINCT embedder FROM embedding"))
        assert found.scalars().all() == [Other.name]


async def test_a_job_that_knows_no_such_embedder_says_what_to_do(
    engine: Engine, site: Site
) -> None:
    await store(engine.database, site.id, make_document("a.md", "one"))
    async with engine.database.begin() as connection:
        job_id = await enqueue_switch(connection, engine.jobs, site.id, "unknown")
    engine.sites[job_id] = site.id
    async with engine.working():
        [row] = await engine.ended(job_id)
    assert row["status"] == "failed"
    assert "settings of the embedder" in row["error_message"]


async def test_a_site_has_one_open_switch(engine: Engine, site: Site) -> None:
    await store(engine.database, site.id, make_document("a.md", "one"))

    async def enqueue(embedder: str) -> str:
        async with engine.database.begin() as connection:
            return await enqueue_switch(connection, engine.jobs, site.id, embedder)

    first, second = await asyncio.gather(enqueue(Other.name), enqueue(Other.name))
    assert first == second
    with pytest.raises(InvalidRequest, match=f"{first} switches the site to {Other.name}"):
        await enqueue(EMBEDDER.name)
    assert await cancel_switches(engine.database, engine.jobs, site.id) == [first]
    assert await enqueue(EMBEDDER.name) != first


async def test_a_website_that_answers_nothing_is_told_and_keeps_its_documents(
    engine: Engine, website: FakeWebsite, site: Site, start: Callable[..., Any]
) -> None:
    website.pages["/"] = Page(b"", 500)
    source = await save_source(engine.database, site.id, website.url())
    job_id = await start(site, source.id)
    async with engine.working():
        [row] = await engine.ended(job_id)
    assert row["result"] == {"failed": 1, "stopped": ""}
