"""``/api/sources``: websites that a site's documents come from, for its server."""

from __future__ import annotations

from typing import Annotated

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from sitebrook.access.gate import Caller
from sitebrook.api.bodies import check_json
from sitebrook.api.schemas.sources import (
    DeletedSourceResponse,
    PageOutcome,
    SourceListResponse,
    SourcePageListResponse,
    SourcePageResponse,
    SourceRequest,
    SourceResponse,
    StartedSourceResponse,
)
from sitebrook.ingestion.website.connecting import check_readable
from sitebrook.ingestion.website.rules import CrawlOptions
from sitebrook.ingestion.website.sources import (
    Source,
    delete_source,
    find_source,
    list_pages,
    list_sources,
    save_source,
)
from sitebrook.jobs.crawling import enqueue_crawl
from sitebrook.parts import Parts


@post("/api/sources", guards=[check_json], summary="Add or change a website", tags=["sources"])
async def add_source(
    data: JSONBody[SourceRequest],
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
) -> StartedSourceResponse:
    """Notes the website and starts the job that reads it; follow the job for its progress."""
    options = CrawlOptions(
        include=data.include,
        exclude=data.exclude,
        max_depth=data.max_depth,
        max_pages=data.max_pages,
        sitemaps=data.sitemaps,
        delay_s=data.delay_s,
    )
    check_readable(data.url)
    source = await save_source(parts.database, server.site.id, data.url, options, data.every_hours)
    return await _start(parts, source)


@get("/api/sources", summary="List websites", tags=["sources"])
async def list_site_sources(
    parts: NamedDependency[Parts], server: NamedDependency[Caller]
) -> SourceListResponse:
    """The site's websites with what their last crawls did."""
    found = await list_sources(parts.database, server.site.id)
    return SourceListResponse(data=[_to_response(source) for source in found])


@get("/api/sources/{source_id:str}", summary="Read a website's facts", tags=["sources"])
async def read_source(
    source_id: FromPath[str], parts: NamedDependency[Parts], server: NamedDependency[Caller]
) -> SourceResponse:
    """One website with what its last crawl did."""
    return _to_response(await find_source(parts.database, server.site.id, source_id))


@post("/api/sources/{source_id:str}/crawl", status_code=200, summary="Crawl", tags=["sources"])
async def crawl_source(
    source_id: FromPath[str], parts: NamedDependency[Parts], server: NamedDependency[Caller]
) -> StartedSourceResponse:
    """Starts the job that reads the website again, or names the one under way."""
    return await _start(parts, await find_source(parts.database, server.site.id, source_id))


@get("/api/sources/{source_id:str}/pages", summary="List a website's pages", tags=["sources"])
async def list_source_pages(  # noqa: PLR0913 - each is a parameter of the address
    source_id: FromPath[str],
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
    outcome: FromQuery[PageOutcome | None] = None,
    after: FromQuery[str] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
) -> SourcePageListResponse:
    """What became of each page, with the reason for those that were not read."""
    source = await find_source(parts.database, server.site.id, source_id)
    pages = await list_pages(
        parts.database,
        source.id,
        outcome=outcome,
        after=after.replace("\0", ""),
        limit=limit + 1,
    )
    found = [
        SourcePageResponse(
            url=page.url,
            outcome=page.outcome,  # pyright: ignore[reportArgumentType] - the table has no others
            reason=page.reason,
            depth=page.depth,
            status=page.status,
            is_document=page.is_stored,
            crawled_at=page.crawled_at,
        )
        for page in pages[:limit]
    ]
    return SourcePageListResponse(
        data=found,
        has_more=len(pages) > limit,
        last_url=found[-1].url if found else None,
    )


@delete(
    "/api/sources/{source_id:str}", status_code=200, summary="Delete a website", tags=["sources"]
)
async def remove_source(
    source_id: FromPath[str], parts: NamedDependency[Parts], server: NamedDependency[Caller]
) -> DeletedSourceResponse:
    """Removes it with the documents that came from it."""
    removed = await delete_source(parts.database, server.site.id, source_id)
    return DeletedSourceResponse(id=source_id, documents=removed)


async def _start(parts: Parts, source: Source) -> StartedSourceResponse:
    async with parts.database.begin() as connection:
        job_id = await enqueue_crawl(connection, parts.jobs, source.site_id, source.id)
    return StartedSourceResponse(source=_to_response(source), job_id=job_id)


def _to_response(source: Source) -> SourceResponse:
    options = source.options
    return SourceResponse(
        id=source.id,
        url=source.url,
        include=options.include,
        exclude=options.exclude,
        max_depth=options.max_depth,
        max_pages=options.max_pages,
        sitemaps=options.sitemaps,
        delay_s=options.delay_s,
        every_hours=source.every_hours,
        counts=dict(source.counts),
        stopped=source.stopped,
        created_at=source.created_at,
        crawled_at=source.crawled_at,
    )
