"""Several worker processes on one port: started, replaced when they die, stopped together."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from sitebrook.errors import StartError
from sitebrook.settings import Settings

_LOG: Final = logging.getLogger(__name__)
# What worker and parent say to each other.
READY: Final = b"ready\n"
STOP: Final = b"stop\n"
STOP_NOW: Final = b"stop now\n"
_START_S: Final = 60.0
# A worker that serves this long counts as started well.
_SETTLED_S: Final = 10.0
_MOST_FAILURES: Final = 5
_FIRST_PAUSE_S: Final = 0.25
# A worker ends by itself 4.6 s after the drain at the latest.
_KILL_S: Final = 4.7
# The parent, which then stops the database, ends this long after the drain at the latest.
_STOP_S: Final = 4.9


@dataclass(frozen=True, slots=True)
class _Worker:
    """A worker process and the parent's end of its control socket.

    The socket also tells the worker that the parent is gone, however that came about.
    """

    process: Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def start(cls, index: int, listener: socket.socket, url: str) -> Self:
        ours, theirs = socket.socketpair()
        with theirs:
            numbers = (listener.fileno(), theirs.fileno())
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "sitebrook.cli.worker"),
                *(str(number) for number in (*numbers, index)),
                env={**os.environ, "DATABASE_URL": url},
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=numbers,
                start_new_session=True,  # Ctrl-C is the parent's to hear
            )
        return cls(process, *await asyncio.open_connection(sock=ours))

    async def has_started(self) -> bool:
        """Whether it serves; False when it ended, or did not start in time and was killed."""
        try:
            async with asyncio.timeout(_START_S):
                return await self.reader.readline() == READY
        except (TimeoutError, ConnectionError):
            self.kill()
            return False

    def tell(self, command: bytes) -> None:
        """Sends a command; one that has ended needs none."""
        if not self.writer.is_closing():
            self.writer.write(command)

    def kill(self) -> None:
        """Ends it at once."""
        if self.process.returncode is None:
            self.process.kill()

    def terminate(self) -> None:
        """Ends it at once while it does not listen for commands yet, and else as a stop does."""
        if self.process.returncode is None:
            self.process.terminate()


@dataclass(frozen=True, slots=True)
class _End:
    """How a worker ended, and for how long it had served; 0 when it never did."""

    status: int
    served_s: float


class Workers:
    """The workers of one port, each with a listening socket of it.

    ``settings.database.url`` is their database. The parent keeps each socket, so that who has
    connected to a worker that died waits for its replacement. ``cut_off`` is told at a stop after
    how many seconds this process must have ended.
    """

    def __init__(
        self,
        settings: Settings,
        listeners: Sequence[socket.socket],
        cut_off: Callable[[float], object],
    ) -> None:
        self._count = settings.server.workers
        self._url = settings.database.url or ""
        self._drain_s = settings.server.drain_s
        self._listeners = listeners
        self._cut_off = cut_off
        self._running: dict[int, _Worker] = {}
        # Those of them that do not serve yet.
        self._starting: set[int] = set()
        self._ready: set[int] = set()
        self._last_command: bytes | None = None
        self._is_stopping = asyncio.Event()
        self._failure: StartError | None = None

    async def run(self, announce: Callable[[], None]) -> None:
        """Keeps the workers running until a signal; ``announce`` when all serve.

        Raises StartError when one cannot be started, or dies again and again.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._hear_signal)
        async with asyncio.TaskGroup() as group:
            for index in range(1, self._count + 1):
                group.create_task(self._keep(index, announce))
        if self._failure is not None:
            raise self._failure

    def _hear_signal(self) -> None:
        self._stop(STOP_NOW if self._is_stopping.is_set() else STOP)

    def _stop(self, command: bytes) -> None:
        if not self._is_stopping.is_set():
            asyncio.get_running_loop().call_later(self._drain_s + _KILL_S, self._kill_all)
            self._cut_off(self._drain_s + _STOP_S)
        self._is_stopping.set()
        self._last_command = command
        for index in self._running:
            self._tell(index, command)

    def _tell(self, index: int, command: bytes) -> None:
        self._running[index].tell(command)
        if index in self._starting:  # it has nothing to end, and its start may outlast the stop
            self._running[index].terminate()

    def _kill_all(self) -> None:
        for index, worker in self._running.items():
            _LOG.error("a worker did not end in time and is killed", extra={"worker": index})
            worker.kill()

    async def _keep(self, index: int, announce: Callable[[], None]) -> None:
        """One worker after the other under this index."""
        failures = 0
        while not self._is_stopping.is_set():
            end = await self._run_one(index, announce)
            if self._is_stopping.is_set():
                # Who connects now must come to a worker that still refuses, or be refused.
                self._listeners[index - 1].close()
                return
            failures = failures + 1 if end.served_s < _SETTLED_S else 0
            _LOG.error("a worker has ended", extra={"worker": index, "status": end.status})
            if len(self._ready) < self._count or failures >= _MOST_FAILURES:
                self._give_up(index, end.status, failures)
            elif failures:
                await self._pause(_FIRST_PAUSE_S * 2 ** (failures - 1))

    async def _run_one(self, index: int, announce: Callable[[], None]) -> _End:
        """A new worker, until it has ended."""
        loop = asyncio.get_running_loop()
        worker = await _Worker.start(index, self._listeners[index - 1], self._url)
        self._running[index] = worker
        self._starting.add(index)
        if self._last_command is not None:  # the signal came in between
            self._tell(index, self._last_command)
        try:
            if not await worker.has_started():
                return _End(await worker.process.wait(), 0)
            began_at = loop.time()
            self._starting.discard(index)
            self._note_ready(index, announce)
            return _End(await worker.process.wait(), loop.time() - began_at)
        finally:
            del self._running[index]
            self._starting.discard(index)
            worker.writer.close()

    def _note_ready(self, index: int, announce: Callable[[], None]) -> None:
        if index not in self._ready:
            self._ready.add(index)
            if len(self._ready) == self._count and not self._is_stopping.is_set():
                announce()

    def _give_up(self, index: int, status: int, failures: int) -> None:
        times = f"{failures} times soon after its start" if failures > 1 else "during the start"
        self._failure = StartError(
            f"Worker {index} ended {times}, with status {status}: what it wrote above says why."
        )
        self._stop(STOP)

    async def _pause(self, pause_s: float) -> None:
        try:
            async with asyncio.timeout(pause_s):
                await self._is_stopping.wait()
        except TimeoutError:
            pass
