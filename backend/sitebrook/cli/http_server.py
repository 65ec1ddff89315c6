"""uvicorn as sitebrook runs it: bounded request heads, and a stop that ends answers explicitly."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import socket
import threading
from collections.abc import Callable, Generator
from typing import Any, Final

import uvicorn

from sitebrook.api.connection import ClientConnection
from sitebrook.api.errors import to_reply
from sitebrook.errors import InvalidRequest
from sitebrook.parts import Parts

_LOG: Final = logging.getLogger(__name__)
# Thousands of callers who connect within a second wait here instead of being refused.
BACKLOG: Final = 8192
# Longer than the proxy keeps an idle connection (4 s in nginx/sitebrook.conf): a request must not
# meet a connection that is being closed.
_KEEP_ALIVE_S: Final = 5
_HEAD_BYTES: Final = 65_536
# Connections whose clients do not read get this long once no answer is under way.
_CONNECTIONS_S: Final = 1
# The whole stop takes at most this long beyond the drain; a thread that does not end is cut off.
_STOP_S: Final = 4.6


class BoundedConnection(ClientConnection):
    """A connection with a bound on the request's head, which httptools does not have."""

    _is_in_head = False
    _head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Takes bytes of the connection; a head over the bound is answered with 400."""
        was_in_head = self._is_in_head
        super().data_received(data)
        # Of the read in which a head begins it is not known how much is head: it counts as none.
        if was_in_head and self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The request's headers are over 64 KB.")

    def on_message_begin(self) -> None:
        """Begins to count."""
        self._is_in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Ends counting."""
        self._is_in_head = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuses what is no HTTP in the one error shape, and closes the connection."""
        body = to_reply(InvalidRequest(msg, code="bad_request")).encode()
        head = (
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nx-should-retry: false\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


class HttpServer(uvicorn.Server):
    """Serves the application on a listening socket until ``stop``.

    uvicorn waits for open connections before the application hears of the stop, and then cuts
    them off; here the answers end first, each with its last event.
    """

    def __init__(
        self, app: Callable[..., Any], parts: Parts, on_ready: Callable[[], None] | None = None
    ) -> None:
        self._open_answers = parts.open_answers
        self._drain_s = parts.settings.server.drain_s
        self._on_ready = on_ready
        self._draining: asyncio.Task[None] | None = None
        self._is_hurried = False
        config = uvicorn.Config(
            app,
            loop="none",  # uvloop.run has made it
            http=BoundedConnection,
            ws="none",
            access_log=False,
            log_config=None,
            backlog=BACKLOG,
            limit_concurrency=None,  # its refusal is not in our error shape; limits are the app's
            timeout_keep_alive=_KEEP_ALIVE_S,
            proxy_headers=True,
            forwarded_allow_ips=list(parts.settings.server.trusted_proxies),
            server_header=False,
            date_header=True,
        )
        super().__init__(config)

    async def run_on(self, listener: socket.socket) -> None:
        """Serves; returns when the stop is complete."""
        await self.serve(sockets=[listener])

    def stop(self) -> None:
        """Refuses new work, lets answers end, then closes all; does nothing the second time."""
        if self._draining is None:
            self._open_answers.begin_drain()
            self._draining = asyncio.create_task(self._drain())
            _cut_off_after(self._drain_s + _STOP_S)

    def stop_now(self) -> None:
        """Stops without waiting; answers under way still get their error event."""
        self.stop()
        self._is_hurried = True
        self._open_answers.hurry()
        if self.should_exit:
            for task in list(self.server_state.tasks):
                task.cancel()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts; then says that it is ready."""
        await super().startup(sockets)
        if self._on_ready is not None:
            self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, Any, None]:
        """Leaves signals to the loop: what the process started must end after the server does."""
        yield

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._drain_s
        try:
            await self._open_answers.drain(self._drain_s)
        finally:
            # Other requests, such as uploads, have what is left of the time.
            left_s = 0 if self._is_hurried else until - loop.time()
            self.config.timeout_graceful_shutdown = max(_CONNECTIONS_S, math.ceil(left_s))
            self.should_exit = True


def _cut_off_after(timeout_s: float) -> None:
    """Ends the process when it is still there: Python waits for its threads without a bound."""

    def end() -> None:
        _LOG.error("the server did not end in time and is cut off")
        os._exit(1)

    timer = threading.Timer(timeout_s, end)
    timer.daemon = True
    timer.start()
