"""What the job that reads files of a store tells, and its end before they are read."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.stores.kept import SOON_S, Kept

from sitebrook.jobs.following import wait_for_end
from sitebrook.jobs.job import Status
from sitebrook.jobs.streams import stream_of


async def find_job(kept: Kept) -> str:
    [row] = await kept.run("SELECT id FROM job WHERE kind = 'fill_store'")
    return str(row.id)


async def test_every_stage_of_each_file_is_told_with_counts_and_an_estimate(kept: Kept) -> None:
    good, bad = await kept.add(), await kept.add("\n \n", "b.md")
    await kept.make(good, bad)
    await kept.work()
    stream = stream_of(kept.site.id, await find_job(kept))
    async with kept.parts.events.read(stream) as reader:
        told = [event.payload async for event in reader if event.kind == "progress"]
    stages = {
        file_id: [one["stage"] for one in told if one["source"] == file_id]
        for file_id in (good, bad)
    }
    assert stages == {
        good: ["parse", "split", "embed", "index", "done"],
        bad: ["parse", "done"],
    }
    assert {one["total"] for one in told} == {2}
    assert [one["source_chunks"] for one in told if one["stage"] == "index"] == [1]
    assert [one["done"] for one in told if one["stage"] == "done"] == [1, 2]
    assert told[0]["left_s"] is None
    last = told[-1]
    assert (last["completed"], last["failed"], last["left_s"]) == (1, 1, 0)


async def test_a_running_job_that_is_cancelled_leaves_whole_files_and_ends_polling(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_ids = [await kept.add(f"Anchors of ship {n}.") for n in range(3)]
    store_id = await kept.make(*file_ids)
    job_id = await find_job(kept)
    take_in, reached = kept.parts.ingester.take_in, asyncio.Event()

    async def hang_at_the_second(*args: object) -> object:
        if (await kept.stores.find(kept.site.id, store_id)).counts.completed:
            reached.set()
            await asyncio.Event().wait()
        return await take_in(*args)

    monkeypatch.setattr(kept.parts.ingester, "take_in", hang_at_the_second)
    async with kept.working(), asyncio.timeout(SOON_S):
        await reached.wait()
        await kept.parts.jobs.cancel(job_id, site_id=kept.site.id)
        job = await wait_for_end(
            kept.parts.database, kept.parts.events, kept.site.id, job_id, timeout_s=SOON_S
        )
    assert job.status is Status.CANCELLED
    counts = (await kept.stores.find(kept.site.id, store_id)).counts
    assert (counts.completed, counts.cancelled, counts.in_progress) == (1, 2, 0)
    assert await kept.held(store_id) == [1, 1, 1]
