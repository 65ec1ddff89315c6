"""Sites and stores with the same documents, which one process searches with shared caches."""

from __future__ import annotations

import asyncio
import random

import pytest
from sqlalchemy import text
from tests.factories import make_site
from tests.integration.retrieval.stored import EMBEDDER, make_document, store

from sitebrook.db.engine import Database
from sitebrook.retrieval.documents import delete_documents, find_document, list_documents
from sitebrook.retrieval.search import Searcher
from sitebrook.retrieval.vector_indexes import tend_indexes
from sitebrook.settings import RetrievalSettings

QUESTION = "Which walrus lives in the harbour?"
WORDS = [f"{first}{second}" for first in "bdfgklmnprst" for second in ("ado", "eli", "ino")]
TEXTS = ("A walrus lives in the harbour.", "Crocodiles live by the river.", "Owls live in oaks.")


async def make_holders(database: Database) -> list[str]:
    """Two sites and a store of the first one, with the same documents."""
    site, other = await make_site(database), await make_site(database, name="Other")
    statement = text("INSERT INTO holder (id, site_id) VALUES ('vs_1', :site)")
    async with database.begin() as connection:
        await connection.execute(statement, {"site": site.id})
    holders = [site.id, other.id, "vs_1"]
    for at, body in enumerate(TEXTS):
        for one in holders:
            await store(database, one, make_document(f"{at}.md", body, title=body.split()[1]))
    return holders


async def own_documents(database: Database, holder_id: str) -> set[str]:
    return {one.id for one in (await list_documents(database, holder_id)).documents}


@pytest.mark.parametrize("has_indexes", [False, True])
async def test_none_sees_what_another_has(database: Database, *, has_indexes: bool) -> None:
    holders = await make_holders(database)
    if has_indexes:
        assert (await tend_indexes(database, indexed_chunks=1)).built == len(holders)
    searcher = Searcher(database, (EMBEDDER,), RetrievalSettings())
    own = {one: await own_documents(database, one) for one in holders}
    assert len(set.union(*own.values())) == len(holders) * len(TEXTS)
    for _ in range(2):  # the second time from the caches
        found = await asyncio.gather(*(searcher.find(one, QUESTION) for one in holders))
        for one, result in zip(holders, found, strict=True):
            passages = [*result.passages, *result.weak]
            assert {passage.document_id for passage in passages} == own[one]
    # What is asked for by another's id is not there.
    foreign = sorted(own[holders[1]])
    assert await searcher.find_chunks(holders[0], QUESTION, limit=9, document_ids=foreign) == ()
    assert await find_document(database, holders[0], foreign[0]) is None
    assert await delete_documents(database, holders[0], foreign) == 0


async def test_what_one_deletes_the_others_keep(database: Database) -> None:
    holders = await make_holders(database)
    searcher = Searcher(database, (EMBEDDER,), RetrievalSettings())
    before = [(await searcher.find(one, QUESTION)).passages for one in holders]
    assert [passages[0].text for passages in before] == [TEXTS[0]] * len(holders)
    for gone in holders:
        await delete_documents(database, gone, sorted(await own_documents(database, gone)))
        searcher.forget(gone)
        for one, passages in zip(holders, before, strict=True):
            found = (await searcher.find(one, QUESTION)).passages
            is_left = holders.index(one) > holders.index(gone)
            assert [passage.chunk_id for passage in found] == (
                [passage.chunk_id for passage in passages] if is_left else []
            )


async def test_a_site_with_one_percent_of_the_rows_gets_all_its_passages(
    database: Database,
) -> None:
    small, large = await make_site(database), await make_site(database, name="Large")
    chance = random.Random(1)

    def write() -> str:
        return "A walrus " + " ".join(chance.choices(WORDS, k=12))

    for at in range(10):
        large_texts = [write() for _ in range(198)]
        await store(database, large.id, make_document(f"{at}.md", *large_texts))
        await store(database, small.id, make_document(f"{at}.md", write(), write()))
    assert (await tend_indexes(database, indexed_chunks=500)).built == 1
    own = await own_documents(database, small.id)
    for settings in (RetrievalSettings(), RetrievalSettings(fusion="rrf")):
        searcher = Searcher(database, (EMBEDDER,), settings)
        for word in WORDS[:5]:
            found = await searcher.find(small.id, f"Which walrus is {word}?", limit=10)
            assert len(found.passages) == 10
            assert {passage.document_id for passage in found.passages} <= own
            assert all(passage.fused.vector_score is not None for passage in found.passages)
