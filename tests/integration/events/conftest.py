"""The event logs under test, by how a writer and its readers share them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from sitebrook.events.log import EventLog
from sitebrook.events.ring_log import RingLog
from sitebrook.settings import EventSettings

SETTINGS = EventSettings(length=100, coalesce_s=0.005, lease_s=0.5, silence_s=0.2)


@dataclass(frozen=True, slots=True)
class Sides:
    """Where streams are written and where they are read; often the same log."""

    writing: EventLog
    reading: EventLog


@contextlib.asynccontextmanager
async def kept_running(*logs: EventLog) -> AsyncIterator[None]:
    """The logs with their background work."""
    tasks = [asyncio.create_task(log.run()) for log in logs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture(params=["ring"])
async def sides(request: pytest.FixtureRequest) -> AsyncIterator[Sides]:
    """A log in one process."""
    log = RingLog(SETTINGS)
    async with kept_running(log):
        yield Sides(log, log)
