"""The two searches of a question, by words and by vectors, and what they make together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from sitebrook.db.snapshot import PendingRows, Snapshot
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
from sitebrook.retrieval.vectors import Nearest, VectorSearch, to_nearest
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
    """A question with its vector, or why there is none; ``within`` bounds where it is searched.

    ``nearest`` is the answer of the vectors where they were asked ahead.
    """

    text: str
    embedder: Embedder | None = None
    vector: Vectors | None = None
    failure: str | None = None
    within: Within | None = None
    nearest: PendingRows | None = None


@dataclass(frozen=True, slots=True)
class VectorLeg:
    """What the vectors found; without an embedder they had no part.

    ``cosines`` has those of the chunks that the keywords found.
    """

    embedder: Embedder | None = None
    nearest: Nearest = ()
    cosines: dict[str, float] = field(default_factory=dict[str, float])
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


def ask_ahead(snapshot: Snapshot, seen: Knowledge, question: EmbeddedQuestion) -> EmbeddedQuestion:
    """The question with the vectors asked, if the site is still as it was seen."""
    if question.vector is None or _failure(seen, question) is not None:
        return question
    search = VectorSearch(snapshot, seen, question.vector)
    return replace(question, nearest=search.find_nearest(_POOL))


async def search_both(
    snapshot: Snapshot, knowledge: Knowledge, index: Bm25, question: EmbeddedQuestion, clock: Clock
) -> Legs:
    """What both legs find at the same time; ``snapshot`` is of ``knowledge``."""
    failure = _failure(knowledge, question)
    if failure is not None or question.embedder is None or question.vector is None:
        keywords = await _find_by_keywords(index, question, clock)
        return Legs(keywords, VectorLeg(failure=failure))
    search = VectorSearch(snapshot, knowledge, question.vector)
    with clock.measure("vectors"):
        # PostgreSQL is at it while a thread looks for the words, and goes on with what they found.
        answer = question.nearest
        if question.within is not None:
            answer = search.find_nearest_of(question.within, _POOL)
        elif answer is None:
            answer = search.find_nearest(_POOL)
        keywords = await _find_by_keywords(index, question, clock)
        scores = search.score([chunk_id for chunk_id, _ in keywords.ranked])
        nearest, cosines = (await answer.rows())[0], (await scores.rows())[0]
    return Legs(keywords, VectorLeg(question.embedder, to_nearest(nearest), dict(cosines)))


async def _find_by_keywords(
    index: Bm25, question: EmbeddedQuestion, clock: Clock
) -> KeywordMatches:
    numbers = None if question.within is None else question.within.numbers
    with clock.measure("keywords"):
        if len(index) <= _INLINE_CHUNKS and len(question.text) <= _INLINE_CHARACTERS:
            return index.find(question.text, _POOL, numbers)
        return await asyncio.to_thread(index.find, question.text, _POOL, numbers)


def _failure(knowledge: Knowledge, question: EmbeddedQuestion) -> str | None:
    """Why the vectors have no part, if they have none."""
    if question.vector is None:
        return question.failure
    if knowledge.dimension not in {None, len(question.vector)}:
        return (
            f"embedder {knowledge.embedder} gives vectors of {len(question.vector)} numbers, "
            f"the documents have {knowledge.dimension}"
        )
    return None


def fuse_legs(
    knowledge: Knowledge, legs: Legs, *, by_rank: bool
) -> tuple[Weight, list[FusedChunk]]:
    """The weight of the vectors, and all candidates, best first, with both exact scores."""
    matches, leg = legs.keywords, legs.vectors
    ranked = [chunk_id for chunk_id, _ in matches.ranked]
    keyword_scores = dict(matches.ranked)
    if leg.embedder is None:
        return Weight(0.0, "keywords alone"), fuse(Leg(ranked, keyword_scores), None, 0.0)
    nearest = [chunk_id for chunk_id, _ in leg.nearest]
    keyword_scores |= matches.score([one for one in nearest if one not in keyword_scores])
    weight = vector_weight(
        matches.coverage,
        knowledge.vector_weight,
        leg.embedder.fixed_weight,
        covers_language=_covers(leg.embedder, matches.languages),
    )
    keywords, vectors = Leg(ranked, keyword_scores), Leg(nearest, leg.cosines | dict(leg.nearest))
    if by_rank:
        return weight, fuse_by_rank(keywords, vectors)
    return weight, fuse(keywords, vectors, weight.alpha)


def _covers(embedder: Embedder, languages: tuple[str, ...]) -> bool:
    """Whether the embedder knows the language that most of the site's chunks are in."""
    return embedder.languages is None or not languages or languages[0] in embedder.languages
