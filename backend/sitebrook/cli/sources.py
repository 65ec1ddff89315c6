"""``sitebrook sources``: websites that a site's documents come from."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any, Final

import click
import msgspec

from sitebrook.access.sites import Site
from sitebrook.cli.administration import site_option
from sitebrook.cli.detaching import leave_to_workers
from sitebrook.cli.session import choose_site, open_parts, run_command
from sitebrook.cli.tables import to_table
from sitebrook.cli.websites import find_website, read_website, start_crawl, to_counts
from sitebrook.errors import InvalidRequest
from sitebrook.ingestion.website.connecting import check_readable
from sitebrook.ingestion.website.rules import CrawlOptions
from sitebrook.ingestion.website.sources import (
    Source,
    SourcePage,
    delete_source,
    list_pages,
    list_sources,
    save_source,
)
from sitebrook.parts import Parts
from sitebrook.settings import Settings

_HEAD: Final = ("ID", "URL", "EVERY", "CRAWLED", "PAGES")
_PAGES_HEAD: Final = ("OUTCOME", "URL", "REASON")
_OUTCOMES: Final = ("added", "replaced", "unchanged", "skipped", "failed", "gone")
_DEFAULTS: Final = CrawlOptions()
_OPTIONS: Final = {
    "include": "--include",
    "exclude": "--exclude",
    "max_depth": "--max-depth",
    "max_pages": "--max-pages",
    "delay_s": "--delay",
    "every_hours": "--every",
}
_DETACH: Final = click.option(
    "--detach", is_flag=True, help="Print the job's id and leave it to the workers."
)

_Work = Callable[[Parts, Site], Awaitable[bool]]


@click.group("sources")
def sources_group() -> None:
    """Add, list, crawl and remove websites."""


@sources_group.command("add")
@click.argument("url")
@site_option
@click.option("--include", multiple=True, metavar="PATTERN", help="Only such paths, like /docs/*.")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="No such paths, like *.pdf.")
@click.option("--max-depth", type=int, default=_DEFAULTS.max_depth, show_default=True)
@click.option("--max-pages", type=int, default=_DEFAULTS.max_pages, show_default=True)
@click.option("--no-sitemaps", is_flag=True, help="Follow links alone.")
@click.option("--delay", type=float, default=0.0, help="Seconds between two requests at least.")
@click.option("--every", type=int, metavar="HOURS", help="Crawl it again by itself.")
@_DETACH
@click.pass_obj
def add_command(settings: Settings, url: str, **given: Any) -> None:
    """Add a website and read it; one that is there gets these options."""
    options = CrawlOptions(
        include=given["include"],
        exclude=given["exclude"],
        max_depth=given["max_depth"],
        max_pages=given["max_pages"],
        sitemaps=not given["no_sitemaps"],
        delay_s=given["delay"],
    )

    check_readable(url)

    async def add(parts: Parts, site: Site) -> bool:
        with _naming_options():
            source = await save_source(parts.database, site.id, url, options, given["every"])
        return await _crawl(parts, site, source, detach=given["detach"])

    _run(settings, given["site_name"], add)


@sources_group.command("crawl")
@click.argument("website", metavar="ID|URL")
@site_option
@_DETACH
@click.pass_obj
def crawl_command(settings: Settings, website: str, site_name: str | None, *, detach: bool) -> None:
    """Read a website again."""

    async def crawl(parts: Parts, site: Site) -> bool:
        return await _crawl(parts, site, await find_website(parts, site, website), detach=detach)

    _run(settings, site_name, crawl)


@sources_group.command("list")
@site_option
@click.pass_obj
def list_command(settings: Settings, site_name: str | None) -> None:
    """List the site's websites, the oldest first."""

    async def read() -> Sequence[Source]:
        async with open_parts(settings) as parts:
            site = await choose_site(parts, site_name)
            return await list_sources(parts.database, site.id)

    click.echo(to_table(_HEAD, [_to_row(source) for source in run_command(read())]))


@sources_group.command("show")
@click.argument("website", metavar="ID|URL")
@site_option
@click.pass_obj
def show_command(settings: Settings, website: str, site_name: str | None) -> None:
    """Show everything about a website, as JSON."""

    async def read() -> Source:
        async with open_parts(settings) as parts:
            return await find_website(parts, await choose_site(parts, site_name), website)

    click.echo(msgspec.json.format(msgspec.json.encode(run_command(read())), indent=2).decode())


@sources_group.command("pages")
@click.argument("website", metavar="ID|URL")
@site_option
@click.option("--outcome", type=click.Choice(_OUTCOMES), help="Only these.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True)
@click.option("--after", default="", metavar="URL", help="Those behind this address.")
@click.pass_obj
def pages_command(settings: Settings, website: str, **given: Any) -> None:
    """List what became of each page of a website, with the reason for those not read."""

    async def read() -> Sequence[SourcePage]:
        async with open_parts(settings) as parts:
            site = await choose_site(parts, given["site_name"])
            source = await find_website(parts, site, website)
            return await list_pages(
                parts.database,
                source.id,
                outcome=given["outcome"],
                after=given["after"],
                limit=given["limit"],
            )

    rows = [(page.outcome, page.url, page.reason) for page in run_command(read())]
    click.echo(to_table(_PAGES_HEAD, rows))


@sources_group.command("remove")
@click.argument("website", metavar="ID|URL")
@site_option
@click.pass_obj
def remove_command(settings: Settings, website: str, site_name: str | None) -> None:
    """Remove a website with the documents that came from it."""

    async def remove() -> tuple[Source, int]:
        async with open_parts(settings) as parts:
            site = await choose_site(parts, site_name)
            source = await find_website(parts, site, website)
            return source, await delete_source(parts.database, site.id, source.id)

    source, documents = run_command(remove())
    click.echo(f"{source.url} is removed, with {documents} documents.")


@contextlib.contextmanager
def _naming_options() -> Generator[None]:
    """A refusal names an option as it is written here, and not as over HTTP."""
    try:
        yield
    except InvalidRequest as error:
        option = _OPTIONS.get(error.param or "")
        if option is None or error.param is None:
            raise
        raise InvalidRequest(error.message.replace(error.param, option)) from None


def _run(settings: Settings, site_name: str | None, work: _Work) -> None:
    """Ends with 1 when nothing was read."""

    async def run() -> bool:
        async with open_parts(settings) as parts:
            return await work(parts, await choose_site(parts, site_name))

    if not run_command(run()):
        raise click.exceptions.Exit(1)


async def _crawl(parts: Parts, site: Site, source: Source, *, detach: bool) -> bool:
    if not detach:
        return await read_website(parts, site, source)
    await leave_to_workers(parts, await start_crawl(parts, source))
    return True


def _to_row(source: Source) -> tuple[str, ...]:
    every = "" if source.every_hours is None else f"{source.every_hours} h"
    crawled = "" if source.crawled_at is None else f"{source.crawled_at:%Y-%m-%d %H:%M}"
    counts = to_counts(source.counts).strip(" ()")
    stopped = f"; {source.stopped}" if source.stopped else ""
    return source.id, source.url, every, crawled, f"{counts}{stopped}"


COMMANDS: Final[tuple[click.Command, ...]] = (sources_group,)
