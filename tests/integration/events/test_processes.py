"""Streams between real processes: readers that move, writers that are killed or paused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
import pytest_asyncio
from tests.fakes.redis_server import RedisServer, running_redis
from tests.integration.events.conftest import SETTINGS, redis_log
from tests.integration.events.peer import Peer, Peers, Seen

from sitebrook.events.log import DELTA, END, LOST, RESET, to_stream
from sitebrook.ids import new_id

pytestmark = pytest.mark.asyncio(loop_scope="module")
_SETTINGS = replace(SETTINGS, length=1000, coalesce_s=0.02)


@pytest.fixture(scope="module")
def server(needs_redis: None) -> Iterator[RedisServer]:
    """A Redis for all tests of this module."""
    with running_redis() as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def processes(server: RedisServer) -> AsyncIterator[Peers]:
    """Processes that share the Redis."""
    started = Peers(server.url, _SETTINGS)
    yield started
    await started.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def four(processes: Peers) -> list[Peer]:
    """Four of them that run."""
    return await processes.take(4)


@pytest.fixture
def stream() -> str:
    """The name of a stream that no other test has."""
    return to_stream("site_a", "answer", new_id("ans"))


def numbers(seen: Seen) -> list[int]:
    """The payloads of the writer's events."""
    return [payload for _, kind, payload in seen if kind == DELTA]


async def until_lost(peer: Peer, timeout_s: float = 5) -> list[str]:
    """The streams whose loss the process is told of in time."""
    deadline = time.monotonic() + timeout_s
    while not (lost := await peer.lost()) and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    return lost


async def test_a_reader_may_move_to_another_process_at_every_event(
    four: list[Peer], stream: str
) -> None:
    await four[0].write(stream, count=500, pace_s=0.001)
    await four[1].find(stream)
    seen: Seen = []
    while len(seen) < 501:
        after = seen[-1][0] if seen else None
        seen += await four[len(seen) % 4].read(stream, after, 1)
    assert numbers(seen) == list(range(500))
    assert seen[-1][1] == END
    assert [position for position, _, _ in seen] == [f"1-{number}" for number in range(1, 502)]


async def test_every_boundary_of_a_whole_stream_is_a_place_to_go_on(
    four: list[Peer], stream: str
) -> None:
    await four[0].write(stream, count=500)
    await four[1].find(stream)
    whole = await four[1].read(stream, None)
    assert len(whole) == 501
    for place in range(501):
        peer = four[place % 4]
        rest = await peer.read(stream, f"1-{place}")
        assert whole[:place] + rest == whole


async def test_readers_of_a_killed_process_get_one_error_event(
    four: list[Peer], stream: str
) -> None:
    writing, reading, other, _ = four
    await writing.write(stream, count=10**6, pace_s=0.005)
    await four[1].find(stream)
    await reading.read(stream, None, 20)
    attached = asyncio.create_task(reading.read(stream, None))
    await asyncio.sleep(0.1)
    killed_at = time.monotonic()
    writing.kill()
    seen = await attached
    assert time.monotonic() - killed_at < 2 * _SETTINGS.lease_s
    assert [kind for _, kind, _ in seen if kind != DELTA] == [LOST]
    assert numbers(seen) == list(range(len(seen) - 1))
    assert await other.read(stream, None) == seen
    assert await reading.read(stream, seen[-1][0]) == []
    # Who was ahead of what the writer left behind is told as well.
    ahead = await other.read(stream, f"1-{len(seen) + 3}")
    assert [kind for _, kind, _ in ahead] == [LOST]
    assert await reading.cancel(stream) is False


async def test_one_process_is_told_what_a_killed_one_left_behind(
    four: list[Peer], stream: str
) -> None:
    names = [to_stream("site_a", "job", f"job_{number}") for number in range(150)]
    for name in names:
        await four[0].write(name, count=3, pace_s=0.001, closes=False)
    await four[0].write(stream, count=3)
    for name in (*names, stream):
        await four[1].find(name)
    await four[1].read(stream, None)
    four[0].kill()
    told: list[str] = []
    deadline = time.monotonic() + 10
    while len(told) < len(names) and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
        told = [name for peer in four[1:] for name in await peer.lost() if name in names]
    assert sorted(told) == sorted(names)


