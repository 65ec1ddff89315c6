"""Any upstream that speaks OpenAI's chat wire: OpenAI, Groq, Mistral, Ollama, vLLM and others."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final

import aiohttp

from sitebrook import __version__
from sitebrook.errors import ProviderError
from sitebrook.providers import faults
from sitebrook.providers.openai_stream import Lingering, OpenAIStream
from sitebrook.providers.protocol import ProviderRequest
from sitebrook.providers.wire import check_dialect, dialect_of, to_body
from sitebrook.settings import ProviderSettings

_EVENT_STREAM: Final = "text/event-stream"
_ERROR_BODY_BYTES: Final = 65_536
_ERROR_BODY_TIMEOUT_S: Final = 2.0
_CONNECT_TIMEOUT_S: Final = 10.0
_KEEPALIVE_TIMEOUT_S: Final = 15.0
_TCP_IDLE_S: Final = 30
_TCP_INTERVAL_S: Final = 10


def open_session() -> aiohttp.ClientSession:
    """The pooled session that all providers of a process share; needs a running event loop.

    It keeps no cookies and has no bound on connections: how many requests may be under way is
    decided before they come here.
    """
    connector = aiohttp.TCPConnector(
        limit=0,
        keepalive_timeout=_KEEPALIVE_TIMEOUT_S,
        ttl_dns_cache=60,
        socket_factory=_open_socket,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S),
        headers={"User-Agent": f"sitebrook/{__version__}"},
    )


def _open_socket(address: tuple[Any, ...]) -> socket.socket:
    """A socket that notices a peer which vanished without a word."""
    family, kind, protocol, _, _ = address
    opened = socket.socket(family, kind, protocol)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", _TCP_IDLE_S), ("TCP_KEEPINTVL", _TCP_INTERVAL_S)):
        if hasattr(socket, name):  # not everywhere
            opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return opened


class OpenAICompatibleProvider:
    """Generates text at ``settings.base_url``; only the prompt and its options go there."""

    def __init__(self, settings: ProviderSettings, session: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._session = session
        self._lingering = Lingering()
        self._url = f"{settings.base_url.rstrip('/')}/chat/completions"
        self._dialect = dialect_of(settings.base_url)
        self._headers = {
            "Accept": _EVENT_STREAM,
            "Accept-Encoding": "identity",  # compression makes upstreams and proxies hold deltas
            "Content-Type": "application/json",
        }
        if settings.api_key:
            self._headers["Authorization"] = f"Bearer {settings.api_key}"

    @property
    def name(self) -> str:
        """The provider's name in the settings."""
        return self._settings.name

    def check(self, request: ProviderRequest) -> None:
        """Raises InvalidRequest for what the upstream does not have; see ``Provider.check``."""
        check_dialect(self._settings.name, request, self._dialect)

    async def open(self, request: ProviderRequest) -> OpenAIStream:
        """A stream whose first Delta or Finish has arrived; see ``Provider.open``."""
        self.check(request)
        body = to_body(request, self._dialect)
        settings = self._settings
        started_at = asyncio.get_running_loop().time()
        ends_at = started_at + settings.total_timeout_s
        first_at = min(started_at + settings.first_delta_timeout_s, ends_at)
        try:
            async with asyncio.timeout_at(first_at):
                return await self._open(request, body, ends_at)
        except TimeoutError:
            raise faults.did_not_start(settings.name, first_at - started_at) from None

    async def aclose(self) -> None:
        """Closes the connections of answers that are over; the session belongs to its maker."""
        self._lingering.close()

    async def _open(self, request: ProviderRequest, body: bytes, ends_at: float) -> OpenAIStream:
        try:
            response = await self._session.post(
                self._url, data=body, headers=self._headers, allow_redirects=False
            )
        except (aiohttp.ClientError, OSError):
            raise faults.unreachable(self.name) from None
        try:
            await self._check(response, request)
        except BaseException:
            response.close()
            raise
        stream = OpenAIStream(
            self._settings, request, response, ends_at=ends_at, lingering=self._lingering
        )
        try:
            await stream.wait_for_first()
        except BaseException:
            stream.close()
            raise
        return stream

    async def _check(self, response: aiohttp.ClientResponse, request: ProviderRequest) -> None:
        """Raises ProviderError unless an event stream follows."""
        if response.status != 200:
            body = await _read_some(response)
            raise faults.from_status(
                self.name, request.model, response.status, response.headers, body
            )
        if response.content_type != _EVENT_STREAM:
            raise _not_a_stream(self.name, response.content_type)


def _not_a_stream(provider: str, content_type: str) -> ProviderError:
    kinds = {"text/html": "a web page", "application/json": "JSON"}
    kind = kinds.get(content_type, "something else")
    return faults.malformed(provider, f"answered with {kind} instead of an event stream")


async def _read_some(response: aiohttp.ClientResponse) -> bytes:
    """The start of an error's body, as far as it comes soon; only its codes are looked at."""
    body = b""
    try:
        async with asyncio.timeout(_ERROR_BODY_TIMEOUT_S):
            while len(body) < _ERROR_BODY_BYTES:
                chunk = await response.content.readany()
                if not chunk:
                    break
                body += chunk
    except (aiohttp.ClientError, OSError):  # also the time-out
        pass
    return body
