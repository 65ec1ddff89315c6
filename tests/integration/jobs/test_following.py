"""Who follows a job: what its events tell at once, and how often the table is asked beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.factories import make_site

from sitebrook.db.engine import Database
from sitebrook.events.ring_log import RingLog
from sitebrook.ingestion.loaders import RawDocument
from sitebrook.jobs.following import Pauses, follow
from sitebrook.jobs.job import Job, Status
from sitebrook.jobs.streams import JobStream
from sitebrook.parts import Parts
from sitebrook.settings import Settings
from sitebrook.wiring.process import build_parts

SOON_S = 30
NEVER_S = 3600.0
SELDOM = Pauses(alone_s=0.001, beside_s=NEVER_S)
BY_EVENTS = Pauses(alone_s=NEVER_S, beside_s=NEVER_S)


class CountingDatabase(Database):
    """Counts what it is asked."""

    asked = 0

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[AsyncConnection]:
        self.asked += 1
        async with super().begin() as connection:
            yield connection


@pytest.fixture
async def parts(database_url: str) -> AsyncIterator[Parts]:
    """The parts of a process that runs no jobs."""
    made = build_parts(Settings.load({"DATABASE_URL": database_url}))
    async with made.running():
        yield made


@pytest.fixture
async def counting(database_url: str) -> AsyncIterator[CountingDatabase]:
    opened = CountingDatabase(database_url)
    yield opened
    await opened.aclose()


async def new_job(parts: Parts) -> tuple[str, str]:
    """A site and its job, which nobody takes up."""
    site = await make_site(parts.database)
    sent = await parts.intake.send(site, [RawDocument("1.md", "# Page\n\nText.")])
    return site.id, sent.job_id


async def write(database: Database, job_id: str, change: str) -> None:
    """Changes a job in the table alone."""
    async with database.begin() as connection:
        await connection.execute(sa.text(f"UPDATE job SET {change} WHERE id = '{job_id}'"))


async def state(states: AsyncGenerator[Job]) -> tuple[Status, object]:
    async with asyncio.timeout(SOON_S):
        job = await anext(states)
    return job.status, job.progress


async def test_a_status_is_seen_that_comes_together_with_progress(parts: Parts) -> None:
    site_id, job_id = await new_job(parts)
    states = follow(parts.database, parts.events, site_id, job_id, BY_EVENTS)
    async with aclosing(states):
        assert await state(states) == (Status.QUEUED, None)
        await write(parts.database, job_id, "status = 'running'")
        stream = JobStream(parts.events, site_id, job_id, 1)
        stream.begin()
        stream.progress({"done": 1})
        assert await state(states) == (Status.RUNNING, {"done": 1})


async def test_progress_is_told_without_the_table_and_never_goes_back(
    parts: Parts, counting: CountingDatabase
) -> None:
    site_id, job_id = await new_job(parts)
    await write(parts.database, job_id, "status = 'running'")
    stream = JobStream(parts.events, site_id, job_id, 1)
    stream.begin()
    states = follow(counting, parts.events, site_id, job_id, BY_EVENTS)
    async with aclosing(states):
        assert await state(states) == (Status.RUNNING, None)
        stream.progress({"done": 1})
        assert await state(states) == (Status.RUNNING, {"done": 1})
        asked = counting.asked
        for done in range(2, 10):
            stream.progress({"done": done})
            assert await state(states) == (Status.RUNNING, {"done": done})
        assert counting.asked == asked
        await write(parts.database, job_id, "progress = '{\"done\": 4}'")
        stream.begin()  # a status: the table is asked, which is behind
        stream.progress({"done": 10})
        assert await state(states) == (Status.RUNNING, {"done": 10})
        await write(parts.database, job_id, "status = 'succeeded', progress = '{\"done\": 11}'")
        stream.finish(Status.SUCCEEDED)
        assert await state(states) == (Status.SUCCEEDED, {"done": 11})


async def test_who_hears_events_asks_the_table_seldom_and_others_go_on_asking(
    parts: Parts, counting: CountingDatabase
) -> None:
    site_id, job_id = await new_job(parts)
    hearing = follow(counting, parts.events, site_id, job_id, SELDOM)
    elsewhere = follow(parts.database, RingLog(parts.settings.events), site_id, job_id, SELDOM)
    async with aclosing(hearing), aclosing(elsewhere):
        assert await state(hearing) == await state(elsewhere) == (Status.QUEUED, None)
        stream = JobStream(parts.events, site_id, job_id, 1)
        await write(parts.database, job_id, "status = 'running'")
        stream.begin()
        assert await state(hearing) == await state(elsewhere) == (Status.RUNNING, None)
        waiting = asyncio.ensure_future(state(hearing))
        asked = counting.asked
        for done in range(1, 20):
            await write(parts.database, job_id, f"progress = '{{\"done\": {done}}}'")
            assert await state(elsewhere) == (Status.RUNNING, {"done": done})
        assert counting.asked <= asked + 1  # for what the beginning brought after the status
        assert not waiting.done()
        stream.abandon()
        assert await waiting == (Status.RUNNING, {"done": 19})
        await write(parts.database, job_id, "progress = '{\"done\": 20}'")
        assert await state(hearing) == (Status.RUNNING, {"done": 20})
