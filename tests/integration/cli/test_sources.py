"""Websites by command: read by a job, shown, removed."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.commands import one_line, refusal, run, succeed
from tests.fakes.website import FakeWebsite, Page, html
from tests.integration.jobs.engines import SOON_S, Engine, open_engine

from sitebrook.access.sites import Site
from sitebrook.cli.websites import find_or_add_website, find_website, read_website
from sitebrook.db.engine import Database
from sitebrook.errors import NotFound
from sitebrook.ingestion.website.rules import CrawlOptions
from sitebrook.ingestion.website.sources import save_source
from sitebrook.ingestion.website.websites import Websites
from sitebrook.jobs.crawling import CrawlTools, crawl_kind
from sitebrook.parts import Parts
from sitebrook.settings import DatabaseSettings, Settings
from sitebrook.wiring.process import build_parts

_HOME = "http://nowhere.invalid/docs/"


@pytest.fixture
async def website() -> AsyncIterator[FakeWebsite]:
    """Four pages: one is gone, one is not for readers like us."""
    async with FakeWebsite() as served:
        served.pages |= {
            "/": html("Home", links=("/a", "/b", "/gone", "/broken", "https://other.example/")),
            "/a": html("A page"),
            "/b": html("B page", head='<meta name="robots" content="noindex">'),
            "/broken": Page(b"", 500),
        }
        yield served


@pytest.fixture
async def parts(database: Database, website: FakeWebsite) -> AsyncIterator[Parts]:
    """The parts of a command for which the website is on the internet."""
    settings = dataclasses.replace(Settings.load({}), database=DatabaseSettings(url=database.url))
    built = build_parts(settings)
    websites = Websites(database, built.ingester, built.compute, website.fetcher)
    async with built.running():
        yield dataclasses.replace(built, websites=websites)


@pytest.fixture
async def engine(database: Database, parts: Parts) -> AsyncIterator[Engine]:
    """A worker elsewhere, for which it is there too."""

    async def open_tools() -> CrawlTools:
        return CrawlTools(database, parts.websites, parts.jobs)

    async with open_engine(database, [crawl_kind(open_tools)]) as engine, engine.working():
        async with asyncio.timeout(SOON_S):
            while not (await parts.jobs.stats()).workers:
                await asyncio.sleep(0.02)
        yield engine


@pytest.mark.usefixtures("engine")
async def test_a_website_is_read_by_a_job_with_a_reason_for_each_page_that_was_not(
    parts: Parts, website: FakeWebsite, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    source = await find_or_add_website(parts, site, website.url())
    assert await read_website(parts, site, source)
    said = capsys.readouterr()
    assert said.out.splitlines()[:3] == [
        f"failed: {website.url('/broken')}: HTTP 500",
        f"gone: {website.url('/gone')}: HTTP 404",
        f"skipped: {website.url('/b')}: it asks not to be indexed",
    ]
    assert re.fullmatch(
        rf"{re.escape(website.url())}: 2 pages \(2 added, 1 failed, 1 gone, 1 skipped\), \d+\.\d s",
        said.out.splitlines()[3],
    )
    assert said.out.splitlines()[4:] == ["Addresses of other websites passed over: 1"]
    shown = re.findall(r"^\[(\d)/\d+\] \w+: http", said.err, re.MULTILINE)
    assert shown == sorted(shown)

    again = await find_or_add_website(parts, site, website.url())
    assert again.id == source.id
    assert await read_website(parts, site, again)
    assert "2 pages (2 unchanged, " in capsys.readouterr().out


async def test_a_website_is_read_without_a_job_page_by_page(
    parts: Parts, website: FakeWebsite, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    source = await find_or_add_website(parts, site, website.url())
    assert await read_website(parts, site, source, by_job=False)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    assert lines[0].endswith(f"added: {website.url()}")
    assert any(line.endswith(f"added: {website.url('/a')}") for line in lines)


async def test_many_pages_that_were_not_read_are_shown_in_part(
    parts: Parts, website: FakeWebsite, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    website.pages["/"] = html("Home", links=tuple(f"/gone/{number}" for number in range(30)))
    source = await find_or_add_website(parts, site, website.url())
    await read_website(parts, site, source, by_job=False)
    said = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("gone: ") for line in said) == 20
    assert f"10 more: sitebrook sources pages {source.id}" in said


async def test_a_known_website_keeps_its_options_when_it_is_ingested_again(
    parts: Parts, website: FakeWebsite, site: Site
) -> None:
    kept = await save_source(
        parts.database, site.id, website.url(), CrawlOptions(exclude=("/a",)), 24
    )
    found = await find_or_add_website(parts, site, website.url().upper().replace("SHOP", "shop"))
    assert (found.id, found.options.exclude, found.every_hours) == (kept.id, ("/a",), 24)
    assert (await find_website(parts, site, kept.id)).url == kept.url
    with pytest.raises(NotFound, match="sitebrook sources list"):
        await find_website(parts, site, "nowhere.example")


def test_commands_add_list_show_and_remove_a_website(database_url: str, site: Site) -> None:
    url = {"DATABASE_URL": database_url}
    given = ("--include", "/docs/*", "--max-pages", "9", "--delay", "0.5", "--every", "24")
    done = run("sources", "add", _HOME, *given, **url)
    assert done.returncode == 1, done
    refused, summary, stopped = done.stdout.splitlines()
    assert refused.startswith(f"failed: {_HOME}: ")
    assert "'nowhere.invalid'" in refused
    assert summary.startswith(f"{_HOME}: 0 pages (1 failed), ")
    assert stopped.startswith("It was not read to its end: ")

    head, row = succeed("sources", "list", **url).splitlines()
    assert head.split() == ["ID", "URL", "EVERY", "CRAWLED", "PAGES"]
    source_id = row.split()[0]
    assert row.split()[1:4] == [_HOME, "24", "h"]
    facts = json.loads(succeed("sources", "show", source_id, **url))
    assert (facts["url"], facts["counts"]) == (_HOME, {"failed": 1})
    assert facts["options"]["include"] == ["/docs/*"]
    assert (facts["options"]["max_pages"], facts["options"]["delay_s"]) == (9, 0.5)
    pages = succeed("sources", "pages", _HOME, "--outcome", "added", **url)
    assert pages.split() == ["OUTCOME", "URL", "REASON"]
    assert _HOME in succeed("sources", "pages", source_id, **url)

    job_id = succeed("sources", "crawl", source_id, "--detach", **url).strip()
    assert json.loads(succeed("jobs", "show", job_id, **url))["kind"] == "crawl"
    assert succeed("sources", "remove", source_id, **url) == (
        f"{_HOME} is removed, with 0 documents.\n"
    )
    code, line = refusal("sources", "show", source_id, **url)
    assert (code, line) == (1, "sitebrook: There is no such source.")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("add", "ftp://example.com"), "only http:// and https:// are read"),
        (("add", "http://127.0.0.1/"), "Save its pages as files, or send them with POST"),
        (("add", "example.com:8443"), "only 80 and 443 are. Save its pages as files"),
        (("add", "example.com", "--exclude", "docs"), "begins with / or *"),
        (("add", "example.com", "--max-pages", "0"), "sitebrook: --max-pages must be 1 to 100000."),
        (("add", "example.com", "--every", "0"), "sitebrook: --every must be 1 to 8,784."),
        (("add", "example.com", "--delay", "-1"), "sitebrook: --delay must be 0"),
        (("crawl", "nowhere.example"), "has no website https://nowhere.example/"),
    ],
)
def test_what_cannot_be_a_website_is_one_line(
    database_url: str, site: Site, arguments: tuple[str, ...], reason: str
) -> None:
    code, line = refusal("sources", *arguments, DATABASE_URL=database_url)
    assert code == 1
    assert reason in line
    assert len(succeed("sources", "list", DATABASE_URL=database_url).splitlines()) == 1


def test_ingest_takes_files_and_websites_together(
    database_url: str, site: Site, folder: Path
) -> None:
    done = run("ingest", folder, _HOME, "--sync", DATABASE_URL=database_url)
    assert done.returncode == 0, done
    assert "Documents: 2 (2 added)" in done.stdout
    assert f"failed: {_HOME}: " in done.stdout
    code, line = refusal("ingest", folder, "http://[::1]/", DATABASE_URL=database_url)
    assert (code, "'::1' is not a public address" in line) == (1, True)
    alone = run("ingest", _HOME, "--sync", DATABASE_URL=database_url)
    assert alone.returncode == 1
    detached = run("ingest", folder, _HOME, "--detach", DATABASE_URL=database_url)
    assert detached.returncode == 0, one_line(detached.stderr)
    assert [line[:4] for line in detached.stdout.splitlines()] == ["job_", "job_"]
