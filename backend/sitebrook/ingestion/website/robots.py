"""What a website's robots.txt allows."""

from __future__ import annotations

from typing import Final
from urllib.parse import urljoin

from protego import Protego

from sitebrook.errors import InvalidRequest, PageFailed
from sitebrook.ingestion.website.fetcher import PRODUCT, Fetcher

# RFC 9309 asks for at least this much to be read.
_MAX_BYTES: Final = 512_000
_MAX_SITEMAPS: Final = 50


class Robots:
    """The rules of one host for this crawler.

    ``why_closed`` says why nothing at all may be read. ``delay_s`` is what the host asks for.
    """

    def __init__(self, text: str, *, why_closed: str = "") -> None:
        self.why_closed = why_closed
        rules = Protego.parse(text)
        self._rules = rules
        self.delay_s = float(rules.crawl_delay(PRODUCT) or 0)
        self.sitemaps = tuple(list(rules.sitemaps)[:_MAX_SITEMAPS])

    def allows(self, url: str) -> bool:
        """Whether the page may be read."""
        return not self.why_closed and bool(self._rules.can_fetch(url, PRODUCT))


async def load_robots(fetcher: Fetcher, url: str) -> Robots:
    """The rules of the host of ``url``.

    As RFC 9309 has it: without a file everything is allowed; while it cannot be had for a fault
    of the server or the network, nothing is.
    """
    try:
        found = await fetcher.follow(urljoin(url, "/robots.txt"))
    except InvalidRequest:
        # Redirected to where nothing is read, or far too large: as if there were none.
        return Robots("")
    except PageFailed as error:
        return Robots("", why_closed=f"its robots.txt cannot be read: {error.message}")
    if found.status >= 500 or found.status == 429:
        return Robots("", why_closed=f"its robots.txt answers with HTTP {found.status}")
    if found.status != 200:
        return Robots("")
    return Robots(found.content[:_MAX_BYTES].decode("utf-8", "replace").removeprefix("\ufeff"))
