"""Workers that are killed while they take documents in, and what must be whole then."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence

import numpy as np
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.servers import clean_environment

from sitebrook.ingestion.chunks import SizesInCharacters
from sitebrook.ingestion.loaders import RawDocument
from sitebrook.ingestion.parsing import ReadRequest, read
from sitebrook.retrieval.stored_postings import Scope, list_postings, load_postings
from sitebrook.settings import Settings

# A lost worker is noticed sooner than in use; what it did is done over in the same way.
_QUICK = {
    "SITEBROOK_JOB_HEARTBEAT_S": "0.2",
    "SITEBROOK_JOB_STALLED_S": "1",
    "SITEBROOK_JOB_POLL_S": "0.1",
}
_CHUNKS = """
    SELECT document.source, chunk.position, chunk.text, chunk.number
    FROM chunk JOIN document ON document.id = document_id WHERE document.site_id = :holder_id
    ORDER BY document.source, chunk.position
"""
_WITHOUT_VECTOR = """
    SELECT count(*) FROM chunk FULL JOIN embedding ON chunk_id = chunk.id
    WHERE chunk.id IS NULL OR chunk_id IS NULL
"""
_WRONG_COUNT = """
    SELECT count(*) FROM document
    WHERE chunks <> (SELECT count(*) FROM chunk WHERE document_id = document.id)
"""

StoredChunk = tuple[str, int, str]


@contextlib.contextmanager
def killed_worker(url: str, **env: str) -> Iterator[None]:
    """``sitebrook worker`` as an operator starts it; killed with -9 at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sitebrook", "worker"],
        env={**clean_environment(), **_QUICK, "DATABASE_URL": url, **env},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


def to_stored(documents: Sequence[RawDocument]) -> list[StoredChunk]:
    """Each chunk that there should be: its document, its place and its text."""
    settings = Settings()
    retrieval = settings.retrieval
    usual = SizesInCharacters(retrieval.chunk_characters, retrieval.overlap_characters)
    found: list[StoredChunk] = []
    for raw in documents:
        is_text = isinstance(raw.content, str)
        asked = ReadRequest(
            source=raw.source,
            content=raw.content.encode() if isinstance(raw.content, str) else raw.content,
            is_text=is_text,
            media_type=raw.media_type,
            title=raw.title,
            url=raw.url,
            language="en",
            max_characters=settings.limits.document_characters,
            sizes=raw.sizes or usual,
        )
        found += [(raw.source, at, one.text) for at, one in enumerate(read(asked).chunks)]
    return sorted(found)


async def load_whole(connection: AsyncConnection, holder_id: str) -> list[StoredChunk]:
    """The chunks of a site or a store, each of which has one vector and is in the index once.

    ``connection`` reads one snapshot, since a killed client may still be committing.
    """
    rows = (await connection.execute(sa.text(_CHUNKS), {"holder_id": holder_id})).all()
    for statement in (_WITHOUT_VECTOR, _WRONG_COUNT):
        assert (await connection.execute(sa.text(statement))).scalar_one() == 0
    ids = list(await list_postings(connection, Scope(holder_id)))
    stored = list((await load_postings(connection, ids)).values())
    nothing = np.zeros(0, dtype=np.uint32)
    gone = np.concatenate([nothing, *(one.removed for one in stored)])
    numbers = np.concatenate([nothing, *(one.numbers for one in stored)])
    left = numbers[~np.isin(numbers, gone)]
    assert sorted(left.tolist()) == sorted(row.number for row in rows)
    return [(row.source, row.position, row.text) for row in rows]
