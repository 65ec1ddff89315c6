"""The HTTP client over real sockets: every framing, every cut, the pool and its bounds."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import pytest
from tests.fakes.upstream import Exchange, FakeUpstream

from sitebrook.errors import StartError
from sitebrook.providers import http_client
from sitebrook.providers.http_client import HttpClient
from sitebrook.providers.http_connection import ConnectionCut, MalformedResponse, Response

BODY = b'{"model": "mine"}'
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\nX-A: 1\r\nx-a: 2\r\n"
    b"X-Empty:\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;name=value\r\nhello\r\n1 \r\n,\r\n0006\r\n world\r\n0\r\nX-Trailer: t\r\n\r\n"
)
SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello, world"
UNTIL_CLOSE = b"HTTP/1.0 200 OK\r\nX-A: 1\r\n\r\nhello, world"
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
TEXT = b"hello, world"

Ask = Callable[[], "asyncio.Future[Response]"]


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    made = HttpClient()
    yield made
    await made.close()


@pytest.fixture
async def ask(client: HttpClient, upstream: FakeUpstream) -> Ask:
    target = client.prepare(f"{upstream.base_url}/chat/completions", {"X-Key": "k"})
    return lambda: asyncio.ensure_future(client.post(target, BODY))


async def read_all(response: Response) -> bytes:
    pieces: list[bytes] = []
    while piece := await response.read():
        pieces.append(piece)
    return b"".join(pieces)


def sending(*pieces: bytes, then: str = "") -> Callable[[Exchange], object]:
    """A script that sends the pieces apart, then closes or resets the connection."""

    async def play(exchange: Exchange) -> None:
        for piece in pieces:
            await exchange.raw(piece)
            await asyncio.sleep(0)
        if then:
            await asyncio.sleep(0.005)  # a reset overtakes what was written before it
            getattr(exchange, then)()

    return play


def cuts(whole: bytes) -> list[tuple[bytes, bytes]]:
    return [(whole[:at], whole[at:]) for at in range(1, len(whole))]


async def test_a_request_holds_what_was_prepared_and_nothing_else(ask, upstream):
    upstream.scripts["mine"] = sending(SIZED)
    await read_all(await ask())
    (sent,) = upstream.requests
    assert (sent.method, sent.path, sent.body) == ("POST", "/v1/chat/completions", BODY)
    assert sent.headers.pop("user-agent").startswith("sitebrook/")
    assert sent.headers == {
        "host": f"127.0.0.1:{upstream.port}",
        "accept-encoding": "identity",
        "x-key": "k",
        "content-length": str(len(BODY)),
    }


async def test_head_and_body_are_read(ask, upstream):
    upstream.scripts["mine"] = sending(CHUNKED)
    response = await ask()
    assert (response.status, response.content_type) == (200, "text/event-stream")
    assert response.headers["x-a"] == "1, 2"
    assert response.headers["x-empty"] == ""
    assert await read_all(response) == TEXT
    assert "x-trailer" not in response.headers


@pytest.mark.parametrize("whole", [CHUNKED, SIZED], ids=["chunked", "sized"])
async def test_a_response_may_be_cut_anywhere(whole, ask, upstream):
    for pieces in cuts(whole):
        upstream.scripts["mine"] = sending(*pieces)
        assert await read_all(await ask()) == TEXT
    assert upstream.accepted == 1


@pytest.mark.parametrize("whole", [CHUNKED, SIZED, b"HTTP/1.1 100 Continue\r\n\r\n" + CHUNKED])
async def test_a_response_may_come_byte_by_byte(whole, ask, upstream):
    upstream.scripts["mine"] = sending(*(whole[at : at + 1] for at in range(len(whole))))
    assert await read_all(await ask()) == TEXT


async def test_a_body_without_length_ends_with_the_connection(ask, upstream):
    upstream.scripts["mine"] = sending(UNTIL_CLOSE, then="close")
    assert await read_all(await ask()) == TEXT


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_cut_in_the_body_is_told_after_what_came_before(how, ask, upstream):
    for whole in (CHUNKED, SIZED):
        upstream.scripts["mine"] = sending(whole[: whole.index(b"hello") + 5], then=how)
        response = await ask()
        assert await response.read() == b"hello"
        with pytest.raises(ConnectionCut):
            await response.read()


async def test_a_reset_in_a_body_without_length_is_no_end(ask, upstream):
    upstream.scripts["mine"] = sending(UNTIL_CLOSE, then="reset")
    response = await ask()
    with pytest.raises(ConnectionCut):
        await read_all(response)


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 O", CHUNKED[:60]])
async def test_a_cut_before_the_head_is_whole_refuses_the_request(sent, how, ask, upstream):
    upstream.scripts["mine"] = sending(sent, then=how)
    with pytest.raises(ConnectionCut):
        await ask()
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "sent",
    [
        b"220 mail.example ESMTP\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: nine\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nX-Large: " + b"x" * 70_000,
        b"HTTP/1.1 200 OK\r\n" + b"X-Large: xxxxxxxxxxxxxxxxxxxxxxx\r\n" * 3_000 + b"\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 4_000,
    ],
    ids=["smtp", "tls", "http2", "both", "length", "upgrade", "line", "lines", "interim"],
)
async def test_what_is_no_response_is_malformed_and_the_connection_closed(sent, ask, upstream):
    upstream.scripts["mine"] = sending(sent)
    with pytest.raises(MalformedResponse):
        await ask()
    await upstream.wait_until_closed(timeout_s=1)


@pytest.mark.parametrize(
    "sent",
    [b"hello\r\n", b"5;" + b"x" * 70_000, b"0\r\nX-Trailer: " + b"x" * 70_000, b"5\r\nhelloX"],
    ids=["size", "extension", "trailer", "end"],
)
async def test_a_broken_chunk_ends_the_body(sent, ask, upstream):
    upstream.scripts["mine"] = sending(HEAD, sent)
    response = await ask()
    with pytest.raises(MalformedResponse):
        await read_all(response)
    await upstream.wait_until_closed(timeout_s=1)


async def test_connections_are_used_again_and_no_more_are_opened_than_needed(ask, upstream):
    upstream.scripts["mine"] = sending(CHUNKED)
    for _ in range(2):
        responses = await asyncio.gather(*(ask() for _ in range(50)))
        assert {await read_all(one) for one in responses} == {TEXT}
    assert (len(upstream.requests), upstream.accepted) == (100, 50)


@pytest.mark.parametrize(
    "sent",
    [
        SIZED.replace(b"Content-Length", b"Connection: close\r\nContent-Length"),
        SIZED.replace(b"HTTP/1.1", b"HTTP/1.0"),
        SIZED + SIZED,
        SIZED + b"more",
    ],
    ids=["close", "http10", "second", "surplus"],
)
async def test_a_connection_that_cannot_serve_again_is_closed(sent, ask, upstream):
    upstream.scripts["mine"] = sending(sent)
    assert await read_all(await ask()) == TEXT
    await upstream.wait_until_closed(timeout_s=1)


async def test_bytes_that_nobody_asked_for_close_an_idle_connection(ask, upstream):
    async def play(exchange: Exchange) -> None:
        await exchange.raw(SIZED)
        await asyncio.sleep(0.02)
        await exchange.raw(SIZED)

    upstream.scripts["mine"] = play
    await read_all(await ask())
    await upstream.wait_until_closed(timeout_s=1)


async def test_an_idle_connection_is_closed_in_time(ask, upstream, monkeypatch):
    monkeypatch.setattr(http_client, "_KEEPALIVE_S", 0.05)
    upstream.scripts["mine"] = sending(SIZED)
    await read_all(await ask())
    await upstream.wait_until_closed(timeout_s=1)


async def test_an_idle_connection_that_the_server_closed_is_not_used(ask, upstream):
    upstream.scripts["mine"] = sending(SIZED, then="close")
    await read_all(await ask())
    await upstream.wait_until_closed(timeout_s=1)
    await asyncio.sleep(0.01)
    assert await read_all(await ask()) == TEXT
    assert len(upstream.requests) == 2


async def test_a_request_that_meets_a_closing_connection_is_sent_once_more(ask, upstream):
    async def play(exchange: Exchange) -> None:
        if len(upstream.requests) == 2:
            exchange.reset()
        else:
            await exchange.raw(SIZED)

    upstream.scripts["mine"] = play
    for _ in range(2):
        assert await read_all(await ask()) == TEXT
    assert [one.connection for one in upstream.requests] == [1, 1, 2]


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 2"], ids=["late", "begun"])
async def test_a_request_that_may_have_been_worked_on_is_not_repeated(
    sent, ask, upstream, monkeypatch
):
    monkeypatch.setattr(http_client, "_STALE_WITHIN_S", 0.0 if not sent else 1.0)
    upstream.scripts["mine"] = sending(SIZED)
    await read_all(await ask())
    upstream.scripts["mine"] = sending(sent, then="reset")
    with pytest.raises(ConnectionCut):
        await ask()
    assert len(upstream.requests) == 2


async def test_closing_a_response_closes_its_connection_and_wakes_its_reader(ask, upstream):
    upstream.scripts["mine"] = _stalling
    response = await ask()
    reading = asyncio.ensure_future(response.read())
    await asyncio.sleep(0)
    response.close()
    with pytest.raises(ConnectionCut):
        await reading
    await upstream.wait_until_closed(timeout_s=1)


async def test_a_cancelled_request_closes_its_connection(ask, upstream):
    async def silent(exchange: Exchange) -> None:
        await exchange.stall()

    upstream.scripts["mine"] = silent
    asking = ask()
    await upstream.wait_for_request()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await upstream.wait_until_closed(timeout_s=1)


async def test_an_upstream_that_nobody_reads_is_held_back(ask, upstream):
    sent = 0

    async def flood(exchange: Exchange) -> None:
        nonlocal sent
        await exchange.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n")
        for _ in range(500):
            await exchange.raw(b"x" * 100_000)
            sent += 100_000

    upstream.scripts["mine"] = flood
    response = await ask()
    await asyncio.sleep(0.2)
    assert sent < 20_000_000  # what the kernel's buffers take
    first = await response.read()
    assert len(first) <= 262_144
    assert len(first) + len(await read_all(response)) == 50_000_000
    assert upstream.accepted == 1


async def test_a_large_body_is_sent_whole(client, upstream):
    upstream.scripts["mine"] = sending(SIZED)
    body = b'{"model": "mine", "text": "%b"}' % (b"x" * 3_000_000)
    target = client.prepare(f"{upstream.base_url}/chat/completions", {})
    assert await read_all(await client.post(target, body)) == TEXT
    assert upstream.requests[0].body == body


@pytest.mark.parametrize("url", ["ftp://there/v1", "http:///v1", "http://there:x/v1", "there"])
async def test_an_address_that_cannot_be_asked_stops_the_start(url, client):
    with pytest.raises(StartError, match="of a provider"):
        client.prepare(url, {})


@pytest.mark.parametrize("key", ["a\r\nX-Other: b", "a\n", "a\0", "kęy"])
async def test_a_key_that_cannot_be_sent_stops_the_start_and_is_not_shown(key, client):
    with pytest.raises(StartError, match="api_key") as refused:
        client.prepare("http://there/v1", {"Authorization": key})
    assert key not in str(refused.value)


async def test_an_address_with_a_login_query_and_spaces_is_sent_as_it_must_be(client, upstream):
    upstream.scripts["normal"] = sending(SIZED)
    url = f"http://me:p%40ss@localhost:{upstream.port}/a b/é?c=d"
    await read_all(await client.post(client.prepare(url, {}), b"{}"))
    (sent,) = upstream.requests
    assert sent.path == "/a%20b/%C3%A9?c=d"
    assert sent.headers["authorization"] == "Basic bWU6cEBzcw=="
    assert sent.headers["host"] == f"localhost:{upstream.port}"


class _Names:
    """What ``provider.test`` is looked up as: each address once, the last one from then on."""

    def __init__(self, *addresses: str) -> None:
        self.look_ups = 0
        self._addresses = addresses
        self._real = socket.getaddrinfo

    def __call__(self, host: str, *others: object, **named: object) -> object:
        assert host == "provider.test"
        address = self._addresses[min(self.look_ups, len(self._addresses) - 1)]
        self.look_ups += 1
        return self._real(address, *others, **named)


async def test_a_name_is_looked_up_once_for_all_who_ask(client, upstream, monkeypatch):
    names = _Names("127.0.0.1")
    monkeypatch.setattr(socket, "getaddrinfo", names)
    upstream.scripts["mine"] = sending(SIZED)
    target = client.prepare(f"http://provider.test:{upstream.port}/chat/completions", {})
    responses = await asyncio.gather(*(client.post(target, BODY) for _ in range(20)))
    assert {await read_all(one) for one in responses} == {TEXT}
    assert names.look_ups == 1


async def test_a_name_is_looked_up_anew_after_its_address_refused(client, upstream, monkeypatch):
    names = _Names("127.0.0.2", "127.0.0.1")  # only the second is listened on
    monkeypatch.setattr(socket, "getaddrinfo", names)
    upstream.scripts["mine"] = sending(SIZED)
    target = client.prepare(f"http://provider.test:{upstream.port}/chat/completions", {})
    with pytest.raises(OSError, match="Connect"):
        await client.post(target, BODY)
    assert await read_all(await client.post(target, BODY)) == TEXT


async def _stalling(exchange: Exchange) -> None:
    await exchange.raw(HEAD)
    await exchange.stall()
