"""Keyword indexes over a real database: of each version, in every process, after every fault."""

from __future__ import annotations

import asyncio
import random

import pytest
from sqlalchemy import event, text
from tests.factories import make_site
from tests.integration.retrieval.indexed import check_index, count_rows, join_all, load_index
from tests.integration.retrieval.stored import INDEXER, make_document, store
from tests.integration.retrieval.synthetic import make_vectors

from sitebrook.db.engine import Database
from sitebrook.retrieval.documents import delete_documents
from sitebrook.retrieval.keywords import KeywordIndexes
from sitebrook.retrieval.knowledge import load_knowledge
from sitebrook.retrieval.reindexing import reindex
from sitebrook.retrieval.stored_postings import Scope, find_due, join_due
from sitebrook.settings import RetrievalSettings

ANIMALS = ["walrus", "ibex", "newt", "heron", "otter"]


def make_indexes() -> KeywordIndexes:
    return KeywordIndexes(RetrievalSettings())


def make_texts(seed: int) -> list[str]:
    chance = random.Random(seed)
    return [" ".join(chance.choices(ANIMALS, k=12)) for _ in range(chance.randint(1, 6))]


async def names(database: Database, site_id: str, question: str, indexes: KeywordIndexes) -> int:
    index = await load_index(database, site_id, indexes)
    return len(index.find(question, 100).ranked)


async def test_every_change_shows_at_once_in_every_process(database: Database) -> None:
    site = await make_site(database)
    processes = [make_indexes(), make_indexes()]
    stored = await store(database, site.id, make_document("a.md", "walrus", "walrus ibex"))
    for indexes in processes:
        assert await names(database, site.id, "walrus", indexes) == 2
    await store(database, site.id, make_document("a.md", "ibex"))
    await store(database, site.id, make_document("b.md", "walrus"))
    for indexes in processes:
        assert await names(database, site.id, "walrus", indexes) == 1
        assert await names(database, site.id, "ibex", indexes) == 1
    await delete_documents(database, site.id, [stored.document_id])
    for indexes in processes:
        assert await names(database, site.id, "ibex", indexes) == 0
    await check_index(database, site.id)


async def test_an_earlier_snapshot_goes_on_seeing_the_earlier_version(database: Database) -> None:
    site = await make_site(database)
    await store(database, site.id, make_document("a.md", "walrus"))
    indexes = make_indexes()
    async with database.begin_snapshot() as early:
        await early.execute(text("SELECT 1"))
        for source in ("b.md", "c.md", "d.md"):
            await store(database, site.id, make_document(source, "walrus"))
            assert await names(database, site.id, "walrus", indexes) > 1
        knowledge = await load_knowledge(early, site.id)
        assert knowledge is not None
        assert len(await indexes.load(early, knowledge)) == 1
    assert await names(database, site.id, "walrus", indexes) == 4


async def test_a_change_is_read_alone(database: Database) -> None:
    site = await make_site(database)
    await store(database, site.id, make_document("a.md", *["walrus"] * 50))
    indexes = make_indexes()
    await load_index(database, site.id, indexes)
    reads: list[int] = []

    def note(_connection: object, cursor: object, statement: str, *_: object) -> None:
        if "postings" in statement:
            reads.append(1)

    await store(database, site.id, make_document("b.md", "ibex"))
    event.listen(database._snapshots._engine.sync_engine, "before_cursor_execute", note)
    await load_index(database, site.id, indexes)
    assert len(reads) == 1  # the list of rows; the new row is read by a cursor of the driver
    await load_index(database, site.id, indexes)
    assert len(reads) == 1


async def test_rows_stay_few_and_say_the_same_when_they_are_joined(database: Database) -> None:
    site = await make_site(database)
    for number in range(40):
        await store(database, site.id, make_document(f"{number % 25}.md", *make_texts(number)))
        if number % 10 == 9:
            await check_index(database, site.id, *ANIMALS)
    assert await count_rows(database, site.id) <= 10
    await join_all(database, site.id)
    assert await count_rows(database, site.id) == 1
    await check_index(database, site.id, *ANIMALS)
    async with database.begin() as connection:
        query = text("SELECT length(removed) FROM postings")
        assert (await connection.execute(query)).scalar_one() == 0


def test_rows_of_one_size_are_due_when_there_are_four() -> None:
    assert find_due({}) == []
    assert find_due({1: 10, 2: 9, 3: 11}) == []
    assert find_due({1: 10, 2: 9, 3: 11, 4: 8, 5: 5000}) == [4, 2, 1, 3]
    assert find_due({1: 1, 2: 0, 3: 3, 4: 2, 5: 30}) == [2, 1, 4, 3]
    assert find_due({1: 20_000, 2: 30_000, 3: 25_000, 4: 30_000, 5: 2}) == [5, 1, 3]
    assert find_due(dict.fromkeys(range(9), 60_000)) == []
    assert len(find_due(dict.fromkeys(range(3_000), 1))) == 1_000


