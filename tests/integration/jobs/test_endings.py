"""How attempts end: by themselves, by a person, by the clock, against their handler's will."""

from __future__ import annotations

import asyncio
import time

import pytest
from tests.factories import make_site
from tests.integration.jobs.engines import SOON_S, Engine, Note, kind, open_engine

from sitebrook.db.engine import Database
from sitebrook.errors import InvalidRequest, ProviderError, Unavailable
from sitebrook.jobs.context import JobContext
from sitebrook.jobs.job import Status


async def hold(context: JobContext, note: Note) -> None:
    """Runs until it is told to end."""
    await asyncio.Event().wait()


async def ignore(context: JobContext, note: Note) -> str:
    """Goes on when it is told to end, for a while."""
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            continue
    return "too late"


async def block(context: JobContext, note: Note) -> str:
    time.sleep(float(note.text))
    return "too late"


async def fail(context: JobContext, note: Note) -> None:
    raise {
        "passes": Unavailable("It does not answer.", code="away"),
        "asks": Unavailable("Later.", retry_after_s=0.3),
        "lasts": InvalidRequest("That is no file.", code="no_file"),
        "permanent": ProviderError("The key is wrong.", is_permanent=True),
        "fault": ZeroDivisionError("secret"),
        "silent": asyncio.CancelledError(),
    }[note.text]


async def answer(context: JobContext, note: Note) -> object:
    return {"json": 1, "none": None, "no json": {1, object()}, "large": "x" * 300_000}[note.text]


HOLD, IGNORE, FAIL = kind("hold", hold), kind("ignore", ignore), kind("fail", fail)


@pytest.mark.parametrize(
    ("text", "failures", "code", "message"),
    [
        ("passes", 3, "away", "It does not answer."),
        ("lasts", 1, "no_file", "That is no file."),
        ("permanent", 1, "provider_error", "The key is wrong."),
        (
            "fault",
            1,
            "internal_error",
            "The job failed by a fault of sitebrook; its log says more.",
        ),
        (
            "silent",
            1,
            "internal_error",
            "The job failed by a fault of sitebrook; its log says more.",
        ),
    ],
)
async def test_only_errors_that_may_pass_are_tried_again(
    database: Database, text: str, failures: int, code: str, message: str
) -> None:
    async with open_engine(database, [FAIL]) as engine, engine.working():
        [row] = await engine.ended(await engine.enqueue("fail", text))
    assert row["status"] == Status.FAILED
    assert (row["failures"], row["attempt"]) == (failures, failures)
    assert (row["error_code"], row["error_message"]) == (code, message)


async def test_a_retry_waits_as_long_as_the_error_asks(database: Database) -> None:
    async with open_engine(database, [FAIL]) as engine, engine.working():
        job_id = await engine.enqueue("fail", "asks")
        await engine.events(job_id, until="waiting")
        row = await engine.row(job_id)
    assert 0.25 < (row["due_at"] - row["started_at"]).total_seconds() < 2


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("json", Status.SUCCEEDED, None),
        ("none", Status.SUCCEEDED, None),
        ("no json", Status.FAILED, "internal_error"),
        ("large", Status.FAILED, "job_result_too_large"),
    ],
)
async def test_a_result_is_json_of_a_bounded_size(
    database: Database, text: str, status: Status, code: str | None
) -> None:
    async with open_engine(database, [kind("answer", answer)]) as engine, engine.working():
        [row] = await engine.ended(await engine.enqueue("answer", text))
    assert (row["status"], row["error_code"]) == (status, code)


async def cancelled(engine: Engine, job_id: str) -> str:
    await engine.jobs.cancel(job_id)
    [row] = await engine.ended(job_id)
    assert (
        await engine.rows("SELECT FROM procrastinate_jobs WHERE args->>'job' = :id", id=job_id)
        == []
    )
    return row["status"]


async def test_a_queued_job_is_cancelled(database: Database) -> None:
    site = await make_site(database)
    async with open_engine(database, [HOLD], lanes=1) as engine:
        held = await engine.enqueue("hold", site_id=site.id)
        behind = await engine.enqueue("hold", site_id=site.id)
        of_no_site = await engine.enqueue("hold")
        for job_id in (held, behind, of_no_site):
            assert await cancelled(engine, job_id) == "cancelled"
        assert await engine.queue() == []


async def test_a_cancelled_job_gives_its_lane_to_the_next(database: Database) -> None:
    site = await make_site(database)
    async with open_engine(database, [HOLD], lanes=1) as engine:
        first = await engine.enqueue("hold", site_id=site.id)
        second = await engine.enqueue("hold", site_id=site.id)
        assert await cancelled(engine, first) == "cancelled"
        assert [row["args"]["job"] for row in await engine.queue()] == [second]


