"""Sites of many chunks with vectors made by a random generator; their texts say nothing."""

from __future__ import annotations

import hashlib

import numpy as np
from pgvector import HalfVector
from sqlalchemy import text
from tests.factories import make_site

from sitebrook.db.engine import Database
from sitebrook.retrieval.embedder import Vectors
from sitebrook.retrieval.knowledge import Knowledge

DIMENSION = 16
NAME = "onnx:50%:m's@0"


async def make_vectors(
    database: Database, name: str, chunks: int, *, embedder: str = NAME
) -> tuple[Knowledge, dict[str, Vectors]]:
    """A new site with one document of so many chunks, and their vectors by chunk id."""
    site = await make_site(database, name=name)
    vectors = random_vectors(chunks, name)
    ids = [f"chunk_{site.id}_{at}" for at in range(chunks)]
    values = {"site": site.id, "doc": f"doc_{site.id}", "embedder": embedder, "chunks": chunks}
    async with database.begin() as connection:
        for statement in (
            "INSERT INTO knowledge (site_id, embedder, version, next_chunk_number)"
            " VALUES (:site, :embedder, 1, :chunks)",
            "INSERT INTO document (id, site_id, source, title, language, sha256, characters,"
            " chunks, version) VALUES (:doc, :site, 's', 't', 'en', '', 1, :chunks, 1)",
            "INSERT INTO chunk (id, site_id, document_id, version, number, position, headings,"
            " text, language) SELECT 'chunk_' || :site || '_' || at, :site, :doc, 1, at, at, '{}',"
            " 'text ' || at, 'en' FROM generate_series(0, :chunks - 1) AS at",
        ):
            await connection.execute(text(statement), values)
        rows = [
            (one, embedder, site.id, HalfVector(v)) for one, v in zip(ids, vectors, strict=True)
        ]
        await connection.exec_driver_sql("INSERT INTO embedding VALUES (%s, %s, %s, %s)", rows)
    knowledge = Knowledge(site.id, embedder, 1, DIMENSION)
    return knowledge, dict(zip(ids, vectors, strict=True))


def random_vectors(count: int, seed: str) -> Vectors:
    """Rows of length one."""
    digest = hashlib.sha256(seed.encode()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:4], "big"))
    rows = generator.normal(size=(count, DIMENSION)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def nearest(vectors: dict[str, Vectors], question: Vectors, limit: int) -> set[str]:
    """The ids of the truly nearest."""
    ranked = sorted(vectors, key=lambda one: -float(vectors[one] @ question))
    return set(ranked[:limit])
