"""Reading a website: from its start page and its sitemaps along its links, politely."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal, Protocol

from sitebrook.errors import AddressRefused, InvalidRequest, PageFailed
from sitebrook.ingestion.ingest import OnStage, Stage
from sitebrook.ingestion.website.fetcher import NO_VALIDATORS, Fetched, Fetcher, Validators
from sitebrook.ingestion.website.links import PageLinks, PageRequest, to_orders
from sitebrook.ingestion.website.robots import Robots, load_robots
from sitebrook.ingestion.website.rules import CrawlOptions, Scope
from sitebrook.ingestion.website.sitemaps import list_pages
from sitebrook.ingestion.website.urls import host_of, to_url

_AT_ONCE: Final = 4
_LONGEST_DELAY_S: Final = 30.0
_LONGEST_WAIT_S: Final = 60.0
_TRIES: Final = 3
# So many in a row that did not come: the website is away, not its pages.
_MAX_FAILURES: Final = 20
_GONE: Final = frozenset({404, 410})
_BUSY: Final = frozenset({429, 502, 503, 504})
_HTML: Final = frozenset({"text/html", "application/xhtml+xml"})
_MAX_KEPT_LINKS: Final = 500


@dataclass(frozen=True, slots=True)
class KnownPage:
    """What is known of a page; ``is_stored`` when it is a document.

    ``is_fresh`` when a part of this crawl that broke off has read it already.
    """

    validators: Validators = NO_VALIDATORS
    links: tuple[str, ...] = ()
    depth: int = 1
    is_stored: bool = False
    is_fresh: bool = False
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class PageReport:
    """What became of one page.

    ``outcome`` is one of added, replaced, unchanged, skipped, failed, gone; ``reason`` says why
    for the last three. A page that failed stays as it was.
    """

    url: str
    outcome: str
    reason: str = ""
    depth: int = 0
    status: int = 0
    validators: Validators = NO_VALIDATORS
    links: tuple[str, ...] = ()


class OnPageStage(Protocol):
    """Hears what is being done with a page."""

    def __call__(
        self, url: str, stage: Literal["fetch"] | Stage, chunks: int | None = None, /
    ) -> object:
        """With the stage ``split`` comes how many chunks it was cut into."""
        ...


class PageStore(Protocol):
    """Where the pages go."""

    async def store(self, page: Fetched, on_stage: OnStage) -> str:
        """Takes the page in: added, replaced or unchanged. Raises InvalidRequest to refuse it."""
        ...

    async def remove(self, url: str) -> None:
        """Removes the page's document."""
        ...


@dataclass(frozen=True, slots=True)
class CrawlParts:
    """What a crawl works with; ``read_links`` runs in a child.

    ``on_page`` hears of each page whose fate is known, and how many are not done.
    """

    fetcher: Fetcher
    store: PageStore
    read_links: Callable[[PageRequest], Awaitable[PageLinks]]
    on_page: Callable[[PageReport, int], Awaitable[None]]
    on_stage: OnPageStage


@dataclass(slots=True)
class CrawlReport:
    """How many pages had each outcome; ``stopped`` says why the crawl ended before its end.

    Beside the outcomes of pages, ``outside`` counts the addresses of other websites. ``is_paused``
    when its time was up: the next call goes on.
    """

    counts: dict[str, int] = field(default_factory=dict[str, int])
    stopped: str = ""
    is_paused: bool = False


@dataclass(slots=True)
class _Waiting:
    url: str
    depth: int
    tries: int = 0


