"""The connection to Redis: what callers wait for, and what they are told, while it is ill."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from tests.fakes.redis_server import RedisServer, running_redis

from sitebrook.db.redis import RedisConnection, RedisNews
from sitebrook.db.redis_commands import CommandRefused, Script
from sitebrook.errors import RedisAway, StartError
from sitebrook.settings import RedisSettings

_TIMEOUT_S = 0.3
_PROBE_S = 0.2


def connect(url: str) -> RedisConnection:
    return RedisConnection(RedisSettings(url=url, timeout_s=_TIMEOUT_S, probe_s=_PROBE_S))


@contextlib.asynccontextmanager
async def kept(url: str) -> AsyncIterator[tuple[RedisConnection, list[RedisNews]]]:
    """A connection whose state is kept true, and the news that it has told."""
    redis, news = connect(url), list[RedisNews]()
    redis.on_news(news.append)
    await redis.probe()
    task = asyncio.create_task(redis.run())
    try:
        yield redis, news
    finally:
        task.cancel()
        await asyncio.wait({task})
        await redis.aclose()


async def until(condition: Callable[[], object], timeout_s: float = 5) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


@contextlib.contextmanager
def taking_at_most(seconds: float) -> Iterator[None]:
    began_at = time.monotonic()
    yield
    assert time.monotonic() - began_at < seconds


async def test_commands_transactions_and_scripts_answer(redis: RedisConnection) -> None:
    key = redis.key("t", "one", ":n")
    assert key == "sb:t:{one}:n"
    assert await redis.execute("SET", key, 5)
    assert await redis.execute_all([("INCR", key), ("GET", key)]) == [6, b"6"]
    script = Script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    assert await redis.run_script(script, [([key], [2]), ([key], [3])]) == [8, 11]
    assert await redis.run_script(script, [([key], [1])]) == [12]


async def test_a_script_runs_after_redis_has_forgotten_it(
    redis: RedisConnection, redis_server: RedisServer
) -> None:
    script = Script("return ARGV[1]")
    assert await redis.run_script(script, [([], ["a"])]) == [b"a"]
    redis_server.command("SCRIPT", "FLUSH")
    assert await redis.run_script(script, [([], ["b"]), ([], ["c"])]) == [b"b", b"c"]


async def test_a_wrong_command_is_refused_and_redis_stays_up(redis: RedisConnection) -> None:
    await redis.execute("XADD", "sb:s", "5-0", "a", 1)
    with pytest.raises(CommandRefused, match="equal or smaller"):
        await redis.execute("XADD", "sb:s", "5-0", "a", 1)
    with pytest.raises(CommandRefused, match="equal or smaller"):
        await redis.execute_all([("XADD", "sb:s", "4-0", "a", 1), ("PUBLISH", "c", "x")])
    assert redis.is_up


async def test_a_redis_that_is_not_there_is_told_at_once_and_found_later() -> None:
    with running_redis() as server:
        server.kill()
        async with kept(server.url) as (redis, news):
            assert not redis.is_up
            assert "cannot be reached" in (redis.state.reason or "")
            with taking_at_most(_TIMEOUT_S), pytest.raises(RedisAway):
                await redis.execute("GET", "x")
            server.start()
            await until(lambda: redis.is_up)
            assert await redis.execute("SET", "x", 1)
            assert news == [RedisNews.BACK]


async def test_after_a_kill_one_call_fails_and_the_next_are_refused_at_once(
    redis_server: RedisServer,
) -> None:
    async with kept(redis_server.url) as (redis, news):
        await redis.execute("SET", "x", 1)
        redis_server.kill()
        with taking_at_most(_TIMEOUT_S), pytest.raises(RedisAway):
            await redis.execute("GET", "x")
        with taking_at_most(2 * _TIMEOUT_S):
            for _ in range(100):
                with pytest.raises(RedisAway):
                    await redis.execute("GET", "x")
        redis_server.start()
        await until(lambda: len(news) == 2)
        assert news == [RedisNews.AWAY, RedisNews.EMPTIED]
        assert await redis.execute("GET", "x") is None


async def test_a_paused_redis_costs_one_time_out_and_is_noticed_when_it_goes_on(
    redis_server: RedisServer,
) -> None:
    async with kept(redis_server.url) as (redis, news):
        await asyncio.gather(*(redis.execute("SET", f"x{n}", n) for n in range(10)))
        redis_server.pause()
        with taking_at_most(10 * _TIMEOUT_S):
            calls = [redis.execute("GET", f"x{n}") for n in range(50)]
            answers = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(answer) for answer in answers} == {RedisAway}
        assert redis.state.reason == "did not answer within 0.3 s"
        await asyncio.sleep(3 * (_TIMEOUT_S + _PROBE_S))
        with taking_at_most(_TIMEOUT_S), pytest.raises(RedisAway):
            await redis.execute("GET", "x1")
        redis_server.resume()
        await until(lambda: redis.is_up, 2)
        assert await redis.execute("GET", "x1") == b"1"
        assert news == [RedisNews.AWAY, RedisNews.BACK]


async def test_a_fault_that_nobody_ran_into_is_noticed_too(redis_server: RedisServer) -> None:
    async with kept(redis_server.url) as (redis, news):
        redis_server.kill()
        await until(lambda: news == [RedisNews.AWAY])
        assert not redis.is_up


async def test_an_emptied_redis_is_told_without_a_fault(redis_server: RedisServer) -> None:
    async with kept(redis_server.url) as (redis, news):
        redis_server.command("FLUSHALL")
        await until(lambda: news == [RedisNews.EMPTIED])
        assert redis.is_up


async def test_a_restart_that_keeps_the_data_is_no_loss(needs_redis: None) -> None:
    with running_redis(appendonly="yes", appendfsync="always") as server:
        async with kept(server.url) as (redis, news):
            await redis.execute("SET", "x", 1)
            server.kill()
            server.start()
            await until(lambda: RedisNews.BACK in news)
            assert RedisNews.EMPTIED not in news
            await until(lambda: redis.is_up)
            assert await redis.execute("GET", "x") == b"1"


async def test_a_full_redis_counts_as_away_until_it_has_room(redis_server: RedisServer) -> None:
    async with kept(redis_server.url) as (redis, news):
        redis_server.command("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(RedisAway):
            await redis.execute_all([("SET", "x", "y"), ("PUBLISH", "c", "x")])
        await until(lambda: news == [RedisNews.AWAY])
        assert "maxmemory" in (redis.state.reason or "")
        redis_server.command("CONFIG", "SET", "maxmemory", "0")
        await until(lambda: redis.is_up)
        assert news == [RedisNews.AWAY, RedisNews.BACK]


async def test_a_wrong_password_is_told_and_not_shown(needs_redis: None) -> None:
    with running_redis(requirepass="right") as server:
        for url in (server.url.replace("right", "wrong"), server.url.replace(":right@", "")):
            async with kept(url) as (redis, _):
                assert redis.state.reason == "refuses the user or the password in REDIS_URL"
        async with kept(server.url) as (redis, _):
            assert redis.is_up


async def test_a_user_without_rights_counts_as_away(redis_server: RedisServer) -> None:
    redis_server.command("ACL", "SETUSER", "poor", "on", ">pw", "~*", "+get", "+multi", "+exec")
    async with kept(redis_server.url.replace("unix://", "unix://poor:pw@")) as (redis, _):
        assert "ACL" in (redis.state.reason or "")


async def test_who_may_not_ask_for_the_server_still_notices_that_it_was_emptied(
    redis_server: RedisServer,
) -> None:
    redis_server.command("ACL", "SETUSER", "some", "on", ">pw", "~*", "+@all", "-info")
    async with kept(redis_server.url.replace("unix://", "unix://some:pw@")) as (redis, news):
        assert redis.is_up
        redis_server.command("FLUSHALL")
        await until(lambda: news == [RedisNews.EMPTIED])


async def test_a_command_that_always_fails_does_not_make_the_state_flicker(
    redis_server: RedisServer,
) -> None:
    redis_server.command("ACL", "SETUSER", "some", "on", ">pw", "~*", "+@all", "-xadd")
    async with kept(redis_server.url.replace("unix://", "unix://some:pw@")) as (redis, news):
        until_s = time.monotonic() + 1
        while time.monotonic() < until_s:
            with contextlib.suppress(RedisAway):
                await redis.execute("XADD", "s", "*", "a", 1)
            await asyncio.sleep(0.002)
        assert news.count(RedisNews.AWAY) <= 8


async def test_many_calls_at_once_share_a_connection(redis: RedisConnection) -> None:
    answers = await asyncio.gather(*(redis.execute("INCR", "sb:n") for _ in range(500)))
    assert answers == list(range(1, 501))
    clients = await redis.execute("CLIENT", "LIST")
    assert clients.count(b" addr=") == 1


async def test_a_connection_that_redis_closed_is_opened_again(
    redis: RedisConnection, redis_server: RedisServer
) -> None:
    await redis.execute("SET", "a", "a")
    own = await redis.execute("CLIENT", "ID")
    redis_server.command("CLIENT", "KILL", "ID", own)
    with contextlib.suppress(RedisAway):
        await redis.execute("PING")  # may be the one that notices
    assert await redis.probe()
    assert await redis.execute("GET", "a") == b"a"
    assert await redis.execute("CLIENT", "ID") != own


async def test_a_call_that_is_cancelled_leaves_nobody_its_answer(redis: RedisConnection) -> None:
    await redis.execute("SET", "a", "a")
    await redis.execute("SET", "b", "b")
    for _ in range(20):
        task = asyncio.create_task(redis.execute("GET", "a"))
        await asyncio.sleep(0)
        task.cancel()
        assert await redis.execute("GET", "b") == b"b"
        await asyncio.wait({task})


async def test_a_value_that_cannot_be_sent_leaves_nobody_a_wrong_answer(
    redis: RedisConnection,
) -> None:
    await redis.execute("SET", "a", "a")
    with pytest.raises(UnicodeEncodeError):
        await redis.execute("SET", "b", "\ud800")
    assert await redis.execute("GET", "a") == b"a"
    assert await redis.execute("GET", "b") is None


async def test_a_subscription_hears_and_ends_with_the_server(
    redis: RedisConnection, redis_server: RedisServer
) -> None:
    subscription = await redis.open_subscription()
    try:
        await subscription.send("SUBSCRIBE", "c")
        assert await subscription.read(1) == [b"subscribe", b"c", 1]
        assert await subscription.read(0.02) is None
        await redis.execute("PUBLISH", "c", b"\x00text")
        assert await subscription.read(1) == [b"message", b"c", b"\x00text"]
        await subscription.send("PING")
        assert await subscription.read(1) == [b"pong", b""]
        redis_server.kill()
        with pytest.raises(RedisAway):
            await subscription.read(5)
    finally:
        await subscription.aclose()


@pytest.mark.parametrize("rest", ["?nonsense=1", "?db=eight", "?socket_timeout=x"])
async def test_an_address_with_a_part_too_many_stops_the_start(rest: str) -> None:
    with pytest.raises(StartError, match="REDIS_URL") as refused:
        connect(f"redis://:secret@127.0.0.1:1{rest}")
    assert "secret" not in str(refused.value)