async def test_a_running_job_is_cancelled(database: Database) -> None:
    async with open_engine(database, [HOLD], poll_s=5.0) as engine, engine.working():
        job_id = await engine.enqueue("hold")
        await engine.events(job_id, until="running")
        began = time.monotonic()
        assert await cancelled(engine, job_id) == "cancelled"
        assert time.monotonic() - began < 3  # by its notification, not by the poll


async def test_a_running_job_is_cancelled_when_the_notification_is_lost(database: Database) -> None:
    async with open_engine(database, [HOLD]) as engine, engine.working():
        job_id = await engine.enqueue("hold")
        await engine.events(job_id, until="running")
        await engine.rows(
            "ALTER TABLE procrastinate_jobs"
            " DISABLE TRIGGER procrastinate_jobs_notify_queue_job_aborted_v1"
        )
        assert await cancelled(engine, job_id) == "cancelled"


async def test_a_job_that_waits_for_its_retry_is_cancelled(database: Database) -> None:
    async with open_engine(database, [FAIL], retry_first_s=60.0) as engine, engine.working():
        job_id = await engine.enqueue("fail", "passes")
        await engine.events(job_id, until="waiting")
        assert await cancelled(engine, job_id) == "cancelled"


async def test_cancelling_what_has_ended_changes_nothing(database: Database) -> None:
    async with open_engine(database, [kind("answer", answer)]) as engine, engine.working():
        job_id = await engine.enqueue("answer", "json")
        [before] = await engine.ended(job_id)
        await engine.jobs.cancel(job_id)
        assert await engine.row(job_id) == before


async def test_a_job_takes_no_longer_than_its_kind_may(database: Database) -> None:
    slow = kind("slow", hold, timeout_s=0.2)
    async with open_engine(database, [slow]) as engine, engine.working():
        [row] = await engine.ended(await engine.enqueue("slow"))
    assert (row["status"], row["error_code"]) == (Status.FAILED, "job_timeout")
    assert row["error_message"] == "The job took longer than 0.2 s."


async def test_a_kind_may_be_tried_again_after_its_time(database: Database) -> None:
    slow = kind("slow", hold, timeout_s=0.1, retries=(TimeoutError,), max_attempts=2)
    async with open_engine(database, [slow]) as engine, engine.working():
        [row] = await engine.ended(await engine.enqueue("slow"))
    assert (row["failures"], row["error_code"]) == (2, "job_timeout")


async def test_a_handler_that_ignores_its_end_is_marked_failed(database: Database) -> None:
    answers = kind("answer", answer)
    async with (
        open_engine(database, [IGNORE, answers], grace_s=0.1) as engine,
        engine.working(concurrency=1) as worker,
    ):
        job_id = await engine.enqueue("ignore")
        await engine.events(job_id, until="running")
        await engine.jobs.cancel(job_id)
        [row] = await engine.ended(job_id)
        assert (row["status"], row["error_code"]) == (Status.FAILED, "job_not_stopped")
        assert worker.runs.stuck == 1
        # The next one runs beside it, and what it returns at last changes nothing.
        await engine.ended(await engine.enqueue("answer", "json"))
        async with asyncio.timeout(SOON_S):
            while worker.runs.stuck:
                await asyncio.sleep(0.05)
        assert await engine.row(job_id) == row


async def test_a_handler_that_blocks_everything_is_marked_failed(database: Database) -> None:
    kinds = [kind("block", block), kind("answer", answer)]
    async with open_engine(database, kinds, blocked_s=0.5) as engine, engine.working():
        job_id = await engine.enqueue("block", "1.5")
        [row] = await engine.ended(job_id)
        assert (row["status"], row["error_code"]) == (Status.FAILED, "job_blocked")
        assert row["result"] is None
        [other] = await engine.ended(await engine.enqueue("answer", "json"))
        assert other["status"] == Status.SUCCEEDED


async def test_a_failed_job_is_started_anew_by_a_person(database: Database) -> None:
    async with open_engine(database, [FAIL]) as engine, engine.working():
        job_id = await engine.enqueue("fail", "lasts")
        await engine.ended(job_id)
        assert await engine.jobs.retry(job_id)
        [row] = await engine.until(
            "SELECT * FROM job WHERE id = :id AND attempt = 2 AND status = 'failed'", id=job_id
        )
        assert row["failures"] == 1


async def test_only_failed_and_cancelled_jobs_of_the_site_are_started_anew(
    database: Database,
) -> None:
    site = await make_site(database)
    async with open_engine(database, [HOLD]) as engine:
        job_id = await engine.enqueue("hold", site_id=site.id)
        assert not await engine.jobs.retry(job_id)
        await engine.jobs.cancel(job_id, site_id="site_other")
        assert (await engine.row(job_id))["status"] == Status.QUEUED
        await engine.jobs.cancel(job_id, site_id=site.id)
        assert not await engine.jobs.retry(job_id, site_id="site_other")
        assert await engine.jobs.retry(job_id, site_id=site.id)
        assert (await engine.row(job_id))["status"] == Status.QUEUED
        assert not await engine.jobs.retry("job_unknown")
