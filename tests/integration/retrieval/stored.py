"""Documents as the tests of retrieval store them."""

from __future__ import annotations

import hashlib

from sitebrook.db.engine import Database
from sitebrook.retrieval.embedder import HashingEmbedder
from sitebrook.retrieval.indexer import Indexer
from sitebrook.retrieval.knowledge import (
    NewChunk,
    NewDocument,
    ReplacedDocument,
    replace_document,
)

EMBEDDER = HashingEmbedder()
INDEXER = Indexer()


def make_document(source: str, *texts: str, title: str = "A title") -> NewDocument:
    whole = "\n".join(texts)
    return NewDocument(
        source=source,
        title=title,
        url=None,
        language="en",
        text=whole,
        sha256=hashlib.sha256(whole.encode()).digest(),
        chunks=tuple(NewChunk(("Heading",), text, "en") for text in texts),
    )


async def store(database: Database, site_id: str, document: NewDocument) -> ReplacedDocument:
    vectors = await EMBEDDER.embed([piece.text for piece in document.chunks])
    return await replace_document(database, INDEXER, site_id, document, {EMBEDDER.name: vectors})
