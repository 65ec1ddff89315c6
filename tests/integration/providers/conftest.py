from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
import tests.fakes.anthropic_scripts
import tests.fakes.openai_scripts  # noqa: F401  (registers what the fake plays)
from tests.fakes.upstream import FakeUpstream

from sitebrook.providers.openai_compatible import OpenAICompatibleProvider, open_session
from sitebrook.settings import ProviderSettings


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as server:
        yield server


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session() as opened:
        yield opened


@pytest.fixture
async def provider(upstream: FakeUpstream, session: aiohttp.ClientSession):
    made: list[OpenAICompatibleProvider] = []

    def make(**over: object) -> OpenAICompatibleProvider:
        fields = {"name": "fake", "base_url": upstream.base_url, "api_key": "sk-upstream", **over}
        made.append(OpenAICompatibleProvider(ProviderSettings(**fields), session))
        return made[-1]

    yield make
    for one in made:
        await one.aclose()
