"""Search over a real database."""

from __future__ import annotations

import asyncio

import numpy as np
from sqlalchemy import text
from tests.factories import make_site
from tests.integration.retrieval.stored import EMBEDDER, make_document, store

from sitebrook.db.engine import Database
from sitebrook.errors import ProviderError
from sitebrook.retrieval.documents import delete_documents
from sitebrook.retrieval.embedder import Embedder, HashingEmbedder, Vectors
from sitebrook.retrieval.knowledge import ask_knowledge, to_knowledge
from sitebrook.retrieval.search import Searcher
from sitebrook.retrieval.vectors import VectorSearch, to_nearest
from sitebrook.settings import RetrievalSettings

PHASES = {"embed", "vectors", "keywords", "fuse", "read", "context"}
TEXTS = {
    "Opening hours": "The shop is open from nine to five, on Saturdays until noon.",
    "Returns": "Send goods back within thirty days and the refund arrives in a week.",
    "Shipping": "Parcels to Norway travel four days; express delivery takes one day.",
    "Error codes": "ERR_CONN-42 means that the printer lost its network connection.",
}


async def fill(database: Database) -> str:
    site = await make_site(database)
    for title, body in TEXTS.items():
        await store(database, site.id, make_document(f"{title}.md", body, title=title))
    return site.id


def make_searcher(database: Database, *embedders: Embedder) -> Searcher:
    return Searcher(database, embedders or (EMBEDDER,), RetrievalSettings())


class BrokenEmbedder(HashingEmbedder):
    async def embed_question(self, question: str) -> Vectors:
        raise ProviderError("The embedding endpoint does not answer.")


class ShorterEmbedder(HashingEmbedder):
    async def embed_question(self, question: str) -> Vectors:
        return (await super().embed_question(question))[:100]


