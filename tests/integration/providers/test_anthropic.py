"""The adapter of the Messages API over real sockets: what it sends, and each fault's promise."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.fakes.anthropic_scripts import SECRET, TEXT
from tests.integration.providers.reading import Read, read, refusal, request

from sitebrook.errors import InvalidRequest, ProviderError
from sitebrook.providers.anthropic import AnthropicProvider
from sitebrook.providers.protocol import (
    Delta,
    FileContent,
    FilePart,
    Finish,
    FunctionDelta,
    GenerationOptions,
    ImagePart,
    ImageUrl,
    PromptMessage,
    PromptPassage,
    TextPart,
    ToolCallDelta,
    Usage,
)
from sitebrook.settings import ProviderSettings


@pytest.fixture
async def claude(upstream, client) -> AsyncIterator:
    made: list[AnthropicProvider] = []

    def make(**over: object) -> AnthropicProvider:
        fields = {"name": "fake", "base_url": upstream.base_url, "api_key": "sk-upstream", **over}
        made.append(AnthropicProvider(ProviderSettings(kind="anthropic", **fields), client))
        return made[-1]

    yield make
    for one in made:
        await one.aclose()


async def _read(provider: AnthropicProvider, model: str, **over: object) -> Read:
    return await read(await provider.open(request(model, **over)))


WHOLE = [
    *("normal", "cr", "crlf", "bom", "split", "one-read", "pings", "unknown-events", "done"),
    *("text-in-start", "no-stop", "open-after-stop", "redacted", "server-tool", "citations"),
    *("slow", "after-finish"),
]


@pytest.mark.parametrize("model", WHOLE)
async def test_a_whole_answer_is_read_whatever_stands_beside_its_text(model, claude):
    seen = await _read(claude(), model)
    assert (seen.error, seen.text) == (None, TEXT)
    assert seen.finishes == [Finish(0, "stop")]
    assert seen.events[-1] == Usage(7, 5, cached_tokens=1)


async def test_each_piece_of_text_becomes_one_delta(claude):
    seen = await _read(claude(), "one-read")
    deltas = [one.content for one in seen.events if isinstance(one, Delta)]
    assert deltas == ["Hello", ",", " wörld", " 😀", "."]


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        *(("end_turn", "stop"), ("stop_sequence", "stop"), ("a_new_reason", "stop")),
        *(("max_tokens", "length"), ("model_context_window_exceeded", "length")),
        *(("pause_turn", "length"), ("refusal", "content_filter"), ("tools", "tool_calls")),
        ("refused-at-once", "content_filter"),
    ],
)
async def test_stop_reasons_become_finish_reasons(model, reason, claude):
    assert (await _read(claude(), model)).finishes == [Finish(0, reason)]


async def test_calls_are_numbered_and_come_in_pieces(claude):
    seen = await _read(claude(), "tools")
    text, named, *argued = (one for one in seen.events if isinstance(one, Delta))
    assert text == Delta(content="I will look.")
    assert named.tool_calls == (
        ToolCallDelta(
            index=0, id="toolu_1", type="function", function=FunctionDelta("get_weather", "")
        ),
    )
    pieces = [one.tool_calls[0].function.arguments for one in argued]
    assert pieces == ['{"city": "Ro', 'me"}']


@pytest.mark.parametrize(
    ("model", "calls"),
    [
        ("two-tools", {0: '{"city":"Rome"}', 1: "{}"}),
        ("input-in-start", {0: '{"a":1}'}),
    ],
)
async def test_a_call_has_the_arguments_that_its_block_has(model, calls, claude):
    seen = await _read(claude(), model)
    told: dict[int, str] = {}
    for event in seen.events:
        for call in event.tool_calls if isinstance(event, Delta) else ():
            told[call.index] = told.get(call.index, "") + (call.function.arguments or "")
    assert {index: told[index].replace(": ", ":") for index in told} == calls


async def test_thoughts_are_not_part_of_the_text(claude):
    seen = await _read(claude(), "thinking")
    thoughts = [one.reasoning_content for one in seen.events if isinstance(one, Delta)]
    assert "".join(thoughts) == "Let me see."
    assert seen.text == TEXT


async def test_usage_counts_what_was_cached_and_may_come_late(claude):
    assert (await _read(claude(), "late-usage")).usage == Usage(14, 6, cached_tokens=1)
    assert (await _read(claude(), "no-usage")).usage is None


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("surrogate", "a\ufffdb\ufffdc😀"),
        ("nul", "a\ufffdb\\u0000"),
        ("invalid-utf8", "a\ufffdb"),
    ],
)
async def test_what_no_text_may_hold_is_replaced(model, text, claude):
    seen = await _read(claude(), model)
    assert (seen.text, seen.error) == (text, None)


BREAKS = {
    "truncated": "provider_broke_off",
    "no-stop-reason": "provider_broke_off",
    "before-message-delta": "provider_broke_off",
    "null-stop-reason": "provider_broke_off",
    "eof-in-json": "provider_malformed",
    "bad-json": "provider_malformed",
    "wrong-shape": "provider_malformed",
    "not-an-object": "provider_malformed",
    "overloaded": "provider_error",
    "api-error": "provider_error",
    "bare-error": "provider_error",
    "reset": "provider_broke_off",
    "stall": "provider_timeout",
}


@pytest.mark.parametrize(("model", "code"), BREAKS.items())
async def test_a_fault_after_the_first_delta_keeps_the_text_and_ends_with_an_error(
    model, code, claude, upstream
):
    seen = await _read(claude(idle_timeout_s=0.15), model)
    assert seen.text.startswith("Hello")
    assert TEXT.startswith(seen.text)
    assert not seen.finishes
    assert seen.usage is None
    assert seen.error is not None
    assert seen.error.code == code
    assert SECRET not in str(seen.error)
    if model == "stall":
        await upstream.wait_until_closed(timeout_s=1)


REFUSALS = {
    "400": (400, True, None, "provider_error"),
    "too-long": (400, True, None, "context_length_exceeded"),
    "too-long-together": (400, True, None, "context_length_exceeded"),
    "no-credit": (400, True, None, "insufficient_quota"),
    "spent": (400, True, None, "insufficient_quota"),
    "401": (401, True, None, "provider_error"),
    "402": (402, True, None, "insufficient_quota"),
    "403": (403, True, None, "provider_error"),
    "404": (404, True, None, "provider_error"),
    "413": (413, True, None, "provider_error"),
    "429": (429, False, 7, "provider_error"),
    "500": (500, False, None, "provider_error"),
    "504": (504, False, None, "provider_error"),
    "529": (529, False, None, "provider_error"),
    "529-seconds": (529, False, 3, "provider_error"),
    "redirect": (307, True, None, "provider_error"),
    "overloaded-first": (529, False, None, "provider_error"),
    "start-only": (None, False, None, "provider_broke_off"),
    "html": (None, False, None, "provider_malformed"),
    "json-200": (None, False, None, "provider_malformed"),
    "empty": (None, False, None, "provider_malformed"),
    "only-pings": (None, False, None, "provider_malformed"),
    "reset-before": (None, False, None, "provider_unreachable"),
}


@pytest.mark.parametrize(("model", "meaning"), REFUSALS.items())
async def test_a_fault_before_the_first_delta_refuses_the_request(model, meaning, claude):
    error = await refusal(claude(), model)
    assert (error.upstream_status, error.is_permanent, error.retry_after_s, error.code) == meaning


@pytest.mark.parametrize("model", ["never-headers", "never-first", "pings-forever"])
async def test_the_first_delta_has_a_clock(model, claude, upstream):
    error = await refusal(claude(first_delta_timeout_s=0.1), model)
    assert error.code == "provider_timeout"
    await upstream.wait_until_closed(timeout_s=1)


async def test_the_whole_answer_has_a_clock(claude, upstream):
    seen = await _read(claude(total_timeout_s=0.15), "never-ending")
    assert seen.error is not None
    assert seen.error.code == "provider_timeout"
    await upstream.wait_until_closed(timeout_s=1)


async def test_leaving_closes_the_upstream(claude, upstream):
    opened = await claude().open(request("never-ending"))
    await opened.aclose()
    await upstream.wait_until_closed(timeout_s=1)


async def test_a_connection_serves_the_next_answer(claude, upstream):
    fake = claude()
    for _ in range(3):
        await _read(fake, "normal")
    assert upstream.accepted == 1


async def test_the_key_goes_in_the_headers_of_the_api_and_ours_stay_here(claude, upstream):
    await _read(claude(), "normal", passages=(PromptPassage(1, "Title", "Text"),))
    (sent,) = upstream.requests
    assert sent.path == "/v1/messages"
    assert sent.headers["x-api-key"] == "sk-upstream"
    assert sent.headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in sent.headers
    assert sent.json == {
        "model": "normal",
        "max_tokens": 16_384,
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hello there, how are you?"}]}
        ],
        "stream": True,
    }


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/"])
async def test_the_address_may_be_that_of_anthropic_s_own_clients(ending, claude, upstream):
    address = upstream.base_url.removesuffix("/v1") + ending
    await _read(claude(base_url=address), "normal")
    assert upstream.requests[0].path == "/v1/messages"


async def test_the_settings_bound_answers_to_requests_that_do_not(claude, upstream):
    fake = claude(max_tokens=77)
    await _read(fake, "normal")
    await _read(fake, "normal", options=GenerationOptions(max_tokens=9))
    assert [one.json["max_tokens"] for one in upstream.requests] == [77, 9]


async def test_images_and_documents_arrive_as_they_were_sent(claude):
    parts = (
        TextPart("What is it?"),
        ImagePart(ImageUrl("data:image/png;base64,AA==")),
        ImagePart(ImageUrl("https://example.com/a.png")),
        FilePart(FileContent(file_data="data:application/pdf;base64,BB==")),
    )
    seen = await _read(
        claude(), "echo-images", messages=(PromptMessage(role="user", content=parts),)
    )
    assert seen.text == (
        "image base64 image/png AA==; image url https://example.com/a.png; "
        "document base64 application/pdf BB=="
    )


async def test_what_the_api_lacks_is_refused_and_nothing_is_sent(claude, upstream):
    with pytest.raises(InvalidRequest) as refused:
        await claude().open(request("normal", options=GenerationOptions(seed=1)))
    assert refused.value.param == "seed"
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("script", "outcomes"),
    [
        ("529", ["failed", "failed", "answered"]),
        ("overloaded-first", ["failed", "failed", "answered"]),
        ("529-seconds", ["failed", "answered"]),
        ("429", ["rate_limited", "answered"]),
        ("no-credit", ["out_of_quota", "answered"]),
        ("spent", ["out_of_quota", "answered"]),
        ("402", ["out_of_quota", "answered"]),
    ],
)
async def test_a_route_goes_on_where_another_provider_may_answer(
    script, outcomes, make_router, told
):
    router = make_router(f"first/{script}", "second/normal", kind="anthropic")
    opened = await router.open("m", request(""))
    assert (await read(opened.stream)).text == TEXT
    assert (opened.provider, told.outcomes) == ("second", outcomes)


@pytest.mark.parametrize("script", ["400", "413", "too-long"])
async def test_a_route_ends_where_the_request_is_at_fault(script, make_router, second):
    router = make_router(f"first/{script}", "second/normal", kind="anthropic")
    with pytest.raises(ProviderError):
        await router.open("m", request(""))
    assert second.requests == []