async def test_what_is_lost_waits_for_a_process_that_deals_with_it(
    redis_server: RedisServer, stream: str
) -> None:
    processes = Peers(redis_server.url, _SETTINGS)
    try:
        async with asyncio.timeout(20), redis_log(redis_server, _SETTINGS) as idle:
            (writer,) = await processes.take(1)
            await writer.write(stream, count=10**6, pace_s=0.01)
            await writer.read(stream, None, 1)
            while not redis_server.command("EXISTS", f"sb:ev:{{{stream}}}"):
                await asyncio.sleep(0.002)
            async with idle.read(stream) as reader:
                writer.kill()
                assert [event.kind async for event in reader][-1] == LOST
            (other,) = await processes.take(1)
            assert await until_lost(other) == [stream]
    finally:
        await processes.stop()


async def test_a_paused_writer_that_comes_back_too_late_writes_nothing(
    four: list[Peer], stream: str
) -> None:
    writing, reading, other, _ = four
    await writing.write(stream, count=10**6, pace_s=0.005)
    await four[1].find(stream)
    attached = asyncio.create_task(reading.read(stream, None))
    await asyncio.sleep(0.1)
    writing.pause()
    seen = await attached
    assert seen[-1][1] == LOST
    writing.resume()
    await asyncio.sleep(2 * _SETTINGS.lease_s)
    assert await other.read(stream, None) == seen


async def test_a_pause_within_the_lease_is_no_loss(four: list[Peer], stream: str) -> None:
    writing, reading, _, _ = four
    await writing.write(stream, count=100, pace_s=0.005)
    await four[1].find(stream)
    attached = asyncio.create_task(reading.read(stream, None))
    await asyncio.sleep(0.1)
    writing.pause()
    await asyncio.sleep(_SETTINGS.lease_s / 2)
    writing.resume()
    assert numbers(await attached) == list(range(100))


async def test_the_next_attempt_in_another_process_takes_over(
    four: list[Peer], stream: str
) -> None:
    first, second, reading, _ = four
    await first.write(stream, count=10**6, pace_s=0.005, head={"try": 1})
    await four[1].find(stream)
    attached = asyncio.create_task(reading.read(stream, None))
    local = asyncio.create_task(first.read(stream, None))
    await asyncio.sleep(0.1)
    await second.write(stream, count=50, pace_s=0.001, first=1000, attempt=2, head={"try": 2})
    for seen in (await attached, await local):
        kinds = [kind for _, kind, _ in seen]
        reset = kinds.index(RESET)
        assert numbers(seen[:reset]) == list(range(reset))
        assert numbers(seen[reset:]) == list(range(1000, 1050))
        assert kinds[-1] == END
    assert numbers(await first.read(stream, None)) == list(range(1000, 1050))


async def test_cancel_reaches_the_writers_process(four: list[Peer], stream: str) -> None:
    await four[0].write(stream, count=10**6, pace_s=0.005)
    await four[1].find(stream)
    attached = asyncio.create_task(four[1].read(stream, None))
    await four[2].read(stream, None, 1)
    asked_at = time.monotonic()
    assert await four[2].cancel(stream) is True
    assert (await attached)[-1][1:] == [END, "cancelled"]
    assert time.monotonic() - asked_at < 0.3


async def test_cancel_arrives_when_nobody_hears_it_at_once(
    four: list[Peer], stream: str, server: RedisServer
) -> None:
    await four[0].write(stream, count=10**6, pace_s=0.005)
    await four[1].find(stream)
    await four[1].read(stream, None, 1)
    attached = asyncio.create_task(four[1].read(stream, None))
    server.command("CLIENT", "KILL", "TYPE", "pubsub")
    assert await four[2].cancel(stream) is True
    assert (await attached)[-1][1:] == [END, "cancelled"]
