"""The pages that a website lists of itself."""

from __future__ import annotations

import contextlib
import html
import re
import zlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Final

from sitebrook.errors import InvalidRequest, PageFailed
from sitebrook.ingestion.website.fetcher import Fetcher
from sitebrook.ingestion.website.urls import to_url

_MAX_SITEMAPS: Final = 100
_MAX_BYTES: Final = 50_000_000  # what the protocol allows for one
_GZIP: Final = b"\x1f\x8b"
# Found by pattern, not by a parser of XML: no entities, no other files, and broken ones are read
# as far as they go. Images and videos have addresses under names of their own.
_INDEX: Final = re.compile(r"<(?:\w+:)?sitemapindex[\s>]")
_LOCATION: Final = re.compile(
    r"<loc>\s*(?:<!\[CDATA\[\s*)?([^<\]\s][^<\]]{0,2000}?)\s*(?:\]\]>\s*)?</loc>"
)
_LINE: Final = re.compile(r"^https?://\S{1,2000}$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Sitemap:
    """Addresses as one sitemap has them: of pages, or of further sitemaps."""

    urls: tuple[str, ...]
    is_index: bool = False


def read_sitemap(content: bytes, base: str) -> Sitemap:
    """The addresses in a sitemap: XML, an index of others, or plain lines; also packed by gzip."""
    text = _unpack(content).decode("utf-8", "replace")
    if "<" not in text:
        return Sitemap(tuple(_to_urls(_LINE.findall(text), base)))
    found = (html.unescape(location) for location in _LOCATION.findall(text))
    return Sitemap(tuple(_to_urls(found, base)), is_index=_INDEX.search(text) is not None)


async def list_pages(fetcher: Fetcher, sitemaps: Iterable[str]) -> AsyncIterator[str]:
    """The pages of the sitemaps and of those that they name, up to 100; faults are passed over."""
    waiting = list(dict.fromkeys(sitemaps))
    seen = set(waiting)
    read = 0
    while waiting and read < _MAX_SITEMAPS:
        url = waiting.pop(0)
        read += 1
        with contextlib.suppress(InvalidRequest, PageFailed):
            found = await fetcher.follow(url)
            if found.status != 200:
                continue
            sitemap = read_sitemap(found.content, found.url)
            if not sitemap.is_index:
                for page in sitemap.urls:
                    yield page
                continue
            further = [one for one in sitemap.urls if one not in seen]
            seen.update(further)
            waiting += further


def _unpack(content: bytes) -> bytes:
    if not content.startswith(_GZIP):
        return content
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(content, _MAX_BYTES)
    except zlib.error:
        return b""


def _to_urls(found: Iterable[str], base: str) -> Iterable[str]:
    for one in found:
        with contextlib.suppress(InvalidRequest):
            yield to_url(one, base)
