"""Another process with an event log of its own, which does what it is told over its input.

Run as ``python -m tests.integration.events.peer SETTINGS`` it reads a JSON object a line.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.servers import clean_environment

from sitebrook.db.redis import RedisConnection
from sitebrook.errors import RequestError
from sitebrook.events.log import DELTA, LostStream
from sitebrook.events.redis_log import RedisLog
from sitebrook.settings import EventSettings, RedisSettings

_ANSWER_S = 60
Seen = list[list[Any]]


class Peer:
    """The parent's side of the process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self._is_killed = False
        self._reading = asyncio.create_task(self._read())

    @property
    def is_running(self) -> bool:
        """Whether it was not killed."""
        return self._process.returncode is None and not self._is_killed

    async def write(self, stream: str, **how: Any) -> None:
        """Begins to write a stream; returns when it has begun."""
        await self._ask("write", stream, how)

    async def read(self, stream: str, after: str | None, count: int = 10**9) -> Seen:
        """So many events as ``[position, kind, payload]``, fewer when the stream ends before.

        What refuses to be read is ``["", error code, message]``.
        """
        return await self._ask("read", stream, {"after": after, "count": count})

    async def find(self, stream: str) -> None:
        """Returns once the stream can be read here."""
        async with asyncio.timeout(_ANSWER_S):
            while await self.read(stream, None, 0):
                await asyncio.sleep(0.002)

    async def cancel(self, stream: str) -> bool | str:
        """Whether the stream was running and was asked to end, or the code of an error."""
        return await self._ask("cancel", stream, {})

    async def lost(self) -> list[str]:
        """The streams whose loss the process was told of."""
        return await self._ask("lost", "", {})

    def kill(self) -> None:
        """Ends it as ``kill -9`` does."""
        self._is_killed = True
        self._process.kill()

    def pause(self) -> None:
        """Stops it, with its connections open."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on after ``pause``."""
        os.kill(self._process.pid, signal.SIGCONT)

    async def stop(self) -> None:
        """Ends it, whatever state it is in."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()
        self._reading.cancel()

    async def _ask(self, what: str, stream: str, how: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        self._number += 1
        number = self._number
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        line = json.dumps({"number": number, "do": what, "stream": stream, **how})
        self._process.stdin.write(line.encode() + b"\n")
        async with asyncio.timeout(_ANSWER_S):
            return await answer

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            number, answer = json.loads(line)
            future = self._answers.pop(number)
            if not future.done():
                future.set_result(answer)


class Peers:
    """Processes over one Redis; killed ones are replaced when so many are wanted again."""

    def __init__(self, url: str, settings: EventSettings) -> None:
        self._options = json.dumps({"url": url, "events": asdict(settings)})
        self._peers: list[Peer] = []

    async def take(self, count: int) -> list[Peer]:
        """So many running ones."""
        self._peers = [peer for peer in self._peers if peer.is_running]
        new = [await self._start() for _ in range(count - len(self._peers))]
        self._peers += new
        for peer in new:
            await peer.lost()
        return self._peers[:count]

    async def stop(self) -> None:
        """Ends them all."""
        for peer in self._peers:
            await peer.stop()

    async def _start(self) -> Peer:
        return Peer(
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.integration.events.peer", self._options),
                cwd=Path(__file__).parents[3],
                env=clean_environment(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=2**24,
            )
        )


class _Process:
    """The process's own side."""

    def __init__(self, log: RedisLog) -> None:
        self._log = log
        self._lost: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()
        log.on_lost(self._note_lost)

    async def serve(self) -> None:
        """Does what comes over the input until that ends."""
        reader = asyncio.StreamReader(limit=2**24)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        while line := await reader.readline():
            order = json.loads(line)
            task = asyncio.create_task(self._obey(order))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _obey(self, order: dict[str, Any]) -> None:
        do = order["do"]
        if do == "write":
            self._write(order)
            self._answer(order, None)
        elif do == "read":
            self._answer(order, await self._read(order))
        elif do == "cancel":
            self._answer(order, await self._cancel(order["stream"]))
        else:
            self._answer(order, self._lost)

    async def _read(self, order: dict[str, Any]) -> Seen:
        seen: Seen = []
        try:
            async with self._log.read(order["stream"], order["after"]) as reader:
                while len(seen) < order["count"]:
                    event = await anext(reader, None)
                    if event is None:
                        break
                    seen.append([event.position, event.kind, event.payload])
        except RequestError as error:
            seen.append(["", error.code, str(error)])
        return seen

    async def _cancel(self, stream: str) -> bool | str | None:
        try:
            return await self._log.cancel(stream)
        except RequestError as error:
            return error.code

    def _write(self, order: dict[str, Any]) -> None:
        writer = self._log.writer(order["stream"], order.get("attempt", 1), order.get("head"))
        sent: list[int] = []
        writer.snapshot(lambda: list(sent))

        async def go_on() -> None:
            pace_s, first = order.get("pace_s", 0.0), order.get("first", 0)
            for number in range(first, first + order["count"]):
                sent.append(number)
                writer.emit(DELTA, number)
                await asyncio.sleep(pace_s)
            if order.get("closes", True):
                writer.close()

        task = asyncio.create_task(go_on())
        self._tasks.add(task)
        writer.on_cancel(lambda: (task.cancel(), writer.close("cancelled")))

    async def _note_lost(self, lost: LostStream) -> None:
        self._lost.append(lost.name)

    def _answer(self, order: dict[str, Any], answer: Any) -> None:
        sys.stdout.write(json.dumps([order["number"], answer]) + "\n")
        sys.stdout.flush()


async def _main(options: dict[str, Any]) -> None:
    connection = RedisConnection(RedisSettings(url=options["url"], probe_s=0.1))
    while not await connection.probe():
        await asyncio.sleep(0.05)
    log = RedisLog(connection, EventSettings(**options["events"]))
    background = [asyncio.create_task(connection.run()), asyncio.create_task(log.run())]
    await _Process(log).serve()
    for task in background:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(_main(json.loads(sys.argv[1])))
