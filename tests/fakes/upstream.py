"""A real HTTP server that plays an upstream and its faults.

What it answers is decided by the ``model`` of the request body: the name of a script, registered
with ``@script("name")`` in ``openai_scripts``, as ``messages:name`` in ``anthropic_scripts``, or
one given to the server for a single test::

    async with FakeUpstream() as upstream:
        upstream.scripts["mine"] = mine          # async def mine(exchange: Exchange) -> None
        ... POST {upstream.base_url}/chat/completions with {"model": "mine", …}
        assert upstream.requests[0].headers["authorization"] == "Bearer …"
        await upstream.wait_until_closed(timeout_s=1)

A script writes raw bytes, so that it can break every rule of HTTP. It is cancelled when the client
closes the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

Script = Callable[["Exchange"], Awaitable[None]]
SCRIPTS: dict[str, Script] = {}


def script(name: str) -> Callable[[Script], Script]:
    """Registers a script under the model name that plays it."""

    def register(function: Script) -> Script:
        SCRIPTS[name] = function
        return function

    return register


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A request as it arrived; header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body) if self.body else {}


@dataclass(slots=True)
class Exchange:
    """One request and the bytes that answer it."""

    request: SentRequest
    writer: asyncio.StreamWriter
    keeps_alive: bool = True
    sent: int = 0

    async def raw(self, text: bytes) -> None:
        """Writes bytes as they are."""
        self.sent += len(text)
        self.writer.write(text)
        await self.writer.drain()

    async def head(self, status: int = 200, **headers: str) -> None:
        """Status line and headers, of a chunked response by default; underscores become hyphens."""
        if "content_length" not in headers:
            headers = {"transfer_encoding": "chunked", **headers}
        lines = [f"HTTP/1.1 {status} Scripted"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.raw("\r\n".join([*lines, "", ""]).encode())

    async def chunk(self, text: bytes) -> None:
        """One HTTP chunk, written at once."""
        if text:
            await self.raw(b"%x\r\n%b\r\n" % (len(text), text))

    async def end(self) -> None:
        """The regular end of a chunked response."""
        await self.raw(b"0\r\n\r\n")

    async def whole(self, status: int, content_type: str, body: bytes, **headers: str) -> None:
        """A whole response with its length."""
        length = str(len(body))
        await self.head(status, content_type=content_type, content_length=length, **headers)
        await self.raw(body)

    def close(self) -> None:
        """Closes the connection in order, wherever the response is."""
        self.keeps_alive = False
        self.writer.close()

    def reset(self) -> None:
        """Tears the connection down with a TCP RST."""
        self.keeps_alive = False
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def stall(self) -> None:
        """Sends nothing more, until the client leaves."""
        await asyncio.Event().wait()


@dataclass
class FakeUpstream:
    """The server; ``base_url`` ends in ``/v1``."""

    scripts: dict[str, Script] = field(default_factory=dict)
    requests: list[SentRequest] = field(default_factory=list)
    open_connections: int = 0
    accepted: int = 0

    async def __aenter__(self) -> Self:
        self._changed = asyncio.Condition()
        self._serving: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()

    async def wait_until_closed(self, *, timeout_s: float, left: int = 0) -> None:
        """Returns when at most ``left`` connections are open; TimeoutError when it takes longer."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: self.open_connections <= left)

    async def wait_for_request(self, count: int = 1, *, timeout_s: float = 2) -> None:
        """Returns when so many requests have arrived."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: len(self.requests) >= count)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self.accepted += 1
        self.open_connections += 1
        try:
            await self._serve(reader, writer, self.accepted)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            pass  # the server is being stopped; start_server logs a cancelled handler as an error
        finally:
            self._serving.discard(task)
            self.open_connections -= 1
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()
            await self._notify()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
    ) -> None:
        first = b""
        while True:
            request = await _read_request(reader, first, connection)
            self.requests.append(request)
            await self._notify()
            exchange = Exchange(request, writer)
            leaves = asyncio.create_task(reader.read(1))
            play = asyncio.create_task(_play(self._script_for(request), exchange))
            try:
                await asyncio.wait({leaves, play}, return_when=asyncio.FIRST_COMPLETED)
                if not play.done() or not exchange.keeps_alive:
                    return
                play.result()
                first = await leaves
                if not first:
                    return
            finally:
                for task in (leaves, play):
                    task.cancel()
                await asyncio.gather(leaves, play, return_exceptions=True)

    def _script_for(self, request: SentRequest) -> Script:
        if request.method == "GET":
            return SCRIPTS["models"]
        if request.path.endswith("/embeddings"):
            name = f"embeddings:{request.json['model']}"
            return self.scripts.get(name) or SCRIPTS.get(name) or SCRIPTS["embeddings"]
        if request.path.endswith("/messages"):
            name = f"messages:{request.json['model']}"
            return self.scripts.get(name) or SCRIPTS.get(name) or SCRIPTS["messages:normal"]
        name = request.json.get("model", "normal")
        return self.scripts.get(name) or SCRIPTS[name]


async def _play(run: Script, exchange: Exchange) -> None:
    with contextlib.suppress(ConnectionError):
        await run(exchange)


async def _read_request(reader: asyncio.StreamReader, first: bytes, connection: int) -> SentRequest:
    head = first + await reader.readuntil(b"\r\n\r\n")
    start, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = start.split(" ")
    pairs = (line.partition(":") for line in lines if line)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return SentRequest(method, path, headers, body, connection)
