"""Every route with input that it must refuse: a true status in the one shape, never a 500."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from tests.integration.api.client import (
    CHAT,
    ERROR_KEYS,
    PAGE_ORIGIN,
    SIMPLE,
    Api,
    Reply,
    assert_is_error,
    question,
)

from sitebrook.access.keys import create_key, revoke_key
from sitebrook.db.engine import Database

_UPLOAD = "/api/documents/files"
_UPLOADS = (_UPLOAD, "/v1/files")
_JSON_ROUTES = (
    CHAT,
    SIMPLE,
    "/api/documents",
    "/api/visitors",
    "/api/tickets",
    "/v1/embeddings",
    "/v1/vector_stores",
)
_BIG_BYTES = 20_000_000
_DEEP = 100_000


@pytest.fixture(scope="module")
def operations(api: Api) -> list[tuple[str, str]]:
    """Method and path of every operation of the OpenAPI document, placeholders filled."""
    document = api.send("GET", "/docs/openapi.json").json
    found = [
        (method.upper(), re.sub(r"{\w+}", "doc_" + "x" * 22, path))
        for path, operations in document["paths"].items()
        for method in operations
    ]
    assert len(found) >= 13
    return found


@pytest.fixture(scope="module")
def locked(operations: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The operations that need a key."""
    return [(method, path) for method, path in operations if not path.startswith("/health/")]


@pytest.fixture(autouse=True)
def _nothing_is_lost(api: Api) -> Iterator[None]:
    yield
    reply = api.ask("When does the workshop open?")
    assert reply.status == 200
    assert "nine in the morning" in reply.json["choices"][0]["message"]["content"]
    stored = api.send(
        "GET", f"/api/conversations/{reply.json['conversation_id']}", None, api.site.server
    )
    assert len(stored.json["messages"]) == 2


@pytest.fixture(scope="module", autouse=True)
def _nothing_fails_in_the_server(api: Api) -> Iterator[None]:
    before = api.server.errors(api.site.secret_key)
    yield
    assert api.server.errors(api.site.secret_key) == before


def _keys_of(api: Api, path: str) -> dict[str, str]:
    return api.site.page if path == "/api/visitors" else api.site.server


def _body_for(method: str, path: str) -> tuple[bytes | None, dict[str, str]]:
    """A body that the route takes."""
    if method != "POST":
        return None, {}
    if path in _UPLOADS:
        field = b"files" if path == _UPLOAD else b"file"
        part = b'--x\r\ncontent-disposition: form-data; name="%b"; filename="a.md"\r\n\r\n# A'
        part = part % field
        return part + b"\r\n--x--\r\n", {"content-type": "multipart/form-data; boundary=x"}
    whole = {
        **question("hello"),
        **dict.fromkeys(("question", "content", "source", "input", "query", "file_id"), "hello"),
        "token": None,
        "attributes": {},
        "file_ids": ["hello"],
    }
    return json.dumps(whole).encode(), {"content-type": "application/json"}


def _send(api: Api, method: str, path: str, keys: dict[str, str]) -> Reply:
    body, headers = _body_for(method, path)
    return api.send(method, path, body, {**headers, **keys})


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "Bearer sk-unknown",
        "Bearer pk-unknown",
        "Bearer vt-unknown",
        "Bearer other",
        "Bearer sk-\u00e9\u00ff",
        "Bearer sk-" + "x" * 8000,
    ],
)
def test_a_missing_or_unknown_key_is_401_everywhere(
    api: Api, locked: list[tuple[str, str]], authorization: str
) -> None:
    for method, path in locked:
        keys = {
            "origin": PAGE_ORIGIN,
            **({"authorization": authorization} if authorization else {}),
        }
        assert_is_error(_send(api, method, path, keys), 401)


def test_a_revoked_key_is_401_everywhere(
    api: Api, locked: list[tuple[str, str]], session_database_url: str
) -> None:
    async def make() -> str:
        database = Database(session_database_url)
        try:
            async with database.begin() as connection:
                made = await create_key(connection, api.site.site_id, "site")
                await revoke_key(connection, made.key.id)
            return made.value
        finally:
            await database.aclose()

    keys = {"authorization": f"Bearer {asyncio.run(make())}"}
    for method, path in locked:
        assert_is_error(_send(api, method, path, keys), 401, "invalid_api_key")


def test_a_foreign_origin_is_403_everywhere(api: Api, locked: list[tuple[str, str]]) -> None:
    for keys in (api.site.server, api.site.page):
        for method, path in locked:
            reply = _send(api, method, path, {**keys, "origin": "https://evil.example.com"})
            assert_is_error(reply, 403, "origin_not_allowed")


def test_a_publishable_key_reaches_only_what_pages_need(
    api: Api, locked: list[tuple[str, str]]
) -> None:
    allowed = {("POST", path) for path in (CHAT, SIMPLE, "/api/visitors", "/api/tickets")}
    for method, path in locked:
        if (method, path) in allowed:
            continue
        reply = _send(api, method, path, api.site.page)
        if path.startswith("/api/conversations/"):
            assert_is_error(reply, 404, "conversation_not_found")
        elif path.startswith("/api/answers/") and method == "POST":
            assert_is_error(reply, 404, "answer_not_found")
        else:
            is_stream = path == SIMPLE or path.startswith("/api/answers/")
            code = "ticket_required" if is_stream else "secret_key_required"
            assert_is_error(reply, 403, code)


