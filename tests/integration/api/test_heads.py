"""What is refused before it is a request."""

from __future__ import annotations

import contextlib
import json
import socket

import pytest
from tests.integration.api.client import Api


@pytest.mark.parametrize(
    "head",
    [b"GET / HTTP/1.1\r\nhost: x\r\nx-long: " + b"a" * 600_000, b"\x16\x03\x01\x02 TLS\r\n\r\n"],
    ids=["over 64 KB", "no HTTP"],
)
def test_a_head_that_is_too_long_or_no_http_is_refused_in_json(api: Api, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", api.server.port), 10) as connection:
        with contextlib.suppress(ConnectionError):  # it was refused before all of it was sent
            for start in range(0, len(head), 20_000):
                connection.sendall(head[start : start + 20_000])
        reply = b""
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(65536):
                reply += part
    top, _, body = reply.partition(b"\r\n\r\n")
    assert top.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["error"]["code"] == "bad_request"


def test_a_large_body_after_a_short_head_is_no_long_head(api: Api) -> None:
    payload = json.dumps({"messages": [{"role": "user", "content": "a " * 49_000}]}).encode()
    lines = ["POST /v1/chat/completions HTTP/1.1", "host: x", "content-type: application/json"]
    lines += [f"{name}: {value}" for name, value in api.site.server.items()]
    head = "\r\n".join([*lines, f"content-length: {len(payload)}", "", ""]).encode()
    with socket.create_connection(("127.0.0.1", api.server.port), 10) as connection:
        for _ in range(2):  # the second one begins after a whole body
            connection.sendall(head[:40])
            connection.sendall(head[40:] + payload)
            reply = b""
            while b'"choices"' not in reply and b'"error"' not in reply:
                part = connection.recv(65536)
                assert part, reply
                reply += part
            assert reply.startswith(b"HTTP/1.1 200 "), reply
