"""Requests that do not arrive: bounded in time, without harm to those that arrive slowly."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator

import pytest
from tests.databases import new_database
from tests.servers import RunningServer, running_server

REQUEST_S = 1.0
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


CONFIG = """
[[providers]]
name = "slow"
kind = "mock"
passthrough = true
delta_delay_s = 0.2
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    config = tmp_path_factory.mktemp("slow") / "slow.toml"
    config.write_text(CONFIG, "utf-8")
    env = {"SITEBROOK_REQUEST_S": str(REQUEST_S), "SITEBROOK_CONFIG": str(config)}
    with new_database() as url, running_server(url, **env) as running:
        yield running


@contextlib.contextmanager
def connected(server: RunningServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        yield connection


def trickle(connection: socket.socket, piece: bytes) -> bytes:
    """What the server says to one who sends a byte now and then, once it has closed."""
    said = b""
    connection.settimeout(0.1)
    deadline = time.monotonic() + 10
    with contextlib.suppress(ConnectionError):
        while time.monotonic() < deadline:
            connection.sendall(piece)
            with contextlib.suppress(TimeoutError):
                while part := connection.recv(65536):
                    said += part
                return said
    return said


def code_of(reply: bytes) -> tuple[bytes, str]:
    """The status line's status and the code of the error."""
    head, _, body = reply.partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in head
    return head.split()[1], json.loads(body)["error"]["code"]


def ask(server: RunningServer) -> bytes:
    """A whole request's head and body, to be cut."""
    body = json.dumps({"messages": [{"role": "user", "content": "a " * 20_000}]}).encode()
    key = f"authorization: Bearer {server.secret_key}\r\n".encode()
    return HEAD + key + b"content-length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"GET /health/live HTTP/1.1\r\nx-long: ", b"a"),
        (HEAD + b"content-length: 10000\r\n\r\n", b"{"),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n{\r\n"),
    ],
    ids=["head", "body", "chunks"],
)
def test_a_request_that_trickles_is_refused_in_time(
    server: RunningServer, begin: bytes, piece: bytes
) -> None:
    with connected(server) as connection:
        began_at = time.monotonic()
        connection.sendall(begin)
        assert code_of(trickle(connection, piece)) == (b"408", "request_timeout")
        assert REQUEST_S * 0.9 < time.monotonic() - began_at < REQUEST_S + 4


@pytest.mark.parametrize("answered", [False, True], ids=["at first", "after an answer"])
def test_a_connection_that_never_begins_a_request_is_closed(
    server: RunningServer, *, answered: bool
) -> None:
    with connected(server) as connection:
        if answered:
            connection.sendall(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        assert b"HTTP/1.1" not in trickle(connection, b"\r\n")


def test_a_body_that_comes_slowly_but_steadily_is_taken(server: RunningServer) -> None:
    request = ask(server)
    with connected(server) as connection:
        began_at = time.monotonic()
        for start in range(0, len(request), 2_000):
            connection.sendall(request[start : start + 2_000])
            time.sleep(0.1)
        assert time.monotonic() - began_at > REQUEST_S * 2
        assert connection.recv(12) == b"HTTP/1.1 200"


def test_an_answer_that_takes_longer_goes_on_beside_it(server: RunningServer) -> None:
    question = {
        "stream": True,
        "model": "slow/mock",
        "messages": [{"role": "user", "content": "?"}],
    }
    body = json.dumps(question).encode()
    key = f"authorization: Bearer {server.secret_key}\r\n".encode()
    with connected(server) as connection, connected(server) as other:
        other.sendall(b"GET /health/live HTTP/1.1\r\nhost: x\r\nx: ")
        connection.sendall(HEAD + key + b"content-length: %d\r\n\r\n" % len(body) + body)
        began_at = time.monotonic()
        assert code_of(trickle(other, b"a")) == (b"408", "request_timeout")
        reply = b""
        while b"data: [DONE]" not in reply:
            part = connection.recv(65536)
            assert part, reply
            reply += part
        assert time.monotonic() - began_at > REQUEST_S * 2
        assert b"error" not in reply


def test_a_client_that_waits_to_be_asked_for_its_body_is_not_late(server: RunningServer) -> None:
    request = ask(server).replace(b"\r\n", b"\r\nexpect: 100-continue\r\n", 1)
    head, _, body = request.partition(b"\r\n\r\n")
    with connected(server) as connection:
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        assert connection.recv(12) == b"HTTP/1.1 200"