async def test_writers_searches_and_joins_at_once_leave_a_true_index(database: Database) -> None:
    site = await make_site(database)
    indexes = make_indexes()
    await store(database, site.id, make_document("0.md", "walrus"))

    async def write(writer: int) -> None:
        chance = random.Random(writer)
        for at in range(12):
            source = f"{chance.randint(0, 6)}.md"
            stored = await store(
                database, site.id, make_document(source, *make_texts(writer * 100 + at))
            )
            if chance.random() < 0.2:
                await delete_documents(database, site.id, [stored.document_id])

    async def join_often() -> None:
        while not done.is_set():
            await join_due(database, INDEXER, Scope(site.id))
            await join_all(database, site.id)

    async def search_often() -> None:
        while not done.is_set():
            index = await load_index(database, site.id, indexes)
            found = index.find("walrus ibex newt heron otter", 1000)
            assert len(found.ranked) == len(index)

    done = asyncio.Event()
    others = [asyncio.create_task(one) for one in (join_often(), join_often(), search_often())]
    await asyncio.gather(*map(write, range(4)))
    done.set()
    await asyncio.gather(*others)
    await check_index(database, site.id, *ANIMALS)


async def test_sites_with_the_same_documents_never_see_each_other(database: Database) -> None:
    sites = [await make_site(database, name=name) for name in ("One", "Two")]
    indexes = make_indexes()
    for site in sites:
        await store(database, site.id, make_document("a.md", "walrus one", "walrus two"))
    await store(database, sites[0].id, make_document("b.md", "walrus three"))
    for site, chunks in zip(sites, (3, 2), strict=True):
        await join_all(database, site.id)
        index = await load_index(database, site.id, indexes)
        assert len(index) == chunks
        async with database.begin() as connection:
            mine = text("SELECT id FROM chunk WHERE site_id = :site_id")
            ids = set((await connection.execute(mine, {"site_id": site.id})).scalars())
        assert {name for name, _ in index.find("walrus", 10).ranked} == ids
        await check_index(database, site.id)


async def test_a_deleted_site_leaves_no_postings(database: Database) -> None:
    site = await make_site(database)
    await store(database, site.id, make_document("a.md", "walrus"))
    async with database.begin() as connection:
        await connection.execute(text("DELETE FROM site WHERE id = :id"), {"id": site.id})
    assert await count_rows(database, site.id) == 0


async def test_little_memory_keeps_the_last_site_only(database: Database) -> None:
    indexes = KeywordIndexes(RetrievalSettings(keyword_cache_mb=1))
    words = [" ".join(f"word{at * 500 + one}" for one in range(500)) for at in range(60)]
    for name in ("One", "Two", "Three"):
        site = await make_site(database, name=name)
        await store(database, site.id, make_document("a.md", *words))
        await load_index(database, site.id, indexes)
        assert 0 < indexes.size_bytes < 1_000_000
    assert await names(database, site.id, "word7", indexes) == 1


async def test_chunks_without_postings_get_them(database: Database) -> None:
    knowledge, vectors = await make_vectors(database, "One", 1_500)
    assert await reindex(database, INDEXER, knowledge.site_id) == len(vectors)
    assert await reindex(database, INDEXER, knowledge.site_id) == 0
    await check_index(database, knowledge.site_id, "text 77", "t")


@pytest.mark.parametrize("at_once", [1, 3])
async def test_what_an_older_writer_did_is_made_up_for(database: Database, at_once: int) -> None:
    site = await make_site(database)
    first = await store(database, site.id, make_document("a.md", *make_texts(1)))
    await store(database, site.id, make_document("b.md", *make_texts(2)))
    async with database.begin() as connection:
        values = {"site_id": site.id, "document_id": first.document_id}
        for statement in (
            "DELETE FROM document WHERE id = :document_id",
            "INSERT INTO document (id, site_id, source, title, language, sha256, characters,"
            " chunks, version) VALUES ('doc_x', :site_id, 'x', 'Older', 'en', '', 1, 1, 1)",
            "INSERT INTO chunk VALUES"
            " ('chunk_x', :site_id, 'doc_x', 1, 500, 0, '{}', 'newt', 'en')",
            "UPDATE knowledge SET version = version + 1, next_chunk_number = 501",
        ):
            await connection.execute(text(statement), values)
    await store(database, site.id, make_document("c.md", *make_texts(3)))
    made = await asyncio.gather(*[reindex(database, INDEXER, site.id) for _ in range(at_once)])
    assert sorted(made) == [0] * (at_once - 1) + [1]
    await check_index(database, site.id, *ANIMALS, "older")


async def test_words_of_an_older_format_are_made_anew(database: Database) -> None:
    site = await make_site(database)
    await store(database, site.id, make_document("a.md", *make_texts(1)))
    async with database.begin() as connection:
        await connection.execute(text("UPDATE knowledge SET keyword_format = 0"))
        await connection.execute(text("UPDATE postings SET keys = ''::bytea, ends = ''::bytea"))
    writing = store(database, site.id, make_document("b.md", *make_texts(2)))
    await asyncio.gather(writing, reindex(database, INDEXER, site.id))
    await reindex(database, INDEXER, site.id)
    await check_index(database, site.id, *ANIMALS)


async def test_indexing_that_was_broken_off_goes_on(database: Database) -> None:
    knowledge, vectors = await make_vectors(database, "One", 3_000)
    for wait_s in (0.05, 0.2, 0.4):
        try:
            async with asyncio.timeout(wait_s):
                await reindex(database, INDEXER, knowledge.site_id)
        except TimeoutError:
            continue
    await reindex(database, INDEXER, knowledge.site_id)
    index = await check_index(database, knowledge.site_id, "text 77")
    assert len(index) == len(vectors)
