"""All checks, those that wait for others at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from sitebrook.doctor.database import check_database
from sitebrook.doctor.findings import Finding, fail, within_bounds
from sitebrook.doctor.shared import check_event_log, check_redis
from sitebrook.doctor.work import check_embedders, check_jobs, check_providers
from sitebrook.events.log import EventLog
from sitebrook.parts import Parts
from sitebrook.settings import Settings


async def examine(
    parts: Parts, other_log: EventLog, *, now: Callable[[], datetime]
) -> list[Finding]:
    """What is found of everything that running ``parts`` work with.

    ``other_log`` reads what theirs writes, over a connection of its own. ``now`` is this machine's
    clock.
    """
    groups: list[Awaitable[Sequence[Finding]]] = [
        _examine_database(parts, now),
        _examine_redis(parts, other_log, now),
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


async def _examine_database(parts: Parts, now: Callable[[], datetime]) -> list[Finding]:
    has_redis = parts.redis is not None
    report = await check_database(parts.database.url, has_redis=has_redis, now=now)
    if not report.has_tables:
        return [*report.findings]
    return [*report.findings, *await within_bounds("job workers", check_jobs(parts.jobs))]


async def _examine_redis(
    parts: Parts, other_log: EventLog, now: Callable[[], datetime]
) -> list[Finding]:
    redis = parts.redis
    found = await within_bounds("redis", check_redis(redis, now=now))
    trip = check_event_log(parts.events, other_log, redis=redis)
    return [*found, *await within_bounds("event log", trip)]
