"""A real HTTP server that plays an upstream and its faults.

What it answers is decided by the ``model`` of the request body: the name of a script, registered
with ``@script("name")`` in ``openai_scripts`` and ``openai_faults``, as ``messages:name`` in
``anthropic_scripts`` and ``anthropic_faults``, on both wires by ``transport_faults``, or one given
to the server for a single test::

    async with FakeUpstream() as upstream:
        upstream.scripts["mine"] = mine          # async def mine(exchange: Exchange) -> None
        ... POST {upstream.base_url}/chat/completions with {"model": "mine", …}
        assert upstream.requests[0].headers["authorization"] == "Bearer …"
        await upstream.wait_until_closed(timeout_s=1)

A script writes raw bytes, so that it can break every rule of HTTP. It is cancelled when the client
closes the connection.

What the server promises in each mode is in ``tests/integration/faults/promises.py``.

Modes of both wires:
    400 401 402 403 404 405 409 413 422 429 500 500-empty 500-html 502 503 503-seconds 504 529
    after-finish bad-chunk-size bad-json bad-json-first blank-200 blank-lines bom closed-before
    comments comments-forever comments-only content-length cr crlf cut-after-finish
    cut-after-head cut-at-event cut-before-blank-line cut-before-finish cut-in-chunk
    cut-in-chunk-size cut-in-field-name cut-in-first-event cut-in-head cut-in-json cut-in-length
    cut-in-status cut-in-utf8 cut-until-close delta-and-array delta-and-bad-json
    delta-and-deep-json early-hints empty empty-200 eof-in-json error-as-200 event-without-data
    finish-then-bad-json finish-then-eof-in-json finish-then-reset finish-then-stall giant-delta
    giant-event giant-head gzip-200 hostile-headers html html-200 html-as-stream id-alone
    invalid-utf8 json mixed-ends multi-line never-ending never-first never-headers no-content
    no-content-type no-http no-usage normal not-an-object nul one-read only-pings pings redirect
    redirect-301 redirect-302 redirect-303 redirect-307 redirect-308 reset reset-before
    reset-first reset-in-chunk reset-in-head retry-alone slow slow-first-byte slow-first-delta
    slow-head split stall stream-as-binary stream-as-json stream-as-text surplus surrogate
    too-long tools trailers truncated unknown-fields until-close wrong-shape

Modes of OpenAI's wire alone:
    408 429-date 429-nonsense 429-seconds after-done choices-object closed cookies done-only
    done-without-finish early-usage empty-choices empty-choices-only empty-deltas
    empty-deltas-forever endless-event error-after-finish error-body-stalls error-event
    error-first error-named error-text error-with-finish extras fields finish-error gzip no-done
    no-last-blank-line no-space open-after-done pings-only plain quota raw-nul reset-after-head
    role-only second-choice-open stall-after-finish two-choices two-finishes usage-with-finish

Modes of Anthropic's wire alone:
    529-seconds a_new_reason after-stop api-error bare-error before-message-delta citations done
    echo-images end_turn error-after-stop-reason error-named-only input-in-start json-200
    late-usage max_tokens model_context_window_exceeded no-credit no-stop no-stop-reason
    null-stop-reason open-after-stop overloaded overloaded-first pause_turn pings-forever
    redacted refusal refused-at-once server-tool spent start-and-stop start-only stop_sequence
    text-in-start thinking too-long-together tool-then-text two-tools unknown-events
    without-start
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
    """One request and the bytes that answer it.

    ``is_whole`` once the response has ended as HTTP wants it, ``is_closed`` with its connection.
    """

    request: SentRequest
    writer: asyncio.StreamWriter
    keeps_alive: bool = True
    sent: int = 0
    is_whole: bool = False
    is_closed: bool = False

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
        self.is_whole = True

    async def whole(self, status: int, content_type: str, body: bytes, **headers: str) -> None:
        """A whole response with its length."""
        length = str(len(body))
        await self.head(status, content_type=content_type, content_length=length, **headers)
        await self.raw(body)
        self.is_whole = True

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
    exchanges: list[Exchange] = field(default_factory=list)
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
            first = b""
            self.requests.append(request)
            await self._notify()
            exchange = Exchange(request, writer)
            self.exchanges.append(exchange)
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
                exchange.is_closed = not first
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
