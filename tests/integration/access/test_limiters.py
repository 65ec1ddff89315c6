"""One suite over every limiter, then what only a shared one promises."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from tests.fakes.redis_server import RedisServer, running_redis

from sitebrook.access.limits import Allowance, Limiter, ProcessLimiter
from sitebrook.access.redis_limits import RedisLimiter
from sitebrook.db.redis import RedisConnection
from sitebrook.errors import LimitReached
from sitebrook.settings import RedisSettings

_TIMEOUT_S = 0.3
_LEASE_S = 0.6


def _of(visitor: str = "vis_1", *, per_minute: int = 0, at_once: int = 0) -> Allowance:
    return Allowance("visitor", visitor, per_minute, at_once)


@contextlib.asynccontextmanager
async def shared_limiter(
    url: str, prefix: str = "sb:", lease_s: float = _LEASE_S
) -> AsyncIterator[RedisLimiter]:
    """A process's limiter with its background work, over a Redis that it knows to be up or not."""
    settings = RedisSettings(url=url, key_prefix=prefix, timeout_s=_TIMEOUT_S, probe_s=0.1)
    redis = RedisConnection(settings)
    limiter = RedisLimiter(redis, lease_s=lease_s)
    await redis.probe()
    work = [redis.run(), limiter.run()]
    tasks = {asyncio.create_task(one) for one in work}
    try:
        yield limiter
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await redis.aclose()


@contextlib.asynccontextmanager
async def killed(limiter_of: str) -> AsyncIterator[RedisLimiter]:
    """A limiter whose process ends without a word."""
    redis = RedisConnection(RedisSettings(url=limiter_of))
    assert await redis.probe()
    yield RedisLimiter(redis, lease_s=_LEASE_S)
    await redis.aclose()


@pytest.fixture(scope="module")
def redis_of_module(needs_redis: None) -> Iterator[str]:
    with running_redis() as server:
        yield server.url


@pytest.fixture(params=["process", "redis"])
async def limiter(request: pytest.FixtureRequest) -> AsyncIterator[Limiter]:
    if request.param == "process":
        yield ProcessLimiter()
        return
    url = request.getfixturevalue("redis_of_module")
    async with shared_limiter(url, f"{uuid.uuid4().hex}:") as made:
        yield made


async def _refusal(work: Awaitable[None]) -> LimitReached | None:
    try:
        await work
    except LimitReached as refused:
        return refused
    return None


async def _is_refused(work: Awaitable[None]) -> bool:
    return await _refusal(work) is not None


async def _is_admitted(work: Awaitable[None]) -> bool:
    return await _refusal(work) is None


async def _until(is_true: Callable[[], Awaitable[bool]], timeout_s: float = 5) -> None:
    async with asyncio.timeout(timeout_s):
        while not await is_true():
            await asyncio.sleep(0.01)


async def test_a_minutes_worth_may_come_at_once_and_then_one_at_a_time(limiter: Limiter) -> None:
    one = [_of(per_minute=100)]
    for _ in range(100):
        await limiter.count(one)
    refusal = None
    for _ in range(100):  # some became free again while the first were counted
        refusal = refusal or await _refusal(limiter.count(one))
    assert refusal is not None
    assert refusal.code == "visitor_rate_limit"
    assert 0 < (refusal.retry_after_s or 0) <= 0.6
    await _until(lambda: _is_admitted(limiter.count(one)), 2)
    assert await _is_refused(limiter.count(one))


async def test_a_refused_request_costs_nobody_anything(limiter: Limiter) -> None:
    await limiter.count([_of("vis_1", per_minute=1)])
    both = [_of("vis_2", per_minute=1, at_once=1), _of("vis_1", per_minute=1)]
    for _ in range(5):
        with pytest.raises(LimitReached):
            await limiter.open(both)
        with pytest.raises(LimitReached):
            await limiter.count(both)
    await limiter.open([_of("vis_2", per_minute=1, at_once=1)])


async def test_zero_is_no_limit(limiter: Limiter) -> None:
    for _ in range(300):
        await limiter.open([_of()])


async def test_open_answers_are_counted_down(limiter: Limiter) -> None:
    one = [_of(at_once=2)]
    await limiter.open(one)
    await limiter.open(one)
    with pytest.raises(LimitReached) as refused:
        await limiter.open(one)
    assert refused.value.code == "visitor_open_answers_limit"
    await limiter.open([_of("vis_2", at_once=1)])
    await limiter.close(one)
    await limiter.open(one)


async def test_the_number_of_open_answers_is_told_before_the_rate(limiter: Limiter) -> None:
    rate, number = _of("vis_1", per_minute=1), _of("vis_2", at_once=1)
    await limiter.open([rate, number])
    with pytest.raises(LimitReached, match="still being answered"):
        await limiter.open([rate, number])


async def test_many_at_once_are_counted_exactly(limiter: Limiter) -> None:
    one = [_of(at_once=7)]
    refused = await asyncio.gather(*(_is_refused(limiter.open(one)) for _ in range(50)))
    assert refused.count(False) == 7
    await asyncio.gather(*(limiter.close(one) for _ in range(7)))
    refused = await asyncio.gather(*(_is_refused(limiter.open(one)) for _ in range(50)))
    assert refused.count(False) == 7


async def test_a_caller_that_leaves_before_the_answer_is_not_counted(limiter: Limiter) -> None:
    one = [_of(at_once=1)]
    for _ in range(20):
        task = asyncio.create_task(limiter.open(one))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            await limiter.close(one)
    await limiter.open(one)


