"""Streaming POSTs over pooled HTTP/1.1 connections.

No redirects, no cookies, no proxies, no retries of its own, and no headers but those that are
prepared. How many requests may be under way is decided by the callers.
"""

from __future__ import annotations

import asyncio
import base64
import math
import socket
import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import msgspec
from aiohappyeyeballs import start_connection  # pyright: ignore[reportUnknownVariableType]

from sitebrook import __version__
from sitebrook.errors import StartError
from sitebrook.providers.deadlines import Deadlines
from sitebrook.providers.http_connection import Connection, ConnectionCut, Response, TooLate

_CONNECT_TIMEOUT_S: Final = 10.0
_KEEPALIVE_S: Final = 15.0
_NEXT_ADDRESS_AFTER_S: Final = 0.25  # as RFC 8305 recommends
_ADDRESSES_FOR_S: Final = 60.0
# A connection that the server closed while it was idle says so within a round trip. One that ends
# later may have ended after the server began to work.
_STALE_WITHIN_S: Final = 1.0
_TCP_IDLE_S: Final = 30
_TCP_INTERVAL_S: Final = 10
_PORTS: Final = {"http": 80, "https": 443}
_PATH_CHARACTERS: Final = "/?:@!$&'()*+,;=-._~%[]"


class Target(msgspec.Struct, frozen=True):
    """Where requests go and what they begin with, made once by ``HttpClient.prepare``."""

    pool: _Pool
    head: bytes


