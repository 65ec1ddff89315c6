"""The adapter over real sockets: each thing that an upstream may do, and what we promise then."""

from __future__ import annotations

import asyncio
import gc

import pytest
from tests.fakes.openai_scripts import ROLE, SECRET, TEXT, event, events, stream
from tests.fakes.upstream import Exchange
from tests.integration.providers.reading import read, refusal, request

from sitebrook.providers.protocol import (
    Delta,
    Finish,
    FunctionDelta,
    GenerationOptions,
    ToolCallDelta,
    Usage,
)

WHOLE = [
    *("normal", "cr", "crlf", "no-done", "no-space", "bom", "split", "one-read", "pings", "fields"),
    *(
        "multi-line",
        "no-last-blank-line",
        "empty-choices",
        "early-usage",
        "cookies",
        "slow",
    ),
    "open-after-done",
]


@pytest.mark.parametrize("model", WHOLE)
async def test_a_whole_answer_is_read_whatever_its_framing(model, provider):
    seen = await read(await provider().open(request(model)))
    assert seen.error is None
    assert seen.text == TEXT
    assert seen.finishes == [Finish(0, "stop")]
    assert seen.events[-1] == Usage(7, 5)


async def test_each_event_becomes_one_delta(provider):
    seen = await read(await provider().open(request("one-read")))
    assert [one.content for one in seen.events if isinstance(one, Delta)] == [
        *("Hello", ",", " wörld", " 😀", ".")
    ]


async def test_usage_that_the_upstream_does_not_send_is_not_made_up(provider):
    seen = await read(await provider().open(request("no-usage")))
    assert (seen.text, seen.usage) == (TEXT, None)


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("surrogate", "a\ufffdb\ufffdc😀\\ud800"),
        ("nul", "a\ufffdb\\u0000"),
        ("invalid-utf8", "a\ufffdb"),
    ],
)
async def test_what_no_text_may_hold_is_replaced(model, text, provider):
    seen = await read(await provider().open(request(model)))
    assert (seen.text, seen.error) == (text, None)


async def test_every_choice_is_finished_by_itself(provider):
    options = GenerationOptions(n=2)
    seen = await read(await provider().open(request("two-choices", options=options)))
    assert seen.finishes == [Finish(0, "stop"), Finish(1, "length")]
    assert seen.error is None


async def test_a_choice_without_finish_breaks_the_answer_off(provider):
    options = GenerationOptions(n=2)
    seen = await read(await provider().open(request("second-choice-open", options=options)))
    assert seen.error is not None
    assert seen.error.code == "provider_broke_off"


async def test_tool_calls_come_in_pieces(provider):
    seen = await read(await provider().open(request("tools")))
    named, argued = (one.tool_calls[0] for one in seen.events[:2])
    assert (named.index, named.id, named.type) == (0, "call_1", "function")
    assert named.function == FunctionDelta(name="find", arguments="")
    assert argued == ToolCallDelta(index=0, function=FunctionDelta(arguments='{"a":1}'))
    assert seen.finishes == [Finish(0, "tool_calls")]


async def test_known_extras_pass_and_unknown_ones_do_not(provider):
    seen = await read(await provider().open(request("extras")))
    deltas = [one for one in seen.events if isinstance(one, Delta)]
    assert deltas == [
        Delta(reasoning_content="hm"),
        Delta(reasoning_content="so"),
        Delta(refusal="no"),
        Delta(content="a"),
        Delta(content="b"),
    ]


BREAKS = {
    "truncated": "provider_broke_off",
    "done-without-finish": "provider_broke_off",
    "eof-in-json": "provider_malformed",
    "bad-json": "provider_malformed",
    "not-an-object": "provider_malformed",
    "endless-event": "provider_malformed",
    "error-event": "provider_error",
    "reset": "provider_broke_off",
    "closed": "provider_broke_off",
    "stall": "provider_timeout",
}


@pytest.mark.parametrize(("model", "code"), BREAKS.items())
async def test_a_fault_after_the_first_delta_keeps_the_text_and_ends_with_an_error(
    model, code, provider, upstream
):
    seen = await read(await provider(idle_timeout_s=0.15).open(request(model)))
    assert TEXT.startswith(seen.text)
    assert seen.text.startswith("Hello")
    assert not seen.finishes
    assert seen.usage is None
    assert seen.error is not None
    assert seen.error.code == code
    assert SECRET not in str(seen.error)
    if model in {"stall", "endless-event"}:
        await upstream.wait_until_closed(timeout_s=1)


async def test_an_error_event_tells_its_status(provider):
    seen = await read(await provider().open(request("error-event")))
    assert seen.error is not None
    assert (seen.error.upstream_status, seen.error.is_permanent) == (503, False)


REFUSALS = {
    "400": (400, True, None),
    "401": (401, True, None),
    "404": (404, True, None),
    "408": (408, False, None),
    "409": (409, False, None),
    "429": (429, False, None),
    "429-seconds": (429, False, 7),
    "429-nonsense": (429, False, None),
    "quota": (429, True, None),
    "500": (500, False, None),
    "503": (503, False, 2),
    "redirect": (307, True, None),
    "too-long": (400, True, None),
    "html": (None, False, None),
    "plain": (None, False, None),
    "json": (None, False, None),
    "empty": (None, False, None),
    "gzip": (None, False, None),
    "only-pings": (None, False, None),
    "role-only": (None, False, None),
    "error-first": (None, True, None),
    "reset-before": (None, False, None),
    "reset-after-head": (None, False, None),
}


