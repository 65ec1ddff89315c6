"""Claude models over Anthropic's Messages API."""

from __future__ import annotations

from typing import Final

from sitebrook.providers.anthropic.limits import check_request
from sitebrook.providers.anthropic.reader import AnthropicReader
from sitebrook.providers.anthropic.request import to_body
from sitebrook.providers.endpoint import Endpoint
from sitebrook.providers.event_stream import EventStream
from sitebrook.providers.http_client import HttpClient
from sitebrook.providers.protocol import ProviderRequest
from sitebrook.settings import ProviderSettings

_VERSION: Final = "2023-06-01"


class AnthropicProvider:
    """Generates text at ``settings.base_url``; only the prompt and its options go there."""

    def __init__(self, settings: ProviderSettings, client: HttpClient) -> None:
        self._name = settings.name
        self._max_tokens = settings.max_tokens
        headers = {"anthropic-version": _VERSION}
        if settings.api_key:
            headers["x-api-key"] = settings.api_key
        # Anthropic's own clients are given the address without /v1.
        path = "/messages" if settings.base_url.rstrip("/").endswith("/v1") else "/v1/messages"
        self._endpoint = Endpoint(settings, client, path=path, headers=headers)

    @property
    def name(self) -> str:
        """The provider's name in the settings."""
        return self._name

    def check(self, request: ProviderRequest) -> None:
        """Raises InvalidRequest for what the API does not have; see ``Provider.check``."""
        check_request(self._name, request)

    async def open(self, request: ProviderRequest) -> EventStream:
        """A stream whose first Delta or Finish has arrived; see ``Provider.open``."""
        self.check(request)
        body = to_body(request, max_tokens=self._max_tokens)
        reader = AnthropicReader(self._name, request)
        return await self._endpoint.open(body, request.model, reader)

    async def aclose(self) -> None:
        """Nothing: the client that holds the connections belongs to its maker."""
