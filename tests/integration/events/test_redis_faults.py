"""Redis killed, emptied, paused, full, restored: nobody who writes or reads loses an event."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from tests.fakes.redis_server import RedisServer, running_redis
from tests.integration.events.conftest import SETTINGS, redis_log

from sitebrook.errors import NotFound, RedisAway, RequestError
from sitebrook.events.log import DELTA, END, LOST, SNAPSHOT, Event, EventLog, to_stream
from sitebrook.events.redis_log import RedisLog

STREAM = to_stream("site_a", "answer", "ans_1")
# A lease that outlasts what these tests do to connections: nobody here is to be given up.
_SETTINGS = replace(SETTINGS, length=1000, lease_s=2.0)
# What a process may take to notice that Redis is back, and to write what is missing.
_RECOVERY_S = 5.0


class Pair:
    """A log that writes, another process's log that reads, and their Redis."""

    def __init__(self, server: RedisServer, writing: RedisLog, reading: RedisLog) -> None:
        self.server = server
        self.writing = writing
        self.reading = reading
        self.writer = writing.writer(STREAM, 1, {"model": "m"})
        self.sent: list[int] = []
        self.writer.snapshot(lambda: list(self.sent))

    def emit(self, count: int) -> None:
        """Writes so many events."""
        for _ in range(count):
            self.sent.append(len(self.sent))
            self.writer.emit(DELTA, self.sent[-1])

    async def begin(self, count: int = 10) -> None:
        """Writes the first events; returns once the reading side has them."""
        self.emit(count)
        await self.until_written(NotFound)

    async def until_written(self, *accepted: type[RequestError]) -> None:
        """Returns once the reading side has everything, soon after Redis is back."""
        async with asyncio.timeout(_RECOVERY_S):
            while True:
                with contextlib.suppress(RedisAway, *accepted):
                    async with self.reading.read(STREAM) as reader:
                        while reader.position != f"1-{len(self.sent)}":
                            await anext(reader)
                        return
                await asyncio.sleep(0.02)

    def attach(self, log: EventLog) -> asyncio.Task[list[Event]]:
        """A reader of everything."""
        return asyncio.create_task(self._read(log))

    async def check(self, *attached: asyncio.Task[list[Event]]) -> None:
        """Ends the stream: these readers, and late ones, have got all of it exactly once."""
        self.writer.close()
        expected = [*range(len(self.sent))]
        for events in await asyncio.gather(*attached, self._read(self.writing)):
            assert [event.payload for event in events[:-1]] == expected
            assert events[-1].kind == END
        await self.until_written()
        late = await self._read(self.reading)
        assert [event.payload for event in late[:-1]] == expected
        assert not self.writing.figures().is_degraded

    async def _read(self, log: EventLog) -> list[Event]:
        async with asyncio.timeout(30), log.read(STREAM) as reader:
            return [event async for event in reader]


@contextlib.asynccontextmanager
async def _pair(server: RedisServer) -> AsyncIterator[Pair]:
    async with redis_log(server, _SETTINGS) as writing, redis_log(server, _SETTINGS) as reading:
        yield Pair(server, writing, reading)


@pytest.fixture
async def pair(redis_server: RedisServer) -> AsyncIterator[Pair]:
    """Both logs with a stream that has begun."""
    async with _pair(redis_server) as made:
        await made.begin()
        yield made


async def test_a_killed_redis_that_comes_back_empty(pair: Pair) -> None:
    near, far = pair.attach(pair.writing), pair.attach(pair.reading)
    await asyncio.sleep(0.05)
    pair.server.kill()
    pair.emit(50)
    async with pair.writing.read(STREAM, "1-55") as reader:
        assert (await anext(reader)).payload == 55
    with pytest.raises(RedisAway):
        async with asyncio.timeout(2), pair.reading.read(to_stream("site_a", "answer", "ans_2")):
            pass
    assert pair.writing.figures().is_degraded
    pair.emit(10)
    assert pair.writing.figures().lag_s > 0
    pair.server.start()
    pair.emit(10)
    await pair.until_written()
    pair.emit(10)
    await pair.check(near, far)


async def test_an_emptied_redis(pair: Pair) -> None:
    far = pair.attach(pair.reading)
    await asyncio.sleep(0.05)
    for _ in range(5):
        pair.server.command("FLUSHALL")
        pair.emit(3)
        await asyncio.sleep(0.02)
    pair.server.command("FLUSHALL")  # and nothing is written that could notice
    await pair.until_written()
    await pair.check(far)


async def test_a_reader_that_comes_while_redis_is_empty(pair: Pair) -> None:
    pair.server.command("FLUSHALL")
    far = pair.attach(pair.reading)
    await asyncio.sleep(0.3)
    assert not far.done()
    pair.emit(5)
    await pair.check(far)


async def test_a_redis_that_is_paused(pair: Pair) -> None:
    near, far = pair.attach(pair.writing), pair.attach(pair.reading)
    await asyncio.sleep(0.05)
    pair.server.pause()
    for _ in range(20):
        began = time.perf_counter()
        pair.emit(5)
        assert time.perf_counter() - began < 0.05
        await asyncio.sleep(0.05)
    pair.server.resume()
    await pair.until_written()
    await pair.check(near, far)


