"""What `sitebrook doctor` looks at: the parts of a process, and an event log as another has it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Final

from sitebrook.db.redis import RedisConnection
from sitebrook.events.log import EventLog
from sitebrook.events.redis_log import RedisLog
from sitebrook.parts import Parts
from sitebrook.settings import Settings
from sitebrook.wiring.process import build_parts

_DRAIN_S: Final = 2.0


@contextlib.asynccontextmanager
async def open_examined(settings: Settings) -> AsyncGenerator[tuple[Parts, EventLog]]:
    """Running parts, over a database as it is, and a second event log beside theirs.

    Raises StartError for settings with which no process could start.
    """
    parts = build_parts(settings)
    async with parts.running():
        if parts.redis is None:
            yield parts, parts.events
            return
        redis = RedisConnection(settings.redis)
        log = RedisLog(redis, settings.events)
        await redis.probe()
        tasks = {asyncio.create_task(redis.run()), asyncio.create_task(log.run())}
        try:
            yield parts, log
        finally:
            await log.drain(_DRAIN_S)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await redis.aclose()
