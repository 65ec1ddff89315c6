"""A website on 127.0.0.1 that counts what it is asked, and a site of 500 pages to put there."""

from __future__ import annotations

import asyncio
import gzip
import ipaddress
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from sitebrook.ingestion.website.connecting import PublicBackend
from sitebrook.ingestion.website.fetcher import FetchBounds, Fetcher

LOOPBACK = ipaddress.ip_address("127.0.0.1")


@dataclass
class Page:
    """What one path answers; ``etag`` makes it answer 304 to who has it already."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    etag: str = ""
    last_modified: str = ""
    delay_s: float = 0
    play: Callable[[asyncio.StreamWriter], Awaitable[None]] | None = None


def html(text: str, *, links: tuple[str, ...] = (), head: str = "", **over: object) -> Page:
    """A page with a text and links."""
    anchors = "".join(f'<a href="{link}">more</a> ' for link in links)
    page = (
        f"<html><head><title>{text[:40]}</title>{head}</head>"
        f"<body><nav>{anchors}</nav><main><h1>{text[:40]}</h1><p>{text}</p></main></body></html>"
    )
    headers = {"content-type": "text/html; charset=utf-8", **over.pop("headers", {})}
    return Page(page.encode(), headers=headers, **over)


class FakeWebsite:
    """Serves ``pages`` by path and query; what is not there is 404."""

    def __init__(self, pages: Mapping[str, Page] | None = None) -> None:
        self.pages: dict[str, Page] = dict(pages or {})
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.connections = 0
        self.at_once = 0
        self.most_at_once = 0

    async def __aenter__(self) -> FakeWebsite:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    @property
    def counts(self) -> Counter[str]:
        return Counter(self.asked)

    async def settle(self) -> None:
        """Returns when nothing was asked for a moment."""
        asked = -1
        while asked != len(self.asked):
            asked = len(self.asked)
            await asyncio.sleep(0.6)

    def url(self, path: str = "/", host: str = "shop.example") -> str:
        return f"http://{host}:{self.port}{path}"

    def fetcher(self, *, hosts: tuple[str, ...] = ("shop.example",), **bounds: float) -> Fetcher:
        """A fetcher for which the hosts are here, and allowed."""

        async def resolve(host: str) -> list[ipaddress.IPv4Address]:
            return [LOOPBACK] if host in hosts else []

        backend = PublicBackend(
            resolve, is_allowed=lambda address: True, ports=frozenset({self.port})
        )
        return Fetcher(FetchBounds(**bounds), backend=backend)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                await self._answer(head, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, head: str, writer: asyncio.StreamWriter) -> None:
        start, *lines = head.strip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        path = start.split(" ")[1]
        self.asked.append(path)
        self.headers.append(headers)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            page = self.pages.get(path, Page(b"not here", 404))
            await asyncio.sleep(page.delay_s)
            if page.play is not None:
                await page.play(writer)
                writer.close()
                return
            await self._send(page, headers, writer)
        finally:
            self.at_once -= 1

    async def _send(
        self, page: Page, headers: Mapping[str, str], writer: asyncio.StreamWriter
    ) -> None:
        status, body = page.status, page.body
        known = {"etag": page.etag, "last-modified": page.last_modified}
        is_same = (page.etag and headers.get("if-none-match") == page.etag.lower()) or (
            page.last_modified and headers.get("if-modified-since") == page.last_modified.lower()
        )
        if is_same:
            status, body = 304, b""
        given = {"content-length": str(len(body)), **known, **page.headers}
        if status == 304:
            given.pop("content-length")
        lines = [f"HTTP/1.1 {status} X"] + [
            f"{name}: {text}" for name, text in given.items() if text
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        await writer.drain()


def make_site(port: int) -> dict[str, Page]:
    """A website of 500 pages with much of what crawlers meet.

    Pages 1 to 440 are linked in tens from ten lists, 441 to 480 stand in sitemaps only, and about
    twenty are odd. What is to become of each stands in ``EXPECTED``.
    """
    base = f"http://shop.example:{port}"
    pages: dict[str, Page] = {
        "/robots.txt": Page(
            b"User-agent: *\nDisallow: /private/\nAllow: /private/open\n"
            + f"Sitemap: {base}/sitemap-index.xml\n".encode()
        ),
        "/sitemap-index.xml": _xml(
            f"<sitemapindex><sitemap><loc>{base}/map-1.xml</loc></sitemap>"
            f"<sitemap><loc>{base}/map-2.xml.gz</loc></sitemap>"
            f"<sitemap><loc>{base}/missing.xml</loc></sitemap>"
            f"<sitemap><loc>{base}/sitemap-index.xml</loc></sitemap></sitemapindex>"
        ),
        "/map-1.xml": _xml(_urlset(base, range(441, 461))),
        "/map-2.xml.gz": Page(gzip.compress(_urlset(base, range(461, 481)).encode())),
    }
    lists = tuple(f"/list/{at}" for at in range(10))
    odd = tuple(ODD)
    pages["/"] = html("Welcome to the shop", links=(*lists, *odd, "https://other.example/x"))
    for at in range(10):
        numbers = range(at * 44 + 1, at * 44 + 45)
        links = tuple(f"/page/{number}" for number in numbers)
        pages[f"/list/{at}"] = html(f"List {at} of products", links=(*links, "/", lists[at - 1]))
    for number in range(1, 481):
        pages[f"/page/{number}"] = html(
            f"Product {number} costs {number * 7} euro.",
            links=(f"/page/{number % 480 + 1}", "/"),
            etag=f'"p{number}"' if number % 2 else "",
            last_modified="" if number % 2 else "Fri, 20 Nov 2026 10:00:00 GMT",
        )
    pages.update({path: page for path, (page, _, _) in ODD.items() if page is not None})
    pages["/loop/a"] = Page(status=302, headers={"location": "/loop/b"})
    pages["/loop/b"] = Page(status=302, headers={"location": "/loop/a"})
    pages["/moved-to"] = html("The page that has moved")
    pages["/real"] = html("The page with its own address")
    return pages


async def _bomb(writer: asyncio.StreamWriter) -> None:
    packed = gzip.compress(bytes(30_000_000))
    writer.write(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-encoding: gzip\r\n"
        b"content-length: %d\r\n\r\n" % len(packed)
    )
    writer.write(packed)
    await writer.drain()


async def _endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x" * 65_536)
        await writer.drain()


async def _cut(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 99\r\n\r\n<p>")
    await writer.drain()


async def _no_http(writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH\r\n")
    await writer.drain()


def _xml(text: str) -> Page:
    return Page(f'<?xml version="1.0"?>{text}'.encode(), headers={"content-type": "text/xml"})


def _urlset(base: str, numbers: range) -> str:
    urls = "".join(f"<url><loc>{base}/page/{number}</loc></url>" for number in numbers)
    return f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{urls}</urlset>'


_NOT_INDEXED = '<meta name="robots" content="noindex">'
_CANONICAL = '<link rel="canonical" href="/real">'
# Path, page, outcome, and what the reason says.
ODD: dict[str, tuple[Page | None, str, str]] = {
    "/private/secret": (html("A secret"), "skipped", "robots.txt does not allow"),
    "/private/open": (html("An open page in a closed folder"), "added", ""),
    "/hidden": (html("Hidden", head=_NOT_INDEXED), "skipped", "not to be indexed"),
    "/header-hidden": (
        html("Hidden too", headers={"x-robots-tag": "noindex"}),
        "skipped",
        "not to be indexed",
    ),
    "/print": (html("As printed", head=_CANONICAL), "skipped", "its own address is"),
    "/copy-1": (html("One text under two addresses"), "added", ""),
    "/copy-2": (html("One text under two addresses"), "skipped", "the same as"),
    "/moved": (Page(status=301, headers={"location": "/moved-to"}), "skipped", "redirects to"),
    "/loop/a": (None, "skipped", "redirects to"),
    "/away": (
        Page(status=302, headers={"location": "https://other.example/"}),
        "skipped",
        "redirects to",
    ),
    "/gone": (Page(b"", 410), "gone", "HTTP 410"),
    "/no-such-page": (None, "gone", "HTTP 404"),
    "/forbidden": (Page(b"", 403), "failed", "HTTP 403"),
    "/broken": (Page(b"", 500), "failed", "HTTP 500"),
    "/huge": (Page(play=_endless), "skipped", "more than"),
    "/bomb": (Page(play=_bomb), "skipped", "more than"),
    "/slow": (html("Slow", delay_s=20), "failed", "did not come within"),
    "/cut": (Page(play=_cut), "failed", "broke off"),
    "/ssh": (Page(play=_no_http), "failed", "broke off or does not speak"),
    "/picture": (
        Page(b"\x89PNG\r\n\x1a\n" + bytes(64), headers={"content-type": "image/png"}),
        "skipped",
        "",
    ),
    "/logo.png": (None, "skipped", "files of type .png"),
    "/text.txt": (
        Page(b"A text in a file of its own.", headers={"content-type": "text/plain"}),
        "added",
        "",
    ),
    "/empty": (Page(b"<html></html>", headers={"content-type": "text/html"}), "skipped", "no text"),
    "/excluded/a": (html("Excluded"), "skipped", "excluded by /excluded/*"),
}