async def test_a_redis_that_is_full(pair: Pair) -> None:
    near, far = pair.attach(pair.writing), pair.attach(pair.reading)
    await asyncio.sleep(0.05)
    pair.server.command("CONFIG", "SET", "maxmemory", "1")
    pair.emit(50)
    await asyncio.sleep(0.5)
    assert pair.writing.figures().is_degraded
    pair.emit(5)
    pair.server.command("CONFIG", "SET", "maxmemory", "0")
    await pair.until_written()
    await pair.check(near, far)


async def test_a_redis_that_comes_back_with_an_older_state(pair: Pair) -> None:
    far = pair.attach(pair.reading)
    await asyncio.sleep(0.05)
    pair.server.command("SAVE")
    pair.emit(20)
    await pair.until_written()
    pair.server.kill()
    pair.server.start()
    pair.emit(20)
    await pair.until_written()
    await pair.check(far)


async def test_answers_of_redis_that_are_lost(pair: Pair) -> None:
    far = pair.attach(pair.reading)
    for _ in range(10):
        pair.emit(3)
        pair.server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        pair.server.command("CLIENT", "KILL", "TYPE", "pubsub")
        pair.emit(3)
        await asyncio.sleep(0.05)
    await pair.until_written()
    await pair.check(far)


async def test_scripts_that_redis_forgets(pair: Pair) -> None:
    far = pair.attach(pair.reading)
    for _ in range(5):
        pair.server.command("SCRIPT", "FLUSH")
        pair.emit(3)
        await asyncio.sleep(0.02)
    await pair.check(far)


async def test_a_long_outage_leaves_a_snapshot_and_what_is_still_in_memory(pair: Pair) -> None:
    far = pair.attach(pair.reading)
    await asyncio.sleep(0.05)
    pair.server.kill()
    for _ in range(150):
        pair.emit(100)
        await asyncio.sleep(0)
    pair.server.start()
    async with asyncio.timeout(10):
        while pair.writing.figures().lag_s or pair.writing.figures().is_degraded:
            await asyncio.sleep(0.02)
    pair.writer.close()
    late = pair.attach(pair.reading)
    for events in (await far, await late):
        seen: list[int] = []
        for event in events:
            if event.kind == SNAPSHOT:
                seen = event.payload
            elif event.kind == DELTA:
                seen.append(event.payload)
        assert seen == pair.sent
        assert SNAPSHOT in {event.kind for event in events}


async def test_readers_give_up_when_redis_stays_away(redis_server: RedisServer) -> None:
    settings = replace(_SETTINGS, outage_s=0.3)
    async with (
        redis_log(redis_server, settings) as writing,
        redis_log(redis_server, settings) as reading,
    ):
        pair = Pair(redis_server, writing, reading)
        await pair.begin(3)
        near, far = pair.attach(writing), pair.attach(reading)
        await asyncio.sleep(0.05)
        redis_server.kill()
        with pytest.raises(RedisAway):
            await far
        pair.emit(3)
        pair.writer.close()
        assert len(await near) == 7


async def test_a_key_of_somebody_else_spoils_one_stream_only(pair: Pair) -> None:
    pair.server.command("SET", "sb:ev:{site_a:answer:ans_2}", "mine")
    pair.server.command("SET", "sb:ev:{site_a:answer:ans_3}:meta", "mine")
    spoiled = [pair.writing.writer(to_stream("site_a", "answer", f"ans_{n}")) for n in (2, 3)]
    for writer in spoiled:
        writer.emit(DELTA, 1)
    pair.emit(5)
    await pair.until_written()
    await pair.check()


async def test_a_process_that_ends_leaves_no_owner_behind(redis_server: RedisServer) -> None:
    async with redis_log(redis_server, _SETTINGS) as reading:
        async with redis_log(redis_server, _SETTINGS) as writing:
            pair = Pair(redis_server, writing, reading)
            await pair.begin(3)
            far = pair.attach(reading)
            await writing.drain(2)
        events = await far
        assert [event.kind for event in events] == [DELTA, DELTA, DELTA, LOST]
        assert len(redis_server.command("SMEMBERS", "sb:ev:{owners}")) == 1


async def test_what_is_in_redis_has_an_end(pair: Pair) -> None:
    await pair.until_written()
    for key in pair.server.command("KEYS", "sb:ev:*"):
        assert pair.server.command("PTTL", key) > 0, key
    assert pair.server.command("TTL", f"sb:ev:{{{STREAM}}}") > _SETTINGS.closed_expiry_s
    await pair.check()
    for part in ("", ":meta"):
        lives_s = pair.server.command("TTL", f"sb:ev:{{{STREAM}}}{part}")
        assert 0 < lives_s <= _SETTINGS.closed_expiry_s


async def test_redis_7_and_none_at_all_at_the_start(needs_redis: None) -> None:
    with running_redis() as server:
        server.kill()
        server.start()
        async with _pair(server) as pair:
            await pair.begin()
            await pair.check()
