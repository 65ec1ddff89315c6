"""The indexes of large sites' vectors: each holds the rows of one site and one embedder.

A filter over an index shared by all sites finds too little: most of what it visits is of other
sites. Sites up to ``INDEXED_CHUNKS`` are searched exactly, which took 5.5 to 10.5 ms at that size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql

from sitebrook.db.engine import Database
from sitebrook.db.locks import try_lock

INDEXED_CHUNKS: Final = 5_000
# An index goes only when its site has shrunk well below that, so that none comes and goes.
_DROP_SHARE: Final = 0.5
_MAX_DIMENSION: Final = 4_000  # of an HNSW index on halfvec
_PREFIX: Final = "embedding_hnsw_"
# The graph is built in this memory: beyond it, building takes many times as long.
_MIN_MEMORY_MB: Final = 64
_MAX_MEMORY_MB: Final = 1_024
_BYTES_PER_ROW: Final = 500  # beside the vector: links to neighbours on every level

_SETS: Final = """
SELECT site_id, used, count(*),
    (SELECT vector_dims(vector) FROM embedding
     WHERE site_id = knowledge.site_id AND embedder = used LIMIT 1)
FROM knowledge
CROSS JOIN LATERAL unnest(ARRAY[embedder, next_embedder]) AS used
JOIN embedding USING (site_id)
WHERE embedding.embedder = used
GROUP BY knowledge.site_id, used HAVING count(*) > %s
"""
_INDEXES: Final = """
SELECT class.relname, index.indisvalid FROM pg_index index
JOIN pg_class class ON class.oid = index.indexrelid
WHERE index.indrelid = 'embedding'::regclass AND starts_with(class.relname, %s)
"""
# Literals again: an index's predicate takes no parameters.
_CREATE: Final = sql.SQL(
    "CREATE INDEX CONCURRENTLY {name} ON embedding"
    " USING hnsw ((vector::halfvec({dimension})) halfvec_ip_ops)"
    " WHERE site_id = {site_id} AND embedder = {embedder}"
)
_SET_MEMORY: Final = sql.SQL("SET maintenance_work_mem = {memory}")
_DROP: Final = sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {name}")


@dataclass(frozen=True, slots=True)
class TendedIndexes:
    """What was done; ``is_busy`` says that another process is at it and nothing was done here."""

    built: int = 0
    dropped: int = 0
    is_busy: bool = False


@dataclass(frozen=True, slots=True)
class _VectorSet:
    site_id: str
    embedder: str
    chunks: int
    dimension: int

    @property
    def index(self) -> str:
        facts = f"{self.site_id}\0{self.embedder}\0{self.dimension}"
        return _PREFIX + hashlib.sha256(facts.encode()).hexdigest()[:16]


async def tend_indexes(
    database: Database, *, indexed_chunks: int = INDEXED_CHUNKS
) -> TendedIndexes:
    """Builds the indexes that are missing, anew those that broke off, and drops unused ones.

    Searches and writers go on meanwhile. It may take minutes and may be cancelled or killed at any
    moment: the next call goes on from what it finds. One process at a time; the others return.
    """
    async with try_lock(database.url, "vector indexes") as connection:
        if connection is None:
            return TendedIndexes(is_busy=True)
        # One process for the graph: several would need its whole memory as shared memory, of
        # which containers have 64 MB, and the other cores belong to those who ask.
        await connection.execute("SET max_parallel_maintenance_workers = 0")
        known = await _load_indexes(connection)
        sets = await _load_sets(connection, int(indexed_chunks * _DROP_SHARE))
        keep = {one.index for one in sets} & {name for name, is_valid in known.items() if is_valid}
        gone = [name for name in known if name not in keep]
        for name in gone:
            await connection.execute(_DROP.format(name=sql.Identifier(name)))
        missing = [one for one in sets if one.chunks > indexed_chunks and one.index not in keep]
        for one in missing:
            await _build(connection, one)
    return TendedIndexes(built=len(missing), dropped=len(gone))


async def _load_indexes(connection: psycopg.AsyncConnection[Any]) -> Mapping[str, bool]:
    cursor = await connection.execute(_INDEXES, (_PREFIX,))
    return {row[0]: row[1] for row in await cursor.fetchall()}


async def _load_sets(connection: psycopg.AsyncConnection[Any], more_than: int) -> list[_VectorSet]:
    cursor = await connection.execute(_SETS, (more_than,))
    sets = [_VectorSet(*row) for row in await cursor.fetchall()]
    return [one for one in sets if one.dimension <= _MAX_DIMENSION]


async def _build(connection: psycopg.AsyncConnection[Any], one: _VectorSet) -> None:
    needed = one.chunks * (2 * one.dimension + _BYTES_PER_ROW) // 1_000_000
    memory = min(max(needed, _MIN_MEMORY_MB), _MAX_MEMORY_MB)
    await connection.execute(_SET_MEMORY.format(memory=sql.Literal(f"{memory}MB")))
    await connection.execute(
        _CREATE.format(
            name=sql.Identifier(one.index),
            dimension=sql.Literal(one.dimension),
            site_id=sql.Literal(one.site_id),
            embedder=sql.Literal(one.embedder),
        )
    )
