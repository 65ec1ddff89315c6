"""Documents that no file of a store stands behind: never found, and removed one by one."""

from __future__ import annotations

import contextlib

import pytest
from tests.integration.stores.kept import Kept
from tests.statements import told_statements

from sitebrook.access.gate import Caller
from sitebrook.chat.question import Question, RetrievalOptions
from sitebrook.ids import new_id
from sitebrook.providers.protocol import PromptMessage
from sitebrook.stores.contents import Listed
from sitebrook.stores.entries import NewEntry
from sitebrook.stores.paging import Window
from sitebrook.telemetry.latency import Timings

_TEXT = "What do anchors hold?"


async def ask(kept: Kept, store_id: str) -> str:
    """Everything that the mock model's answer, which quotes its passages, consists of."""
    places = await kept.search.find_places(kept.site.id, [store_id], None)
    question = Question(
        caller=Caller(kept.site, "key_1", "site", None),
        text=_TEXT,
        message=PromptMessage(role="user", content=_TEXT),
        model="mock",
        base_url="http://testserver",
        is_stored=False,
        retrieval=RetrievalOptions(places=places),
    )
    answer = await kept.parts.chat.start(question, new_id("ans"), Timings())
    async with contextlib.aclosing(answer.events()) as events:
        return "".join([str(event) async for event in events])


async def test_an_answer_does_not_know_what_no_file_stands_behind(kept: Kept) -> None:
    file_id = await kept.add()
    store_id = await kept.make(file_id)
    await kept.work()
    assert "Anchors hold ships" in await ask(kept, store_id)
    # As when a process was killed before the documents went.
    await kept.run("DELETE FROM store_file WHERE file_id = :id", id=file_id)
    assert await kept.held(store_id) == [1, 1, 1]
    assert "Anchors hold ships" not in await ask(kept, store_id)


async def test_what_is_taken_out_while_it_is_read_is_gone_before_the_next_file(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_ids = [await kept.add(f"Anchors of ship {n}.") for n in range(3)]
    store_id = await kept.make(*file_ids)
    take_in, held = kept.parts.ingester.take_in, []

    async def remove_behind(*args: object) -> object:
        held.append(await kept.held(store_id))
        outcome = await take_in(*args)
        await kept.run("DELETE FROM file WHERE id = :id", id=outcome.source.partition("/")[0])
        return outcome

    monkeypatch.setattr(kept.parts.ingester, "take_in", remove_behind)
    await kept.work()
    assert held == [[0, 0, 0]] * 3
    assert await kept.held(store_id) == [0, 0, 0]


async def test_only_what_was_made_of_a_file_is_looked_at_when_it_goes(kept: Kept) -> None:
    left, deleted, removed = [await kept.add(f"Anchors of ship {n}.") for n in range(3)]
    store_id = await kept.make(left, deleted, removed)
    await kept.work()
    await kept.run("DELETE FROM store_file WHERE file_id = :id", id=left)
    await kept.files.delete(kept.site.id, deleted)
    assert await kept.held(store_id) == [2, 2, 2]
    await kept.contents.remove(kept.site.id, store_id, removed)
    assert await kept.held(store_id) == [1, 1, 1]
    assert await kept.stores.remove_stale() == 1


async def test_the_files_of_a_store_are_summed_up_only_where_that_is_shown(kept: Kept) -> None:
    file_id = await kept.add()
    store_id = await kept.make(file_id)
    await kept.work()
    site_id = kept.site.id
    with told_statements() as told:
        await kept.find(store_id)
        await kept.search.find_places(site_id, [store_id], None)
        await kept.contents.add(site_id, store_id, NewEntry(file_id, {}))
        await kept.entry(store_id, file_id)
        await kept.contents.list(site_id, store_id, Window(9), Listed())
    assert told
    assert not [one for one in told if "sum(store_file.usage_bytes)" in one]
    with told_statements() as told:
        assert (await kept.stores.find(site_id, store_id)).counts.total == 1
    assert [one for one in told if "sum(store_file.usage_bytes)" in one]
