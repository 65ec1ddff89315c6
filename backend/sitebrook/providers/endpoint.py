"""The address at which an upstream answers in events, and opening one answer there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from sitebrook.errors import ProviderError
from sitebrook.providers import faults
from sitebrook.providers.event_stream import EventStream, WireReader
from sitebrook.providers.http_client import HttpClient
from sitebrook.providers.http_connection import HttpError, MalformedResponse, Response, TooLate
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
        client: HttpClient,
        *,
        path: str,
        headers: Mapping[str, str],
    ) -> None:
        self._settings = settings
        self._client = client
        self._first_within_s = min(settings.first_delta_timeout_s, settings.total_timeout_s)
        self._target = client.prepare(
            settings.base_url.rstrip("/") + path,
            {"Accept": _EVENT_STREAM, "Content-Type": "application/json", **headers},
        )

    async def open(self, body: bytes, model: str, reader: WireReader) -> EventStream:
        """The answer to ``body``, once ``reader`` has made its first event.

        Raises ProviderError. Cancelling it closes the connection.
        """
        client = self._client
        began_at = client.loop.time()
        first_by = began_at + self._first_within_s
        response = await self._post(body, model, first_by)
        stream = EventStream(self._settings, reader, response, client.deadlines, began_at)
        try:
            await stream.wait_for_first(first_by)
        except BaseException:
            stream.close()
            raise
        return stream

    async def _post(self, body: bytes, model: str, by: float) -> Response:
        """The response, once it is known that an event stream follows."""
        try:
            response = await self._client.post(self._target, body, by=by)
        except TooLate:
            raise self._did_not_start() from None
        except MalformedResponse:
            raise faults.malformed(self._settings.name, "did not answer in HTTP") from None
        except (HttpError, OSError):
            raise faults.unreachable(self._settings.name) from None
        try:
            await self._check(response, model, by)
        except BaseException:
            response.close()
            raise
        return response

    async def _check(self, response: Response, model: str, by: float) -> None:
        provider = self._settings.name
        if response.status != 200:
            try:
                async with asyncio.timeout_at(by):
                    body = await _read_some(response)
            except TimeoutError:
                raise self._did_not_start() from None
            raise faults.from_status(provider, model, response.status, response.headers, body)
        if response.content_type != _EVENT_STREAM:
            raise _not_a_stream(provider, response.content_type)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise faults.malformed(provider, "compressed its answer although it was not asked to")

    def _did_not_start(self) -> ProviderError:
        return faults.did_not_start(self._settings.name, self._first_within_s)


def _not_a_stream(provider: str, content_type: str) -> ProviderError:
    kinds = {"text/html": "a web page", "application/json": "JSON"}
    kind = kinds.get(content_type, "something else")
    return faults.malformed(provider, f"answered with {kind} instead of an event stream")


async def _read_some(response: Response) -> bytes:
    """The start of an error's body, as far as it comes soon; only its codes are looked at."""
    body = b""
    try:
        async with asyncio.timeout(_ERROR_BODY_TIMEOUT_S):
            while len(body) < _ERROR_BODY_BYTES:
                chunk = await response.read()
                if not chunk:
                    break
                body += chunk
    except (HttpError, TimeoutError):
        pass
    return body
