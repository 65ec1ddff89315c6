"""Chunks by the likeness of their vectors to a question's."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pgvector import HalfVector
from psycopg import sql

from sitebrook.db.pipeline import BINARY, TEXT, Statement, to_array
from sitebrook.db.snapshot import PendingRows, Rows, Snapshot
from sitebrook.retrieval.embedder import Vectors
from sitebrook.retrieval.knowledge import Knowledge
from sitebrook.retrieval.within import Within

# Site and embedder stand in the statement itself: the planner must see them to use the index that
# holds only their rows. The limit does too: a plan for any limit would sort all rows.
_NEAREST: Final = sql.SQL(
    "SELECT chunk_id, -(vector::halfvec({dimension}) <#> $1::halfvec({dimension})) AS cosine"
    " FROM embedding WHERE site_id = {site_id} AND embedder = {embedder}"
    " ORDER BY vector::halfvec({dimension}) <#> $1::halfvec({dimension}) LIMIT {limit}"
)
_OF_DOCUMENTS: Final = (
    "SELECT chunk_id, -(vector <#> $1::halfvec) AS cosine FROM embedding"
    " JOIN chunk ON chunk.id = embedding.chunk_id"
    " WHERE embedding.site_id = $2 AND embedder = $3 AND chunk.document_id = ANY($4::text[])"
    " ORDER BY cosine DESC, chunk_id LIMIT $5::bigint"
)
_OF_CHUNKS: Final = (
    "SELECT chunk_id, -(vector <#> $1::halfvec) AS cosine FROM embedding"
    " WHERE site_id = $2 AND embedder = $3 AND chunk_id = ANY($4::text[])"
)

Nearest = tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class VectorSearch:
    """The vectors of a site's chunks beside that of a question."""

    snapshot: Snapshot
    knowledge: Knowledge
    question: Vectors

    def find_nearest(self, limit: int) -> PendingRows:
        """The chunks nearest to the question with their cosine; ``to_nearest`` puts them in order.

        Exact for a site without an index of its own (``vector_indexes``), else by that index.
        Vectors have length one, so the inner product is the cosine; a vector of zeros (no words)
        has 0.
        """
        known = self.knowledge
        statement = to_statement(known.site_id, known.embedder, len(self.question), limit)
        return self._send(statement)

    def find_nearest_of(self, within: Within, limit: int) -> PendingRows:
        """As ``find_nearest`` among some documents; always exact, as no index knows documents."""
        return self._send(_OF_DOCUMENTS, *self._site, to_array(within.document_ids), b"%d" % limit)

    def score(self, chunk_ids: Sequence[str]) -> PendingRows:
        """The exact cosine of each of the chunks that is still there."""
        return self._send(_OF_CHUNKS, *self._site, to_array(chunk_ids))

    @property
    def _site(self) -> tuple[bytes, bytes]:
        return self.knowledge.site_id.encode(), self.knowledge.embedder.encode()

    def _send(self, statement: str, *values: bytes) -> PendingRows:
        question = HalfVector(self.question).to_binary()
        formats = (BINARY, *(TEXT for _ in values))
        return self.snapshot.send(Statement(statement, (question, *values), formats))


def to_nearest(rows: Rows) -> Nearest:
    """The chunks found with their cosine, best first."""
    # An index that goes on scanning gives its later rows in nearly the right order.
    return tuple(sorted(rows, key=lambda row: (-row[1], row[0])))


@functools.lru_cache(maxsize=1000)
def to_statement(site_id: str, embedder: str, dimension: int, limit: int) -> str:
    """The search of one site's vectors; its parameter is that of a question."""
    texts = {"site_id": sql.Literal(site_id), "embedder": sql.Literal(embedder)}
    numbers = {"dimension": sql.Literal(dimension), "limit": sql.Literal(limit)}
    return _NEAREST.format(**texts, **numbers).as_string()
