"""What is checked of Redis and of what goes through it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from sitebrook.db.redis import RedisConnection
from sitebrook.db.redis_commands import CommandRefused, RedisFacts
from sitebrook.doctor.findings import Finding, fail, ok, warn
from sitebrook.doctor.machine import check_clock
from sitebrook.errors import RedisAway, RequestError
from sitebrook.events.log import EventLog, to_stream
from sitebrook.ids import new_id

_REDIS: Final = "redis"
_EVENTS: Final = "event log"
_MIN_VERSION: Final = (6, 2)
_ROUND_TRIP_S: Final = 5.0
_SLOW_MS: Final = 20.0
_FULL: Final = 0.9


def check_without_redis(processes: int) -> list[Finding]:
    """What is to be said without REDIS_URL, of so many processes that use the database."""
    if processes <= 1:
        return [
            ok(_REDIS, "REDIS_URL is not set; one process needs none."),
            ok(_EVENTS, "Streams are kept in the memory of the process."),
        ]
    advice = "Set the REDIS_URL that the other processes have, then look again."
    return [
        warn(_REDIS, "REDIS_URL is not set here, so no Redis was checked.", advice),
        warn(_EVENTS, "Not checked: without Redis no process reads another's streams.", advice),
    ]


async def check_redis(redis: RedisConnection, *, now: Callable[[], datetime]) -> list[Finding]:
    """What Redis is found to be."""
    if not await redis.probe():
        advice = "See whether it runs, and whether REDIS_URL is right. Answers go on without it."
        return [fail(_REDIS, f"Redis {redis.state.reason}.", advice)]
    try:
        facts = await redis.read_facts(now)
    except (RedisAway, CommandRefused) as error:
        reason = error.reason if isinstance(error, RedisAway) else str(error)
        says = f"Redis answers but does not say what it is: {reason}."
        return [warn(_REDIS, says, "Allow INFO and TIME to its user, to have it checked.")]
    return [*check_facts(facts), check_clock("Redis", facts.told_at, facts.asked_at)]


def check_facts(facts: RedisFacts) -> list[Finding]:
    """What is to be said of a Redis that answers."""
    version = tuple(int(part) for part in facts.version.split(".")[:2] if part.isdecimal())
    says = f"Redis {facts.version} answers in {facts.answer_ms:.1f} ms."
    if version < _MIN_VERSION:
        return [fail(_REDIS, says, "Upgrade to Redis 6.2 or later, or to Valkey.")]
    if facts.answer_ms > _SLOW_MS:
        server = warn(_REDIS, says, "Put it nearer: each question of a visitor waits for it.")
    else:
        server = ok(_REDIS, says)
    return [server, _check_memory(facts)]


def _check_memory(facts: RedisFacts) -> Finding:
    name = "memory of redis"
    used = f"{facts.used_bytes / 1e6:,.0f} MB"
    if not facts.max_bytes:
        advice = "Set maxmemory and `maxmemory-policy volatile-ttl` there."
        return warn(name, f"{used} are used, without a bound.", advice)
    says = f"{used} of {facts.max_bytes / 1e6:,.0f} MB are used, policy {facts.policy}."
    if not facts.policy.startswith("volatile-"):
        effect = (
            "takes no writes when it is full"
            if facts.policy == "noeviction"
            else "removes streams that are being written when it is full"
        )
        return warn(name, says, f"Set `maxmemory-policy volatile-ttl` there: now it {effect}.")
    if facts.used_bytes > _FULL * facts.max_bytes:
        return warn(name, says, "Raise maxmemory there: what was not read yet is removed early.")
    return ok(name, says)


async def check_event_log(
    log: EventLog, other: EventLog, *, redis: RedisConnection
) -> list[Finding]:
    """Whether what one process writes is read in another; ``other`` has a connection of its own."""
    if not redis.is_up:
        advice = "Bring Redis back; until then a stream is joined only where it is written."
        return [warn(_EVENTS, "Streams are not shared while Redis is away.", advice)]
    stream = to_stream("site_doctor", "doctor", new_id("doc"))
    writer = log.writer(stream)
    began_at = time.perf_counter()
    writer.emit("check", {"text": "hello"})
    try:
        async with asyncio.timeout(_ROUND_TRIP_S), other.read(stream, follows=True) as reader:
            await anext(reader)
    except (TimeoutError, RequestError) as error:
        says = f"An event did not arrive within {_ROUND_TRIP_S:g} s ({type(error).__name__})."
        advice = "See whether the user in REDIS_URL may use Pub/Sub, streams and scripts."
        return [fail(_EVENTS, says, advice)]
    finally:
        writer.close()
    took_ms = (time.perf_counter() - began_at) * 1000
    return [ok(_EVENTS, f"An event reaches another process in {took_ms:.0f} ms.")]
