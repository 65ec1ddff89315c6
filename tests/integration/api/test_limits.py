"""Rate limits and limits of input, through a server with small ones."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.integration.api.client import CHAT, Api, assert_is_error, question
from tests.servers import RunningServer, running_server

_PAGE = {"SITEBROOK_VISITOR_REQUESTS_PER_MINUTE": "3", "SITEBROOK_ADDRESS_REQUESTS_PER_MINUTE": "8"}


_ASKED = {"messages": [{"role": "user", "content": "Hello?"}]}


@pytest.fixture(scope="module")
def limited(session_database_url: str, api: Api, with_redis: dict[str, str]) -> Iterator[Api]:
    """The same sites behind a server that allows little, and counts for itself."""
    settings = {"SITEBROOK_KEY_OPEN_ANSWERS": "2", "SITEBROOK_REDIS_KEY_PREFIX": "limited:"}
    with running_server(session_database_url, **settings, **_PAGE, **with_redis) as server:
        yield _behind(api, server)


def _behind(api: Api, server: RunningServer) -> Api:
    return Api(server, api.site, api.other, api.upstream, api.left_upstream)


def test_a_visitor_who_asks_too_quickly_is_told_when_to_try_again(limited: Api) -> None:
    page = {**limited.site.page, "x-forwarded-for": "192.0.2.1"}
    visitor = {**page, "authorization": f"Bearer {_mint(limited, page)}"}
    for _ in range(3):
        assert limited.send("POST", CHAT, _ASKED, visitor).status == 200
    reply = limited.send("POST", CHAT, _ASKED, visitor)
    assert_is_error(reply, 429, "visitor_rate_limit")
    assert 1 <= int(reply.headers["retry-after"]) <= 20
    assert reply.json["error"]["type"] == "rate_limit_error"
    assert "try again" in reply.json["error"]["message"]
    assert limited.send("POST", CHAT, question("Hello?"), limited.site.server).status == 200


def test_an_address_cannot_go_on_as_a_new_visitor(limited: Api) -> None:
    page = {**limited.site.page, "x-forwarded-for": "192.0.2.2"}
    for _ in range(8):
        _mint(limited, page)
    reply = limited.send("POST", "/api/visitors", {}, page)
    assert_is_error(reply, 429, "address_rate_limit")
    _mint(limited, {**page, "x-forwarded-for": "192.0.2.3"})


def test_a_key_gives_only_so_many_answers_at_once(limited: Api) -> None:
    with contextlib.ExitStack() as streams:
        for _ in range(2):
            streams.enter_context(_opened(limited))
        reply = limited.send("POST", CHAT, question("Hello?"), limited.site.server)
        assert_is_error(reply, 429, "key_open_answers_limit")
        assert reply.headers["retry-after"]


@pytest.mark.parametrize("what", ["embeddings", "stores", "search"])
def test_what_spends_on_embeddings_counts_against_its_key(
    session_database_url: str, api: Api, with_redis: dict[str, str], what: str
) -> None:
    settings = {
        "SITEBROOK_KEY_REQUESTS_PER_MINUTE": "2",
        "SITEBROOK_REDIS_KEY_PREFIX": f"counted-{what}:",
    }
    server = api.site.server
    store = api.send("POST", "/v1/vector_stores", {}, server).json["id"]
    method, path, body = {
        "embeddings": ("POST", "/v1/embeddings", {"input": "sails"}),
        "stores": ("POST", f"/v1/vector_stores/{store}/search", {"query": "sails"}),
        "search": ("GET", "/api/search?question=sails", None),
    }[what]
    with running_server(session_database_url, **settings, **with_redis) as counting:
        counted = _behind(api, counting)
        assert counted.send(method, path, body, server).status == 200
        assert counted.send("POST", CHAT, question("Hello?"), server).status == 200
        reply = counted.send(method, path, body, server)
        assert_is_error(reply, 429, "key_rate_limit")
        assert 1 <= int(reply.headers["retry-after"]) <= 30
        assert counted.send(method, path, body, api.other.server).status in {200, 404}


@contextlib.contextmanager
def _opened(api: Api) -> Iterator[None]:
    """A stream of which the first delta has come and the last has not."""
    connection = http.client.HTTPConnection("127.0.0.1", api.server.port, timeout=30)
    with contextlib.closing(connection):
        asked = question("word " * 200, stream=True, retrieval={"off": True})
        connection.request("POST", CHAT, json.dumps(asked).encode(), api.site.server)
        assert connection.getresponse().status == 200
        yield


def _mint(api: Api, page: dict[str, str]) -> str:
    reply = api.send("POST", "/api/visitors", {}, page)
    assert reply.status in {200, 201}, reply
    return reply.json["token"]


def _messages(*contents: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content} for content in contents]}


def test_more_than_200_messages_are_refused(api: Api) -> None:
    assert api.send("POST", CHAT, _messages(*["a"] * 200), api.site.server).status == 200
    reply = api.send("POST", CHAT, _messages(*["a"] * 201), api.site.server)
    assert_is_error(reply, 400)
    assert reply.json["error"]["param"] == "messages"


@pytest.mark.parametrize("position", [0, 1])
def test_a_message_of_more_than_100_000_characters_is_refused(api: Api, position: int) -> None:
    contents = ["a", "a"]
    contents[position] = "\N{GRINNING FACE}" * 100_001
    reply = api.send("POST", CHAT, _messages(*contents), api.site.server)
    assert_is_error(reply, 400)
    assert reply.json["error"]["param"] == f"messages[{position}].content"


@pytest.mark.parametrize("field", ["tools", "response_format"])
def test_a_schema_nested_too_deeply_is_refused(api: Api, field: str) -> None:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(70):
        schema = {"type": "object", "properties": schema}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    wanted = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    asked = question("Hello?", **{field: [tool] if field == "tools" else wanted})
    reply = api.send("POST", CHAT, asked, api.site.server)
    assert_is_error(reply, 400)
    assert reply.json["error"]["param"].startswith(field)


def test_text_that_cannot_be_is_replaced_on_its_way_in_and_out(api: Api) -> None:
    body = rb'{"messages":[{"role":"user","content":"sails \\ud800 \\u0000?"}],"unknown":{"a":1}}'
    headers = {**api.site.server, "content-type": "application/json"}
    reply = api.send("POST", CHAT, body.replace(b"\\\\", b"\\"), headers)
    assert reply.status == 200, reply
    assert b"\\u0000" not in reply.body
    assert b"\\ud800" not in reply.body
