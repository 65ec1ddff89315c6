"""All checks, those that wait for others at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from sitebrook.db.redis import RedisConnection
from sitebrook.doctor.database import DatabaseReport, check_database, check_missing
from sitebrook.doctor.findings import Finding, fail, within_bounds
from sitebrook.doctor.shared import check_event_log, check_redis, check_without_redis
from sitebrook.doctor.work import check_embedders, check_jobs, check_providers
from sitebrook.events.log import EventLog
from sitebrook.parts import Parts
from sitebrook.settings import Settings


async def examine(
    parts: Parts, other_log: EventLog, *, has_database: bool, now: Callable[[], datetime]
) -> list[Finding]:
    """What is found of everything that running ``parts`` work with.

    ``other_log`` reads what theirs writes, over a connection of its own. Without a database there
    is nothing of it to be checked. ``now`` is this machine's clock.
    """
    groups: list[Awaitable[Sequence[Finding]]] = [
        _examine_shared(parts, other_log, has_database=has_database, now=now),
        check_providers(parts.settings.providers, parts.router),
        check_embedders(parts.embedders.all),
    ]
    found = await asyncio.gather(*groups)
    return [*check_workers(parts.settings), *(finding for group in found for finding in group)]


def check_workers(settings: Settings) -> list[Finding]:
    """Whether as many workers as the settings ask for may serve."""
    if settings.server.workers == 1 or settings.redis.url is not None:
        return []
    says = f"SITEBROOK_WORKERS is {settings.server.workers}, and they have no Redis to share."
    return [fail("workers", says, "Set REDIS_URL, or serve with one worker.")]


async def _examine_shared(
    parts: Parts, other_log: EventLog, *, has_database: bool, now: Callable[[], datetime]
) -> list[Finding]:
    """The database and Redis, which processes have in common."""
    redis = parts.redis
    has_redis = redis is not None
    if has_database:
        looking = check_database(parts.database.url, has_redis=has_redis, now=now)
    else:
        looking = _say_missing(parts.settings)
    if redis is None:
        report = await looking
        shared = check_without_redis(report.processes)
    else:
        report, shared = await asyncio.gather(looking, _examine_redis(parts, redis, other_log, now))
    jobs: Sequence[Finding] = ()
    if report.has_tables:
        jobs = await within_bounds("job workers", check_jobs(parts.jobs))
    return [*report.findings, *jobs, *shared]


async def _say_missing(settings: Settings) -> DatabaseReport:
    return check_missing(settings.server.data_dir)


async def _examine_redis(
    parts: Parts, redis: RedisConnection, other_log: EventLog, now: Callable[[], datetime]
) -> list[Finding]:
    found = await within_bounds("redis", check_redis(redis, now=now))
    trip = check_event_log(parts.events, other_log, redis=redis)
    return [*found, *await within_bounds("event log", trip)]