class Crawl:
    """One run over one website."""

    def __init__(
        self,
        parts: CrawlParts,
        start: str,
        options: CrawlOptions,
        known: Mapping[str, KnownPage],
        time_s: float | None = None,
    ) -> None:
        self._parts = parts
        self._start = start
        self._options = options
        self._known = known
        self._ends_at = math.inf if time_s is None else asyncio.get_running_loop().time() + time_s
        self._scope = Scope(frozenset({host_of(start)}), options)
        self._robots: dict[str, Robots] = {}
        self._seen: set[str] = set()
        self._waiting: deque[_Waiting] = deque()
        self._visiting: set[str] = set()
        self._not_canonical: set[str] = set()
        self._contents: dict[bytes, str] = {}
        self._pace = asyncio.Lock()
        self._next_at = 0.0
        self._delay_s = options.delay_s
        self._asked = 0
        self._failures = 0
        self._report = CrawlReport()

    async def run(self) -> CrawlReport:
        """Reads the website; every page's fate is told to ``on_page`` when it is known.

        Pages that an earlier crawl stored are asked again, and removed when they are gone or do
        not belong to the website any more.
        """
        await self._open()
        if not self._report.stopped:
            running: set[asyncio.Task[None]] = set()
            try:
                while running or self._waiting:
                    self._begin(running)
                    if not running:
                        break
                    done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        task.result()
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)
        return self._report

    def _begin(self, running: set[asyncio.Task[None]]) -> None:
        at_once = 1 if self._delay_s else _AT_ONCE
        while self._waiting and len(running) < at_once and not self._report.stopped:
            if asyncio.get_running_loop().time() > self._ends_at:
                self._report.is_paused = True
                return
            if self._asked >= self._options.max_pages:
                self._report.stopped = f"{self._options.max_pages:,} pages were read (max_pages)"
                return
            self._asked += 1
            running.add(asyncio.create_task(self._visit(self._waiting.popleft())))

    async def _open(self) -> None:
        """The start page, where it really is, then the pages of sitemaps and of earlier crawls."""
        try:
            first = await self._parts.fetcher.follow(self._start)
        except (InvalidRequest, PageFailed) as error:
            reason = _reason(error)
            self._report.stopped = f"the start page was not read: {reason}"
            await self._tell(PageReport(self._start, "failed", reason))
            return
        start = first.url if first.status == 200 else self._start
        self._scope = Scope(frozenset({host_of(self._start), host_of(start)}), self._options)
        robots = await self._robots_of(start)
        self._delay_s = min(max(self._options.delay_s, robots.delay_s), _LONGEST_DELAY_S)
        await self._add(start, 0)
        for url, page in self._known.items():
            if page.is_stored:
                await self._add(url, page.depth)
        if self._options.sitemaps and self._options.max_depth > 0:
            listed = robots.sitemaps or (to_url("/sitemap.xml", start),)
            async for url in list_pages(self._parts.fetcher, listed):
                await self._add(url, 1)
                if len(self._seen) > 10 * self._options.max_pages:
                    break

    async def _add(self, url: str, depth: int) -> None:
        """Puts a page in line, once, or says why it is not read."""
        if url in self._seen or len(self._seen) > 10 * self._options.max_pages:
            return
        self._seen.add(url)
        is_known = self._known.get(url, KnownPage()).is_stored
        if host_of(url) not in self._scope.hosts and not is_known:
            self._count("outside")
            return
        reason = self._scope.why_not(url, depth)
        if not reason:
            robots = await self._robots_of(url)
            if not robots.allows(url):
                reason = robots.why_closed or "its robots.txt does not allow it"
                if robots.why_closed:
                    await self._tell(PageReport(url, "failed", reason, depth))
                    return
        if reason:
            await self._skip(url, reason, depth)
            return
        self._waiting.append(_Waiting(url, depth))

    async def _robots_of(self, url: str) -> Robots:
        host = host_of(url)
        if host not in self._robots:
            self._robots[host] = await load_robots(self._parts.fetcher, url)
        return self._robots[host]

    async def _visit(self, page: _Waiting) -> None:
        self._visiting.add(page.url)
        try:
            await self._ask(page)
        finally:
            self._visiting.discard(page.url)

    async def _ask(self, page: _Waiting) -> None:
        known = self._known.get(page.url, KnownPage())
        if known.is_fresh:
            self._count(known.outcome)
            await self._follow(known.links, page.depth)
            return
        await self._wait()
        self._parts.on_stage(page.url, "fetch")
        validators = known.validators if known.is_stored else None
        try:
            found = await self._parts.fetcher.fetch(page.url, validators)
        except (AddressRefused, PageFailed) as error:
            await self._fail(page, _reason(error))
            return
        except InvalidRequest as error:
            await self._skip(page.url, _reason(error), page.depth)
            return
        self._failures = 0
        await self._take(page, found, known)

    async def _take(self, page: _Waiting, found: Fetched, known: KnownPage) -> None:
        if found.status == 304:
            report = PageReport(
                page.url, "unchanged", "", page.depth, 304, known.validators, known.links
            )
            await self._tell(report)
            await self._follow(known.links, page.depth)
        elif found.location:
            await self._skip(page.url, f"it redirects to {found.location}", page.depth)
            await self._add(found.location, page.depth)
        elif found.status in _BUSY:
            await self._again(page, found)
        elif found.status in _GONE:
            await self._skip(page.url, f"HTTP {found.status}", page.depth, outcome="gone")
        elif found.status != 200:
            await self._tell(
                PageReport(page.url, "failed", f"HTTP {found.status}", page.depth, found.status)
            )
        else:
            await self._read(page, found)

    async def _read(self, page: _Waiting, found: Fetched) -> None:
        links = PageLinks()
        if _media_type(found) in _HTML:
            try:
                asked = PageRequest(found.url, found.content, _charset(found))
                links = await self._parts.read_links(asked)
            except PageFailed as error:
                await self._tell(PageReport(page.url, "failed", error.message, page.depth, 200))
                return
        await self._follow(links.urls, page.depth)
        reason = await self._why_not_stored(page, found, links)
        if reason:
            await self._skip(page.url, reason, page.depth)
            return
        try:
            outcome = await self._parts.store.store(found, partial(self._parts.on_stage, page.url))
        except InvalidRequest as error:
            await self._skip(page.url, _reason(error), page.depth)
            return
        kept = links.urls[:_MAX_KEPT_LINKS]
        await self._tell(PageReport(page.url, outcome, "", page.depth, 200, found.validators, kept))

    async def _why_not_stored(self, page: _Waiting, found: Fetched, links: PageLinks) -> str:
        orders = to_orders(found.headers.get("x-robots-tag", ""))
        if not links.is_indexed or not orders.isdisjoint({"noindex", "none"}):
            return "it asks not to be indexed"
        canonical = links.canonical
        if canonical and canonical != page.url and canonical not in self._not_canonical:
            self._not_canonical.add(page.url)
            if not self._scope.why_not(canonical, page.depth):
                await self._add(canonical, page.depth)
                return f"its own address is {canonical}"
        first = self._contents.setdefault(hashlib.sha256(found.content).digest(), page.url)
        return "" if first == page.url else f"it is the same as {first}"

    async def _follow(self, links: tuple[str, ...], depth: int) -> None:
        for url in links:
            await self._add(url, depth + 1)

    async def _again(self, page: _Waiting, found: Fetched) -> None:
        """Puts a page that the server was too busy for at the end of the line."""
        page.tries += 1
        if page.tries >= _TRIES:
            await self._tell(
                PageReport(page.url, "failed", f"HTTP {found.status}", page.depth, found.status)
            )
            return
        after = found.headers.get("retry-after", "")
        wait_s = min(float(after) if after.isdecimal() else 1.0, _LONGEST_WAIT_S)
        self._next_at = asyncio.get_running_loop().time() + wait_s
        self._asked -= 1
        self._waiting.append(page)

    async def _fail(self, page: _Waiting, reason: str) -> None:
        self._failures += 1
        if self._failures >= _MAX_FAILURES:
            self._report.stopped = f"{_MAX_FAILURES} pages in a row did not come"
        await self._tell(PageReport(page.url, "failed", reason, page.depth))

    async def _skip(self, url: str, reason: str, depth: int, *, outcome: str = "skipped") -> None:
        """Tells why a page is not read, and removes what an earlier crawl had stored of it."""
        if self._known.get(url, KnownPage()).is_stored:
            await self._parts.store.remove(url)
            outcome = "gone"
        await self._tell(PageReport(url, outcome, reason, depth))

    async def _tell(self, report: PageReport) -> None:
        self._count(report.outcome)
        self._visiting.discard(report.url)
        await self._parts.on_page(report, len(self._waiting) + len(self._visiting))

    def _count(self, outcome: str) -> None:
        self._report.counts[outcome] = self._report.counts.get(outcome, 0) + 1

    async def _wait(self) -> None:
        """Keeps the distance that the website wants between two requests."""
        loop = asyncio.get_running_loop()
        async with self._pace:
            await asyncio.sleep(self._next_at - loop.time())
            self._next_at = max(self._next_at, loop.time() + self._delay_s)


def _reason(error: InvalidRequest | PageFailed) -> str:
    return error.message.rstrip(".")


def _media_type(found: Fetched) -> str:
    return found.media_type.partition(";")[0].strip().lower()


def _charset(found: Fetched) -> str:
    return found.media_type.lower().partition("charset=")[2].partition(";")[0].strip(" \"'")
