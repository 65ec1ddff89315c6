from __future__ import annotations

import asyncio
import gc
import time
import weakref

import msgspec
import pytest
from tests.fakes.openai_scripts import TEXT, refusing
from tests.fakes.upstream import SCRIPTS, Exchange
from tests.integration.providers.reading import read
from tests.integration.providers.routes import REQUEST, answered_by, failing, refusal
from tests.servers import free_port

from sitebrook.errors import InvalidRequest, ModelNotFound, ProviderError
from sitebrook.providers.observer import BreakerState
from sitebrook.providers.protocol import GenerationOptions
from sitebrook.settings import UpstreamSettings


async def test_auto_is_the_first_model_and_the_mock_when_there_is_no_other(make_router):
    assert make_router().find_model("auto") == "mock"
    router = make_router("first/normal")
    assert router.find_model("auto") == "m"
    assert router.models == ("m", "mock")


@pytest.mark.parametrize("model", ["nothing", "first/normal", "other/x", "first/", ""])
async def test_an_unknown_model_is_not_found(model, make_router):
    with pytest.raises(ModelNotFound) as caught:
        make_router().find_model(model)
    assert caught.value.param == "model"


async def test_a_passthrough_provider_takes_any_name(make_router, upstream):
    router = make_router(passthrough=True)
    opened = await router.open("first/normal", REQUEST)
    assert (await read(opened.stream)).text == TEXT
    assert (opened.provider, opened.upstream_model) == ("first", "normal")
    assert upstream.requests[0].json["model"] == "normal"
    with pytest.raises(ModelNotFound):
        router.find_model("first/")


async def test_a_short_failure_is_mended_by_trying_again(make_router, upstream, told):
    upstream.scripts["shaky"] = failing(2, "500")
    router = make_router("first/shaky")
    opened = await router.open("m", REQUEST)
    assert (await read(opened.stream)).text == TEXT
    assert told.attempts == [
        ("first", "shaky", "failed"),
        ("first", "shaky", "failed"),
        ("first", "shaky", "answered"),
    ]


@pytest.mark.parametrize(
    ("script", "outcome", "tries"),
    [
        ("500", "failed", 2),
        ("error-first", "out_of_quota", 1),
        ("reset-before", "unreachable", 2),
        ("reset-after-head", "broke_off", 2),
        ("empty", "malformed", 2),
        ("html", "malformed", 2),
        ("role-only", "broke_off", 2),
        ("never-headers", "timed_out", 1),
        ("never-first", "timed_out", 1),
        ("408", "timed_out", 1),
        ("429", "rate_limited", 1),
        ("429-seconds", "rate_limited", 1),
        ("503", "failed", 1),  # with a Retry-After
        ("quota", "out_of_quota", 1),
        ("401", "refused", 1),
        ("404", "refused", 1),
        ("redirect", "refused", 1),
    ],
)
async def test_whatever_fails_at_the_first_is_answered_by_the_second(
    script, outcome, tries, make_router, upstream, second, told
):
    first_delta_timeout_s = 0.2 if script.startswith("never-") else 5
    router = make_router(
        f"first/{script}", "second/normal", first_delta_timeout_s=first_delta_timeout_s
    )
    opened = await router.open("m", REQUEST)
    assert opened.provider == "second"
    assert (await read(opened.stream)).text == TEXT
    assert (len(upstream.requests), len(second.requests)) == (tries, 1)
    assert told.outcomes == [outcome] * tries + ["answered"]


async def test_a_provider_that_cannot_be_reached_is_passed_over(make_router, told):
    nowhere = f"http://127.0.0.1:{free_port()}/v1"
    router = make_router("first/normal", "second/normal", base_url=nowhere)
    assert await answered_by(router) == "second"
    assert told.outcomes == ["unreachable", "unreachable", "answered"]


@pytest.mark.parametrize("script", ["500", "html", "reset-before", "429", "never-first"])
async def test_never_more_than_three_requests_go_upstream(
    script, make_router, upstream, second, told
):
    route = (f"first/{script}", f"second/{script}", "first/500", "mock/mock-fail-500")
    router = make_router(*route, first_delta_timeout_s=0.05)
    async with asyncio.timeout(3):
        await refusal(router)
    assert len(upstream.requests) + len(second.requests) <= 3
    assert len(told.attempts) == 3


async def test_nothing_begins_after_the_time_for_attempts(make_router, upstream, second):
    rule = UpstreamSettings(retry_pause_s=0.001, attempts_within_s=0.1)
    router = make_router("first/never-first", "second/normal", rule=rule, first_delta_timeout_s=0.2)
    assert (await refusal(router)).code == "provider_timeout"
    assert (len(upstream.requests), len(second.requests)) == (1, 0)