class HttpClient:
    """The client of one process; made and used within one running event loop."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.deadlines = Deadlines(self.loop)
        self._pools: dict[tuple[str, str, int], _Pool] = {}
        self._tls: ssl.SSLContext | None = None

    def prepare(self, url: str, headers: Mapping[str, str]) -> Target:
        """The target of POSTs to ``url`` with ``headers``.

        Raises StartError for an address or a header that cannot be sent.
        """
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS[parts.scheme]
            host = (parts.hostname or "").encode("idna").decode()
        except (KeyError, ValueError):
            raise StartError(f"'{_without_login(url)}' is no address of a provider.") from None
        if not host:
            raise StartError(f"'{_without_login(url)}' names no host of a provider.")
        pool = self._find_pool(parts.scheme, host, port)
        named = f"[{host}]" if ":" in host else host
        path = quote(parts.path or "/", safe=_PATH_CHARACTERS)
        lines = {
            "Host": named if port == _PORTS[parts.scheme] else f"{named}:{port}",
            "User-Agent": f"sitebrook/{__version__}",
            "Accept-Encoding": "identity",  # compression makes upstreams and proxies hold deltas
        }
        if parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            lines["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
        lines |= headers
        return Target(pool, _to_head(path + (f"?{parts.query}" if parts.query else ""), lines))

    async def post(self, target: Target, body: bytes, *, by: float = math.inf) -> Response:
        """The response to ``body``, once its head is there.

        Raises OSError when there is no connection, HttpError when no head comes over it, TooLate
        when that takes longer than until ``by``, a time of the loop. Cancelling it closes the
        connection. A request that met a connection which the server had closed while idle is sent
        once more over a new one: nothing was done for it.
        """
        pool = target.pool
        head = b"%b%d\r\n\r\n" % (target.head, len(body))
        connection = pool.take()
        if connection is not None:
            sent_at = pool.loop.time()
            response = connection.send(head, body)
            try:
                return await self._headed(response, by)
            except ConnectionCut:
                is_late = pool.loop.time() - sent_at > _STALE_WITHIN_S
                if is_late or not response.is_untouched:
                    raise
        connection = await pool.connect(by)
        return await self._headed(connection.send(head, body), by)

    async def _headed(self, response: Response, by: float) -> Response:
        slot = None if by == math.inf else self.deadlines.add(response, by)
        try:
            await response.wait_for_head()
        except BaseException:
            response.close()
            raise
        finally:
            if slot is not None:
                slot.pop(response, None)
        return response

    async def close(self) -> None:
        """Closes every connection."""
        for pool in self._pools.values():
            pool.close()

    def _find_pool(self, scheme: str, host: str, port: int) -> _Pool:
        tls = None
        if scheme == "https":
            tls = self._tls = self._tls or _open_tls()
        key = (scheme, host, port)
        if key not in self._pools:
            self._pools[key] = _Pool(host, port, tls)
        return self._pools[key]


class _Pool:
    """The connections to one server; the one that was used last serves first."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self.loop = asyncio.get_running_loop()
        self._host = host
        self._port = port
        self._tls = tls
        self._open: set[Connection] = set()
        self._idle: dict[Connection, float] = {}  # since when, in that order
        self._timer: asyncio.TimerHandle | None = None
        self._resolving = asyncio.Lock()
        self._addresses: list[Any] = []
        self._addresses_until = 0.0

    def take(self) -> Connection | None:
        """An idle connection, if there is one."""
        while self._idle:
            connection, _ = self._idle.popitem()
            if connection.is_usable:
                return connection
        return None

    def give_back(self, connection: Connection) -> None:
        """Keeps the connection for the next request, but not for long."""
        self._idle[connection] = self.loop.time()
        if self._timer is None:
            self._timer = self.loop.call_later(_KEEPALIVE_S, self._expire)

    def forget(self, connection: Connection) -> None:
        """The connection is closed."""
        self._open.discard(connection)
        self._idle.pop(connection, None)

    def close(self) -> None:
        """Closes every connection."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._idle.clear()
        for connection in list(self._open):
            connection.abort()

    async def connect(self, by: float) -> Connection:
        """A new connection. Raises OSError, also when it takes too long; TooLate after ``by``."""
        try:
            async with asyncio.timeout_at(min(by, self.loop.time() + _CONNECT_TIMEOUT_S)):
                connection = await self._connect(await self._resolve())
        except OSError as error:
            self._addresses_until = 0.0  # the server may have moved
            if isinstance(error, TimeoutError) and self.loop.time() >= by:
                raise TooLate("no connection in time") from None
            raise
        self._open.add(connection)
        return connection

    async def _connect(self, addresses: list[Any]) -> Connection:
        opened = await start_connection(
            addresses, happy_eyeballs_delay=_NEXT_ADDRESS_AFTER_S, socket_factory=_open_socket
        )
        try:
            _, connection = await self.loop.create_connection(
                lambda: Connection(self, self.loop),
                sock=opened,
                ssl=self._tls,
                server_hostname=self._host if self._tls else None,
            )
        except BaseException:
            opened.close()
            raise
        return connection

    async def _resolve(self) -> list[Any]:
        """The server's addresses, looked up by the first of those who need them."""
        async with self._resolving:
            if self.loop.time() >= self._addresses_until:
                self._addresses = await self.loop.getaddrinfo(
                    self._host, self._port, type=socket.SOCK_STREAM
                )
                self._addresses_until = self.loop.time() + _ADDRESSES_FOR_S
            return self._addresses

    def _expire(self) -> None:
        self._timer = None
        now = self.loop.time()
        for connection, since in list(self._idle.items()):
            if now - since < _KEEPALIVE_S:
                self._timer = self.loop.call_at(since + _KEEPALIVE_S, self._expire)
                return
            del self._idle[connection]
            connection.abort()


def _to_head(path: str, headers: Mapping[str, str]) -> bytes:
    """All of a request's head up to the length of its body."""
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    try:
        text = "\r\n".join(lines).encode("latin-1")
    except UnicodeEncodeError:
        text = b"\0"
    if b"\0" in text or text.count(b"\n") != len(headers) or text.count(b"\r") != len(headers):
        raise StartError(
            "A provider's base_url or api_key holds a line break or a character that HTTP cannot "
            "carry; set it anew."
        )
    return text + b"\r\nContent-Length: "


def _without_login(url: str) -> str:
    scheme, found, rest = url.partition("://")
    return f"{scheme}{found}{rest.rpartition('@')[2]}"


def _open_tls() -> ssl.SSLContext:
    """The system's certificate authorities, or those that SSL_CERT_FILE names."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _open_socket(address: tuple[Any, ...]) -> socket.socket:
    """A socket that sends at once and notices a peer which vanished without a word."""
    family, kind, protocol, _, _ = address
    opened = socket.socket(family, kind, protocol)
    opened.setblocking(False)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", _TCP_IDLE_S), ("TCP_KEEPINTVL", _TCP_INTERVAL_S)):
        if hasattr(socket, name):  # not everywhere
            opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return opened
