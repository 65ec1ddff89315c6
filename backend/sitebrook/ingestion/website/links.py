"""What a page says for crawlers: where it leads, and what it is called. Runs in a child."""

from __future__ import annotations

import contextlib
import re
from typing import Final

import msgspec
from selectolax.lexbor import LexborHTMLParser

from sitebrook.compute.pool import ComputePool
from sitebrook.compute.work import Work
from sitebrook.errors import InvalidRequest, PageFailed, WorkFailed
from sitebrook.ingestion.decoding import decode
from sitebrook.ingestion.website.urls import to_url

_MAX_LINKS: Final = 1000
_ROBOTS: Final = re.compile(r"[\s,;:]+")
_NO_INDEX: Final = frozenset({"noindex", "none"})
_NO_FOLLOW: Final = frozenset({"nofollow", "none"})
_REFRESH: Final = re.compile(r"^\s*\d+\s*[;,]\s*url\s*=\s*[\"']?([^\"']+)", re.IGNORECASE)


class PageRequest(msgspec.Struct, frozen=True):
    """A page as it came: its address, its bytes, the charset of its headers or nothing."""

    url: str
    content: bytes
    charset: str


class PageLinks(msgspec.Struct, frozen=True):
    """The page's links in order, each once; ``canonical`` is its own address or nothing."""

    urls: tuple[str, ...] = ()
    canonical: str = ""
    is_indexed: bool = True


_READ: Final = Work("sitebrook.ingestion.website.links:read_links", PageRequest, PageLinks)


async def load_links(pool: ComputePool, asked: PageRequest) -> PageLinks:
    """The links of a page, read in a child. Raises PageFailed for a page that cannot be read."""
    try:
        return await pool.run(_READ, asked)
    except WorkFailed as error:
        raise PageFailed(f"its links cannot be read ({error.cause})") from None


def read_links(asked: PageRequest) -> PageLinks:
    """The links of a page; those that it asks not to follow are left out."""
    page = LexborHTMLParser(decode(asked.content, is_html=True, charset=asked.charset or None))
    base = asked.url
    if (given := page.css_first("base[href]")) is not None:
        base = _to_url(given.attributes.get("href"), asked.url) or base
    orders = _orders(page)
    found = dict.fromkeys(_urls(page, base)) if orders.isdisjoint(_NO_FOLLOW) else {}
    canonical = page.css_first("link[rel~=canonical i][href]")
    return PageLinks(
        urls=tuple(found)[:_MAX_LINKS],
        canonical="" if canonical is None else _to_url(canonical.attributes.get("href"), base),
        is_indexed=orders.isdisjoint(_NO_INDEX),
    )


def to_orders(text: str) -> frozenset[str]:
    """The words of a robots tag or header."""
    return frozenset(_ROBOTS.split(text.lower()))


def _orders(page: LexborHTMLParser) -> frozenset[str]:
    tags = page.css("meta[name=robots i][content], meta[name=sitebrook i][content]")
    return to_orders(" ".join(tag.attributes.get("content") or "" for tag in tags))


def _urls(page: LexborHTMLParser, base: str) -> list[str]:
    anchors = [
        node.attributes.get("href")
        for node in page.css("a[href], area[href]")
        if "nofollow" not in (node.attributes.get("rel") or "").lower().split()
    ]
    frames = [node.attributes.get("src") for node in page.css("frame[src], iframe[src]")]
    refreshes = [
        found[1]
        for node in page.css("meta[http-equiv=refresh i][content]")
        if (found := _REFRESH.match(node.attributes.get("content") or ""))
    ]
    return [url for text in (*anchors, *frames, *refreshes) if (url := _to_url(text, base))]


def _to_url(text: str | None, base: str) -> str:
    with contextlib.suppress(InvalidRequest):
        return to_url(text, base) if text is not None else ""
    return ""
