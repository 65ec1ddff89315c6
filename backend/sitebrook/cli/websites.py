"""A website read by a job, or here, for the command that starts it; what became of its pages."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

import click

from sitebrook.access.sites import Site
from sitebrook.cli.display import Display, open_display
from sitebrook.cli.following import follow_to_end
from sitebrook.errors import NotFound
from sitebrook.ingestion.website.crawl import PageReport
from sitebrook.ingestion.website.sources import (
    Source,
    find_source,
    list_pages,
    list_sources,
    save_source,
)
from sitebrook.ingestion.website.urls import to_site_url
from sitebrook.ingestion.website.websites import CrawlHooks
from sitebrook.jobs.crawling import enqueue_crawl
from sitebrook.parts import Parts

_SHOWN_REASONS: Final = 20
_READ: Final = ("added", "replaced", "unchanged")
_NOT_READ: Final = ("failed", "gone", "skipped")


async def find_website(parts: Parts, site: Site, named: str) -> Source:
    """The site's website of this id or address. Raises NotFound, InvalidRequest."""
    if named.startswith("src_"):
        return await find_source(parts.database, site.id, named)
    url = to_site_url(named)
    for source in await list_sources(parts.database, site.id):
        if source.url == url:
            return source
    raise NotFound(f"The site {site.name} has no website {url}; see `sitebrook sources list`.")


async def find_or_add_website(parts: Parts, site: Site, url: str) -> Source:
    """The site's website of this address as it is kept, or a new one that is read as usual."""
    try:
        return await find_website(parts, site, to_site_url(url))
    except NotFound:
        return await save_source(parts.database, site.id, url)


async def start_crawl(parts: Parts, source: Source) -> str:
    """The id of the job that reads the website."""
    async with parts.database.begin() as connection:
        return await enqueue_crawl(connection, parts.jobs, source.site_id, source.id)


async def read_website(parts: Parts, site: Site, source: Source, *, by_job: bool = True) -> bool:
    """Reads the website, shows how far it is, and prints what came of it: whether anything was.

    Ctrl-C cancels it. Raises SitebrookError when the job fails.
    """
    started = time.monotonic()
    with open_display() as display:
        if by_job:
            job_id = await start_crawl(parts, source)
            await follow_to_end(parts, site.id, job_id, display.show_job)
        else:
            await _crawl_here(parts, site, source, display)
    found = await find_source(parts.database, site.id, source.id)
    await _print_reasons(parts, found)
    _print_summary(found, time.monotonic() - started)
    return any(found.counts.get(outcome) for outcome in _READ)


async def _crawl_here(parts: Parts, site: Site, source: Source, display: Display) -> None:
    done = 0

    def show(page: PageReport, waiting: int) -> None:
        nonlocal done
        done += 1
        display.show_one(done, done + waiting, page.url, page.outcome)

    await parts.websites.crawl(site, source, CrawlHooks(show))


async def _print_reasons(parts: Parts, source: Source) -> None:
    """Why pages were not read, those that failed first."""
    left = _SHOWN_REASONS
    for outcome in _NOT_READ:
        pages = await list_pages(parts.database, source.id, outcome=outcome, limit=left)
        for page in pages:
            click.echo(f"{outcome}: {page.url}: {page.reason}")
        left -= len(pages)
        if not left:
            break
    hidden = sum(source.counts.get(outcome, 0) for outcome in _NOT_READ) - _SHOWN_REASONS + left
    if hidden > 0:
        click.echo(f"{hidden} more: sitebrook sources pages {source.id}")


def _print_summary(source: Source, seconds: float) -> None:
    pages = sum(source.counts.get(outcome, 0) for outcome in _READ)
    click.echo(f"{source.url}: {pages} pages{to_counts(source.counts)}, {seconds:.1f} s")
    if source.counts.get("outside"):
        click.echo(f"Addresses of other websites passed over: {source.counts['outside']}")
    if source.stopped:
        click.echo(f"It was not read to its end: {source.stopped}.")


def to_counts(counts: Mapping[str, int]) -> str:
    """How many pages had each outcome, in brackets; nothing when there are none."""
    shown = [f"{counts[name]} {name}" for name in (*_READ, *_NOT_READ) if counts.get(name)]
    return f" ({', '.join(shown)})" if shown else ""
