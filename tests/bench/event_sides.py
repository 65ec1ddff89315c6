"""The processes of the events bench: one writes streams, another one reads them.

Run as ``python -m tests.bench.event_sides ROLE LOAD [URL]`` with the load as JSON. Each prints
``ready``, waits for a line, and prints its figures as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import Any

import uvloop

from sitebrook.db.redis import RedisConnection
from sitebrook.events.log import DELTA, EventLog, EventWriter, to_stream
from sitebrook.events.redis_log import RedisLog
from sitebrook.events.ring_log import RingLog
from sitebrook.settings import EventSettings, RedisSettings

_WORD = " and"
# The writer wakes this often, and emits what is due.
_STEP_S = 0.001
_LIMIT_S = 60


@dataclass(frozen=True, slots=True)
class Load:
    """Streams that each get a delta in each pace, evenly spread, and the readers of each."""

    streams: int
    readers: int
    pace_ms: float
    seconds: float

    @property
    def deltas(self) -> int:
        """Deltas of all streams."""
        return int(self.seconds * 1000 / self.pace_ms) * self.streams

    def to_json(self) -> str:
        """The load as an argument."""
        return json.dumps(asdict(self))


def _names(load: Load) -> list[str]:
    return [
        to_stream("site_bench", "answer", f"ans_{number:022}") for number in range(load.streams)
    ]


async def _emit(writers: list[EventWriter], load: Load, *, writes: bool) -> float:
    """The processor time of emitting the load's deltas at their times."""
    loop = asyncio.get_running_loop()
    began, cpu_s = loop.time(), time.process_time()
    interval_s = load.pace_ms / 1000 / load.streams
    done = 0
    while done < load.deltas:
        while done < load.deltas and done * interval_s <= loop.time() - began:
            if writes:
                payload = {"content": _WORD, "at": time.monotonic_ns()}
                writers[done % load.streams].emit(DELTA, payload)
            done += 1
        await asyncio.sleep(_STEP_S)
    return time.process_time() - cpu_s


async def _read(log: EventLog, name: str, delays_ns: list[int], is_ready: asyncio.Semaphore) -> int:
    """How many events one reader got."""
    count = 0
    async with log.read(name) as reader:
        is_ready.release()
        while batch := await reader.batch():
            now = time.monotonic_ns()
            for event in batch:
                if event.kind == DELTA:
                    count += 1
                    delays_ns.append(now - event.payload["at"])
    return count


def _start_reading(
    log: EventLog, load: Load, delays_ns: list[int]
) -> tuple[list[asyncio.Task[int]], asyncio.Semaphore]:
    is_ready = asyncio.Semaphore(0)
    return [
        asyncio.create_task(_read(log, name, delays_ns, is_ready))
        for name in _names(load)
        for _ in range(load.readers)
    ], is_ready


async def _finish_reading(
    reading: list[asyncio.Task[int]], load: Load, delays_ns: list[int]
) -> dict[str, float]:
    async with asyncio.timeout(_LIMIT_S):
        counts = await asyncio.gather(*reading)
    if not reading:
        return {}
    ranked = sorted(delays_ns)
    return {
        "missing": load.deltas * load.readers - sum(counts),
        "p50_ms": ranked[len(ranked) // 2] / 1e6,
        "p99_ms": ranked[int(len(ranked) * 0.99)] / 1e6,
        "deliveries_s": len(ranked) / load.seconds,
    }


@contextlib.asynccontextmanager
async def _open_log(url: str) -> AsyncIterator[EventLog]:
    if not url:
        yield RingLog(EventSettings())
        return
    connection = RedisConnection(RedisSettings(url=url))
    await connection.probe()
    log = RedisLog(connection, EventSettings())
    background = [asyncio.create_task(connection.run()), asyncio.create_task(log.run())]
    yield log
    await log.drain(5)
    for task in background:
        task.cancel()
    await asyncio.wait(background)
    await connection.aclose()


async def _wait_for_go() -> None:
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)


async def _write(log: EventLog, load: Load) -> dict[str, float]:
    """Writes the load; its cost is what it took beside a loop that emits nothing."""
    writers = [log.writer(name, 1, {"model": "bench"}) for name in _names(load)]
    await asyncio.sleep(0.5)
    await _wait_for_go()
    idle_s = await _emit(writers, load, writes=False)
    await _wait_for_go()
    entries = log.figures().entries
    busy_s = await _emit(writers, load, writes=True)
    for writer in writers:
        writer.close()
    return {
        "cpu_us": (busy_s - idle_s) / load.deltas * 1e6,
        "entries": (log.figures().entries - entries) / load.deltas,
    }


async def _read_all(log: EventLog, load: Load) -> dict[str, float]:
    delays_ns: list[int] = []
    reading, is_ready = _start_reading(log, load, delays_ns)
    async with asyncio.timeout(_LIMIT_S):
        for _ in reading:
            await is_ready.acquire()
    await _wait_for_go()
    return await _finish_reading(reading, load, delays_ns)


async def _both(log: EventLog, load: Load) -> dict[str, float]:
    """Writes and reads in one process."""
    writers = [log.writer(name) for name in _names(load)]
    delays_ns: list[int] = []
    reading, _ = _start_reading(log, load, delays_ns)
    await _wait_for_go()
    idle_s = await _emit(writers, load, writes=False)
    await _wait_for_go()
    busy_s = await _emit(writers, load, writes=True)
    for writer in writers:
        writer.close()
    figures = await _finish_reading(reading, load, delays_ns)
    return {**figures, "cpu_us": (busy_s - idle_s) / load.deltas * 1e6}


async def _run(role: str, load: Load, url: str) -> None:
    work: dict[str, Any] = {"write": _write, "read": _read_all, "both": _both}
    async with _open_log(url) as log:
        print(json.dumps(await work[role](log, load)), flush=True)


if __name__ == "__main__":
    uvloop.run(_run(sys.argv[1], Load(**json.loads(sys.argv[2])), "".join(sys.argv[3:])))
