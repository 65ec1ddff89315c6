"""Whether a promise was kept: in the reply, in the database, towards the upstream."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.fakes.transport_faults import SECRET
from tests.integration.api.client import (
    ERROR_KEYS,
    Reply,
    assert_is_error,
    events_of,
    text_of,
)
from tests.integration.faults.asking import Seen, Stored
from tests.integration.faults.promises import UNREACHABLE, BrokenOff, Promise, Refused, Whole

_FREE_WITHIN_S = 1.0
_SENT_HEADERS = {
    *("host", "user-agent", "accept", "accept-encoding", "content-type", "content-length"),
    "anthropic-version",
}


def check_reply(promise: Promise, reply: Reply, *, streams: bool) -> None:
    """The reply is what was promised, and holds nothing that the upstream said of itself."""
    assert SECRET.encode() not in reply.body
    assert SECRET not in str(reply.all_headers)
    assert not {"set-cookie", "location", "server"} & set(reply.headers), reply.headers
    if isinstance(promise, Refused):
        _check_refused(promise, reply)
    elif isinstance(promise, Whole):
        (_check_whole_stream if streams else _check_whole_body)(promise, reply)
    elif streams:
        _check_broken_stream(promise, reply)
    else:
        status = 504 if promise.code == "provider_timeout" else 502
        assert_is_error(reply, status, promise.code)


def check_requests(promise: Promise, seen: Seen) -> None:
    """The upstream was asked once, and told nothing of the caller and no cookie of its own.

    A connection that ends before a byte came may have ended before the request: once more then.
    """
    most = 2 if promise == UNREACHABLE else 1
    assert 1 <= len(seen.exchanges) <= most
    for exchange in seen.exchanges:
        assert set(exchange.request.headers) <= _SENT_HEADERS, exchange.request.headers
        assert exchange.request.headers["user-agent"].startswith("sitebrook/")
        assert b"caller-text" not in exchange.request.body


async def check_upstream_is_free(seen: Seen) -> None:
    """The upstream's connection was closed or is free for the next request, soon after."""
    deadline = asyncio.get_running_loop().time() + _FREE_WITHIN_S
    while not all(one.is_closed or one.is_whole for one in seen.exchanges):
        assert asyncio.get_running_loop().time() < deadline, "the upstream is still busy"
        await asyncio.sleep(0.02)


def check_stored(promise: Promise, messages: list[Stored]) -> None:
    """The conversation holds the answer if there was one, and says how it ended."""
    answers = [one for one in messages if one.role == "assistant"]
    if isinstance(promise, Refused):
        assert answers == []
        return
    assert len(answers) == 1, messages
    (answer,) = answers
    assert answer.status == ("complete" if isinstance(promise, Whole) else "interrupted")
    if promise.text is None:
        assert answer.content
        assert set(answer.content) == {"x"}
    else:
        assert answer.content == promise.text


def _check_refused(promise: Refused, reply: Reply) -> None:
    assert_is_error(reply, promise.status, promise.code)
    assert (reply.headers.get("x-should-retry") == "false") is promise.is_permanent
    told = reply.headers.get("retry-after")
    if promise.retry_after == "date":
        assert told is not None
        assert 0 < int(told) <= 3600
    else:
        assert told == promise.retry_after


def _check_whole_stream(promise: Whole, reply: Reply) -> None:
    assert reply.status == 200, reply
    *chunks, done = events_of(reply.body)
    assert done == "[DONE]"
    assert "[DONE]" not in chunks
    assert not any("error" in chunk for chunk in chunks)
    for index, text in enumerate((promise.text, *promise.others)):
        assert text_of(chunks, index) == text
    _check_grammar(chunks, promise.finishes)
    *others, last = chunks
    assert not any(chunk.get("usage") for chunk in others)
    assert last["choices"] == []
    _check_usage(promise, last["usage"])


def _check_whole_body(promise: Whole, reply: Reply) -> None:
    assert reply.status == 200, reply
    choices = reply.json["choices"]
    assert tuple(one["finish_reason"] for one in choices) == promise.finishes
    texts = tuple(one["message"]["content"] or "" for one in choices)
    assert texts == (promise.text, *promise.others)
    _check_usage(promise, reply.json["usage"])


def _check_broken_stream(promise: BrokenOff, reply: Reply) -> None:
    assert reply.status == 200, reply
    *chunks, last = events_of(reply.body)
    assert set(last) == {"error"}
    assert set(last["error"]) == ERROR_KEYS
    assert last["error"]["code"] == promise.code, last
    assert "[DONE]" not in chunks
    assert not any("error" in chunk for chunk in chunks)
    text = text_of(chunks)
    if promise.text is None:
        assert set(text) == {"x"}
    else:
        assert text == promise.text
    _check_grammar(chunks, promise.finished)


def _check_grammar(chunks: list[Any], finishes: tuple[str, ...]) -> None:
    """Each choice begins once with its role and ends with its one reason, if it ends."""
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    for index in {choice["index"] for choice in choices}:
        mine = [choice for choice in choices if choice["index"] == index]
        assert [one["delta"].get("role") for one in mine].index("assistant") == 0
        assert sum("role" in one["delta"] for one in mine) == 1
        reasons = [one["finish_reason"] for one in mine]
        wanted = [finishes[index]] if index < len(finishes) else []
        assert [reason for reason in reasons if reason] == wanted
        if wanted:
            assert reasons[-1] == wanted[0]


def _check_usage(promise: Whole, usage: dict[str, Any]) -> None:
    assert usage["estimated"] is (promise.usage is None)
    if promise.usage is not None:
        assert (usage["prompt_tokens"], usage["completion_tokens"]) == promise.usage
    else:
        assert usage["prompt_tokens"] > 0
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
