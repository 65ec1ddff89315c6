"""The unmodified OpenAI SDK over a provider that speaks Anthropic's wire."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio
from tests.fakes.anthropic_scripts import SECRET, TEXT
from tests.integration.api.client import CHAT, Api, assert_is_error, events_of, question, text_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

_ASK: list[dict[str, Any]] = [{"role": "user", "content": "Hello?"}]
_WITHOUT_SEARCH = {"retrieval": {"off": True}}
_WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@pytest_asyncio.fixture(loop_scope="session")
async def client(api: Api) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"{api.server.url}/v1", api_key=api.site.secret_key, max_retries=0
    ) as client:
        yield client


async def _ask(client: openai.AsyncOpenAI, script: str, **over: Any) -> Any:
    messages = over.pop("messages", _ASK)
    return await client.chat.completions.create(
        model=f"claude/{script}", messages=messages, extra_body=_WITHOUT_SEARCH, **over
    )


async def test_a_plain_answer_and_its_usage(client: openai.AsyncOpenAI, api: Api) -> None:
    answer = await _ask(client, "normal")
    assert answer.choices[0].message.content == TEXT
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 5)
    sent = api.upstream.requests[-1].json
    assert sent["system"]
    assert [turn["role"] for turn in sent["messages"]] == ["user"]


async def test_a_stream_ends_with_its_reason_and_usage(client: openai.AsyncOpenAI) -> None:
    stream = await _ask(client, "normal", stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    assert chunks[-1].usage.total_tokens == 12
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert "".join(one.delta.content or "" for one in choices) == TEXT
    assert [one.finish_reason for one in choices if one.finish_reason] == ["stop"]


async def test_a_tool_is_called_and_its_result_is_answered(client: openai.AsyncOpenAI) -> None:
    asked = await _ask(client, "tool-then-text", tools=[_WEATHER])
    assert asked.choices[0].finish_reason == "tool_calls"
    message = asked.choices[0].message
    (call,) = message.tool_calls
    assert (call.id, call.function.name) == ("toolu_1", "get_weather")
    assert json.loads(call.function.arguments) == {"city": "Rome"}
    result = {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}
    turns = [*_ASK, message.model_dump(exclude_none=True), result]
    answer = await _ask(client, "tool-then-text", messages=turns, tools=[_WEATHER])
    assert answer.choices[0].message.content == "toolu_1: 21 degrees"


async def test_streamed_calls_add_up(client: openai.AsyncOpenAI) -> None:
    chunks = [one async for one in await _ask(client, "two-tools", tools=[_WEATHER], stream=True)]
    calls: dict[int, str] = {}
    for chunk in chunks:
        for choice in chunk.choices:
            for call in choice.delta.tool_calls or ():
                calls[call.index] = calls.get(call.index, "") + (call.function.arguments or "")
    assert {index: json.loads(text) for index, text in calls.items()} == {
        0: {"city": "Rome"},
        1: {},
    }


async def test_an_image_reaches_the_model(client: openai.AsyncOpenAI) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    content = [{"type": "text", "text": "What is it?"}, image]
    answer = await _ask(client, "echo-images", messages=[{"role": "user", "content": content}])
    assert answer.choices[0].message.content == "image base64 image/png AA=="


async def test_an_answer_fits_its_schema(client: openai.AsyncOpenAI, api: Api) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "place", "schema": schema}}
    answer = await _ask(client, "json", response_format=wanted)
    assert json.loads(answer.choices[0].message.content) == {"city": "Rome", "c": 21}
    sent = api.upstream.requests[-1].json["output_config"]["format"]
    assert sent == {"type": "json_schema", "schema": {**schema, "additionalProperties": False}}


async def test_thoughts_come_beside_the_text(client: openai.AsyncOpenAI) -> None:
    answer = await _ask(client, "thinking")
    assert answer.choices[0].message.content == TEXT
    assert answer.choices[0].message.reasoning_content == "Let me see."


async def test_what_is_lacking_is_a_400_with_its_name(client: openai.AsyncOpenAI, api: Api) -> None:
    before = len(api.upstream.requests)
    with pytest.raises(openai.BadRequestError) as refused:
        await _ask(client, "normal", seed=1)
    assert (refused.value.param, refused.value.code) == ("seed", "unsupported_parameter")
    assert len(api.upstream.requests) == before


@pytest.mark.parametrize("streams", [True, False])
async def test_an_overloaded_upstream_is_told_in_our_words(api: Api, *, streams: bool) -> None:
    body = question("Hello?", model="claude/529", stream=streams, **_WITHOUT_SEARCH)
    reply = await api.asend("POST", CHAT, body, api.site.server)
    assert_is_error(reply, 502, "provider_error")
    assert SECRET.encode() not in reply.body


@pytest.mark.parametrize("script", ["overloaded", "before-message-delta", "no-stop-reason"])
async def test_a_stream_that_breaks_off_ends_with_one_error_frame(api: Api, script: str) -> None:
    body = question("Hello?", model=f"claude/{script}", stream=True, **_WITHOUT_SEARCH)
    reply = await api.asend("POST", CHAT, body, api.site.server)
    *chunks, last = events_of(reply.body)
    assert text_of(chunks)
    assert set(last) == {"error"}
    assert SECRET.encode() not in reply.body
    assert not any(choice["finish_reason"] for one in chunks for choice in one["choices"])


async def test_a_route_passes_over_a_provider_that_lacks_what_is_asked(api: Api) -> None:
    body = question("Hello?", model="claude-then-other", seed=1, **_WITHOUT_SEARCH)
    reply = await api.asend("POST", CHAT, body, api.site.server)
    assert reply.status == 200
    assert api.upstream.requests[-1].path == "/v1/chat/completions"
    body = question("Hello?", model="claude-then-other", **_WITHOUT_SEARCH)
    assert (await api.asend("POST", CHAT, body, api.site.server)).status == 200
    assert api.upstream.requests[-1].path == "/v1/messages"


async def test_a_route_whose_providers_all_lack_it_is_refused(api: Api) -> None:
    body = question("Hello?", model="claude-twice", n=2, **_WITHOUT_SEARCH)
    reply = await api.asend("POST", CHAT, body, api.site.server)
    assert_is_error(reply, 400, "unsupported_parameter", "n")


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}, "type"),
        ({"type": "image_url", "image_url": {"url": "ftp://example.com/a"}}, "image_url.url"),
        ({"type": "image_url"}, "image_url"),
    ],
)
async def test_a_part_that_cannot_be_passed_on_is_a_400_with_its_place(
    api: Api, part: dict[str, Any], param: str
) -> None:
    content = [{"type": "text", "text": "Hello?"}, part]
    body = {"model": "claude/normal", "messages": [{"role": "user", "content": content}]}
    reply = await api.asend("POST", CHAT, body, api.site.server)
    assert_is_error(reply, 400, "invalid_value", f"messages[0].content[1].{param}")
