"""Switching the embedder of a site in a real database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from sqlalchemy import text
from tests.factories import make_site
from tests.integration.retrieval.stored import EMBEDDER, make_document, store
from tests.integration.retrieval.synthetic import NAME, make_vectors

from sitebrook.access.sites import Site
from sitebrook.compute.pool import ComputePool
from sitebrook.db.engine import Database
from sitebrook.db.locks import try_lock
from sitebrook.errors import InvalidRequest, ProviderError, Unavailable
from sitebrook.ingestion.ingest import Ingester
from sitebrook.ingestion.loaders import RawDocument
from sitebrook.ingestion.reading import Reader
from sitebrook.retrieval.embedder import Embedder, HashingEmbedder, Vectors
from sitebrook.retrieval.indexer import Indexer
from sitebrook.retrieval.knowledge import load_knowledge
from sitebrook.retrieval.search import Searcher
from sitebrook.retrieval.site_embedders import SiteEmbedders
from sitebrook.retrieval.switch import (
    SwitchProgress,
    stop_switch,
    switch_embedder,
    switch_with_stores,
)
from sitebrook.settings import ComputeSettings, RetrievalSettings, Settings

MakeIngester = Callable[..., Ingester]


class Other(HashingEmbedder):
    """Another embedder, which counts what it is asked and can be made to fail."""

    name = "other-8"

    def __init__(self) -> None:
        super().__init__()
        self.texts = 0
        self.fails_after = 10**9

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self.texts += len(texts)
        if self.texts > self.fails_after:
            raise ProviderError("The embedding endpoint does not answer.")
        rows = (await super().embed(texts))[:, :8]
        return rows + np.float32(0.01)

    async def embed_question(self, question: str) -> Vectors:
        return (await self.embed([question]))[0]


async def fill(database: Database, documents: int = 3) -> Site:
    site = await make_site(database)
    for at in range(documents):
        await store(database, site.id, make_document(f"{at}.md", f"walrus {at}", f"crocodile {at}"))
    return site


async def by_embedder(database: Database, site_id: str) -> dict[str, int]:
    statement = text(
        "SELECT embedder, count(*) FROM embedding WHERE site_id = :site GROUP BY embedder"
    )
    async with database.begin() as connection:
        rows = await connection.execute(statement, {"site": site_id})
        return {row[0]: row[1] for row in rows}


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    pool = ComputePool(ComputeSettings(children=1))
    yield Reader(pool, Settings())
    asyncio.run(pool.aclose())


@pytest.fixture
def make_ingester(database: Database, reader: Reader) -> MakeIngester:
    def make(*embedders: Embedder) -> Ingester:
        return Ingester(
            database,
            SiteEmbedders(database, *embedders).find,
            reader,
            Indexer(reader.pool),
            Settings(),
        )

    return make


async def test_a_switch_replaces_every_vector(database: Database) -> None:
    site, target, seen = await fill(database), Other(), list[SwitchProgress]()
    done = await switch_embedder(database, site.id, target, on_progress=seen.append)
    assert (done.before, done.after, done.made, done.removed) == (EMBEDDER.name, "other-8", 6, 6)
    assert await by_embedder(database, site.id) == {"other-8": 6}
    assert seen == [
        SwitchProgress(0, 6),
        SwitchProgress(6, 6),
        SwitchProgress(6, 6, is_indexing=True),
    ]
    async with database.begin() as connection:
        known = await load_knowledge(connection, site.id)
    assert known is not None
    assert (known.embedder, known.next_embedder, known.dimension) == ("other-8", None, 8)
    searcher = Searcher(database, [target], RetrievalSettings())
    found = await searcher.find(site.id, "walrus 1")
    assert found.degraded is None
    assert found.passages[0].fused.vector_score is not None


async def test_a_switch_to_the_same_embedder_does_nothing(database: Database) -> None:
    site = await fill(database)
    done = await switch_embedder(database, site.id, EMBEDDER)
    assert (done.made, done.removed) == (0, 0)
    assert await by_embedder(database, site.id) == {EMBEDDER.name: 6}


async def test_searches_use_the_old_vectors_until_the_switch_ends(database: Database) -> None:
    site, target = await fill(database), Other()
    searcher = Searcher(database, [EMBEDDER, target], RetrievalSettings())
    switching = asyncio.create_task(switch_embedder(database, site.id, target))
    while not switching.done():
        found = await searcher.find(site.id, "walrus 1")
        assert found.degraded is None
        assert found.passages[0].fused.vector_score is not None
    await switching


async def test_a_switch_that_failed_goes_on_from_where_it_was(database: Database) -> None:
    large, _ = await make_vectors(database, "Large", 400)
    failing = Other()
    failing.fails_after = 300
    with pytest.raises(ProviderError):
        await switch_embedder(database, large.site_id, failing)
    assert await by_embedder(database, large.site_id) == {NAME: 400, "other-8": 256}
    again = Other()
    done = await switch_embedder(database, large.site_id, again)
    assert (done.made, again.texts, done.removed) == (144, 144, 400)
    assert await by_embedder(database, large.site_id) == {"other-8": 400}


async def test_documents_stored_meanwhile_get_both_vectors(
    database: Database, make_ingester: MakeIngester
) -> None:
    site, target = await fill(database), Other()
    failing = Other()
    failing.fails_after = 0
    with pytest.raises(ProviderError):
        await switch_embedder(database, site.id, failing)
    await make_ingester(EMBEDDER, target).ingest_document(
        site, RawDocument("new.md", "A new text.")
    )
    assert await by_embedder(database, site.id) == {EMBEDDER.name: 7, "other-8": 1}
    # The new one fails: the document is stored all the same, and the switch makes its vector.
    await make_ingester(EMBEDDER, failing).ingest_document(
        site, RawDocument("newer.md", "A newer text.")
    )
    assert await by_embedder(database, site.id) == {EMBEDDER.name: 8, "other-8": 1}
    done = await switch_embedder(database, site.id, target)
    assert done.made == 7
    assert await by_embedder(database, site.id) == {"other-8": 8}


async def test_a_document_that_meets_the_end_of_a_switch_is_embedded_again(
    database: Database, make_ingester: MakeIngester
) -> None:
    site, target = await fill(database), Other()

    class Slow(HashingEmbedder):
        """The switch ends while it makes the vectors."""

        async def embed(self, texts: Sequence[str]) -> Vectors:
            if EMBEDDER.name in await by_embedder(database, site.id):
                await switch_embedder(database, site.id, target)
            return await super().embed(texts)

    stored = await make_ingester(Slow(), target).ingest_document(
        site, RawDocument("new.md", "A new text.")
    )
    assert stored.status == "added"
    assert await by_embedder(database, site.id) == {"other-8": 7}


async def test_a_switch_amid_changes_leaves_one_vector_for_each_chunk(
    database: Database, make_ingester: MakeIngester
) -> None:
    site, target = await fill(database), Other()
    ingester = make_ingester(EMBEDDER, target)

    async def write(name: str) -> None:
        for at in range(15):
            await ingester.ingest_document(site, RawDocument(name, f"Text {at} of {name}."))

    await asyncio.gather(write("a.md"), write("b.md"), switch_embedder(database, site.id, target))
    async with database.begin() as connection:
        chunks = (await connection.execute(text("SELECT count(*) FROM chunk"))).scalar_one()
    assert await by_embedder(database, site.id) == {"other-8": chunks}


async def test_one_switch_at_a_time_and_to_one_embedder(database: Database) -> None:
    site, failing = await fill(database), Other()
    failing.fails_after = 0
    with pytest.raises(ProviderError):
        await switch_embedder(database, site.id, failing)

    class Third(Other):
        name = "third-8"

    with pytest.raises(InvalidRequest, match="A switch to other-8 is under way"):
        await switch_embedder(database, site.id, Third())
    async with try_lock(database.url, "switch", site.id):
        with pytest.raises(Unavailable, match="Another process"):
            await switch_embedder(database, site.id, Other())
    assert await stop_switch(database, site.id) == "other-8"
    assert await stop_switch(database, site.id) is None
    assert await by_embedder(database, site.id) == {EMBEDDER.name: 6}
    await switch_embedder(database, site.id, Third())
    assert await by_embedder(database, site.id) == {"third-8": 6}


async def test_a_stopped_switch_ends_at_its_next_step(database: Database) -> None:
    site = await fill(database)

    class Stopped(Other):
        async def embed(self, texts: Sequence[str]) -> Vectors:
            await stop_switch(database, site.id)
            return await super().embed(texts)

    with pytest.raises(InvalidRequest, match="stopped"):
        await switch_embedder(database, site.id, Stopped())
    assert await by_embedder(database, site.id) == {EMBEDDER.name: 6}


async def test_a_site_without_documents_cannot_be_switched(database: Database) -> None:
    site = await make_site(database)
    with pytest.raises(InvalidRequest, match="no documents"):
        await switch_embedder(database, site.id, Other())


async def test_unchanged_chunks_keep_their_vectors(
    database: Database, make_ingester: MakeIngester
) -> None:
    site, embedder = await make_site(database), Other()
    ingester = make_ingester(embedder)
    long = "A sentence that fills the page. " * 30
    await ingester.ingest_document(site, RawDocument("a.md", f"# T\n\n## A\n\n{long}\n\n## B\n\nx"))
    first = embedder.texts
    await ingester.ingest_document(
        site, RawDocument("a.md", f"# T\n\n## A\n\n{long}\n\n## B\n\nchanged")
    )
    assert embedder.texts == first + 1
    await ingester.ingest_document(
        site, RawDocument("a.md", f"# New title\n\n## A\n\n{long}\n\n## B\n\nchanged")
    )
    assert embedder.texts == 2 * first + 1


async def make_store(database: Database, site: Site, name: str) -> str:
    statement = text("INSERT INTO holder (id, site_id) VALUES (:id, :site)")
    async with database.begin() as connection:
        await connection.execute(statement, {"id": name, "site": site.id})
    return name


async def test_stores_are_switched_with_their_site(database: Database) -> None:
    site, other = await fill(database), await make_site(database, name="Other")
    mine, empty = await make_store(database, site, "vs_1"), await make_store(database, site, "vs_2")
    foreign = await make_store(database, other, "vs_3")
    for one in (mine, foreign):
        await store(database, one, make_document("a.md", "walrus", "crocodile"))
    done = await switch_with_stores(database, site.id, Other())
    assert (done.before, done.after, done.made, done.removed) == (EMBEDDER.name, "other-8", 8, 8)
    for one, expected in ((site.id, {"other-8": 6}), (mine, {"other-8": 2}), (empty, {})):
        assert await by_embedder(database, one) == expected
    assert await by_embedder(database, foreign) == {EMBEDDER.name: 2}


async def test_a_switch_of_a_store_is_stopped_with_its_site(database: Database) -> None:
    site = await make_site(database)
    mine = await make_store(database, site, "vs_1")
    await store(database, mine, make_document("a.md", "walrus", "crocodile"))
    failing = Other()
    failing.fails_after = 0
    with pytest.raises(ProviderError):
        await switch_with_stores(database, site.id, failing)
    assert await stop_switch(database, site.id) == "other-8"
    assert await stop_switch(database, site.id) is None
    bare = await make_site(database, name="Bare")
    with pytest.raises(InvalidRequest, match="no documents"):
        await switch_with_stores(database, bare.id, Other())


@pytest.mark.parametrize("is_begun", [False, True])
async def test_a_store_that_is_deleted_meanwhile_stops_no_switch(
    database: Database, *, is_begun: bool
) -> None:
    site = await fill(database)
    gone, left = await make_store(database, site, "vs_1"), await make_store(database, site, "vs_2")
    for one in (gone, left):
        await store(database, one, make_document("a.md", "walrus", "crocodile"))

    class Deleting(Other):
        async def embed(self, texts: Sequence[str]) -> Vectors:
            vectors = await super().embed(texts)
            if self.texts == (8 if is_begun else 6):  # the site has six chunks, each store two
                async with database.begin() as connection:
                    await connection.execute(text("DELETE FROM holder WHERE id = 'vs_1'"))
            return vectors

    done = await switch_with_stores(database, site.id, Deleting())
    assert (done.before, done.after, done.made) == (EMBEDDER.name, "other-8", 8)
    for one, expected in ((site.id, {"other-8": 6}), (gone, {}), (left, {"other-8": 2})):
        assert await by_embedder(database, one) == expected