async def test_processes_share_the_limits(redis_server: RedisServer) -> None:
    url = redis_server.url
    async with shared_limiter(url) as first, shared_limiter(url) as second:
        at_once, rate = [_of(at_once=10)], [_of("vis_2", per_minute=30)]
        both = [limiter for _ in range(30) for limiter in (first, second)]
        refused = await asyncio.gather(*(_is_refused(one.open(at_once)) for one in both))
        assert refused.count(False) == 10
        refused = await asyncio.gather(*(_is_refused(one.count(rate)) for one in both))
        assert refused.count(False) == 30


async def test_an_answer_that_ends_frees_its_place_in_other_processes(
    redis_server: RedisServer,
) -> None:
    url, one = redis_server.url, [_of(at_once=1)]
    async with shared_limiter(url) as first, shared_limiter(url) as second:
        await first.open(one)
        for here, there in [(first, second), (second, first)] * 10:
            assert await _is_refused(there.open(one))
            await here.close(one)
            await _until(lambda there=there: _is_admitted(there.open(one)), _LEASE_S / 2)


async def test_open_answers_are_kept_for_longer_than_a_lease(redis_server: RedisServer) -> None:
    url, one = redis_server.url, [_of(at_once=1)]
    async with shared_limiter(url) as first, shared_limiter(url) as second:
        await first.open(one)
        until = time.monotonic() + 3 * _LEASE_S
        while time.monotonic() < until:
            assert await _is_refused(second.open(one))
            await asyncio.sleep(0.02)


async def test_a_process_that_is_killed_frees_its_places(redis_server: RedisServer) -> None:
    url, one = redis_server.url, [_of(at_once=3)]
    async with shared_limiter(url) as alive:
        async with killed(url) as dead:
            await dead.open(one)
            await dead.open(one)
        await alive.open(one)
        assert await _is_refused(alive.open(one))
        await _until(lambda: _is_admitted(alive.open(one)), 2 * _LEASE_S)
        await _until(lambda: _is_admitted(alive.open(one)), 2 * _LEASE_S)
        assert await _is_refused(alive.open(one))


async def test_a_process_that_stops_leaves_nothing(redis_server: RedisServer) -> None:
    url, one = redis_server.url, [_of(at_once=1)]
    async with shared_limiter(url, lease_s=60) as alive:
        async with shared_limiter(url, lease_s=60) as stopping:
            await stopping.open(one)
            assert await _is_refused(alive.open(one))
        await alive.open(one)


async def test_without_redis_each_process_counts_at_once_by_itself(
    redis_server: RedisServer,
) -> None:
    url, one = redis_server.url, [_of(at_once=2, per_minute=600)]
    async with shared_limiter(url) as first, shared_limiter(url) as second:
        await first.open(one)
        redis_server.kill()
        began_at = time.monotonic()
        await first.open(one)
        assert await _is_refused(first.open(one))  # it knows what it has itself
        await second.open(one)
        await second.open(one)
        assert await _is_refused(second.open(one))
        assert time.monotonic() - began_at < 2 * _TIMEOUT_S
        for _ in range(100):
            await first.count([_of("vis_2", per_minute=100)])
        assert await _is_refused(first.count([_of("vis_2", per_minute=100)]))
        redis_server.start()
        # Together they have four open answers, and tell it themselves.
        await first.close(one)
        await second.close(one)
        await _until(lambda: _is_shared(redis_server), 5)
        assert await _is_refused(first.open(one))
        await second.close(one)
        await _until(lambda: _is_admitted(first.open(one)))
        assert await _is_refused(second.open(one))


async def _is_shared(server: RedisServer) -> bool:
    """Whether both processes have told Redis what they have."""
    held = await asyncio.to_thread(server.command, "HVALS", "sb:open:{visitor:vis_1}")
    return [bytes(one).split()[0] for one in held] == [b"1", b"1"]


async def test_a_paused_redis_holds_each_request_up_once(redis_server: RedisServer) -> None:
    url, one = redis_server.url, [_of(at_once=1000)]
    async with shared_limiter(url) as limiter:
        await asyncio.gather(*(limiter.open(one) for _ in range(10)))
        redis_server.pause()
        began_at = time.monotonic()
        await asyncio.gather(*(limiter.open(one) for _ in range(50)))
        assert time.monotonic() - began_at < 2 * _TIMEOUT_S
        began_at = time.monotonic()
        for _ in range(200):
            await limiter.open(one)
            await limiter.close(one)
        assert time.monotonic() - began_at < _TIMEOUT_S
        redis_server.resume()


async def test_an_emptied_redis_is_told_of_open_answers(redis_server: RedisServer) -> None:
    url, one = redis_server.url, [_of(at_once=1)]
    async with shared_limiter(url, lease_s=60) as first, shared_limiter(url, lease_s=60) as second:
        await first.open(one)
        redis_server.command("FLUSHALL")
        for _ in range(100):
            if await _is_refused(second.open(one)):
                break
            await second.close(one)
            await asyncio.sleep(0.02)
        assert await _is_refused(second.open(one))


async def test_a_full_redis_refuses_nobody(redis_server: RedisServer) -> None:
    redis_server.command("CONFIG", "SET", "maxmemory", "1")
    async with shared_limiter(redis_server.url) as limiter:
        await limiter.open([_of(at_once=1)])
        assert await _is_refused(limiter.open([_of(at_once=1)]))
