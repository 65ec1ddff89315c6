from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from sitebrook.api.http import (
    ClientLeft,
    RequestHead,
    check_json_type,
    decode_json,
    head_of,
    read_body,
)
from sitebrook.errors import BodyTooLarge, InvalidRequest, UnsupportedBody

_GONE = {"type": "http.disconnect"}


def _head(**headers: str) -> RequestHead:
    return RequestHead(
        {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}, ""
    )


def _scope(*headers: tuple[str, str], scheme: str = "http") -> Any:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return {"type": "http", "scheme": scheme, "headers": raw}


def _receiving(*parts: bytes, ends: bool = True) -> Callable[[], Awaitable[Any]]:
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": part, "more_body": not ends or number < len(parts) - 1}
        for number, part in enumerate(parts)
    ]

    async def receive() -> Any:
        return messages.pop(0) if messages else _GONE

    return receive


@pytest.mark.parametrize(
    ("value", "bearer"),
    [
        ("Bearer sk-1", "sk-1"),
        ("bearer  sk-1 ", "sk-1"),
        ("BEARER sk-1", "sk-1"),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic sk-1", None),
        ("sk-1", None),
        ("", None),
    ],
)
def test_the_key_is_what_follows_bearer(value: str, bearer: str | None) -> None:
    assert _head(authorization=value).to_credentials().bearer == bearer


def test_the_own_origin_is_what_the_client_addressed() -> None:
    assert head_of(_scope(("host", "Example.com:81")), None).own_origin == "http://example.com:81"
    assert head_of(_scope(("host", "a"), scheme="https"), None).own_origin == "https://a"
    assert head_of(_scope(), None).own_origin == "http://localhost"


def test_a_public_url_wins_over_the_host_header() -> None:
    head = head_of(_scope(("host", "evil.example.com")), "https://Chat.example.com/")
    assert head.own_origin == "https://chat.example.com"


def test_an_absent_origin_is_none() -> None:
    assert head_of(_scope(), None).to_credentials().origin is None
    found = head_of(_scope(("origin", "null")), None).to_credentials()
    assert found.origin == "null"


async def test_a_body_in_parts_is_joined() -> None:
    assert await read_body(_receiving(b"ab", b"", b"c"), _head(), max_bytes=3) == b"abc"
    assert await read_body(_receiving(b""), _head(), max_bytes=0) == b""


async def test_a_body_over_the_limit_is_refused_as_soon_as_that_is_known() -> None:
    async def never() -> Any:
        pytest.fail("the body was read")

    with pytest.raises(BodyTooLarge):
        await read_body(never, _head(content_length="4"), max_bytes=3)
    with pytest.raises(BodyTooLarge):
        await read_body(_receiving(b"ab", b"cd", ends=False), _head(), max_bytes=3)


async def test_a_client_that_leaves_in_the_middle_is_noticed() -> None:
    with pytest.raises(ClientLeft):
        await read_body(_receiving(b"ab", ends=False), _head(), max_bytes=9)


@pytest.mark.parametrize(
    "content_type",
    ["", "application/json", "Application/JSON; charset=utf-8", "application/problem+json"],
)
def test_json_is_taken(content_type: str) -> None:
    check_json_type(_head(content_type=content_type))
    check_json_type(_head())


@pytest.mark.parametrize("content_type", ["text/plain", "text/json", "application/jsonx", "json"])
def test_another_type_is_refused(content_type: str) -> None:
    with pytest.raises(UnsupportedBody):
        check_json_type(_head(content_type=content_type))


@pytest.mark.parametrize("body", [b"", b" \n", b"{", b"[" * 100_000, b'"\xff"'])
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        decode_json(body, msgspec.json.Decoder(Any))
    assert refused.value.code == "invalid_json"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (rb'"a\ud800"', "a\ufffd"),
        (rb'"\udc00\ud83d\ude00"', "\ufffd\N{GRINNING FACE}"),
        (rb'"a\u0000b"', "a\ufffdb"),
        (rb'"\\u0000\\ud800"', r"\u0000\ud800"),
    ],
)
def test_what_no_text_may_hold_is_replaced(body: bytes, text: str) -> None:
    assert decode_json(body, msgspec.json.Decoder(str)) == text
