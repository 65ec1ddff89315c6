"""The simple stream by POST and by GET: its frames, its rules, its ends."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.fakes.openai_scripts import events, stream
from tests.fakes.upstream import Exchange
from tests.integration.api.client import (
    SIMPLE,
    Api,
    Reply,
    assert_is_error,
    events_of,
)
from tests.integration.api.conftest import EARLY_START_S

_QUESTION = "How long does a spinnaker repair take?"
# The fake upstream plays in the session's loop.
_PLAYED = pytest.mark.asyncio(loop_scope="session")


def _post(api: Api, headers: dict[str, str] | None = None, **body: object) -> Reply:
    return api.send("POST", SIMPLE, {"question": _QUESTION, **body}, headers or api.site.server)


def _get(api: Api, headers: dict[str, str] | None = None, **query: object) -> Reply:
    path = f"{SIMPLE}?{urlencode({'question': _QUESTION, **query})}"
    return api.send("GET", path, None, api.site.server if headers is None else headers)


@pytest.fixture(scope="module")
def visitor(api: Api) -> dict[str, str]:
    """Headers of a visitor of the site."""
    return api.site.visitor(api.send("POST", "/api/visitors", {}, api.site.page).json["token"])


@pytest.mark.parametrize("ask", [_post, _get])
def test_an_answer_comes_as_content_then_its_sources_then_done(api: Api, ask: Any) -> None:
    reply = ask(api)
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reply.headers["cache-control"] == "no-cache, no-transform"
    assert reply.headers["x-answer-id"].startswith("ans_")
    *pieces, last, done = events_of(reply.body)
    assert done == "[DONE]"
    assert len(pieces) > 3
    assert {tuple(piece) for piece in pieces} == {("content",)}
    text = "".join(piece["content"] for piece in pieces)
    assert "two days" in text
    assert "[1]" in text
    assert set(last) == {"content", "citations", "finish_reason", "conversation_id"}
    assert (last["content"], last["finish_reason"]) == ("", "stop")
    assert [one["index"] for one in last["citations"]] == [1]
    path = f"/api/conversations/{last['conversation_id']}"
    stored = api.send("GET", path, None, api.site.server).json["messages"]
    assert [one["content"] for one in stored] == [_QUESTION, text]


def test_the_text_is_that_of_the_chat_route(api: Api) -> None:
    text = "".join(frame["content"] for frame in events_of(_post(api).body)[:-1])
    whole = api.ask(_QUESTION, model="auto").json
    assert text == whole["choices"][0]["message"]["content"]


@pytest.mark.parametrize("ask", [_post, _get])
def test_a_visitor_asks_and_goes_on_with_the_conversation(
    api: Api, visitor: dict[str, str], ask: Any
) -> None:
    first = events_of(ask(api, visitor).body)[-2]["conversation_id"]
    again = events_of(ask(api, visitor, conversation_id=first).body)[-2]
    assert again["conversation_id"] == first
    assert_is_error(ask(api, visitor, conversation_id="conv_x"), 404, "conversation_not_found")


def test_a_browser_s_get_of_the_own_origin_has_no_origin(api: Api, visitor: dict[str, str]) -> None:
    bare = {"authorization": visitor["authorization"]}
    assert _get(api, bare).status == 200


@_PLAYED
async def test_what_a_secret_key_sets_reaches_the_provider(api: Api) -> None:
    history = [{"role": "user", "content": "A"}, {"role": "assistant", "content": "B"}]
    options: dict[str, Any] = {"system": "Be brief.", "temperature": 0.5, "max_tokens": 7}
    for ask, sent in ((_post, history), (_get, json.dumps(history))):
        assert (
            await asyncio.to_thread(ask, api, model="up/normal", history=sent, **options)
        ).status == 200
        found = api.upstream.requests[-1].json
        assert (found["temperature"], found["max_tokens"]) == (0.5, 7)
        system, *turns = found["messages"]
        assert "Be brief." in system["content"]
        assert [turn["content"] for turn in turns] == ["A", "B", _QUESTION]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("history", [{"role": "user", "content": "A"}]),
        ("model", "gpt-4o"),
        ("temperature", 0.0),
        ("max_tokens", 5),
        ("system", "x"),
    ],
)
def test_a_page_may_set_nothing_but_the_question(
    api: Api, visitor: dict[str, str], field: str, value: object
) -> None:
    for headers in (api.site.page, visitor):
        reply = _post(api, headers, **{field: value})
        assert_is_error(reply, 400, "not_allowed_for_publishable_key", field)
    text = json.dumps(value) if field == "history" else value
    reply = _get(api, visitor, **{field: text})
    assert_is_error(reply, 400, "not_allowed_for_publishable_key", field)


def test_a_publishable_key_posts_from_its_page_but_never_gets(api: Api) -> None:
    assert _post(api, api.site.page).status == 200
    assert_is_error(_get(api, api.site.page), 403, "ticket_required")
    bare = {"authorization": api.site.page["authorization"]}
    assert_is_error(_get(api, bare), 403, "origin_required")
    assert_is_error(_get(api, {}), 401, "missing_api_key")


@pytest.mark.parametrize("ask", [_post, _get])
@pytest.mark.parametrize("question", ["", " \n\t", "x" * 8001])
def test_an_empty_or_long_question_is_400(api: Api, ask: Any, question: str) -> None:
    assert_is_error(ask(api, question=question), 400, param="question")


@_PLAYED
async def test_a_question_of_8000_characters_is_taken_whatever_its_bytes(api: Api) -> None:
    assert (
        await asyncio.to_thread(_post, api, question="\N{GRINNING FACE}" * 8000, model="up/normal")
    ).status == 200
    assert_is_error(api.send("POST", SIMPLE, {}, api.site.server), 400, param="question")
    assert_is_error(api.send("GET", SIMPLE, None, api.site.server), 400, param="question")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"temperature": 2.5}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"history": [{"role": "system", "content": "x"}]}, "history[0].role"),
        ({"history": [{"role": "user", "content": "x"}] * 201}, "history"),
        ({"question": 5}, "question"),
        ({"system": 5}, "system"),
    ],
)
def test_a_wrong_field_is_400_with_its_name(api: Api, body: dict[str, Any], param: str) -> None:
    assert_is_error(_post(api, **body), 400, param=param)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("temperature=hot", "temperature"),
        ("temperature=nan", "temperature"),
        ("max_tokens=-1", "max_tokens"),
        ("history=nonsense", "history"),
        ("history=" + "[" * 5000, "history"),
        ("history=%5B%7B%22role%22:%22tool%22,%22content%22:%22%22%7D%5D", "history"),
        ("question=a", "question"),
        ("system=%ff", None),
        ("&".join(f"a{number}=" for number in range(101)), None),
    ],
)
def test_a_wrong_parameter_is_400_with_its_name(api: Api, query: str, param: str | None) -> None:
    reply = api.send("GET", f"{SIMPLE}?question=hello&{query}", None, api.site.server)
    assert_is_error(reply, 400)
    assert reply.json["error"]["param"] == param


@_PLAYED
async def test_nul_in_a_parameter_is_replaced(api: Api) -> None:
    assert (await asyncio.to_thread(_get, api, question="a\0b", model="up/normal")).status == 200
    assert api.upstream.requests[-1].json["messages"][-1]["content"] == "a\ufffdb"


@_PLAYED
@pytest.mark.parametrize("ask", [_post, _get])
async def test_a_failure_before_the_text_has_its_true_status(api: Api, ask: Any) -> None:
    assert_is_error(await asyncio.to_thread(ask, api, model="none"), 404, "model_not_found")
    assert_is_error(await asyncio.to_thread(ask, api, model="up/500"), 502, "provider_error")


@_PLAYED
@pytest.mark.parametrize("ask", [_post, _get])
async def test_a_failure_in_the_text_is_one_error_and_no_done(api: Api, ask: Any) -> None:
    reply = await asyncio.to_thread(ask, api, model="up/truncated")
    assert reply.status == 200
    *pieces, last = events_of(reply.body)
    assert "".join(piece["content"] for piece in pieces).startswith("Hello,")
    assert set(last) == {"error"}
    assert set(last["error"]) == {"message", "type", "param", "code"}


@_PLAYED
async def test_an_answer_that_takes_long_begins_with_a_sign_of_life(api: Api) -> None:
    async def late(exchange: Exchange) -> None:
        await asyncio.sleep(EARLY_START_S + 0.2)
        await stream(exchange, events())
        await exchange.end()

    api.upstream.scripts["late"] = late
    reply = await asyncio.to_thread(_post, api, model="up/late")
    assert reply.body.startswith(b": keep-alive\n\n")
    assert events_of(reply.body)[-1] == "[DONE]"
