"""What a site's stored postings must say, made anew from its chunks."""

from __future__ import annotations

from sqlalchemy import text

from sitebrook.db.engine import Database
from sitebrook.retrieval.bm25 import Bm25
from sitebrook.retrieval.indexer import Indexer
from sitebrook.retrieval.keywords import KeywordIndexes
from sitebrook.retrieval.knowledge import load_knowledge, to_indexed_text
from sitebrook.retrieval.postings import IndexedChunk, to_postings
from sitebrook.retrieval.stored_postings import JoinStep, Scope, join_step, list_postings
from sitebrook.retrieval.words import to_words
from sitebrook.settings import RetrievalSettings

_CHUNKS = text(
    "SELECT chunk.number, chunk.id, chunk.language, title, headings, text FROM chunk"
    " JOIN document ON document.id = document_id WHERE chunk.site_id = :site_id ORDER BY number"
)
_ROWS = text("SELECT count(*) FROM postings WHERE site_id = :site_id")


async def load_index(
    database: Database, site_id: str, indexes: KeywordIndexes | None = None
) -> Bm25:
    """The site's index as a process sees it that has seen nothing yet, or ``indexes`` does."""
    async with database.begin_snapshot() as connection:
        knowledge = await load_knowledge(connection, site_id)
        assert knowledge is not None
        assert knowledge.is_indexed
        return await (indexes or KeywordIndexes(RetrievalSettings())).load(connection, knowledge)


async def count_rows(database: Database, site_id: str) -> int:
    """The rows of stored postings."""
    async with database.begin() as connection:
        return (await connection.execute(_ROWS, {"site_id": site_id})).scalar_one()


async def join_all(database: Database, site_id: str) -> None:
    """Joins all rows of the site to one, without chunks that are gone."""
    scope = Scope(site_id)
    async with database.begin() as connection:
        sizes = await list_postings(connection, scope)
    step = JoinStep(scope, tuple(sizes), sum(sizes.values()), forgets=True)
    await join_step(database, Indexer(), step)


async def check_index(database: Database, site_id: str, *questions: str) -> Bm25:
    """The site's index, after it answered as one that is made at once of the site's chunks."""
    async with database.begin() as connection:
        rows = (await connection.execute(_CHUNKS, {"site_id": site_id})).all()
    chunks = [
        IndexedChunk(
            row.number,
            row.id,
            row.language,
            to_words(to_indexed_text(row.title, row.headings, row.text), row.language),
        )
        for row in rows
    ]
    index = await load_index(database, site_id)
    expected = Bm25([to_postings(chunks)])
    assert len(index) == len(chunks)
    for question in questions or ("heading title", "walrus one two three four"):
        found, wanted = index.find(question, 50), expected.find(question, 50)
        assert [name for name, _ in found.ranked] == [name for name, _ in wanted.ranked]
        assert found.score([row.id for row in rows]) == wanted.score([row.id for row in rows])
        assert (found.coverage, found.evidence) == (wanted.coverage, wanted.evidence)
    return index
