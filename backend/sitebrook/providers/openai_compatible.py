"""Any upstream that speaks OpenAI's chat wire: OpenAI, Groq, Mistral, Ollama, vLLM and others."""

from __future__ import annotations

import socket
from typing import Any, Final

import aiohttp

from sitebrook import __version__
from sitebrook.providers.endpoint import Endpoint
from sitebrook.providers.event_stream import EventStream
from sitebrook.providers.openai_stream import OpenAIReader
from sitebrook.providers.protocol import ProviderRequest
from sitebrook.providers.wire import check_dialect, dialect_of, to_body
from sitebrook.settings import ProviderSettings

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
        self._name = settings.name
        self._dialect = dialect_of(settings.base_url)
        key = settings.api_key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._endpoint = Endpoint(settings, session, path="/chat/completions", headers=headers)

    @property
    def name(self) -> str:
        """The provider's name in the settings."""
        return self._name

    def check(self, request: ProviderRequest) -> None:
        """Raises InvalidRequest for what the upstream does not have; see ``Provider.check``."""
        check_dialect(self._name, request, self._dialect)

    async def open(self, request: ProviderRequest) -> EventStream:
        """A stream whose first Delta or Finish has arrived; see ``Provider.open``."""
        self.check(request)
        body = to_body(request, self._dialect)
        return await self._endpoint.open(body, request.model, OpenAIReader(self._name, request))

    async def aclose(self) -> None:
        """Closes the connections of answers that are over; the session belongs to its maker."""
        self._endpoint.close()
