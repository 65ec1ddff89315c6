"""What a caller sees of an upstream that fails, beside the modes of ``integration/faults``."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from tests.fakes.openai_scripts import (
    ROLE,
    SECRET,
    STOP,
    TEXT,
    chunk_of,
    event,
    playing,
    stream,
)
from tests.fakes.upstream import Exchange
from tests.integration.api.client import (
    CHAT,
    Api,
    Reply,
    apoll,
    assert_is_error,
    events_of,
    question,
    text_of,
)
from tests.integration.api.conftest import EARLY_START_S, KEEP_ALIVE_S

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _ask(api: Api, script: str, **over: object) -> Reply:
    over = {"model": f"up/{script}", "retrieval": {"off": True}, **over}
    return await api.asend("POST", CHAT, question("Hello?", **over), api.site.server)


async def _stored(api: Api, reply: Reply) -> list[dict[str, Any]]:
    """The conversation of a streamed answer, once its answer is stored."""
    conversation_id = events_of(reply.body)[0]["conversation_id"]

    async def read() -> list[dict[str, Any]] | None:
        path = f"/api/conversations/{conversation_id}"
        reply = await api.asend("GET", path, None, api.site.server)
        messages = reply.json.get("messages", ())  # a conversation is stored behind its stream
        return messages if len(messages) > 1 else None

    return await apoll(read)


async def test_an_upstreams_answer_is_passed_on_in_our_own_chunks(api: Api) -> None:
    reply = await _ask(api, "normal", stream=True)
    chunks = events_of(reply.body)
    assert text_of(chunks) == TEXT
    assert chunks[0]["model"] == "up/normal"
    assert chunks[0]["id"] == reply.headers["x-answer-id"]
    assert b"upstream" not in reply.body
    sent = api.upstream.requests[-1]
    assert sent.json["model"] == "normal"
    assert api.site.secret_key not in str(sent.headers)


@pytest.mark.parametrize(
    "delta",
    [
        {"tool_calls": {"index": 0}},
        {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": {"a": 1}}}]},
        {"refusal": {"text": "no"}},
    ],
    ids=["calls", "arguments", "refusal"],
)
@pytest.mark.parametrize("streams", [True, False])
async def test_a_field_of_another_shape_is_the_providers_failure_in_stream_and_json(
    api: Api, delta: dict[str, Any], *, streams: bool
) -> None:
    api.upstream.scripts["misshapen"] = playing([ROLE, chunk_of(delta), STOP, "[DONE]"])
    reply = await _ask(api, "misshapen", stream=streams)
    assert_is_error(reply, 502, "provider_malformed")


async def test_calls_without_numbers_are_the_same_in_stream_and_json(api: Api) -> None:
    calls = [
        {"id": name, "index": None, "function": {"name": name, "arguments": "{}"}} for name in "ab"
    ]
    deltas = [chunk_of({"reasoning": "hm", "tool_calls": [call]}) for call in calls]
    api.upstream.scripts["unnumbered"] = playing([*deltas, chunk_of({}, "tool_calls"), "[DONE]"])
    message = (await _ask(api, "unnumbered")).json["choices"][0]["message"]
    assert [call["id"] for call in message["tool_calls"]] == ["a", "b"]
    assert message["reasoning_content"] == "hmhm"
    streamed = events_of((await _ask(api, "unnumbered", stream=True)).body)
    found = [chunk["choices"][0]["delta"] for chunk in streamed if chunk != "[DONE]"]
    parts = [part for delta in found for part in delta.get("tool_calls", ())]
    assert [(part["index"], part["id"]) for part in parts] == [(0, "a"), (1, "b")]


async def test_a_broken_answer_of_the_mock_keeps_its_citations(api: Api) -> None:
    asked = question("How do I tune the rigging?", model="mock/mock-truncate-30", stream=True)
    reply = await api.asend("POST", CHAT, asked, api.site.server)
    *chunks, last = events_of(reply.body)
    assert last["error"]["code"] == "provider_broke_off"
    _, answer = await _stored(api, reply)
    assert answer["status"] == "interrupted"
    assert answer["content"] == text_of(chunks)
    assert {one["title"] for one in answer["citations"]} == {"Tune the rigging"}


def _late(then: bytes) -> Any:
    async def play(exchange: Exchange) -> None:
        await exchange.head(content_type="text/event-stream")
        await exchange.chunk(event(ROLE))
        await asyncio.sleep(EARLY_START_S + 2.5 * KEEP_ALIVE_S)
        await exchange.chunk(then)
        await exchange.end()

    return play


async def _times_of_reads(api: Api, model: str) -> list[tuple[float, bytes]]:
    """What single reads of a streamed answer's body bring, and when."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.server.port)
    asked = question("Hello?", model=model, retrieval={"off": True}, stream=True)
    body = str(asked).replace("'", '"').replace("True", "true").encode()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
        f"authorization: Bearer {api.site.secret_key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    began = time.monotonic()
    writer.write(head.encode() + body)
    reads: list[tuple[float, bytes]] = []
    while read := await reader.read(65536):
        reads.append((time.monotonic() - began, read))
    writer.close()
    await writer.wait_closed()
    return reads


async def test_a_late_upstream_is_waited_for_behind_keep_alives(api: Api) -> None:
    words = b"".join(event(one) for one in (chunk_of({"content": "Hello"}), STOP, "[DONE]"))
    api.upstream.scripts["late"] = _late(words)
    reads = await _times_of_reads(api, "up/late")
    assert reads[0][0] >= EARLY_START_S
    assert reads[0][0] < EARLY_START_S + KEEP_ALIVE_S
    whole = b"".join(read for _, read in reads)
    head, _, body = whole.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert body.startswith(b"e\r\n: keep-alive\n\n\r\n")
    assert body.count(b": keep-alive\n\n") == 3
    assert body.index(b'"role":"assistant"') > body.rindex(b": keep-alive")
    assert b"data: [DONE]\n\n" in body


async def test_a_failure_after_an_early_start_is_one_error_frame(api: Api) -> None:
    failure = event({"error": {"message": SECRET, "code": 503}})
    api.upstream.scripts["late-failure"] = _late(failure)
    whole = b"".join(read for _, read in await _times_of_reads(api, "up/late-failure"))
    assert whole.startswith(b"HTTP/1.1 200")
    assert whole.count(b"data: ") == 1
    assert b'data: {"error":{"message":"' in whole
    assert b"[DONE]" not in whole
    assert SECRET.encode() not in whole


async def test_silence_between_deltas_is_filled_with_keep_alives(api: Api) -> None:
    async def pausing(exchange: Exchange) -> None:
        await stream(exchange, [ROLE, chunk_of({"content": "a"})])
        await asyncio.sleep(1.5 * KEEP_ALIVE_S)
        for payload in (chunk_of({"content": "b"}), STOP, "[DONE]"):
            await exchange.chunk(event(payload))
        await exchange.end()

    api.upstream.scripts["pausing"] = pausing
    reply = await _ask(api, "pausing", stream=True)
    assert reply.body.count(b": keep-alive\n\n") == 1
    assert text_of(events_of(reply.body)) == "ab"
