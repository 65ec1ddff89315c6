"""Killed with -9 while documents are replaced: each is whole, and its postings are its chunks'."""

from __future__ import annotations

import asyncio
import contextlib
import random
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from tests.commands import command_environment
from tests.factories import make_site
from tests.integration.ingestion.rewriting import DOCUMENTS
from tests.integration.retrieval.indexed import check_index

from sitebrook.db.engine import Database

_READY_S = 60
_STATE = text("""
    SELECT document.source, document.chunks, count(chunk.id), count(embedding.chunk_id),
        array_agg(DISTINCT substring(chunk.text FROM 'Round[0-9]+')), max(chunk.version),
        document.version, min(version.text)
    FROM document JOIN chunk ON chunk.document_id = document.id
    JOIN document_version AS version ON version.document_id = document.id
    LEFT JOIN embedding ON embedding.chunk_id = chunk.id
    WHERE document.site_id = :site_id GROUP BY document.id ORDER BY document.source
""")


@contextlib.asynccontextmanager
async def rewriting(
    database: Database, site_id: str, first: int
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that replaces the site's documents; killed when the block ends."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.ingestion.rewriting", site_id, str(first)),
        env=command_environment(DATABASE_URL=database.url),
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(_READY_S):
            assert await process.stdout.readline() == b"storing\n"
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def check_documents(database: Database, site_id: str) -> int:
    """How many documents there are; each is of one round, with all of its chunks and vectors."""
    async with database.begin() as connection:
        rows = (await connection.execute(_STATE, {"site_id": site_id})).all()
    for source, chunks, found, vectors, rounds, of_chunk, version, whole in rows:
        assert chunks == found == vectors, source
        assert len(rounds) == 1, source
        assert rounds[0] in whole, source
        assert of_chunk == version, source
    return len(rows)


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.soak)])
async def test_a_killed_ingestion_leaves_each_document_old_or_new(
    database: Database, kills: int
) -> None:
    site = await make_site(database)
    chance = random.Random(kills)
    for kill in range(kills):
        async with rewriting(database, site.id, kill * 1000):
            await asyncio.sleep(chance.uniform(0.02, 1.5))  # killed at any moment
        # PostgreSQL ends what a killed client had begun as soon as it notices.
        assert await check_documents(database, site.id) == DOCUMENTS
        await check_index(database, site.id, "walruses Line 3", f"Round{kill * 1000}")
