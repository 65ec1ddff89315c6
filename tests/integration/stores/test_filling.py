"""What the job that reads files of a store tells, and its end before they are read."""

from __future__ import annotations

import asyncio

import pytest
from tests.fakes.held_embedder import hold
from tests.integration.stores.kept import SOON_S, Kept

from sitebrook.jobs.following import wait_for_end
from sitebrook.jobs.job import Status
from sitebrook.jobs.streams import stream_of
from sitebrook.stores.entries import NewEntry, SizesInTokens


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
    kept: Kept,
) -> None:
    file_ids = [await kept.add(f"Anchors of ship {n}.") for n in range(3)]
    store_id = await kept.make(*file_ids)
    job_id = await find_job(kept)
    embedder = hold(kept.parts, {1})
    async with kept.working(), asyncio.timeout(SOON_S):
        await embedder.reached.wait()
        await kept.parts.jobs.cancel(job_id, site_id=kept.site.id)
        job = await wait_for_end(
            kept.parts.database, kept.parts.events, kept.site.id, job_id, timeout_s=SOON_S
        )
    assert job.status is Status.CANCELLED
    counts = (await kept.stores.find(kept.site.id, store_id)).counts
    assert (counts.completed, counts.cancelled, counts.in_progress) == (1, 2, 0)
    assert await kept.held(store_id) == [1, 1, 1]


@pytest.mark.parametrize("is_later", [True, False])
async def test_of_two_jobs_that_read_a_file_the_one_that_it_waits_for_decides(
    kept: Kept, *, is_later: bool
) -> None:
    file_id = await kept.add("Anchors hold ships. " * 200)
    store_id = await kept.make(file_id)
    embedder = hold(kept.parts, {0})
    async with kept.working(), asyncio.timeout(SOON_S):
        await embedder.reached.wait()
        small = NewEntry(file_id, {}, SizesInTokens(100, 0))
        await kept.contents.add(kept.site.id, store_id, small)
        if not is_later:
            embedder.let_go()
        while (await kept.entry(store_id, file_id)).status != "completed":
            await asyncio.sleep(0.02)
        embedder.let_go()
        for row in await kept.run("SELECT id FROM job WHERE kind = 'fill_store'"):
            job = await wait_for_end(
                kept.parts.database, kept.parts.events, kept.site.id, row.id, timeout_s=SOON_S
            )
            assert job.status is Status.SUCCEEDED
    assert (await kept.held(store_id))[1] > 10  # chunks of about 267 characters, not of 800
    entry = await kept.entry(store_id, file_id)
    assert (entry.status, entry.sizes) == ("completed", SizesInTokens(100, 0))
