"""Documents in a real database."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from sqlalchemy import func, select
from tests.factories import make_site
from tests.integration.retrieval.stored import EMBEDDER, INDEXER, make_document, store

from sitebrook.db.engine import Database
from sitebrook.errors import InvalidRequest, Unavailable
from sitebrook.retrieval.documents import (
    delete_documents,
    find_document,
    find_source_text,
    list_documents,
    prune,
)
from sitebrook.retrieval.knowledge import (
    Knowledge,
    load_knowledge,
    replace_document,
)
from sitebrook.retrieval.site_embedders import SiteEmbedders
from sitebrook.retrieval.tables import chunk, document_version, embedding


async def read_knowledge(database: Database, site_id: str) -> Knowledge:
    async with database.begin() as connection:
        found = await load_knowledge(connection, site_id)
    assert found is not None
    return found


async def count(database: Database, table: object) -> int:
    async with database.begin() as connection:
        found = await connection.execute(select(func.count()).select_from(table))
        return found.scalar_one()


async def test_a_document_is_added_then_unchanged_then_replaced(database: Database) -> None:
    site = await make_site(database)
    first = await store(database, site.id, make_document("a.md", "one", "two"))
    same = await store(database, site.id, make_document("a.md", "one", "two"))
    other = await store(database, site.id, make_document("a.md", "three"))

    assert [first.status, same.status, other.status] == ["added", "unchanged", "replaced"]
    assert first.document_id == same.document_id == other.document_id
    assert await count(database, chunk) == 1
    assert await count(database, embedding) == 1
    assert await count(database, document_version) == 1
    shown = await find_source_text(database, first.document_id)
    assert shown is not None
    assert (shown.title, shown.language, shown.text) == ("A title", "en", "three")
    found = await find_document(database, site.id, first.document_id)
    assert found is not None
    assert (found.version, found.chunks) == (2, 1)
    knowledge = await read_knowledge(database, site.id)
    assert knowledge.version == 2


async def test_chunk_numbers_are_dense_when_writers_meet(database: Database) -> None:
    site = await make_site(database)
    await asyncio.gather(
        *(store(database, site.id, make_document(f"{at}.md", "a", "b", "c")) for at in range(20))
    )
    async with database.begin() as connection:
        numbers = (await connection.execute(select(chunk.c.number))).scalars().all()
    assert sorted(numbers) == list(range(60))


async def test_a_failing_write_leaves_the_old_document_whole(database: Database) -> None:
    site = await make_site(database)
    await store(database, site.id, make_document("a.md", "old one", "old two"))
    too_few = np.zeros((1, 512), dtype=np.float32)
    with pytest.raises(ValueError, match="zip"):
        await replace_document(
            database,
            INDEXER,
            site.id,
            make_document("a.md", "new", "newer"),
            {EMBEDDER.name: too_few},
        )
    async with database.begin() as connection:
        texts = await connection.execute(select(chunk.c.text).order_by(chunk.c.number))
        assert list(texts.scalars()) == ["old one", "old two"]


async def test_the_first_document_fixes_the_embedder(database: Database) -> None:
    site = await make_site(database)
    await store(database, site.id, make_document("a.md", "one"))
    with pytest.raises(Unavailable, match="hashing"):
        await replace_document(
            database,
            INDEXER,
            site.id,
            make_document("b.md", "x"),
            {"other-3": np.zeros((1, 3), np.float32)},
        )
    assert await SiteEmbedders(database, EMBEDDER).find(site.id) == (EMBEDDER,)


async def test_pages_of_documents_are_newest_first_and_complete(database: Database) -> None:
    site = await make_site(database)
    stored = [await store(database, site.id, make_document(f"{at}.md", "x")) for at in range(5)]
    first = await list_documents(database, site.id, limit=3)
    rest = await list_documents(database, site.id, limit=3, after=first.documents[-1].id)
    assert [one.source for one in first.documents] == ["4.md", "3.md", "2.md"]
    assert first.has_more
    assert [one.id for one in rest.documents] == [stored[1].document_id, stored[0].document_id]
    assert not rest.has_more
    with pytest.raises(InvalidRequest):
        await list_documents(database, site.id, after="doc_unknown")


async def test_another_sites_document_is_not_found_or_deleted(database: Database) -> None:
    mine, other = await make_site(database), await make_site(database, name="Other")
    stored = await store(database, mine.id, make_document("a.md", "x"))
    assert await find_document(database, other.id, stored.document_id) is None
    assert await delete_documents(database, other.id, [stored.document_id]) == 0
    assert await delete_documents(database, mine.id, [stored.document_id]) == 1
    assert await count(database, embedding) == 0


async def test_prune_removes_what_is_gone_under_the_folder_only(database: Database) -> None:
    site = await make_site(database)
    for source in ("/d/a.md", "/d/b.md", "/d_x/c.md", "/e/d.md"):
        await store(database, site.id, make_document(source, "x"))
    assert await prune(database, site.id, ["/d/a.md"], under=["/d/"]) == 1
    left = await list_documents(database, site.id)
    assert {one.source for one in left.documents} == {"/d/a.md", "/d_x/c.md", "/e/d.md"}


async def test_prune_keeps_what_lies_under_a_folder_that_is_not_known(database: Database) -> None:
    site = await make_site(database)
    for source in ("/d/a.md", "/d/closed/b.md"):
        await store(database, site.id, make_document(source, "x"))
    removed = await prune(database, site.id, [], under=["/d/"], not_under=["/d/closed/"])
    assert removed == 1
    left = await list_documents(database, site.id)
    assert [one.source for one in left.documents] == ["/d/closed/b.md"]


async def test_vectors_of_another_dimension_are_refused_beside_those_that_are_there(
    database: Database,
) -> None:
    site = await make_site(database)
    await store(database, site.id, make_document("a.md", "one"))
    other, vectors = make_document("b.md", "two"), np.ones((1, 8), dtype=np.float32)
    with pytest.raises(Unavailable, match=r"vectors of 8 numbers, .* have 512") as refused:
        await replace_document(database, INDEXER, site.id, other, {EMBEDDER.name: vectors})
    assert refused.value.code == "embedding_dimension_changed"
    listed = await list_documents(database, site.id)
    assert [document.source for document in listed.documents] == ["a.md"]


async def test_a_site_without_vectors_takes_those_of_any_dimension(database: Database) -> None:
    site = await make_site(database)
    stored = await store(database, site.id, make_document("a.md", "one"))
    await delete_documents(database, site.id, [stored.document_id])
    vectors = np.ones((1, 8), dtype=np.float32)
    await replace_document(
        database, INDEXER, site.id, make_document("a.md", "one"), {EMBEDDER.name: vectors}
    )
    knowledge = await read_knowledge(database, site.id)
    assert knowledge.dimension == 8
