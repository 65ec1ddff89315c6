"""What the adapter sends, over real sockets."""

from __future__ import annotations

import pytest
from tests.integration.providers.reading import read, refusal, request

from sitebrook.errors import InvalidRequest
from sitebrook.providers.protocol import (
    FunctionName,
    FunctionSpec,
    GenerationOptions,
    ImagePart,
    ImageUrl,
    JsonSchema,
    NamedToolChoice,
    PromptMessage,
    PromptPassage,
    ResponseFormat,
    TextPart,
    Tool,
)


async def test_cookies_and_redirects_of_the_upstream_are_not_followed(provider, upstream):
    fake = provider()
    await read(await fake.open(request("cookies")))
    await refusal(fake, "redirect")
    await read(await fake.open(request("normal")))
    assert [one.path for one in upstream.requests] == ["/v1/chat/completions"] * 3
    assert not any("cookie" in one.headers for one in upstream.requests)


async def test_only_our_own_headers_are_sent(provider, upstream):
    await read(await provider().open(request("normal")))
    assert set(upstream.requests[0].headers) == {
        *("host", "user-agent", "accept", "accept-encoding", "content-type", "content-length"),
        "authorization",
    }
    assert upstream.requests[0].headers["authorization"] == "Bearer sk-upstream"


async def test_no_key_is_sent_where_none_is_set(provider, upstream):
    await read(await provider(api_key="").open(request("normal")))
    assert "authorization" not in upstream.requests[0].headers


async def test_unset_options_and_our_own_fields_are_not_sent(provider, upstream):
    passages = (PromptPassage(1, "Title", "Text"),)
    await read(await provider().open(request("normal", passages=passages)))
    assert upstream.requests[0].json == {
        "model": "normal",
        "messages": [{"role": "user", "content": "Hello there, how are you?"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_every_option_is_sent_in_the_wire_s_words(provider, upstream):
    options = GenerationOptions(
        max_tokens=9,
        temperature=0.0,
        top_p=0.5,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        n=2,
        seed=0,
        stop=("x",),
        tools=(Tool(FunctionSpec("find", parameters={"type": "object"})),),
        tool_choice=NamedToolChoice(FunctionName("find")),
        parallel_tool_calls=False,
        response_format=ResponseFormat("json_schema", JsonSchema("s", {"type": "object"})),
        logprobs=True,
        top_logprobs=2,
        reasoning_effort="low",
        user="u-1",
        metadata={"order": "7"},
        stores_metadata=True,
    )
    image = ImagePart(ImageUrl("https://example.org/a.png"))
    messages = (PromptMessage(role="user", content=(TextPart("What is it?"), image)),)
    await read(await provider().open(request("two-choices", options=options, messages=messages)))
    sent = upstream.requests[0].json
    assert sent["messages"][0]["content"] == [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
    ]
    assert (sent["max_tokens"], sent["seed"], sent["temperature"], sent["n"]) == (9, 0, 0.0, 2)
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "find"}}
    assert sent["tools"][0]["function"] == {"name": "find", "parameters": {"type": "object"}}
    assert sent["response_format"]["json_schema"] == {"name": "s", "schema": {"type": "object"}}
    assert (sent["user"], sent["metadata"]) == ("u-1", {"order": "7"})
    own = {"stores_metadata"}
    wire = {"model", "messages", "stream", "stream_options"}
    assert set(sent) == {*GenerationOptions.__struct_fields__} - own | wire


async def test_text_that_no_encoding_holds_is_the_caller_s_fault(provider):
    messages = (PromptMessage(role="user", content="\ud800"),)
    with pytest.raises(InvalidRequest) as caught:
        await provider().open(request("normal", messages=messages))
    assert caught.value.param == "messages"
