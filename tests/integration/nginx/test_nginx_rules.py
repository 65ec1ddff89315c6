"""What nginx/sitebrook.conf does by itself, seen with scripted processes behind it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import re
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field

from tests.integration.nginx.conftest import Front, Reply
from tests.servers import free_port

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
StartFront = Callable[..., Front]
_ERROR_KEYS = {"message", "type", "param", "code"}


@dataclass
class Scripted:
    """A process that notes each request's head and answers by script."""

    answer: Answer
    heads: list[str] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request by request."""
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                self.heads.append(head)
                length = re.search(r"\r\ncontent-length: (\d+)", head)
                await reader.readexactly(int(length[1]) if length else 0)
                await self.answer(reader, writer)
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def scripted(answer: Answer) -> AsyncGenerator[Scripted]:
    process = Scripted(answer)
    open_ones: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_ones.add(task)
        with contextlib.suppress(asyncio.CancelledError):
            await process.serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    process.port = server.sockets[0].getsockname()[1]
    try:
        yield process
    finally:
        server.close()
        for task in open_ones:
            task.cancel()
        await asyncio.gather(*open_ones)


async def _hello(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 5\r\netag: "1"\r\n\r\nhello')


async def _close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"
    )
    while sent := await reader.read(100):
        writer.write(sent)
        await writer.drain()
    writer.close()


async def _send(front: Front, method: str, path: str, body: object = None, **headers: str) -> Reply:
    return await asyncio.to_thread(front.send, method, path, body, **headers)


def _assert_is_error(reply: Reply, status: int, code: str) -> None:
    assert (reply.status, reply.json["error"]["code"]) == (status, code)
    assert set(reply.json["error"]) == _ERROR_KEYS
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["x-request-id"]


def test_without_a_process_the_error_has_our_shape(start_front: StartFront) -> None:
    front = start_front(free_port(), free_port())
    for path in ("/v1/chat/completions", "/widget.js", "/v1/chat/completions"):
        reply = front.send("POST", path, b"{}", x_request_id="mine-12345678")
        _assert_is_error(reply, 502, "server_unreachable")
        assert reply.headers["x-request-id"] == "mine-12345678"
        assert "x-should-retry" not in reply.headers


def test_what_is_not_http_or_not_tls_gets_our_shape(start_front: StartFront) -> None:
    front = start_front(free_port())
    _assert_is_error(front.send("GET", "/" + "a" * 12_000), 414, "uri_too_long")
    _assert_is_error(front.send("GET", "/", cookie="a" * 40_000), 400, "bad_request")
    plain = http.client.HTTPConnection("localhost", front.port, timeout=10)
    with contextlib.closing(plain):
        plain.request("GET", "/v1/models")
        response = plain.getresponse()
        assert response.status == 400
        assert b'"code":"bad_request"' in response.read()


def test_without_tls_everything_is_redirected_with_its_method(start_front: StartFront) -> None:
    front = start_front(free_port())
    plain = http.client.HTTPConnection("127.0.0.1", front.plain_port, timeout=10)
    with contextlib.closing(plain):
        plain.request("POST", "/v1/chat/completions?a=1", b"{}", {"host": "localhost"})
        response = plain.getresponse()
        assert response.status == 308
        assert response.getheader("location") == "https://localhost/v1/chat/completions?a=1"


def test_http_2_is_offered_over_tls_1_3(start_front: StartFront) -> None:
    with start_front(free_port()).connect("h2", "http/1.1") as connection:
        assert connection.version() == "TLSv1.3"
        assert connection.selected_alpn_protocol() == "h2"


async def test_a_process_that_is_down_is_passed_over(start_front: StartFront) -> None:
    async with scripted(_hello) as process:
        front = await asyncio.to_thread(start_front, free_port(), process.port)
        for _ in range(10):
            reply = await _send(front, "POST", "/v1/chat/completions", b"{}")
            assert (reply.status, reply.body) == (200, b"hello")
    assert len(process.heads) == 10


async def test_the_metrics_are_not_shown(start_front: StartFront) -> None:
    async with scripted(_hello) as process:
        front = await asyncio.to_thread(start_front, process.port)
        for path in ("/metrics", "/metrics/", "//metrics", "/%6detrics", "/x/../metrics"):
            reply = await asyncio.to_thread(front.send, "GET", path)
            assert (reply.status, reply.json["error"]["code"]) == (404, "unknown_route"), path
            assert reply.headers["x-request-id"]
    assert process.heads == []


async def test_tickets_and_questions_in_addresses_are_not_logged(start_front: StartFront) -> None:
    async with scripted(_hello) as process:
        front = start_front(process.port)
        for path in (
            "/api/answers/ans_1?shown=1",
            "/api/chat/stream?ticket=tk-1",
            "/api/answers/ans_1/stream?ticket=tk-2",
            "/",  # a line is written when the next request is already answered
        ):
            assert (await _send(front, "GET", path)).status == 200
    log = front.log.read_text("utf-8")
    assert "shown=1" in log
    assert "tk-" not in log


async def test_a_request_that_was_sent_is_never_repeated(start_front: StartFront) -> None:
    async with scripted(_close) as first, scripted(_close) as second:
        front = await asyncio.to_thread(start_front, first.port, second.port)
        reply = await _send(front, "POST", "/v1/chat/completions", b"{}")
        _assert_is_error(reply, 502, "server_unreachable")
        assert len(first.heads) + len(second.heads) == 1


async def test_a_client_cannot_forge_what_proxies_tell(start_front: StartFront) -> None:
    forged = {
        "x_forwarded_for": "6.6.6.6",
        "x_forwarded_proto": "http",
        "x_forwarded_host": "evil.example",
        "connection": "upgrade",
        "upgrade": "h2c",
    }
    async with scripted(_hello) as process:
        front = await asyncio.to_thread(start_front, process.port)
        for path in ("/v1/models", "/static/a.js"):
            await _send(front, "GET", path, **forged)
    assert len(process.heads) == 2
    for head in process.heads:
        assert "x-forwarded-for: 127.0.0.1\r\n" in head
        assert "x-forwarded-proto: https\r\n" in head
        assert f"x-forwarded-host: localhost:{front.port}\r\n" in head
        assert f"\r\nhost: localhost:{front.port}\r\n" in head
        assert "upgrade" not in head
        assert "connection:" not in head


async def test_connections_to_a_process_live_on(start_front: StartFront) -> None:
    async with scripted(_hello) as process:
        front = await asyncio.to_thread(start_front, process.port)
        for _ in range(5):
            await _send(front, "GET", "/v1/models")
        assert (len(process.heads), process.connections) == (5, 1)


async def test_a_file_is_fetched_once_for_many_pages(start_front: StartFront) -> None:
    async with scripted(_hello) as process:
        front = await asyncio.to_thread(start_front, process.port)
        pages = [f"https://{number}.example" for number in range(20)]
        replies = await asyncio.gather(
            *(_send(front, "GET", f"/widget.js?{page}", origin=page) for page in pages)
        )
    assert {reply.body for reply in replies} == {b"hello"}
    # One, unless the second turned over in between.
    assert len(process.heads) <= 2
    assert all("origin:" not in head for head in process.heads)


async def test_websockets_pass_both_ways(start_front: StartFront) -> None:
    async with scripted(_echo) as process:
        front = await asyncio.to_thread(start_front, process.port)

        def talk() -> bytes:
            head = b"GET /api/jobs/1/ws HTTP/1.1\r\nhost: localhost\r\n"
            head += b"connection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\n\r\n"
            with front.connect() as connection:
                connection.sendall(head)
                assert b" 101 " in connection.recv(4096).split(b"\r\n")[0]
                connection.sendall(b"ping")
                return connection.recv(100)

        assert await asyncio.to_thread(talk) == b"ping"
        assert "upgrade: websocket\r\n" in process.heads[0]


async def test_a_413_reaches_a_client_that_sends_on(start_front: StartFront) -> None:
    async with scripted(_hello) as process:
        front = await asyncio.to_thread(start_front, process.port)

        def send() -> bytes:
            head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
            head += b"content-length: 20000000\r\n\r\n"
            with front.connect() as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
                connection.sendall(head)
                for _ in range(1000):
                    connection.sendall(b"x" * 20_000)
                return connection.recv(4096)

        assert b" 413 " in (await asyncio.to_thread(send)).split(b"\r\n")[0]
    assert process.heads == []
