"""uvicorn as sitebrook runs it: bounded request heads, and a stop that ends answers explicitly."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
from collections.abc import Callable, Generator
from typing import Any, Final, cast

import uvicorn

from sitebrook.cli.bounded_connection import BoundedConnection
from sitebrook.cli.cut_off import cut_off_after
from sitebrook.cli.listeners import BACKLOG, stop_listening
from sitebrook.parts import Parts

# Longer than the proxy keeps an idle connection (4 s in nginx/sitebrook.conf): a request must not
# meet a connection that is being closed.
_KEEP_ALIVE_S: Final = 5
# How often uvicorn looks after itself.
_TICK_S: Final = 0.1
# Connections whose clients do not read get this long once no answer is under way.
_CONNECTIONS_S: Final = 1
# The whole stop takes at most this long beyond the drain; a thread that does not end is cut off.
_STOP_S: Final = 4.6
# Jobs get this long beyond the answers, and then this long to be given back.
_JOBS_S: Final = 5.0
_GIVE_BACK_S: Final = 2.5


class HttpServer(uvicorn.Server):
    """Serves the application on a listening socket until ``stop``.

    uvicorn waits for open connections before the application hears of the stop, and then cuts
    them off; here the answers end first, each with its last event.
    """

    def __init__(
        self,
        app: Callable[..., Any],
        parts: Parts,
        *,
        on_ready: Callable[[], object] = lambda: None,
        last_act: Callable[[], object] = lambda: None,
    ) -> None:
        self._open_answers = parts.open_answers
        self._worker = parts.worker
        self._drain_s = parts.settings.server.drain_s
        self._request_s = parts.settings.server.request_s
        # Each second, or as often as a short patience needs.
        self._look_ticks = min(10, max(1, int(self._request_s)))
        self._on_ready = on_ready
        self._last_act = last_act
        self._draining: asyncio.Task[None] | None = None
        self._is_hurried = False
        self._looked_at: float | None = None
        # Whether all of the port's servers stop, so that its connections need no other one.
        self.gives_up_port = False
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
            if self._worker is not None:
                self._worker.stop()
            self._draining = asyncio.create_task(self._drain())
            cut_off_after(self._drain_s + _STOP_S, self._last_act)

    def stop_now(self) -> None:
        """Stops without waiting; answers under way still get their error event."""
        self.stop()
        self._is_hurried = True
        self._open_answers.hurry()
        if self._worker is not None:
            self._worker.stop_now()
        if self.should_exit:
            for task in list(self.server_state.tasks):
                task.cancel()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts; then says that it is ready."""
        await super().startup(sockets)
        self._on_ready()

    async def on_tick(self, counter: int) -> bool:
        """Does what is due ten times a second; whether to exit."""
        if counter % self._look_ticks == 0:
            self._drop_unfinished_requests()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Closes the port and the connections."""
        if self.gives_up_port:
            for listener in sockets or []:
                stop_listening(listener)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, Any, None]:
        """Leaves signals to the loop: what the process started must end after the server does."""
        yield

    def _drop_unfinished_requests(self) -> None:
        now = asyncio.get_running_loop().time()
        # What came while this process was held up was not read: that time counts once at most.
        elapsed_s = min(now - (self._looked_at or now), 2 * self._look_ticks * _TICK_S)
        self._looked_at = now
        for connection in tuple(self.server_state.connections):
            cast("BoundedConnection", connection).wait_for_request(elapsed_s, self._request_s)

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._drain_s
        try:
            await self._open_answers.drain(self._drain_s)
            await self._end_jobs(until)
        finally:
            # Other requests, such as uploads, have what is left of the time.
            left_s = 0 if self._is_hurried else until - loop.time()
            self.config.timeout_graceful_shutdown = max(_CONNECTIONS_S, math.ceil(left_s))
            self.should_exit = True

    async def _end_jobs(self, until: float) -> None:
        """Lets jobs end for a moment, then gives them back, while the port still answers.

        They go on where they were, and a successor may wait for the end of this process.
        """
        if self._worker is None:
            return
        left_s = 0 if self._is_hurried else until - asyncio.get_running_loop().time()
        for patience_s in (min(_JOBS_S, left_s), _GIVE_BACK_S):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    await self._worker.drained()
            self._worker.stop_now()
