"""One page of the internet, within bounds of time, size and place."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import httpcore2

from sitebrook import __version__
from sitebrook.errors import BodyTooLarge, PageFailed
from sitebrook.ingestion.website.connecting import PublicBackend, Resolve, SystemResolver
from sitebrook.ingestion.website.urls import to_url

PRODUCT: Final = "sitebrook"
_USER_AGENT: Final = f"{PRODUCT}/{__version__} (crawler of a site's own assistant)"
_MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_CONNECT_S: Final = 10.0
_CONNECTIONS: Final = 8
_MAX_HEADER_CHARACTERS: Final = 2000
_PIECE_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class FetchBounds:
    """How much one page may take; ``max_bytes`` is the size once it is unpacked."""

    max_bytes: int = 20_000_000
    time_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Validators:
    """What a server said of a page, so that it can say whether it is still the same."""

    etag: str = ""
    last_modified: str = ""

    def to_headers(self) -> list[tuple[bytes, bytes]]:
        """The condition of a request."""
        pairs = ((b"If-None-Match", self.etag), (b"If-Modified-Since", self.last_modified))
        return [(name, value.encode("latin-1")) for name, value in pairs if value]


NO_VALIDATORS: Final = Validators()


@dataclass(frozen=True, slots=True)
class Fetched:
    """A response; ``content`` is empty unless the status is 200. ``location`` is absolute."""

    url: str
    status: int
    headers: dict[str, str]
    content: bytes = b""
    location: str = ""

    @property
    def media_type(self) -> str:
        """The content type with its parameters, as the server gave it."""
        return self.headers.get("content-type", "")

    @property
    def validators(self) -> Validators:
        """What to ask with the next time."""
        return Validators(
            _kept(self.headers.get("etag", "")), _kept(self.headers.get("last-modified", ""))
        )


class Fetcher:
    """Asks public addresses, without cookies, credentials or redirects of its own accord."""

    def __init__(
        self,
        bounds: FetchBounds | None = None,
        *,
        backend: PublicBackend | None = None,
        tls: Any = None,
    ) -> None:
        self._bounds = bounds or FetchBounds()
        self._resolver = SystemResolver()
        resolve: Resolve = self._resolver
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=_CONNECTIONS,
            keepalive_expiry=10.0,
            network_backend=backend or PublicBackend(resolve),
        )

    async def fetch(self, url: str, validators: Validators | None = None) -> Fetched:
        """The response, also of a redirect or an error.

        Raises AddressRefused for what may not be asked, BodyTooLarge above the bound, PageFailed
        for what did not come.
        """
        url = to_url(url)
        try:
            async with asyncio.timeout(self._bounds.time_s):
                return await self._fetch(url, validators or NO_VALIDATORS)
        except TimeoutError:
            raise PageFailed(f"it did not come within {self._bounds.time_s:g} s") from None
        except httpcore2.TimeoutException:
            raise PageFailed("the server cannot be reached in time") from None
        except httpcore2.ConnectError:
            raise PageFailed("the server cannot be reached") from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.UnsupportedProtocol):
            raise PageFailed("the server broke off or does not speak HTTP") from None

    async def follow(self, url: str) -> Fetched:
        """The response behind up to five redirects, each looked at like the first address."""
        for _ in range(_MAX_REDIRECTS + 1):
            found = await self.fetch(url)
            if not found.location:
                return found
            url = found.location
        raise PageFailed("it redirects too often")

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._pool.aclose()
        self._resolver.close()

    async def _fetch(self, url: str, validators: Validators) -> Fetched:
        headers = [
            (b"User-Agent", _USER_AGENT.encode()),
            (b"Accept", b"text/html,application/xhtml+xml,text/*;q=0.9,*/*;q=0.8"),
            (b"Accept-Encoding", b"gzip"),
            *validators.to_headers(),
        ]
        times = {"connect": _CONNECT_S, "read": self._bounds.time_s, "write": _CONNECT_S}
        async with self._pool.stream(
            "GET", url, headers=headers, extensions={"timeout": times}
        ) as response:
            found = _to_headers(response.headers)
            location = found.get("location", "") if response.status in _REDIRECTS else ""
            if location:
                return Fetched(url, response.status, found, location=_to_location(location, url))
            content = b""
            if response.status == 200:
                content = await self._read(response, found)
            return Fetched(url, response.status, found, content)

    async def _read(self, response: httpcore2.Response, headers: dict[str, str]) -> bytes:
        limit = self._bounds.max_bytes
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > limit:
            raise _too_large(limit)
        pieces = bytearray()
        async for piece in _unpacked(response.aiter_stream(), headers.get("content-encoding", "")):
            pieces += piece
            if len(pieces) > limit:
                raise _too_large(limit)
        return bytes(pieces)


async def _unpacked(stream: AsyncIterator[bytes], encoding: str) -> AsyncIterator[bytes]:
    """The content in pieces of bounded size: a small packed one may hold gigabytes."""
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        async for piece in stream:
            yield piece
        return
    if encoding not in {"gzip", "x-gzip"}:
        raise PageFailed(f"its encoding '{encoding[:40]}' was not asked for")
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        async for packed in stream:
            rest = packed
            while not unpacking.eof and (piece := unpacking.decompress(rest, _PIECE_BYTES)):
                yield piece
                rest = unpacking.unconsumed_tail
    except zlib.error:
        raise PageFailed("it is packed in a broken way") from None
    if not unpacking.eof:
        raise PageFailed("the server broke off")


def _to_headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """The headers by lower-case name; of several with one name, all behind each other."""
    found: dict[str, str] = {}
    for name, value in raw:
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _to_location(location: str, url: str) -> str:
    # Servers send the bytes of the path as they are.
    return to_url(location.encode("latin-1").decode("utf-8", "replace"), url)


def _kept(value: str) -> str:
    is_sound = len(value) <= _MAX_HEADER_CHARACTERS and value.isprintable()
    return value if is_sound else ""


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"It has more than {limit:,} bytes.")