@pytest.mark.parametrize("path", ["/nowhere", "/v1", "/api/documents/a/b", "/docs/x", "/static/x"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_address_is_404(api: Api, method: str, path: str) -> None:
    reply = api.send(method, path, {} if method == "POST" else None)
    status = 405 if method == "POST" and path in {"/docs/x", "/static/x"} else 404
    assert_is_error(reply, status)


def test_a_wrong_method_is_405_and_names_the_right_ones(
    api: Api, operations: list[tuple[str, str]]
) -> None:
    known = {
        path: {method for method, other in operations if other == path} for _, path in operations
    }
    for path, methods in known.items():
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - methods:
            reply = _send(api, method, path, api.site.server)
            assert_is_error(reply, 405, "method_not_allowed")
            assert methods <= {name.strip() for name in reply.headers["allow"].split(",")}


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/msgpack",
        "multipart/form-data",
    ],
)
def test_a_wrong_content_type_is_415(api: Api, content_type: str) -> None:
    for path in _JSON_ROUTES:
        body, _ = _body_for("POST", path)
        keys = {**_keys_of(api, path), "content-type": content_type}
        assert_is_error(api.send("POST", path, body, keys), 415, "unsupported_media_type")
    for path in () if content_type == "multipart/form-data" else _UPLOADS:
        body, _ = _body_for("POST", path)
        keys = {**api.site.server, "content-type": content_type}
        assert_is_error(api.send("POST", path, body, keys), 415, "unsupported_media_type")


@pytest.mark.parametrize("closes", [True, False])
@pytest.mark.parametrize("is_chunked", [True, False])
@pytest.mark.parametrize("path", [*_JSON_ROUTES, *_UPLOADS])
def test_a_body_over_the_limit_is_413_and_the_caller_can_read_it(
    api: Api, path: str, *, is_chunked: bool, closes: bool
) -> None:
    piece = b'{"content":"' + b"a" * 65_536
    pieces = [piece] * (_BIG_BYTES // len(piece) + 1)
    body = iter(pieces) if is_chunked else b"".join(pieces)
    kind = "multipart/form-data; boundary=x" if path in _UPLOADS else "application/json"
    headers = {**_keys_of(api, path), "content-type": kind}
    if closes:
        headers["connection"] = "close"
    reply = api.send("POST", path, body, headers)
    assert_is_error(reply, 413, "body_too_large")
    assert "SITEBROOK_MAX_BODY_BYTES" in reply.json["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/nowhere", 404), ("PUT", CHAT, 405), ("POST", CHAT, 401)],
)
def test_a_refusal_can_be_read_before_a_large_body_is_wanted(
    api: Api, method: str, path: str, status: int
) -> None:
    headers = {"connection": "close", "content-type": "application/json"}
    assert_is_error(api.send(method, path, b" " * _BIG_BYTES, headers), status)


def test_a_caller_that_waits_to_be_asked_for_its_body_is_refused_without_it(api: Api) -> None:
    for path in ("/nowhere", CHAT):
        head = (
            f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            f"authorization: {api.site.server['authorization']}\r\n"
            f"content-length: {_BIG_BYTES}\r\nexpect: 100-continue\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", api.server.port), 10) as connection:
            connection.sendall(head.encode())
            status = connection.recv(65536).split(b" ")[1]
        assert status in {b"404", b"413"}


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nonsense",
        b"\xff\xfe{\x00}\x00",
        *(
            b'{"content":"%b","messages":[{"role":"user","content":"%b"}],"token":"%b","question":"%b"}'
            % ((text,) * 4)
            for text in (b"\xff", b"a\x00b")
        ),
        b"[" * _DEEP,
        b'{"content":' + b"[" * _DEEP + b"]" * _DEEP + b"}",
        b'{"x":' * _DEEP + b"1" + b"}" * _DEEP,
    ],
    ids=lambda body: body[:12].decode("latin-1"),
)
def test_a_body_that_is_not_json_is_400(api: Api, body: bytes) -> None:
    for path in _JSON_ROUTES:
        keys = {**_keys_of(api, path), "content-type": "application/json"}
        reply = api.send("POST", path, body, keys)
        assert_is_error(reply, 400)
        assert reply.json["error"]["code"] in {"invalid_json", "invalid_value"}


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"1", b"true"])
def test_a_body_that_is_no_object_is_400_without_a_param(api: Api, body: bytes) -> None:
    for path in _JSON_ROUTES:
        keys = {**_keys_of(api, path), "content-type": "application/json"}
        reply = api.send("POST", path, body, keys)
        assert_is_error(reply, 400, "invalid_value")
        assert reply.json["error"]["param"] is None


