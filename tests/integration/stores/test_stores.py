"""Stores in a real database: expiry by a clock, ends of jobs, and what breaks off in between."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa
from tests.integration.stores.kept import SOON_S, Kept

from sitebrook.errors import InvalidRequest, NotFound, Unavailable
from sitebrook.jobs.streams import stream_of
from sitebrook.stores import filling
from sitebrook.stores.entries import NewEntry
from sitebrook.stores.files import NewFile
from sitebrook.stores.paging import Window
from sitebrook.stores.stores import StoreChange
from sitebrook.stores.waiting import find_next


async def test_an_expired_store_finds_nothing_and_loses_what_was_made_of_its_files(
    kept: Kept,
) -> None:
    file_id = await kept.add()
    store_id, lasting = await kept.make(file_id, days=2), await kept.make(file_id)
    await kept.work()
    kept.clock.move(days=2, seconds=-1)
    assert await kept.find(store_id) == [file_id]
    kept.clock.move(days=2, seconds=-1)  # counted from its last use
    assert await kept.stores.remove_stale() == 0
    assert await kept.find(store_id) == [file_id]
    kept.clock.move(days=2)
    store = await kept.stores.find(kept.site.id, store_id)
    assert (store.has_expired, store.expires_at) == (True, kept.clock.now)
    for ask in (
        kept.find(store_id),
        kept.contents.add(kept.site.id, store_id, NewEntry(file_id, {})),
        kept.stores.change(kept.site.id, store_id, StoreChange({"expires_after_days": 9})),
    ):
        with pytest.raises(InvalidRequest) as refused:
            await ask
        assert refused.value.code == "vector_store_expired"
    assert await kept.held(store_id) == [1, 1, 1]
    assert await kept.stores.remove_stale() == 1
    assert await kept.held(store_id) == [0, 0, 0]
    # Its files are still told, so that another store can be made of them.
    assert (await kept.entry(store_id, file_id)).status == "completed"
    assert await kept.find(lasting) == [file_id]
    assert await kept.held(lasting) == [1, 1, 1]


async def test_a_file_that_expires_leaves_its_stores(kept: Kept) -> None:
    brief = NewFile("b.md", b"Anchors rust.", "assistants", expires_after_s=3600)
    brief_id = (await kept.files.add(kept.site.id, brief)).id
    file_id = await kept.add()
    store_id = await kept.make(brief_id, file_id)
    await kept.work()
    assert set(await kept.find(store_id)) == {brief_id, file_id}
    kept.clock.move(seconds=3600)
    assert await kept.find(store_id) == [file_id]
    assert await kept.files.remove_expired() == 1
    assert await kept.stores.remove_stale() == 1
    assert await kept.held(store_id) == [1, 1, 1]


async def test_a_deleted_store_leaves_nothing_and_its_job_ends(kept: Kept) -> None:
    file_ids = [await kept.add(f"Anchors of ship {n}.") for n in range(3)]
    read = await kept.make(*file_ids)
    await kept.work()
    unread = await kept.make(*file_ids)
    for store_id in (read, unread):
        await kept.stores.delete(kept.site.id, store_id)
        assert await kept.held(store_id) == [0, 0, 0]
    await kept.work()
    left = await kept.run(
        "SELECT (SELECT count(*) FROM postings), (SELECT count(*) FROM knowledge),"
        " (SELECT count(*) FROM holder), (SELECT count(*) FROM store_file)"
    )
    assert left[0] == (0, 0, 1, 0)
    statuses = await kept.run("SELECT status FROM job WHERE kind = 'fill_store'")
    assert [row.status for row in statuses] == ["succeeded", "succeeded"]
    assert len((await kept.files.list(kept.site.id, Window(9))).entries) == 3


async def test_a_store_deleted_while_a_file_is_read_ends_its_job(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_id = await kept.add()
    store_id = await kept.make(file_id)
    take_in = kept.parts.ingester.take_in

    async def delete_first(*args: object) -> object:
        await kept.stores.delete(kept.site.id, store_id)
        return await take_in(*args)

    monkeypatch.setattr(kept.parts.ingester, "take_in", delete_first)
    await kept.work()
    assert [
        row.status for row in await kept.run("SELECT status FROM job WHERE kind = 'fill_store'")
    ] == ["succeeded"]
    assert await kept.held(store_id) == [0, 0, 0]


@pytest.mark.parametrize("is_stored", [True, False])
async def test_what_is_taken_out_while_it_is_read_is_not_kept(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, *, is_stored: bool
) -> None:
    file_id = await kept.add()
    store_id = await kept.make(file_id)
    take_in = kept.parts.ingester.take_in

    async def remove_beside(*args: object) -> object:
        outcome = await take_in(*args) if is_stored else None
        await kept.run("DELETE FROM store_file WHERE store_id = :id", id=store_id)
        return outcome or await take_in(*args)

    monkeypatch.setattr(kept.parts.ingester, "take_in", remove_beside)
    await kept.work()
    assert await kept.held(store_id) == [0, 0, 0]
    with pytest.raises(NotFound):
        await kept.entry(store_id, file_id)
    [job] = await kept.run("SELECT id FROM job WHERE kind = 'fill_store'")
    async with kept.parts.events.read(stream_of(kept.site.id, job.id)) as reader:
        told = [event.payload async for event in reader if event.kind == "progress"]
    last = told[-1]
    assert (last["outcome"], last["completed"], last["failed"]) == ("cancelled", 0, 0)


async def test_files_of_a_job_that_failed_have_failed_with_its_reason(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_id = await kept.add()
    store_id = await kept.make(file_id)

    async def fail(*_: object) -> object:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(kept.parts.ingester, "take_in", fail)
        await kept.work()
    entry = await kept.entry(store_id, file_id)
    assert (entry.status, entry.error_code) == ("failed", None)
    assert "fault of sitebrook" in (entry.error_message or "")
    store = await kept.stores.find(kept.site.id, store_id)
    assert (store.counts.failed, store.counts.in_progress) == (1, 0)
    again = await kept.contents.add(kept.site.id, store_id, NewEntry(file_id, {}))
    assert (again.status, again.error_message) == ("in_progress", None)
    await kept.work()
    assert await kept.find(store_id) == [file_id]


async def test_an_embedder_that_is_away_is_told_and_polling_ends(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_id = await kept.add()
    store_id = await kept.make(file_id)
    await kept.run("UPDATE job SET failures = 4")  # the last attempt is the next one

    async def fail(*_: object) -> object:
        raise Unavailable("The embedding endpoint does not answer.")

    monkeypatch.setattr(kept.parts.ingester, "take_in", fail)
    await kept.work()
    entry = await kept.entry(store_id, file_id)
    assert (entry.status, entry.error_message) == (
        "failed",
        "The embedding endpoint does not answer.",
    )


async def test_files_whose_job_is_forgotten_have_failed(kept: Kept) -> None:
    file_id = await kept.add()
    store_id = await kept.make(file_id)
    await kept.run("DELETE FROM job")
    entry = await kept.entry(store_id, file_id)
    assert entry.status == "failed"
    assert "add the file again" in (entry.error_message or "")


async def test_a_cancelled_job_has_cancelled_its_files(kept: Kept) -> None:
    file_id = await kept.add()
    store_id = await kept.make(file_id)
    [row] = await kept.run("SELECT id FROM job")
    await kept.parts.jobs.cancel(row.id)
    assert (await kept.entry(store_id, file_id)).status == "cancelled"


async def test_a_file_that_is_read_again_is_found_until_it_is(kept: Kept) -> None:
    file_id = await kept.add()
    store_id = await kept.make(file_id)
    await kept.work()
    again = NewEntry(file_id, {"kind": "new"})
    assert (await kept.contents.add(kept.site.id, store_id, again)).status == "in_progress"
    assert await kept.find(store_id) == [file_id]
    await kept.work()
    entry = await kept.entry(store_id, file_id)
    assert (entry.status, entry.attributes) == ("completed", {"kind": "new"})
    assert await kept.held(store_id) == [1, 1, 1]


async def test_files_are_in_the_language_of_the_site(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kept.run("UPDATE site SET language = 'it' WHERE id = :id", id=kept.site.id)
    store_id = await kept.make(await kept.add("Ok."))
    take_in, holders = kept.parts.ingester.take_in, []

    async def note(holder: Any, *rest: Any) -> Any:
        holders.append((holder.id, holder.language, hasattr(holder, "allowed_origins")))
        return await take_in(holder, *rest)

    monkeypatch.setattr(kept.parts.ingester, "take_in", note)
    await kept.work()
    assert holders == [(store_id, "it", False)]  # not a site with another one's id
    found = await kept.run("SELECT language FROM document WHERE site_id = :id", id=store_id)
    assert [row.language for row in found] == ["it"]


async def test_files_are_put_in_in_one_order_whatever_the_clients_is(kept: Kept) -> None:
    store_id = await kept.make()
    file_ids = sorted([await kept.add() for _ in range(5)])
    told: list[list[str]] = []

    def note(_: object, __: object, statement: str, rows: Any, *___: object) -> None:
        if statement.startswith("INSERT INTO store_file "):
            told.append([row["file_id"] for row in rows])

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        for order in (file_ids, file_ids[::-1]):
            entries = [NewEntry(one, {}) for one in order]
            await kept.contents.add_batch(kept.site.id, store_id, entries)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    assert told == [file_ids, file_ids]


async def test_a_batch_waits_for_its_own_job_only(kept: Kept) -> None:
    store_id = await kept.make()
    first, second = await kept.add(), await kept.add(name="b.md")
    for one in (first, second):
        await kept.contents.add_batch(kept.site.id, store_id, [NewEntry(one, {})])
    jobs = await kept.run("SELECT job_id, file_id FROM store_file")
    assert len({row.job_id for row in jobs}) == 2
    for row in jobs:
        waiting = await find_next(kept.parts.database, store_id, row.job_id)
        assert waiting is not None
        assert waiting.file_id == row.file_id


async def test_documents_without_a_file_are_removed_with_the_hour(kept: Kept) -> None:
    file_id = await kept.add()
    store_id = await kept.make(file_id)
    await kept.work()
    # As if the process had been killed before the documents went.
    await kept.run("DELETE FROM file WHERE id = :id", id=file_id)
    assert await kept.find(store_id) == []
    assert await kept.held(store_id) == [1, 1, 1]
    assert await kept.stores.remove_stale() == 1
    assert await kept.held(store_id) == [0, 0, 0]


async def test_a_site_takes_its_stores_with_it(kept: Kept) -> None:
    store_id = await kept.make(await kept.add())
    await kept.work()
    await kept.run("DELETE FROM site WHERE id = :id", id=kept.site.id)
    assert await kept.held(store_id) == [0, 0, 0]
    assert await kept.run("SELECT id FROM holder UNION SELECT id FROM store") == []


async def test_a_job_that_takes_long_leaves_the_rest_to_another(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "_PART_S", -1)
    file_ids = [await kept.add(f"Anchors of ship {n}.") for n in range(3)]
    store_id = await kept.make(*file_ids)
    for _ in file_ids:
        await kept.work()
    store = await kept.stores.find(kept.site.id, store_id)
    assert (store.counts.completed, store.counts.total) == (3, 3)
    jobs = await kept.run("SELECT result FROM job WHERE kind = 'fill_store'")
    assert [row.result["completed"] for row in jobs] == [1, 1, 1]


async def test_another_worker_goes_on_with_the_files_of_one_that_was_stopped(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_ids = [await kept.add(f"Anchors of ship {n}.") for n in range(3)]
    store_id = await kept.make(*file_ids)
    take_in, reached = kept.parts.ingester.take_in, asyncio.Event()

    async def hang_at_the_second(*args: object) -> object:
        if (await kept.stores.find(kept.site.id, store_id)).counts.completed:
            reached.set()
            await asyncio.Event().wait()
        return await take_in(*args)

    with monkeypatch.context() as patched:
        patched.setattr(kept.parts.ingester, "take_in", hang_at_the_second)
        async with kept.working(), asyncio.timeout(SOON_S):
            await reached.wait()
    store = await kept.stores.find(kept.site.id, store_id)
    assert (store.counts.completed, store.counts.in_progress) == (1, 2)
    await kept.work()
    assert set(await kept.find(store_id)) == set(file_ids)
    assert await kept.held(store_id) == [3, 3, 3]
