"""Files and uploads taken into a real database."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.factories import make_site

from sitebrook.compute.pool import ComputePool
from sitebrook.db.engine import Database
from sitebrook.errors import InvalidRequest, ProviderError
from sitebrook.ingestion.ingest import Ingester, Progress
from sitebrook.ingestion.loaders import RawDocument
from sitebrook.ingestion.reading import Reader
from sitebrook.retrieval.documents import find_source_text, list_documents
from sitebrook.retrieval.embedder import HashingEmbedder
from sitebrook.retrieval.indexer import Indexer
from sitebrook.retrieval.search import Searcher
from sitebrook.retrieval.site_embedders import SiteEmbedders
from sitebrook.settings import ComputeSettings, RetrievalSettings, Settings


@pytest.fixture(scope="module")
def pool() -> Iterator[ComputePool]:
    pool = ComputePool(ComputeSettings(children=1))
    yield pool
    asyncio.run(pool.aclose())


@pytest.fixture
def ingester(database: Database, pool: ComputePool) -> Ingester:
    embedders = SiteEmbedders(database, HashingEmbedder())
    return Ingester(database, embedders.find, Reader(pool, Settings()), Indexer(pool), Settings())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    docs = tmp_path / "docs"
    (docs / "sub").mkdir(parents=True)
    (docs / ".hidden").mkdir()
    (docs / "node_modules").mkdir()
    (docs / "a.md").write_text("# Apples\n\nApples are stored in the cellar.")
    (docs / "sub" / "b.html").write_text("<h1>Pears</h1><p>Pears ripen on the sill.</p>")
    (docs / "c.txt").write_bytes(b"\xff not text")
    (docs / "d.png").write_bytes(b"x")
    (docs / ".hidden" / "e.md").write_text("secret")
    (docs / "node_modules" / "f.md").write_text("junk")
    (docs / "loop").symlink_to(docs)
    return docs


async def test_a_folder_is_taken_in_and_only_changes_are_read_again(
    database: Database, ingester: Ingester, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await make_site(database)
    seen: list[Progress] = []
    first = await ingester.ingest_paths(site, [folder], on_progress=seen.append)
    assert (first.added, first.skipped, first.chunks) == (2, 1, 2)
    assert [Path(path).name for path, _ in first.refused] == ["c.txt"]
    assert "not valid UTF-8" in first.refused[0][1]
    assert [(one.done, one.total, one.outcome) for one in seen] == [
        (1, 3, "added"),
        (2, 3, "refused"),
        (3, 3, "added"),
    ]
    (folder / "a.md").write_text("# Apples\n\nApples are sold out.")
    monkeypatch.chdir(folder.parent)
    second = await ingester.ingest_paths(site, ["docs"])
    assert (second.added, second.replaced, second.unchanged) == (0, 1, 1)
    assert second.documents == 2


async def test_prune_removes_documents_whose_files_are_gone(
    database: Database, ingester: Ingester, folder: Path
) -> None:
    site = await make_site(database)
    await ingester.ingest_paths(site, [folder])
    (folder / "sub" / "b.html").unlink()
    kept = await ingester.ingest_paths(site, [folder])
    assert kept.removed == 0
    pruned = await ingester.ingest_paths(site, [folder], prune_gone=True)
    assert pruned.removed == 1
    left = await list_documents(database, site.id)
    assert [one.title for one in left.documents] == ["Apples"]


async def test_named_paths_that_cannot_be_read_are_refused_with_the_reason(
    database: Database, ingester: Ingester, folder: Path
) -> None:
    site = await make_site(database)
    report = await ingester.ingest_paths(site, [folder / "d.png", folder / "gone.md"])
    assert report.documents == 0
    reasons = {Path(path).name: reason for path, reason in report.refused}
    assert "type .png" in reasons["d.png"]
    assert "no such file" in reasons["gone.md"]


async def test_a_pipe_and_a_device_are_refused_without_being_read(
    database: Database, ingester: Ingester, tmp_path: Path
) -> None:
    site = await make_site(database)
    pipe, device = tmp_path / "pipe.md", tmp_path / "zero.md"
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    async with asyncio.timeout(10):
        report = await ingester.ingest_paths(site, [pipe, device])
    assert [path for path, _ in report.refused] == [str(pipe), "/dev/zero"]
    assert {reason for _, reason in report.refused} == {
        "It is no regular file: a pipe or a device has no end."
    }


async def test_a_text_too_short_to_tell_is_in_the_language_of_its_site(
    database: Database, ingester: Ingester
) -> None:
    raw = RawDocument("orari", "Orari: negozi aperti", "text/plain")
    languages: list[str] = []
    for name in ("it", "en"):
        site = await make_site(database, name=name, language=name)
        await ingester.ingest_document(site, raw)
        languages += [one.language for one in (await list_documents(database, site.id)).documents]
    assert languages == ["it", "en"]


async def test_a_document_is_read_again_when_its_site_changes_its_language(
    database: Database, ingester: Ingester
) -> None:
    site = await make_site(database)
    raw = RawDocument("orari", "Negozio aperto", "text/plain")
    await ingester.ingest_document(site, raw)
    italian = dataclasses.replace(site, language="it")
    assert (await ingester.ingest_document(italian, raw)).status == "replaced"
    found = await list_documents(database, site.id)
    assert [one.language for one in found.documents] == ["it"]


async def test_an_upload_is_found_by_a_question(database: Database, ingester: Ingester) -> None:
    site = await make_site(database)
    raw = RawDocument("guide", b"# Guide\n\nThe lighthouse closes at dusk.", "text/markdown")
    stored = await ingester.ingest_document(site, raw)
    assert (stored.status, stored.chunks) == ("added", 1)
    shown = await find_source_text(database, stored.document_id)
    assert shown is not None
    assert (shown.title, shown.text) == ("Guide", "The lighthouse closes at dusk.")
    searcher = Searcher(database, [HashingEmbedder()], RetrievalSettings())
    found = await searcher.find(site.id, "When does the lighthouse close?")
    assert found.passages[0].title == "Guide"


async def test_a_new_title_or_address_replaces_the_document(
    database: Database, ingester: Ingester
) -> None:
    site = await make_site(database)
    first = RawDocument("a.md", "Same text.", title="One")
    second = RawDocument("a.md", "Same text.", title="Two", url="https://x.example/a")
    statuses = [
        (await ingester.ingest_document(site, raw)).status for raw in (first, first, second)
    ]
    assert statuses == ["added", "unchanged", "replaced"]


@pytest.mark.parametrize("source", ["", "a\u202eb.md", "a\nb\x00", "x" * 1001])
async def test_a_source_that_cannot_be_shown_is_refused(
    database: Database, ingester: Ingester, source: str
) -> None:
    site = await make_site(database)
    with pytest.raises(InvalidRequest, match="source"):
        await ingester.ingest_document(site, RawDocument(source, "text", "text/plain"))


class _Choosy(HashingEmbedder):
    """Fails for texts about pears."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__()
        self._failure = ProviderError(
            "The endpoint failed.",
            code=code,
            upstream_status=status,
            is_permanent=status < 500,
        )

    async def embed(self, texts: Sequence[str]) -> np.ndarray:
        if any("Pears" in text for text in texts):
            raise self._failure
        return await super().embed(texts)


