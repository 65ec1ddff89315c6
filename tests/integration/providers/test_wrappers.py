from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time

import pytest
from tests.fakes.openai_scripts import ROLE, TEXT, stream
from tests.fakes.upstream import SCRIPTS, Exchange
from tests.integration.providers.reading import read
from tests.integration.providers.routes import REQUEST, answered_by, failing, refusal

from sitebrook.errors import ProviderError, ProviderNotAsked
from sitebrook.providers.observer import BreakerState
from sitebrook.settings import UpstreamSettings


async def test_a_breaker_opens_after_failures_and_closes_after_a_success(
    make_router, upstream, second, told, caplog
):
    caplog.set_level(logging.INFO)
    upstream.scripts["down"] = failing(3, "500")
    rule = UpstreamSettings(attempts=2, retry_pause_s=0)
    router = make_router(
        "first/down", "second/normal", rule=rule, breaker_failures=3, breaker_rest_s=0.2
    )
    for _ in range(5):
        assert await answered_by(router) == "second"
    assert len(upstream.requests) == 3  # then it was left alone
    assert router.provider_states[0].state is BreakerState.OPEN
    assert 0 < router.provider_states[0].rests_s <= 0.2
    await asyncio.sleep(0.2)
    assert await answered_by(router) == "first"
    assert router.provider_states[0].state is BreakerState.CLOSED
    changes = [state for name, state in told.breakers if name == "first"]
    assert changes == ["closed", "open", "half_open", "closed"]
    logged = [one.state for one in caplog.records if hasattr(one, "state")]
    assert logged == ["open", "half_open", "closed"]


async def test_a_provider_that_rests_refuses_at_once_and_says_when(make_router, upstream):
    router = make_router("first/500", breaker_failures=3, breaker_rest_s=5)
    await refusal(router)
    failure = await refusal(router)
    assert isinstance(failure, ProviderNotAsked)
    assert failure.code == "provider_resting"
    assert failure.retry_after_s is not None
    assert 4 < failure.retry_after_s <= 5
    assert len(upstream.requests) == 3


@pytest.mark.parametrize("script", ["truncated", "stall", "error-event", "reset", "bad-json"])
async def test_an_answer_that_breaks_off_later_counts_for_the_breaker(script, make_router, told):
    router = make_router(f"first/{script}", breaker_failures=2, idle_timeout_s=0.05)
    for _ in range(2):
        seen = await read((await router.open("m", REQUEST)).stream)
        assert seen.error is not None
    assert router.provider_states[0].state is BreakerState.OPEN
    assert (await refusal(router)).code == "provider_resting"
    assert len(told.attempts) == 2


async def test_a_caller_who_leaves_does_not_count_for_the_breaker(make_router, upstream, told):
    router = make_router("first/stall", breaker_failures=1, max_concurrency=1)
    opened = await router.open("m", REQUEST)
    await opened.stream.aclose()
    opened = await router.open("m", REQUEST)
    await opened.stream.aclose()
    upstream.scripts["stall"] = SCRIPTS["never-first"]
    opening = asyncio.create_task(router.open("m", REQUEST))
    await upstream.wait_for_request(3)
    opening.cancel()
    await asyncio.wait({opening})
    assert router.provider_states[0].state is BreakerState.CLOSED
    assert told.outcomes == ["left", "left", "left"]


async def test_refused_requests_do_not_count_for_the_breaker(make_router):
    router = make_router("first/400", breaker_failures=1)
    for _ in range(3):
        assert (await refusal(router)).upstream_status == 400
    assert router.provider_states[0].state is BreakerState.CLOSED


async def test_a_full_provider_is_passed_over_after_a_short_wait(make_router, upstream, second):
    router = make_router("first/stall", "second/normal", max_concurrency=1, queue_timeout_s=0.05)
    held = await router.open("m", REQUEST)
    assert held.provider == "first"
    began = time.monotonic()
    assert await answered_by(router) == "second"
    assert 0.05 <= time.monotonic() - began < 2
    await held.stream.aclose()
    upstream.scripts["stall"] = SCRIPTS["normal"]
    assert await answered_by(router) == "first"