def test_an_empty_body_is_400_where_one_is_needed(api: Api) -> None:
    for path in (CHAT, SIMPLE, "/api/documents"):
        reply = api.send("POST", path, b"", api.site.server)
        assert_is_error(reply, 400, "invalid_json")
        assert "empty" in reply.json["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (CHAT, {"messages": "hello"}, "messages"),
        (CHAT, {"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        (CHAT, {"messages": [{"role": "nobody", "content": "x"}]}, "messages[0].role"),
        (CHAT, {"messages": [{"content": "x"}]}, "messages[0].role"),
        (CHAT, {}, "messages"),
        (CHAT, question("x", temperature="hot"), "temperature"),
        (CHAT, question("x", stream="yes"), "stream"),
        (CHAT, question("x", n=10**30), "n"),
        (CHAT, question("x", conversation_id=5), "conversation_id"),
        (CHAT, question("x", retrieval={"max_passages": 0}), "retrieval.max_passages"),
        (CHAT, question("x", retrieval={"store_ids": []}), "retrieval.store_ids"),
        (CHAT, question("x", retrieval={"store_ids": ["a"] * 11}), "retrieval.store_ids"),
        (CHAT, question("x", retrieval={"filters": {"type": "eq"}}), "retrieval.filters"),
        (CHAT, question("x" * 100_001), "messages[0].content"),
        (CHAT, question("x", model=["mock"]), "model"),
        (CHAT, question("x", tools=[{"type": "function"}]), "tools[0].function"),
        (CHAT, question("x", response_format={"type": "xml"}), "response_format.type"),
        ("/api/documents", {"title": "x"}, "content"),
        ("/api/documents", {"content": 1, "title": "x"}, "content"),
        ("/api/documents", {"content": "", "title": "x"}, "content"),
        ("/api/documents", {"content": "x"}, "source"),
        ("/api/documents", {"content": "x", "title": "y" * 501}, "title"),
        ("/api/documents", {"content": "x", "source": "y" * 1001}, "source"),
        ("/api/documents", {"content": "x", "source": "  "}, "source"),
        ("/api/documents", {"content": "x", "source": "a", "type": "a/pdf"}, "type"),
        ("/api/visitors", {"token": 1}, "token"),
    ],
)
def test_a_wrong_field_is_400_with_its_name(
    api: Api, path: str, body: dict[str, Any], param: str
) -> None:
    reply = api.send("POST", path, body, _keys_of(api, path))
    assert_is_error(reply, 400, param=param)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/documents/{}", 404),
        ("DELETE", "/api/documents/{}", 404),
        ("GET", "/api/conversations/{}", 404),
        ("GET", "/v1/models/{}", 404),
        ("GET", "/sources/{}", 404),
        ("GET", "/sources/doc_x?signature={}", 404),
        ("GET", "/api/documents?after={}", 400),
        ("GET", "/api/jobs?after={}", 400),
        ("GET", "/api/documents?limit={}", 400),
    ],
)
@pytest.mark.parametrize(
    "id_", ["%00", "%ff", "%ED%A0%80", "%F0%9F%98%80", "x" * 8000, "..%2f..", "'--"]
)
def test_a_strange_id_is_merely_unknown(
    api: Api, method: str, path: str, status: int, id_: str
) -> None:
    assert_is_error(api.send(method, path.format(id_), None, api.site.server), status)


@pytest.mark.parametrize("id_", ["\0", "x" * 9000, "conv_\u00e9", ""])
def test_a_strange_conversation_id_is_merely_unknown(api: Api, id_: str) -> None:
    assert_is_error(api.ask("hello", conversation_id=id_), 404, "conversation_not_found")


def test_nul_in_a_question_is_replaced_and_its_answer_stored(api: Api) -> None:
    for off in (True, False):
        reply = api.ask("a\0b", retrieval={"off": off})
        assert reply.status == 200
        path = f"/api/conversations/{reply.json['conversation_id']}"
        messages = api.send("GET", path, None, api.site.server).json["messages"]
        assert messages[0]["content"] == "a\ufffdb"
        assert len(messages) == 2


@pytest.mark.parametrize("form", [b"", b"--x--\r\n", b"--x\r\n", b"nonsense", b"--x\r\n\r\nx\r\n"])
def test_a_malformed_form_is_400(api: Api, form: bytes) -> None:
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
        headers = {**api.site.server, "content-type": kind}
        for path in _UPLOADS:
            assert_is_error(api.send("POST", path, form, headers), 400)


def test_a_form_field_that_is_no_file_is_named(api: Api) -> None:
    form = b'--x\r\ncontent-disposition: form-data; name="note"\r\n\r\nhi\r\n--x--\r\n'
    headers = {**api.site.server, "content-type": "multipart/form-data; boundary=x"}
    assert_is_error(api.send("POST", _UPLOAD, form, headers), 400, param="note")


def test_an_error_has_all_four_keys_even_where_litestar_made_it(api: Api) -> None:
    reply = api.send("GET", "/api/documents?limit=many", None, api.site.server)
    assert set(reply.json["error"]) == ERROR_KEYS
    assert reply.json["error"]["param"] == "limit"
