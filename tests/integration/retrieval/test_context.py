"""Passages with the text around them, and in the order of a reranker, over a real database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tests.factories import make_site
from tests.integration.retrieval.stored import EMBEDDER, make_document, store

from sitebrook.db.engine import Database
from sitebrook.errors import ProviderError
from sitebrook.retrieval.search import Searcher
from sitebrook.settings import RetrievalSettings


class ByLength:
    """Puts longer texts first, after ``wait_s``; fails where it is told to."""

    candidates = 3
    timeout_s = 0.2

    def __init__(self, *, wait_s: float = 0, fails: bool = False) -> None:
        self.wait_s = wait_s
        self.fails = fails
        self.asked: list[str] = []

    async def score(self, question: str, texts: Sequence[str]) -> list[float]:
        self.asked = [question, *texts]
        await asyncio.sleep(self.wait_s)
        if self.fails:
            raise ProviderError("The rerank endpoint does not answer.")
        return [min(1.0, len(text) / 1000) for text in texts]

    async def aclose(self) -> None:
        pass


def make_sentences(word: str, count: int) -> list[str]:
    return [f"{word}{at} says that number {at} is {word} enough. " * 4 for at in range(count)]


def make_searcher(
    database: Database, *, characters: int = 6_000, reranker: ByLength | None = None
) -> Searcher:
    settings = RetrievalSettings(context_characters=characters)
    return Searcher(database, [EMBEDDER], settings, reranker)


async def test_a_passage_has_the_text_around_it_where_there_is_room(database: Database) -> None:
    site = await make_site(database)
    texts = make_sentences("walrus", 9)
    await store(database, site.id, make_document("a.md", *texts))
    size = len(texts[4])
    for characters, first, last in ((6_000, 1, 7), (size * 8, 3, 5), (size * 4, 4, 4), (0, 4, 4)):
        searcher = make_searcher(database, characters=characters)
        found = await searcher.find(site.id, "walrus4", limit=1)
        assert found.passages[0].text == "\n\n".join(texts[first : last + 1])
        assert found.passages[0].neighbours == last - first
        assert found.passages[0].fused.keyword_rank == 1


async def test_no_text_stands_twice_in_the_context(database: Database) -> None:
    site = await make_site(database)
    texts = make_sentences("walrus", 9)
    await store(database, site.id, make_document("a.md", *texts))
    await store(database, site.id, make_document("b.md", *make_sentences("ibex", 9)))
    found = await make_searcher(database).find(site.id, "walrus3 walrus4 ibex2", limit=5)
    whole = "\n".join(passage.text for passage in found.passages)
    assert all(
        whole.count(f"{word}{at} says") <= 4 for word in ("walrus", "ibex") for at in range(9)
    )
    assert sum(len(passage.text) for passage in found.passages) <= 6_000


async def test_other_sections_and_other_versions_are_no_neighbours(database: Database) -> None:
    site = await make_site(database)
    document = make_document("a.md", *make_sentences("walrus", 3))
    chunks = [
        piece.__class__((f"Section {at}",), piece.text, piece.language)
        for at, piece in enumerate(document.chunks)
    ]
    changed = document.__class__(
        **{name: getattr(document, name) for name in document.__slots__} | {"chunks": tuple(chunks)}
    )
    await store(database, site.id, changed)
    found = await make_searcher(database).find(site.id, "walrus1", limit=1)
    assert found.passages[0].neighbours == 0
    assert found.passages[0].headings == ("Section 1",)


async def test_a_reranker_has_the_last_word_among_the_best(database: Database) -> None:
    site = await make_site(database)
    for at, length in enumerate((1, 5, 9, 40)):
        text = " ".join(["walrus", *(f"more{at}x{one}" for one in range(length))])
        await store(database, site.id, make_document(f"{at}.md", text, title=f"T{at}"))
    reranker = ByLength()
    searcher = make_searcher(database, reranker=reranker, characters=0)
    found = await searcher.find(site.id, "walrus", limit=4, explains=True)
    assert reranker.asked[0] == "walrus"
    assert len(reranker.asked) == 4
    assert reranker.asked[1].startswith("T0\nHeading\nwalrus")
    assert [one.title for one in found.passages] == ["T2", "T1", "T0", "T3"]
    assert (
        found.passages[0].score == found.passages[0].rerank_score == len(reranker.asked[3]) / 1000
    )
    assert found.passages[3].rerank_score is None
    assert found.degraded is None
    strict = await searcher.find(site.id, "walrus", limit=4, min_score=0.07)
    assert [one.title for one in strict.passages] == ["T2"]
    await searcher.aclose()


async def test_a_reranker_that_fails_or_is_late_changes_nothing(database: Database) -> None:
    site = await make_site(database)
    for at in range(3):
        await store(database, site.id, make_document(f"{at}.md", "walrus " + "so " * (9 * at)))
    expected = await make_searcher(database).find(site.id, "walrus")
    for reranker, reason in (
        (ByLength(fails=True), "the reranker failed: The rerank endpoint does not answer."),
        (ByLength(wait_s=5), "the reranker did not answer within 0.2 s"),
    ):
        found = await make_searcher(database, reranker=reranker).find(site.id, "walrus")
        assert found.passages == expected.passages
        assert found.degraded == reason


async def test_an_explained_search_tells_where_each_score_comes_from(database: Database) -> None:
    site = await make_site(database)
    await store(database, site.id, make_document("a.md", "The walrus swims.", title="Walrus"))
    await store(database, site.id, make_document("b.md", "The walrus swims.", title="Again"))
    await store(
        database, site.id, make_document("c.md", "An ibex climbs over rocks.", title="Ibex")
    )
    found = await make_searcher(database).find(site.id, "Where is the walrus?", explains=True)
    trace = found.trace
    assert trace is not None
    assert (trace.facts.chunks, trace.facts.version, trace.languages) == (3, 3, ("en",))
    assert trace.facts.weight == (EMBEDDER.fixed_weight, "embedder")
    words = {word.forms[0]: word for word in trace.words}
    assert (words["walrus"].chunks, words["walrus"].is_stop_word) == (2, False)
    assert words["the"].is_stop_word
    first, second, last = trace.passages
    assert (first.passage.title, first.left_out) == ("Walrus", None)
    assert (second.passage.title, second.left_out) == ("Again", "says the same as a better one")
    assert last.passage.title == "Ibex"
    assert first.words["walrus"] > first.words["the"] > 0
    assert sum(first.words.values()) == first.passage.fused.keyword_score
    assert found.trace is not None
    assert (await make_searcher(database).find(site.id, "walrus")).trace is None
