"""The two searches of a question, by words and by vectors, and what they make together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.retrieval.bm25 import Bm25, KeywordMatches
from sitebrook.retrieval.embedder import Embedder, Vectors
from sitebrook.retrieval.fusion import (
    FusedChunk,
    Leg,
    Weight,
    fuse,
    fuse_by_rank,
    is_relevant,
    vector_weight,
)
from sitebrook.retrieval.knowledge import Knowledge
from sitebrook.retrieval.vectors import find_nearest, find_nearest_of, score_chunks
from sitebrook.retrieval.within import Within

_POOL: Final = 100
# Below this many chunks a search takes less time than the way to a thread and back.
_INLINE_CHUNKS: Final = 300
_INLINE_CHARACTERS: Final = 2_000


class Clock:
    """Milliseconds of each named phase."""

    def __init__(self) -> None:
        self.timings_ms: dict[str, float] = {}

    @contextmanager
    def measure(self, phase: str) -> Generator[None]:
        """Times the block."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.timings_ms[phase] = (time.perf_counter() - started) * 1000


@dataclass(frozen=True, slots=True)
class EmbeddedQuestion:
    """A question with its vector, or why there is none; ``within`` bounds where it is searched."""

    text: str
    embedder: Embedder | None = None
    vector: Vectors | None = None
    failure: str | None = None
    within: Within | None = None


@dataclass(frozen=True, slots=True)
class VectorLeg:
    """What the vectors found; without an embedder they had no part."""

    embedder: Embedder | None = None
    question: Vectors | None = None
    nearest: tuple[tuple[str, float], ...] = ()
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Legs:
    """What both legs found for one question."""

    keywords: KeywordMatches
    vectors: VectorLeg

    @property
    def nearest(self) -> float | None:
        """The best cosine."""
        return self.vectors.nearest[0][1] if self.vectors.nearest else None

    @property
    def certainty(self) -> float:
        """How much the best of what was found is about the question, 0 to 1.

        The share of the question's subject that it holds, or its cosine.
        """
        return min(1.0, max(self.keywords.evidence, self.nearest or 0.0))

    def is_relevant(self) -> bool:
        """Whether what was found is about the question at all."""
        embedder = self.vectors.embedder
        floor = embedder.similarity_floor if embedder else None
        return is_relevant(self.keywords.evidence, self.nearest, floor)


async def search_both(
    connection: AsyncConnection,
    knowledge: Knowledge,
    index: Bm25,
    question: EmbeddedQuestion,
    clock: Clock,
) -> Legs:
    """What both legs find at the same time; ``connection`` is a snapshot of ``knowledge``."""
    return Legs(
        *await _together(
            _find_by_keywords(index, question, clock),
            _find_by_vectors(connection, knowledge, question, clock),
        )
    )


async def _together(
    keywords: Coroutine[Any, Any, KeywordMatches], vectors: Coroutine[Any, Any, VectorLeg]
) -> tuple[KeywordMatches, VectorLeg]:
    """Both results; when one fails, the other is stopped and that failure raised."""
    try:
        async with asyncio.TaskGroup() as group:
            first, second = group.create_task(keywords), group.create_task(vectors)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return first.result(), second.result()


async def _find_by_keywords(
    index: Bm25, question: EmbeddedQuestion, clock: Clock
) -> KeywordMatches:
    numbers = None if question.within is None else question.within.numbers
    with clock.measure("keywords"):
        if len(index) <= _INLINE_CHUNKS and len(question.text) <= _INLINE_CHARACTERS:
            return index.find(question.text, _POOL, numbers)
        return await asyncio.to_thread(index.find, question.text, _POOL, numbers)


async def _find_by_vectors(
    connection: AsyncConnection, knowledge: Knowledge, embedded: EmbeddedQuestion, clock: Clock
) -> VectorLeg:
    embedder, vector = embedded.embedder, embedded.vector
    if embedder is None or vector is None:
        return VectorLeg(failure=embedded.failure)
    if knowledge.dimension not in {None, len(vector)}:
        return VectorLeg(
            failure=f"embedder {knowledge.embedder} gives vectors of {len(vector)} numbers, "
            f"the documents have {knowledge.dimension}"
        )
    with clock.measure("vectors"):
        within = embedded.within
        if within is None:
            nearest = await find_nearest(connection, knowledge, vector, _POOL)
        else:
            nearest = await find_nearest_of(connection, knowledge, vector, within, _POOL)
    return VectorLeg(embedder, vector, tuple(nearest))


async def fuse_legs(
    connection: AsyncConnection, knowledge: Knowledge, legs: Legs, *, by_rank: bool
) -> tuple[Weight, list[FusedChunk]]:
    """The weight of the vectors, and all candidates, best first, with both exact scores."""
    matches, leg = legs.keywords, legs.vectors
    ranked = [chunk_id for chunk_id, _ in matches.ranked]
    keyword_scores = dict(matches.ranked)
    if leg.embedder is None or leg.question is None:
        return Weight(0.0, "keywords alone"), fuse(Leg(ranked, keyword_scores), None, 0.0)
    cosines = dict(leg.nearest)
    unscored = [chunk_id for chunk_id in ranked if chunk_id not in cosines]
    cosines |= await score_chunks(connection, knowledge, leg.question, unscored)
    nearest = [chunk_id for chunk_id, _ in leg.nearest]
    keyword_scores |= matches.score([one for one in nearest if one not in keyword_scores])
    weight = vector_weight(
        matches.coverage,
        knowledge.vector_weight,
        leg.embedder.fixed_weight,
        covers_language=_covers(leg.embedder, matches.languages),
    )
    keywords, vectors = Leg(ranked, keyword_scores), Leg(nearest, cosines)
    if by_rank:
        return weight, fuse_by_rank(keywords, vectors)
    return weight, fuse(keywords, vectors, weight.alpha)


def _covers(embedder: Embedder, languages: tuple[str, ...]) -> bool:
    """Whether the embedder knows the language that most of the site's chunks are in."""
    return embedder.languages is None or not languages or languages[0] in embedder.languages
