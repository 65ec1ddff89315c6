from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import tests.fakes.anthropic_scripts
import tests.fakes.openai_scripts  # noqa: F401  (registers what the fake plays)
from tests.fakes.upstream import FakeUpstream
from tests.integration.providers.routes import MOCK, MOCK_ROW, QUICK, Told

from sitebrook.providers.http_client import HttpClient
from sitebrook.providers.openai_compatible import OpenAICompatibleProvider
from sitebrook.providers.registry import Providers
from sitebrook.providers.router import Router
from sitebrook.settings import ModelSettings, ProviderSettings, UpstreamSettings


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as server:
        yield server


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    opened = HttpClient()
    yield opened
    await opened.close()


@pytest.fixture
async def provider(upstream: FakeUpstream, client: HttpClient):
    made: list[OpenAICompatibleProvider] = []

    def make(**over: object) -> OpenAICompatibleProvider:
        fields = {"name": "fake", "base_url": upstream.base_url, "api_key": "sk-upstream", **over}
        made.append(OpenAICompatibleProvider(ProviderSettings(**fields), client))
        return made[-1]

    yield make
    for one in made:
        await one.aclose()


@pytest.fixture
async def second():
    async with FakeUpstream() as server:
        yield server


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def make_router(upstream, second, told):
    made: list[Router] = []

    def make(*routes: str, rule: UpstreamSettings = QUICK, **over) -> Router:
        """A router with the model ``m`` and the providers ``first``, ``second`` and ``mock``."""
        rows = [
            ProviderSettings(**{"name": "first", "base_url": upstream.base_url, **over}),
            ProviderSettings(**{**over, "name": "second", "base_url": second.base_url}),
            MOCK,
        ]
        models = [ModelSettings(id="m", route=routes), MOCK_ROW] if routes else [MOCK_ROW]
        made.append(Router(Providers(rows, models, HttpClient(), observer=told), rule))
        return made[-1]

    yield make
    for one in made:
        await one.aclose()