class NotingEmbedder(HashingEmbedder):
    """Notes what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def embed_question(self, question: str) -> Vectors:
        self.asked.append(question)
        return await super().embed_question(question)


class SilentEmbedder(HashingEmbedder):
    async def embed_question(self, question: str) -> Vectors:
        await asyncio.sleep(60)
        raise AssertionError


async def test_the_passage_that_answers_comes_first_with_its_reasons(database: Database) -> None:
    site_id = await fill(database)
    found = await make_searcher(database).find(site_id, "How do I send something back?")
    best = found.passages[0]
    assert best.title == "Returns"
    assert best.headings == ("Heading",)
    assert (best.fused.keyword_rank, best.fused.vector_rank) == (1, 1)
    assert best.fused.keyword_score > 0
    assert best.fused.vector_score is not None
    assert found.alpha == EMBEDDER.fixed_weight
    assert found.degraded is None
    assert found.weak == ()
    assert set(found.timings_ms) == PHASES


async def test_an_identifier_finds_its_passage(database: Database) -> None:
    site_id = await fill(database)
    for question in ("err_conn-42", "ERR_CONN-42?", "what is error conn 42"):
        found = await make_searcher(database).find(site_id, question)
        assert found.passages[0].title == "Error codes", question


async def test_of_a_long_question_its_beginning_and_its_end_are_searched(
    database: Database,
) -> None:
    site_id = await fill(database)
    pasted = " ".join(f"shipping{number}" for number in range(8_000))
    question = f"How do I send something back? {pasted} Does the refund take a week?"
    embedder = NotingEmbedder()
    found = await make_searcher(database, embedder).find(site_id, question, explains=True)
    assert max(map(len, embedder.asked)) < 4_100
    assert found.weak[0].title == "Returns"
    assert found.trace is not None
    assert len(found.trace.words) < 500
    chunks = await make_searcher(database, embedder).find_chunks(site_id, question, limit=1)
    assert chunks[0].title == "Returns"


async def test_a_question_about_something_else_has_only_weak_passages(database: Database) -> None:
    site_id = await fill(database)
    searcher = make_searcher(database)
    for question in ("What is the capital of Mongolia?", "asdkfj qwpoeiru zxmcnv", "¿Quién pintó?"):
        found = await searcher.find(site_id, question)
        assert found.passages == (), question
    assert found.weak


async def test_a_site_without_documents_has_an_empty_result(database: Database) -> None:
    site = await make_site(database)
    searcher = make_searcher(database)
    assert (await searcher.find(site.id, "Anything?")).passages == ()
    stored = await store(database, site.id, make_document("a.md", "text"))
    await delete_documents(database, site.id, [stored.document_id])
    found = await searcher.find(site.id, "Anything?")
    assert (found.passages, found.weak) == ((), ())


async def test_a_site_whose_chunks_have_no_postings_is_indexed_first(database: Database) -> None:
    site_id = await fill(database)
    async with database.begin() as connection:
        await connection.execute(text("DELETE FROM postings"))
        await connection.execute(text("UPDATE knowledge SET keyword_version = 0"))
    found = await make_searcher(database).find(site_id, "How do I send something back?")
    assert found.passages[0].title == "Returns"
    assert found.passages[0].fused.keyword_rank == 1


async def test_a_change_shows_in_the_next_search(database: Database) -> None:
    site_id = await fill(database)
    searcher = make_searcher(database)
    assert (await searcher.find(site_id, "Where is the crocodile?")).passages == ()
    await store(database, site_id, make_document("zoo.md", "The crocodile lives in house seven."))
    assert (
        (await searcher.find(site_id, "Where is the crocodile?"))
        .passages[0]
        .text.endswith("house seven.")
    )


async def test_a_search_amid_changes_sees_each_document_wholly(database: Database) -> None:
    site = await make_site(database)
    searcher = make_searcher(database)
    colours = ["amber", "beige", "coral", "denim", "ebony", "fawn"]

    async def write() -> None:
        for colour in colours * 3:
            texts = [f"The {colour} walrus says number {at}." for at in range(3)]
            await store(database, site.id, make_document("walrus.md", *texts))

    async def read() -> None:
        while not writer.done():
            found = await searcher.find(site.id, "What does the walrus say?")
            shown = {passage.text.split()[1] for passage in found.passages}
            assert len(shown) == 1
            assert len(found.passages) == 3

    await store(
        database,
        site.id,
        make_document("walrus.md", *[f"The grey walrus says {at}." for at in "abc"]),
    )
    writer = asyncio.create_task(write())
    await asyncio.gather(writer, read())


async def test_without_its_embedder_a_site_is_searched_by_keywords(database: Database) -> None:
    site_id = await fill(database)

    class Other(HashingEmbedder):
        name = "other"

    for embedder, reason in ((Other(), "not configured"), (BrokenEmbedder(), "does not answer")):
        found = await make_searcher(database, embedder).find(site_id, "refund for returned goods")
        assert found.passages[0].title == "Returns"
        assert found.passages[0].fused.vector_score is None
        assert found.degraded is not None
        assert reason in found.degraded


async def test_vectors_of_another_dimension_leave_the_search_to_keywords(
    database: Database,
) -> None:
    site_id = await fill(database)
    found = await make_searcher(database, ShorterEmbedder()).find(site_id, "refund for goods")
    assert found.passages[0].title == "Returns"
    assert found.passages[0].fused.vector_score is None
    assert found.degraded is not None
    assert "vectors of 100 numbers, the documents have 512" in found.degraded


async def test_vectors_of_another_dimension_than_before_are_searched_at_once(
    database: Database,
) -> None:
    site_id = await fill(database)
    searcher = make_searcher(database)
    assert (await searcher.find(site_id, "refund for goods")).degraded is None
    async with database.begin() as connection:
        shorter = "UPDATE embedding SET vector = subvector(vector, 1, 100)"
        await connection.execute(text(shorter))
    found = await searcher.find(site_id, "refund for goods")
    assert found.passages[0].title == "Returns"
    assert "the documents have 100" in (found.degraded or "")


async def test_an_embedder_that_hangs_delays_the_answer_by_two_seconds_at_most(
    database: Database,
) -> None:
    site_id = await fill(database)
    started = asyncio.get_running_loop().time()
    found = await make_searcher(database, SilentEmbedder()).find(site_id, "refund for goods")
    assert asyncio.get_running_loop().time() - started < 3
    assert found.passages[0].title == "Returns"
    assert found.degraded is not None


async def test_vector_scores_are_the_cosines(database: Database) -> None:
    site_id = await fill(database)
    question = (await EMBEDDER.embed(["parcels to norway"]))[0]
    async with database.pipelined() as snapshot:
        knowledge = await to_knowledge(ask_knowledge(snapshot, site_id), site_id)
        assert knowledge is not None
        vectors = VectorSearch(snapshot, knowledge, question)
        nearest = to_nearest((await vectors.find_nearest(10).rows())[0])
        ids = [chunk_id for chunk_id, _ in nearest[:2]]
        (scores,) = await vectors.score([*ids, "gone"]).rows()
    expected = sorted((await EMBEDDER.embed(list(TEXTS.values()))) @ question, reverse=True)
    assert np.allclose([score for _, score in nearest], expected, atol=2e-3)
    assert dict(scores) == dict(nearest[:2])


async def test_one_text_is_shown_once_and_one_document_three_times(database: Database) -> None:
    site = await make_site(database)
    sentences = [f"Walrus fact number {at} of many." for at in range(6)]
    await store(database, site.id, make_document("a.md", *sentences, title="A"))
    await store(
        database, site.id, make_document("b.md", sentences[0], "A walrus swims.", title="B")
    )
    found = await make_searcher(database).find(site.id, "walrus fact number", limit=4)
    assert [passage.title for passage in found.passages].count("A") == 3
    assert [passage.title for passage in found.passages].count("B") == 1
    texts = [passage.text for passage in found.passages]
    assert len(set(texts)) == len(texts)


async def test_min_score_leaves_passages_out(database: Database) -> None:
    site_id = await fill(database)
    searcher = make_searcher(database)
    found = await searcher.find(site_id, "refund for goods", min_score=0.9)
    assert [passage.title for passage in found.passages] == ["Returns"]