@pytest.mark.parametrize(("model", "meaning"), REFUSALS.items())
async def test_a_fault_before_the_first_delta_refuses_the_request(model, meaning, provider):
    error = await refusal(provider(), model)
    assert (error.upstream_status, error.is_permanent, error.retry_after_s) == meaning
    assert "fake" in error.message or model in error.message


async def test_a_date_in_retry_after_becomes_seconds(provider):
    error = await refusal(provider(), "429-date")
    assert error.retry_after_s == pytest.approx(3600, abs=1800)  # dated when the run began


@pytest.mark.parametrize(
    ("model", "code"), [("quota", "insufficient_quota"), ("too-long", "context_length_exceeded")]
)
async def test_what_only_the_operator_or_the_caller_can_mend_has_its_own_code(
    model, code, provider
):
    assert (await refusal(provider(), model)).code == code


async def test_an_upstream_that_is_not_there_cannot_be_reached(provider):
    error = await refusal(provider(base_url="http://127.0.0.1:1/v1"), "normal")
    assert error.code == "provider_unreachable"


async def test_an_error_whose_body_never_ends_is_told_all_the_same(provider, monkeypatch):
    monkeypatch.setattr("sitebrook.providers.endpoint._ERROR_BODY_TIMEOUT_S", 0.05)
    assert (await refusal(provider(), "error-body-stalls")).upstream_status == 500


@pytest.mark.parametrize("model", ["never-headers", "never-first", "pings-only"])
async def test_the_first_delta_has_a_clock(model, provider, upstream):
    error = await refusal(provider(first_delta_timeout_s=0.1), model)
    assert error.code == "provider_timeout"
    await upstream.wait_until_closed(timeout_s=1)


async def test_the_whole_answer_has_a_clock(provider, upstream):
    seen = await read(await provider(total_timeout_s=0.15).open(request("never-ending")))
    assert seen.error is not None
    assert seen.error.code == "provider_timeout"
    assert seen.text.startswith("x")
    await upstream.wait_until_closed(timeout_s=1)


async def test_a_slow_reader_does_not_make_the_upstream_look_idle(provider):
    opened = await provider(idle_timeout_s=0.05).open(request("normal"))
    await asyncio.sleep(0.15)
    assert (await read(opened)).text == TEXT


async def test_an_answer_that_is_whole_stays_whole_when_the_upstream_stalls_after_it(provider):
    seen = await read(await provider(idle_timeout_s=0.1).open(request("stall-after-finish")))
    assert seen.error is None
    assert seen.text == TEXT


@pytest.mark.parametrize("model", ["never-headers", "never-first"])
async def test_leaving_before_the_first_delta_closes_the_upstream(model, provider, upstream):
    opening = asyncio.ensure_future(provider().open(request(model)))
    await upstream.wait_for_request()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await upstream.wait_until_closed(timeout_s=1)


async def test_closing_a_stream_closes_the_upstream(provider, upstream):
    opened = await provider().open(request("stall"))
    assert upstream.open_connections == 1
    await opened.aclose()
    await opened.aclose()
    await upstream.wait_until_closed(timeout_s=1)
    assert [one async for one in opened if not isinstance(one, Delta)] == []


async def test_a_cancelled_reader_closes_the_upstream(provider, upstream):
    opened = await provider().open(request("stall"))
    reading = asyncio.ensure_future(read(opened))
    await asyncio.sleep(0.02)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await upstream.wait_until_closed(timeout_s=1)


async def test_a_stream_left_half_read_never_serves_the_next_request(provider, upstream):
    fake = provider()
    opened = await fake.open(request("never-ending"))
    await opened.aclose()
    assert (await read(await fake.open(request("normal")))).text == TEXT
    first, second = upstream.requests
    assert first.connection != second.connection


async def test_a_stream_read_to_its_end_gives_its_connection_to_the_next(provider, upstream):
    fake = provider()
    for _ in range(3):
        assert (await read(await fake.open(request("normal")))).text == TEXT
        await asyncio.sleep(0.01)
    assert upstream.accepted == 1


async def test_an_upstream_that_stays_open_after_done_is_closed_soon(provider, upstream):
    await read(await provider().open(request("open-after-done")))
    await upstream.wait_until_closed(timeout_s=2)


async def test_thirty_streams_at_once_do_not_mix(provider, upstream):
    fake = provider()
    streams = await asyncio.gather(*(fake.open(request("slow")) for _ in range(30)))
    seen = await asyncio.gather(*(read(one) for one in streams))
    assert {one.text for one in seen} == {TEXT}
    assert upstream.accepted == 30


async def test_a_script_of_a_test_is_played(provider, upstream):
    async def mine(exchange: Exchange) -> None:
        await stream(exchange, [ROLE])
        await exchange.chunk(event(events()[1]) + event(events()[-3]) + event("[DONE]"))
        await exchange.end()

    upstream.scripts["mine"] = mine
    assert (await read(await provider().open(request("mine")))).text == "Hello"


async def test_two_hundred_streams_left_early_leave_nothing_open(provider, upstream):
    fake = provider()
    for _ in range(200):
        opened = await fake.open(request("never-ending"))
        await opened.aclose()
    await upstream.wait_until_closed(timeout_s=1)
    gc.collect()
