"""Connections to public addresses only: the address that was looked at is the one dialled."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import urlsplit

import httpcore2

from sitebrook.errors import AddressRefused, PageFailed
from sitebrook.ingestion.website.addresses import Address, is_public
from sitebrook.ingestion.website.urls import to_site_url

Resolve = Callable[[str], Awaitable[Sequence[Address]]]

_RESOLVE_S: Final = 10.0
_MAX_DIALLED: Final = 4
# Of their own: a name server that does not answer holds a thread for half a minute.
_RESOLVERS: Final = 4
_PORTS: Final = frozenset({80, 443})
_UNKNOWN: Final = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
_INSTEAD: Final = "Save its pages as files, or send them with POST /api/documents."


def check_readable(url: str) -> None:
    """Raises AddressRefused for an address of which it is plain that it can never be read.

    What a name means is looked up only when it is asked.
    """
    parts = urlsplit(to_site_url(url))
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if port not in _PORTS:
        raise _of_another_port(host, port)
    address = _to_literal(host)
    if host.split(".")[-1] == "localhost" or (address is not None and not is_public(address)):
        raise _not_public(host)


class PublicBackend(httpcore2.AsyncNetworkBackend):
    """Looks a host up, refuses it when any of its addresses is not public, dials one of them.

    This happens for every connection, so neither a redirect nor a name that changes its address
    between two questions leads elsewhere. The host's name stays for TLS and the Host header.
    """

    def __init__(
        self,
        resolve: Resolve,
        *,
        is_allowed: Callable[[Address], bool] = is_public,
        ports: frozenset[int] = _PORTS,
    ) -> None:
        self._resolve = resolve
        self._is_allowed = is_allowed
        self._ports = ports
        self._backend: Any = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Raises AddressRefused for what may not be asked, httpcore's ConnectError otherwise."""
        if port not in self._ports:
            raise _of_another_port(host, port)
        found = await self._resolve(host)
        if not found:
            raise httpcore2.ConnectError(f"no address for {host}")
        if not all(self._is_allowed(address) for address in found):
            raise _not_public(host)
        failure: Exception | None = None
        for address in found[:_MAX_DIALLED]:
            try:
                return await self._backend.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore2.ConnectError(host)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - httpcore's interface
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore2.AsyncNetworkStream:
        """Sockets of this machine are never dialled."""
        raise AddressRefused(f"The socket {path} is not read.")

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        await asyncio.sleep(seconds)


class SystemResolver:
    """The addresses of a host as this machine's resolver knows them, each once."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_RESOLVERS, "resolve")

    async def __call__(self, host: str) -> list[Address]:
        """Raises PageFailed when the name is not known, or nobody tells what it means."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_RESOLVE_S):
                return await loop.run_in_executor(self._threads, _look_up, host)
        except TimeoutError:
            raise PageFailed(f"no name server tells where '{host}' is") from None

    def close(self) -> None:
        """Ends the threads, without waiting for name servers."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _to_literal(host: str) -> Address | None:
    """The address that a host is in any of the spellings that resolvers take; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def _of_another_port(host: str, port: int) -> AddressRefused:
    return AddressRefused(
        f"The port {port} of '{host}' is not read; only 80 and 443 are. {_INSTEAD}", param="url"
    )


def _not_public(host: str) -> AddressRefused:
    return AddressRefused(
        f"'{host}' is not a public address of the internet, and only those are read. {_INSTEAD}",
        param="url",
    )


def _look_up(host: str) -> list[Address]:
    try:
        rows = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        if isinstance(error, socket.gaierror) and error.errno not in _UNKNOWN:
            raise PageFailed(f"no name server tells where '{host}' is") from None
        raise PageFailed(f"the name '{host}' is not known; see whether it is right") from None
    return list(dict.fromkeys(ipaddress.ip_address(row[4][0]) for row in rows))
