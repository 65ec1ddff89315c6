"""Judged questions measured on sites of a real database."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.factories import make_site
from tests.statements import told_statements

from sitebrook.chat.citations import Citation
from sitebrook.chat.turns import NewAnswer, NewQuestion, TurnStore
from sitebrook.compute.pool import ComputePool
from sitebrook.db.direct import DirectConnection
from sitebrook.db.engine import Database
from sitebrook.errors import InvalidRequest
from sitebrook.evaluation.collected import collect
from sitebrook.evaluation.evaluate import Evaluation, Measured, evaluate, fill_site
from sitebrook.evaluation.judged import JudgedDocument, JudgedSet, read_set
from sitebrook.ingestion.ingest import Ingester
from sitebrook.ingestion.loaders import RawDocument
from sitebrook.ingestion.reading import Reader
from sitebrook.retrieval.documents import list_documents
from sitebrook.retrieval.embedder import HashingEmbedder
from sitebrook.retrieval.indexer import Indexer
from sitebrook.retrieval.knowledge import set_vector_weight
from sitebrook.retrieval.search import Searcher
from sitebrook.retrieval.site_embedders import SiteEmbedders
from sitebrook.settings import ComputeSettings, RetrievalSettings, Settings

ROOT = Path(__file__).resolve().parents[3]
DEMO = ROOT / "backend/sitebrook/demo/documents"

_TEXTS = {
    "prices": "A unicorn costs 4711 ducats a year.",
    "hours": "The stable opens at seven in the morning and closes at dusk.",
    "food": "Unicorns eat hay, oats and apples.",
}
SMALL = JudgedSet(
    name="small",
    documents=tuple(JudgedDocument(name, name, text, None) for name, text in _TEXTS.items()),
    questions={"q1": "What does a unicorn cost?", "q2": "When does the stable open?"},
    relevant={"q1": {"prices": 1}, "q2": {"hours": 1}},
    place="/sets/small",
)


@pytest.fixture(scope="module")
def pool() -> Iterator[ComputePool]:
    pool = ComputePool(ComputeSettings(children=1))
    yield pool
    asyncio.run(pool.aclose())


@pytest.fixture
def measured(database: Database, pool: ComputePool) -> Measured:
    embedder = HashingEmbedder()
    embedders = SiteEmbedders(database, embedder)
    ingester = Ingester(
        database, embedders.find, Reader(pool, Settings()), Indexer(pool), Settings()
    )
    searcher = Searcher(database, [embedder], RetrievalSettings())
    return Measured(database, ingester, searcher, embedder.name)


def _ignore(_what: str, _done: int, _total: int) -> None:
    pass


async def run(
    measured: Measured, judged: JudgedSet, site_id: str, *, tunes: bool = False
) -> Evaluation:
    return await evaluate(measured, site_id, judged, tunes=tunes, on_progress=_ignore)


async def test_a_set_is_measured_on_a_site_of_its_documents_which_is_kept(
    measured: Measured, database: Database
) -> None:
    seen: list[tuple[str, int, int]] = []
    site = await fill_site(measured, SMALL, lambda *progress: seen.append(progress))
    assert seen == [("documents", done, 3) for done in (1, 2, 3)]
    found = await run(measured, SMALL, site.id)
    assert (found.documents, found.chunks, found.questions, found.unknown) == (3, 3, 2, 0)
    assert found.measures["both"]["ndcg@10"] == found.measures["keywords"]["mrr@10"] == 1.0
    assert found.unanswered["both"] == 0
    assert found.of_better_leg == 1.0
    assert {"keywords", "vectors", "fuse", "rest", "all"} <= found.latency_ms.keys()
    assert found.failure is None
    # Without a document and with another one: the same site, changed as the set was.
    kept = {one.id for one in (await list_documents(database, site.id)).documents}
    other = replace(SMALL, documents=(*SMALL.documents[:2], JudgedDocument("x", "", "New.", None)))
    again = await fill_site(measured, other, _ignore)
    assert again.id == site.id
    page = await list_documents(database, site.id)
    assert {one.source for one in page.documents} == {"prices", "hours", "x"}
    assert len(kept & {one.id for one in page.documents}) == 2
    elsewhere = await fill_site(measured, replace(SMALL, place="/other/small"), _ignore)
    assert elsewhere.id != site.id


async def test_a_document_that_is_refused_stops_the_run(measured: Measured) -> None:
    long = JudgedDocument("s" * 1001, "", "Text.", None)
    with pytest.raises(InvalidRequest, match="A document's source is its name"):
        await fill_site(measured, replace(SMALL, documents=(long,)), _ignore)


async def test_a_sites_documents_are_named_by_path_address_or_id(
    measured: Measured, database: Database
) -> None:
    site = await make_site(database)
    raw = [
        RawDocument("/srv/docs/prices.md", "A unicorn costs 4711 ducats a year.", "text/plain"),
        RawDocument("b", "The stable opens at seven.", "text/plain", url="https://example.com/b"),
        RawDocument("c", "Unicorns eat hay and oats.", "text/plain"),
        RawDocument("demo:tails.md", "Long tails sway.", "text/plain"),
    ]
    ids = [(await measured.ingester.ingest_document(site, one)).document_id for one in raw]
    judged = JudgedSet(
        name="own",
        documents=(),
        questions={"q1": "unicorn cost ducats", "q2": "stable opens", "q3": "hay", "q4": "tails"},
        relevant={
            "q1": {"docs/prices.md": 1},
            "q2": {"https://example.com/b": 1},
            "q3": {ids[2]: 1},
            "q4": {"tails.md": 1, "zebras.md": 1},
        },
    )
    found = await run(measured, judged, site.id)
    assert found.measures["keywords"]["recall@5"] == 0.875
    assert (found.unknown, found.unknown_names) == (1, ("zebras.md",))
    foreign = replace(judged, questions={"q4": "tails"}, relevant={"q4": {"zebras.md": 1}})
    with pytest.raises(InvalidRequest, match=r"none of the 1 judged documents.*'zebras.md'"):
        await run(measured, foreign, site.id)


async def test_a_site_without_documents_cannot_be_measured(
    measured: Measured, database: Database
) -> None:
    site = await make_site(database)
    with pytest.raises(InvalidRequest, match="no documents to ask about"):
        await run(measured, SMALL, site.id)
    with pytest.raises(InvalidRequest, match="no documents yet"):
        await set_vector_weight(database, site.id, 0.5)
    with pytest.raises(InvalidRequest, match="is 0 to 1"):
        await set_vector_weight(database, site.id, 1.5)
    with pytest.raises(InvalidRequest, match="judge at least 30"):
        await run(measured, SMALL, site.id, tunes=True)


async def test_vectors_that_cannot_be_used_are_told(measured: Measured, database: Database) -> None:
    site = await fill_site(measured, SMALL, _ignore)
    without = replace(measured, searcher=Searcher(database, [], RetrievalSettings()))
    found = await run(without, SMALL, site.id)
    assert found.failure is not None
    assert "is not configured (2 questions)" in found.failure
    assert found.unanswered["vectors"] == 2
    assert found.measures["both"] == found.measures["keywords"]
    many = {f"q{at}": "unicorn" for at in range(30)}
    judged = replace(SMALL, questions=many, relevant={name: {"prices": 1} for name in many})
    with pytest.raises(InvalidRequest, match="while vectors cannot be used"):
        await run(without, judged, site.id, tunes=True)


async def test_a_saved_weight_is_used_by_the_next_search(
    measured: Measured, database: Database
) -> None:
    site = await fill_site(measured, SMALL, _ignore)
    await set_vector_weight(database, site.id, 0.6)
    ranking = await measured.searcher.rank(site.id, "unicorn")
    assert ranking is not None
    assert ranking.facts.weight == (0.6, "site")
    await set_vector_weight(database, site.id, None)
    ranking = await measured.searcher.rank(site.id, "unicorn")
    assert ranking is not None
    assert ranking.facts.weight.reason == "embedder"


async def test_the_demo_documents_answer_the_questions_about_them(
    measured: Measured, database: Database
) -> None:
    """A bar for every change of words, chunks and scores; new pages may cost some of its room."""
    site = await make_site(database)
    await measured.ingester.ingest_paths(site, [DEMO])
    found = await run(measured, read_set(ROOT / "tests/judged/demo"), site.id, tunes=True)
    assert found.questions == 54
    assert found.unknown == found.unanswered["both"] == 0
    assert found.measures["both"]["ndcg@10"] >= 0.6
    assert found.of_recipe >= 1
    assert found.of_better_leg >= 0.98
    assert found.tuning is not None
    assert found.tuning.by_rule == found.measures["both"]["ndcg@10"]
    assert found.tuning.curve[0.15] == pytest.approx(found.tuning.by_rule)


async def test_questions_are_collected_from_conversations(
    measured: Measured, database: Database
) -> None:
    site = await fill_site(measured, SMALL, _ignore)
    page = await list_documents(database, site.id)
    ids = {one.source: one.id for one in page.documents}
    with pytest.raises(InvalidRequest, match="No conversation of the site"):
        await collect(database, site.id)
    asked = [
        ("What does a unicorn cost?", ["prices"], "complete"),
        ("what does a  unicorn cost?", ["food"], "complete"),
        ("Interrupted?", ["hours"], "interrupted"),
        ("Uncited?", [], "complete"),
        ("Gone?", ["gone"], "complete"),
    ]
    store = TurnStore(DirectConnection(database.url))
    for at, (text, sources, status) in enumerate(asked):
        conversation = f"conv_{at}" + "1" * 22
        await store.store([make_question(site.id, conversation, f"msg_{at}", text)])
        cited = tuple(make_citation(ids.get(source, "doc_gone")) for source in sources)
        await store.store([make_answer(conversation, f"ans_{at}", status, cited)])
    # What is asked later in a conversation may need what was said before.
    first = f"conv_0{'1' * 22}"
    await store.store([make_question(site.id, first, "msg_9", "And then?", begins=False)])
    await store.store([make_answer(first, "ans_9", "complete", (make_citation(ids["hours"]),))])
    await store.aclose()
    with told_statements() as told:
        found = await collect(database, site.id)
    assert told
    assert not [one for one in told if "chunk" in one]  # texts are much, and not needed
    assert list(found.relevant.values()) == [{"prices": 1, "food": 1}]
    assert set(found.questions.values()) <= {asked[0][0], asked[1][0]}


def make_question(
    site_id: str, conversation: str, name: str, text: str, *, begins: bool = True
) -> NewQuestion:
    return NewQuestion(
        id=name,
        conversation_id=conversation,
        begins=begins,
        content=text,
        site_id=site_id,
        visitor_id=None,
        origin="",
    )


def make_answer(
    conversation: str, name: str, status: str, citations: tuple[Citation, ...]
) -> NewAnswer:
    return NewAnswer(
        id=name, conversation_id=conversation, content="x", status=status, citations=citations
    )


def make_citation(document: str) -> Citation:
    return Citation(
        index=1, id="chunk_1", document=document, title="", url="", heading="", quote="", score=1
    )