async def test_a_full_provider_alone_is_busy_and_not_broken(make_router):
    router = make_router("first/stall", max_concurrency=1, queue_timeout_s=0, breaker_failures=1)
    held = await router.open("m", REQUEST)
    failure = await refusal(router)
    assert isinstance(failure, ProviderNotAsked)
    assert (failure.code, failure.retry_after_s) == ("provider_busy", 1)
    assert router.provider_states[0].state is BreakerState.CLOSED
    await held.stream.aclose()


async def test_who_waits_for_a_full_provider_gets_the_slot_that_becomes_free(make_router):
    router = make_router("first/stall", max_concurrency=1, queue_timeout_s=2)
    held = await router.open("m", REQUEST)
    waiting = asyncio.create_task(router.open("m", REQUEST))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    await held.stream.aclose()
    opened = await asyncio.wait_for(waiting, 1)
    await opened.stream.aclose()


@pytest.mark.parametrize("script", ["normal", "truncated", "500", "never-first", "400"])
async def test_a_slot_is_freed_once_however_a_stream_ends(script, make_router, upstream):
    router = make_router(
        f"first/{script}",
        max_concurrency=2,
        queue_timeout_s=0.5,
        breaker_failures=0,
        first_delta_timeout_s=0.1 if script == "never-first" else 5,
        rule=UpstreamSettings(attempts=1),
    )
    for _ in range(5):
        with contextlib.suppress(ProviderError):
            await answered_by(router)
    assert len(upstream.requests) == 5  # with a slot kept by any, the third would have been busy


async def test_attempts_are_logged_without_the_upstreams_text(make_router, caplog):
    caplog.set_level(logging.DEBUG, "sitebrook.providers.observed")
    router = make_router("first/401", "second/normal")
    await read((await router.open("m", REQUEST)).stream)
    logged = [one for one in caplog.records if one.name.endswith("observed")]
    fields = [(one.provider, one.upstream_model, one.outcome, one.status) for one in logged]
    assert fields == [("first", "401", "refused", 401), ("second", "normal", "answered", None)]
    assert [one.levelname for one in logged] == ["WARNING", "DEBUG"]
    assert "secret" not in json.dumps([vars(one) for one in logged], default=str)


async def test_a_stream_tells_its_end_even_to_who_asks_late(make_router, told):
    router = make_router("first/one-read")
    opened = await router.open("m", REQUEST)  # all of it came in one read
    ends = []
    opened.stream.on_end(ends.append)
    seen = await read(opened.stream)
    opened.stream.on_end(ends.append)
    await asyncio.sleep(0)
    assert seen.text == TEXT
    assert [(end.is_whole, end.failure) for end in ends] == [(True, None)] * 2
    assert told.outcomes == ["answered"]


async def test_the_mock_tells_its_end_too(make_router, told):
    for model in ("mock", "mock-truncate-1"):
        router = make_router(f"mock/{model}")
        await read((await router.open("m", REQUEST)).stream)
    opened = await make_router("mock/mock").open("m", REQUEST)
    await opened.stream.aclose()
    await opened.stream.aclose()
    assert told.outcomes == ["answered", "broke_off", "left"]


async def test_a_request_that_waits_for_a_retry_can_leave(make_router, upstream):
    router = make_router("first/503")  # Retry-After: 2
    opening = asyncio.create_task(router.open("m", REQUEST))
    await upstream.wait_for_request()
    await asyncio.sleep(0.02)
    opening.cancel()
    done, _ = await asyncio.wait({opening}, timeout=1)
    assert done
    assert opening.cancelled()


async def test_the_time_of_an_attempt_is_its_own(make_router, upstream, told):
    async def late(exchange: Exchange) -> None:
        await stream(exchange, [ROLE])
        await asyncio.sleep(0.1)
        exchange.close()

    upstream.scripts["late"] = late
    router = make_router("first/late", rule=UpstreamSettings(attempts=1))
    await refusal(router)
    assert 0.1 <= told.seconds[0] < 2


async def test_no_slot_is_lost_wherever_opening_is_cancelled(make_router, upstream):
    router = make_router("first/normal", max_concurrency=1, queue_timeout_s=0.05)
    for turns in range(30):
        opening = asyncio.create_task(router.open("m", REQUEST))
        waiting = asyncio.create_task(router.open("m", REQUEST))
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait({opening})
        waiting.cancel()
        await asyncio.wait({waiting})
        for task in (opening, waiting):
            if not task.cancelled():
                await task.result().stream.aclose()
        assert await answered_by(router) == "first"
