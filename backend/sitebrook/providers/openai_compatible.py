"""Any upstream that speaks OpenAI's chat wire: OpenAI, Groq, Mistral, Ollama, vLLM and others."""

from __future__ import annotations

from sitebrook.providers.endpoint import Endpoint
from sitebrook.providers.event_stream import EventStream
from sitebrook.providers.http_client import HttpClient
from sitebrook.providers.openai_stream import OpenAIReader
from sitebrook.providers.protocol import ProviderRequest
from sitebrook.providers.wire import check_dialect, dialect_of, to_body
from sitebrook.settings import ProviderSettings


class OpenAICompatibleProvider:
    """Generates text at ``settings.base_url``; only the prompt and its options go there."""

    def __init__(self, settings: ProviderSettings, client: HttpClient) -> None:
        self._name = settings.name
        self._dialect = dialect_of(settings.base_url)
        key = settings.api_key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._endpoint = Endpoint(settings, client, path="/chat/completions", headers=headers)

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
        """Nothing: the client that holds the connections belongs to its maker."""