_ERROR = "provider_error"


@pytest.mark.parametrize(
    ("status", "code", "ends"),
    [
        (400, _ERROR, False),
        (413, _ERROR, False),
        (422, _ERROR, False),
        (403, "context_length_exceeded", False),
        (400, "insufficient_quota", True),
        (401, _ERROR, True),
        (403, _ERROR, True),
        (404, _ERROR, True),
        (503, _ERROR, True),
    ],
)
async def test_a_text_that_the_embedder_refuses_stops_no_other(
    database: Database, pool: ComputePool, status: int, code: str, *, ends: bool
) -> None:
    site = await make_site(database)
    embedders = SiteEmbedders(database, _Choosy(status, code))
    ingester = Ingester(
        database, embedders.find, Reader(pool, Settings()), Indexer(pool), Settings()
    )
    pears = RawDocument("pears.md", "# Pears\n\nPears ripen on the sill.")
    if ends:
        with pytest.raises(ProviderError):
            await ingester.take_in(site, pears)
        return
    outcome = await ingester.take_in(site, pears)
    assert (outcome.source, outcome.code) == ("pears.md", "embedding_refused")
    assert "The endpoint failed." in outcome.reason
    apples = RawDocument("apples.md", "# Apples\n\nApples are stored in the cellar.")
    assert (await ingester.take_in(site, apples)).status == "added"
