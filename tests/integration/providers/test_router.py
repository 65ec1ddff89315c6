from __future__ import annotations

import pytest
from tests.fakes.openai_scripts import TEXT

from sitebrook.errors import InvalidRequest, ModelNotFound, ProviderError
from sitebrook.providers.openai_compatible import open_session
from sitebrook.providers.protocol import Delta, PromptMessage, ProviderRequest
from sitebrook.providers.registry import Providers
from sitebrook.providers.router import Router
from sitebrook.settings import ModelSettings, ProviderSettings

REQUEST = ProviderRequest(model="", messages=(PromptMessage(role="user", content="Hello"),))
MOCK = ProviderSettings(name="mock", kind="mock", first_delta_delay_s=0, delta_delay_s=0)
MOCK_ROW = ModelSettings(id="mock", route=("mock/mock",))


@pytest.fixture
async def make_router(upstream):
    made: list[Router] = []

    def make(*models: ModelSettings, **over) -> Router:
        fake = ProviderSettings(name="fake", base_url=upstream.base_url, **over)
        made.append(Router(Providers([fake, MOCK], [*models, MOCK_ROW], open_session())))
        return made[-1]

    yield make
    for one in made:
        await one.aclose()


async def text_of(opened) -> str:
    return "".join([one.content async for one in opened.stream if isinstance(one, Delta)])


async def test_auto_is_the_first_model_and_the_mock_when_there_is_no_other(make_router):
    assert make_router().find_model("auto") == "mock"
    router = make_router(ModelSettings(id="fake/normal", route=("fake/normal",)))
    assert router.find_model("auto") == "fake/normal"
    assert router.models == ("fake/normal", "mock")


@pytest.mark.parametrize("model", ["nothing", "fake/normal", "other/x", "fake/", ""])
async def test_an_unknown_model_is_not_found(model, make_router):
    with pytest.raises(ModelNotFound) as caught:
        make_router().find_model(model)
    assert caught.value.param == "model"


async def test_a_passthrough_provider_takes_any_name(make_router, upstream):
    router = make_router(passthrough=True)
    opened = await router.open("fake/normal", REQUEST)
    assert await text_of(opened) == TEXT
    assert (opened.provider, opened.upstream_model) == ("fake", "normal")
    assert upstream.requests[0].json["model"] == "normal"
    with pytest.raises(ModelNotFound):
        router.find_model("fake/")


async def test_the_next_provider_is_tried_before_the_first_delta(make_router, caplog):
    router = make_router(ModelSettings(id="m", route=("fake/503", "fake/401", "mock/mock")))
    opened = await router.open("m", REQUEST)
    assert opened.provider == "mock"
    assert [one.upstream_status for one in opened.failures] == [503, 401]
    assert [record.status for record in caplog.records] == [503, 401]
    assert await text_of(opened)


async def test_the_next_provider_is_not_tried_after_the_first_delta(make_router, upstream):
    router = make_router(ModelSettings(id="m", route=("fake/truncated", "fake/normal")))
    opened = await router.open("m", REQUEST)
    with pytest.raises(ProviderError):
        await text_of(opened)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("model", ["400", "too-long"])
async def test_what_the_caller_must_change_is_not_tried_elsewhere(model, make_router, upstream):
    router = make_router(ModelSettings(id="m", route=(f"fake/{model}", "mock/mock")))
    with pytest.raises(ProviderError):
        await router.open("m", REQUEST)
    assert len(upstream.requests) == 1
    broken = ProviderRequest(model="", messages=(PromptMessage(role="user", content="\ud800"),))
    with pytest.raises(InvalidRequest):
        await router.open("m", broken)


async def test_when_all_fail_the_last_error_is_told(make_router):
    router = make_router(ModelSettings(id="m", route=("fake/500", "fake/429-seconds")))
    with pytest.raises(ProviderError) as caught:
        await router.open("m", REQUEST)
    assert (caught.value.upstream_status, caught.value.retry_after_s) == (429, 7)
