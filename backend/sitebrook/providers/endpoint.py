"""The address at which an upstream answers in events, and opening one answer there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import aiohttp

from sitebrook.errors import ProviderError
from sitebrook.providers import faults
from sitebrook.providers.event_stream import EventStream, Lingering, WireReader
from sitebrook.settings import ProviderSettings

_EVENT_STREAM: Final = "text/event-stream"
_ERROR_BODY_BYTES: Final = 65_536
_ERROR_BODY_TIMEOUT_S: Final = 2.0


class Endpoint:
    """Posts to ``path`` below the provider's base_url and gives what comes back as events.

    ``headers`` are the provider's own, such as its key. Nothing else of a request goes there.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        session: aiohttp.ClientSession,
        *,
        path: str,
        headers: Mapping[str, str],
    ) -> None:
        self._settings = settings
        self._session = session
        self._lingering = Lingering()
        self._url = settings.base_url.rstrip("/") + path
        self._headers = {
            "Accept": _EVENT_STREAM,
            "Accept-Encoding": "identity",  # compression makes upstreams and proxies hold deltas
            "Content-Type": "application/json",
            **headers,
        }

    async def open(self, body: bytes, model: str, reader: WireReader) -> EventStream:
        """The answer to ``body``, once ``reader`` has made its first event.

        Raises ProviderError. Cancelling it closes the connection.
        """
        settings = self._settings
        started_at = asyncio.get_running_loop().time()
        ends_at = started_at + settings.total_timeout_s
        first_at = min(started_at + settings.first_delta_timeout_s, ends_at)
        try:
            async with asyncio.timeout_at(first_at):
                response = await self._post(body, model)
                stream = EventStream(
                    settings, reader, response, ends_at=ends_at, lingering=self._lingering
                )
                try:
                    await stream.wait_for_first()
                except BaseException:
                    stream.close()
                    raise
                return stream
        except TimeoutError:
            raise faults.did_not_start(settings.name, first_at - started_at) from None

    def close(self) -> None:
        """Closes the connections of answers that are over; the session belongs to its maker."""
        self._lingering.close()

    async def _post(self, body: bytes, model: str) -> aiohttp.ClientResponse:
        """The response, once it is known that an event stream follows."""
        try:
            response = await self._session.post(
                self._url, data=body, headers=self._headers, allow_redirects=False
            )
        except (aiohttp.ClientError, OSError):
            raise faults.unreachable(self._settings.name) from None
        try:
            await self._check(response, model)
        except BaseException:
            response.close()
            raise
        return response

    async def _check(self, response: aiohttp.ClientResponse, model: str) -> None:
        provider = self._settings.name
        if response.status != 200:
            body = await _read_some(response)
            raise faults.from_status(provider, model, response.status, response.headers, body)
        if response.content_type != _EVENT_STREAM:
            raise _not_a_stream(provider, response.content_type)


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