async def test_a_retry_after_that_fits_is_waited_for(make_router, upstream):
    async def limited(exchange: Exchange) -> None:
        if len(upstream.requests) > 1:
            return await SCRIPTS["normal"](exchange)
        return await exchange.whole(429, "application/json", b"{}", retry_after="0.2")

    upstream.scripts["limited"] = limited
    router = make_router("first/limited")
    began = time.monotonic()
    opened = await router.open("m", REQUEST)
    assert (await read(opened.stream)).text == TEXT
    assert 0.2 <= time.monotonic() - began < 2
    assert len(upstream.requests) == 2


async def test_a_retry_after_that_does_not_fit_is_passed_on_at_once(make_router, upstream):
    rule = UpstreamSettings(attempts_within_s=5)
    failure = await refusal(make_router("first/429-seconds", rule=rule))
    assert failure.retry_after_s == 7
    assert len(upstream.requests) == 1


async def test_a_provider_with_too_many_requests_comes_last_until_its_time(
    make_router, upstream, second, told
):
    rule = UpstreamSettings(attempts_within_s=5)
    router = make_router("first/429-seconds", "second/normal", rule=rule)
    for _ in range(3):
        await answered_by(router)
    assert (len(upstream.requests), len(second.requests)) == (1, 3)
    state = router.provider_states[0]
    assert state.state is BreakerState.CLOSED
    assert 6 < state.rests_s <= 7
    second.scripts["normal"] = SCRIPTS["401"]
    await refusal(router)  # it is still asked where nothing else is left
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("script", ["quota", "401"])
async def test_an_account_that_must_be_mended_comes_last_for_a_minute(
    script, make_router, upstream, second
):
    router = make_router(f"first/{script}", "second/normal")
    for _ in range(3):
        await answered_by(router)
    assert (len(upstream.requests), len(second.requests)) == (1, 3)
    assert 59 < router.provider_states[0].rests_s <= 60


async def test_the_next_provider_is_not_tried_after_the_first_delta(make_router, upstream, second):
    router = make_router("first/truncated", "second/normal")
    seen = await read((await router.open("m", REQUEST)).stream)
    assert seen.error is not None
    assert (len(upstream.requests), len(second.requests)) == (1, 0)


@pytest.mark.parametrize("model", ["400", "too-long"])
async def test_what_the_caller_must_change_is_not_tried_elsewhere(
    model, make_router, upstream, second
):
    await refusal(make_router(f"first/{model}", "second/normal"))
    assert (len(upstream.requests), len(second.requests)) == (1, 0)


async def test_a_used_up_account_is_no_fault_of_the_callers(make_router, upstream):
    upstream.scripts["broke"] = refusing(400, {"code": "insufficient_quota"})
    assert await answered_by(make_router("first/broke", "second/normal")) == "second"


async def test_a_provider_that_lacks_a_parameter_is_passed_over_without_an_attempt(
    make_router, upstream, told
):
    options = GenerationOptions(logprobs=True)
    router = make_router("mock/mock", "first/normal", rule=UpstreamSettings(attempts=1))
    opened = await router.open("m", msgspec.structs.replace(REQUEST, options=options))
    assert opened.provider == "first"
    await read(opened.stream)
    assert told.attempts == [("first", "normal", "answered")]


async def test_a_parameter_that_all_lack_is_refused_by_its_name(make_router, told):
    router = make_router("mock/mock", "mock/other")
    asked = msgspec.structs.replace(REQUEST, options=GenerationOptions(logprobs=True))
    with pytest.raises(InvalidRequest) as caught:
        await router.open("m", asked)
    assert caught.value.param == "logprobs"
    assert told.attempts == []


async def test_a_failure_is_told_where_the_others_only_lack_something(make_router):
    router = make_router("first/500", "mock/mock")
    failure = await refusal(router, options=GenerationOptions(logprobs=True))
    assert failure.upstream_status == 500


async def test_when_all_fail_a_failure_that_may_pass_is_told(make_router):
    rule = UpstreamSettings(attempts_within_s=5)
    failure = await refusal(make_router("first/429-seconds", "second/401", rule=rule))
    assert (failure.upstream_status, failure.retry_after_s) == (429, 7)


async def test_errors_of_a_route_leave_nothing_behind(make_router):
    router = make_router("first/500", "second/401")
    gc.collect()
    gc.disable()
    try:
        try:
            await router.open("m", REQUEST)
        except ProviderError as failure:
            kept = weakref.ref(failure)
        assert kept() is None
    finally:
        gc.enable()
