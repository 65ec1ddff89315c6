"""The stream as it comes over a socket: its headers, its grammar, its pace."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator

import pytest
from tests.integration.api.client import CHAT, Api, events_of, question, text_of

_LONG = "How do I tune the rigging?"


def _reads(api: Api, body: dict[str, object], **headers: str) -> Iterator[tuple[float, bytes]]:
    """What single reads of the connection bring and when, in seconds since the request."""
    payload = json.dumps(body).encode()
    lines = [f"POST {CHAT} HTTP/1.1", f"host: 127.0.0.1:{api.server.port}", "connection: close"]
    fields = {**api.site.server, "content-type": "application/json", **headers}
    lines += [f"{name}: {value}" for name, value in fields.items()]
    lines += [f"content-length: {len(payload)}", "accept-encoding: gzip, br", "", ""]
    with socket.create_connection(("127.0.0.1", api.server.port), 30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = time.monotonic()
        connection.sendall("\r\n".join(lines).encode() + payload)
        while read := connection.recv(65536):
            yield time.monotonic() - began, read


def _without_chunking(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        whole += rest[:length]
        assert rest[length : length + 2] == b"\r\n"
        body = rest[length + 2 :]
    return whole


def _stream(api: Api, body: dict[str, object], **headers: str) -> tuple[dict[str, str], bytes]:
    raw = b"".join(read for _, read in _reads(api, body, **headers))
    head, _, rest = raw.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    assert status.startswith("HTTP/1.1 200")
    fields = dict(line.lower().split(": ", 1) for line in lines)
    return fields, _without_chunking(rest)


@pytest.fixture(scope="module")
def long_reads(api: Api) -> list[tuple[float, bytes]]:
    """The reads of a long answer, one delta every 20 ms."""
    return list(_reads(api, question(_LONG, model="paced/mock", stream=True, n=2)))


def test_deltas_arrive_one_by_one(long_reads: list[tuple[float, bytes]]) -> None:
    arrivals = [(at, read.count(b'"delta":{"content":')) for at, read in long_reads]
    arrivals = [(at, count) for at, count in arrivals if count]
    deltas = sum(count for _, count in arrivals)
    assert deltas >= 100
    assert len(arrivals) >= 0.9 * deltas
    assert arrivals[-1][0] - arrivals[0][0] >= 0.9 * 0.02 * (deltas - 1)


def test_the_first_byte_comes_in_under_a_tenth_of_a_long_answers_time(
    long_reads: list[tuple[float, bytes]],
) -> None:
    assert long_reads[0][0] < 0.1 * long_reads[-1][0]


def test_the_headers_keep_every_delta_moving(api: Api) -> None:
    headers, _ = _stream(api, question(_LONG, stream=True), **{"x-request-id": "from-the-client"})
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["cache-control"] == "no-cache, no-transform"
    assert headers["x-accel-buffering"] == "no"
    assert "content-encoding" not in headers
    assert "content-length" not in headers
    assert headers["x-request-id"] == "from-the-client"
    assert re.fullmatch(r"ans_[0-9a-z]{22}", headers["x-answer-id"])
    phases = [part.split(";dur=") for part in headers["server-timing"].split(", ")]
    assert {"retrieval", "provider"} <= {name for name, _ in phases}
    assert all(float(ms) >= 0 for _, ms in phases)


def test_a_malformed_request_id_is_replaced(api: Api) -> None:
    headers, _ = _stream(api, question("hello", stream=True), **{"x-request-id": "a b\tc"})
    assert re.fullmatch(r"req_[0-9a-z]{22}", headers["x-request-id"])


def test_the_lines_are_data_lines_only(api: Api) -> None:
    resuming = {"last-event-id": "1-1"}
    _, body = _stream(api, question(_LONG, stream=True), **resuming)
    assert b"\r" not in body
    for block in body.decode().removesuffix("\n\n").split("\n\n"):
        assert block.startswith("data: ")
        assert "\n" not in block


@pytest.mark.parametrize("includes_usage", [False, True])
@pytest.mark.parametrize("choices", [1, 2])
def test_the_chunks_follow_the_grammar(api: Api, *, includes_usage: bool, choices: int) -> None:
    asked = question(_LONG, stream=True, n=choices)
    if includes_usage:
        asked["stream_options"] = {"include_usage": True}
    headers, body = _stream(api, asked)
    *chunks, done = events_of(body)
    assert done == "[DONE]"
    assert {(one["id"], one["created"], one["model"]) for one in chunks} == {
        (chunks[0]["id"], chunks[0]["created"], "mock")
    }
    assert chunks[0]["id"].lower() == headers["x-answer-id"]
    assert {one["object"] for one in chunks} == {"chat.completion.chunk"}
    if includes_usage:
        last = chunks.pop()
        assert last["choices"] == []
        assert last["usage"]["completion_tokens"] > 0
        assert [one["usage"] for one in chunks] == [None] * len(chunks)
    else:
        assert not any("usage" in one for one in chunks)
    assert chunks[0]["conversation_id"].startswith("conv_")
    for index in range(choices):
        mine = [choice for one in chunks for choice in one["choices"] if choice["index"] == index]
        _check_choice(mine)
    assert all(len(one["choices"]) == 1 for one in chunks)


def _check_choice(parts: list[dict[str, object]]) -> None:
    deltas = [part["delta"] for part in parts]
    assert deltas[0] == {"role": "assistant", "content": ""}
    contents = [delta for delta in deltas[1:] if set(delta) == {"content"}]
    assert all(delta["content"] for delta in contents)
    assert deltas[1 : 1 + len(contents)] == contents
    assert [set(delta) for delta in deltas[1 + len(contents) :]] == [{"annotations"}, set()]
    assert [part["finish_reason"] for part in parts] == [None] * (len(parts) - 1) + ["stop"]


def test_the_plain_answer_is_the_same(api: Api) -> None:
    _, body = _stream(api, question(_LONG, stream=True))
    chunks = events_of(body)
    plain = api.ask(_LONG)
    assert plain.headers["x-answer-id"] == plain.json["id"]
    assert "server-timing" in plain.headers
    message = plain.json["choices"][0]["message"]
    assert text_of(chunks) == message["content"]
    cited = next(one for one in chunks if isinstance(one, dict) and "citations" in one)
    assert cited["choices"][0]["delta"]["annotations"] == message["annotations"]
    assert cited["citations"] == plain.json["citations"]
    for one in cited["citations"]:
        assert set(one) == {
            "index",
            "id",
            "document",
            "title",
            "url",
            "heading",
            "quote",
            "score",
        }


def test_a_stream_of_a_refused_question_is_a_plain_error(api: Api) -> None:
    reply = api.ask(_LONG, stream=True, model="nowhere")
    assert reply.status == 404
    assert reply.headers["content-type"] == "application/json"
    assert "x-answer-id" not in reply.headers
