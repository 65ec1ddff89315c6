"""The passages of a site that answer a question, by keywords and vectors together."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from sitebrook.db.engine import Database
from sitebrook.errors import RequestError
from sitebrook.retrieval.bm25 import KeywordMatches
from sitebrook.retrieval.embedder import Embedder, QuestionVectors, Vectors
from sitebrook.retrieval.fusion import FusedChunk, Leg, fuse, is_relevant, vector_weight
from sitebrook.retrieval.keywords import KeywordIndex
from sitebrook.retrieval.knowledge import Knowledge, load_knowledge
from sitebrook.retrieval.passages import Passage, choose, load_passages
from sitebrook.retrieval.vectors import find_nearest, score_chunks
from sitebrook.settings import RetrievalSettings

_LOG: Final = logging.getLogger(__name__)
_POOL: Final = 100
_EMBED_TIMEOUT_S: Final = 2.0
# Chunks whose text is read for each passage asked for: room for repeated texts and documents.
_READ_PER_PASSAGE: Final = 4
# How often a search starts again because a document that it had found was replaced meanwhile.
_REPEATS: Final = 3


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What was found, best first.

    ``passages`` are fit to answer from; it is empty when nothing relevant was found, and ``weak``
    then has the best of what there is. ``alpha`` is the weight of the vectors, ``coverage`` the
    share of the question that the best chunk holds by keywords. ``degraded`` says why keywords
    had to do alone.
    """

    passages: tuple[Passage, ...] = ()
    weak: tuple[Passage, ...] = ()
    alpha: float = 0.0
    coverage: float = 0.0
    timings_ms: Mapping[str, float] = field(default_factory=dict[str, float])
    degraded: str | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    site_id: str
    question: str
    limit: int
    min_score: float


@dataclass(slots=True)
class _VectorLeg:
    """What the vector leg found, or why it found nothing."""

    embedder: Embedder | None = None
    question: Vectors | None = None
    nearest: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])
    failure: str | None = None


class _Clock:
    """Milliseconds of each named phase."""

    def __init__(self) -> None:
        self.timings_ms: dict[str, float] = {}

    @contextmanager
    def measure(self, phase: str) -> Generator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.timings_ms[phase] = (time.perf_counter() - started) * 1000


async def _together(
    keywords: Coroutine[Any, Any, KeywordMatches], vectors: Coroutine[Any, Any, _VectorLeg]
) -> tuple[KeywordMatches, _VectorLeg]:
    """Both results; when one fails, the other is stopped and that failure raised."""
    try:
        async with asyncio.TaskGroup() as group:
            first, second = group.create_task(keywords), group.create_task(vectors)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return first.result(), second.result()


class Searcher:
    """Finds passages in the knowledge of sites."""

    def __init__(
        self,
        database: Database,
        embedders: Iterable[Embedder],
        keyword_index: KeywordIndex,
        settings: RetrievalSettings,
    ) -> None:
        self._database = database
        self._embedders = {embedder.name: embedder for embedder in embedders}
        self._keyword_index = keyword_index
        self._settings = settings
        self._question_vectors = QuestionVectors()

    async def find(
        self,
        site_id: str,
        question: str,
        *,
        limit: int | None = None,
        min_score: float | None = None,
    ) -> SearchResult:
        """The passages for the question; an empty result for a site without documents.

        ``limit`` and ``min_score`` are the settings' unless given.
        """
        settings = self._settings
        asked = _Asked(
            site_id,
            question,
            limit or settings.max_passages,
            settings.min_score if min_score is None else min_score,
        )
        result, is_whole = await self._search(asked)
        for _ in range(_REPEATS):
            if is_whole:
                break
            result, is_whole = await self._search(asked)
        return result

    async def _search(self, asked: _Asked) -> tuple[SearchResult, bool]:
        """What was found, and whether no document of it was replaced or removed meanwhile."""
        knowledge = await load_knowledge(self._database, asked.site_id)
        if knowledge is None or not asked.question.strip():
            return SearchResult(), True
        clock = _Clock()
        matches, leg = await _together(
            self._find_by_keywords(knowledge, asked.question, clock),
            self._find_by_vectors(knowledge, asked.question, clock),
        )
        with clock.measure("fuse"):
            alpha, fused = await self._fuse(knowledge, matches, leg)
            best = [found for found in fused if found.score >= asked.min_score]
            best = best[: asked.limit * _READ_PER_PASSAGE]
            read = await load_passages(self._database, asked.site_id, best)
            passages = tuple(choose(read, asked.limit))
        if leg.failure is not None:
            _LOG.warning("searched by keywords alone: %s", leg.failure)
        relevant = _is_relevant(matches, leg)
        result = SearchResult(
            passages=passages if relevant else (),
            weak=() if relevant else passages,
            alpha=alpha,
            coverage=matches.coverage,
            timings_ms=clock.timings_ms,
            degraded=leg.failure,
        )
        return result, len(read) == len(best)

    async def _find_by_keywords(
        self, knowledge: Knowledge, question: str, clock: _Clock
    ) -> KeywordMatches:
        with clock.measure("keywords"):
            return await self._keyword_index.find(knowledge, question, _POOL)

    async def _find_by_vectors(
        self, knowledge: Knowledge, question: str, clock: _Clock
    ) -> _VectorLeg:
        embedder = self._embedders.get(knowledge.embedder)
        if embedder is None:
            return _VectorLeg(failure=f"embedder {knowledge.embedder} is not configured")
        with clock.measure("embed"):
            try:
                async with asyncio.timeout(_EMBED_TIMEOUT_S):
                    vector = await self._question_vectors.find(embedder, question)
            except TimeoutError:
                return _VectorLeg(failure=f"embedder did not answer within {_EMBED_TIMEOUT_S:g} s")
            except RequestError as error:
                return _VectorLeg(failure=f"embedder failed: {error.message}")
        if knowledge.dimension not in {None, len(vector)}:
            return _VectorLeg(
                failure=f"embedder {knowledge.embedder} gives vectors of {len(vector)} numbers, "
                f"the documents have {knowledge.dimension}"
            )
        with clock.measure("vectors"):
            nearest = await find_nearest(self._database, knowledge, vector, _POOL)
        return _VectorLeg(embedder, vector, nearest)

    async def _fuse(
        self, knowledge: Knowledge, matches: KeywordMatches, leg: _VectorLeg
    ) -> tuple[float, list[FusedChunk]]:
        """The weight of the vectors, and all candidates with both exact scores."""
        ranked = [chunk_id for chunk_id, _ in matches.ranked]
        if leg.embedder is None or leg.question is None:
            return 0.0, fuse(Leg(ranked, dict(matches.ranked)), None, 0.0)
        cosines = dict(leg.nearest)
        unscored = [chunk_id for chunk_id in ranked if chunk_id not in cosines]
        cosines |= await score_chunks(self._database, knowledge, leg.question, unscored)
        nearest = [chunk_id for chunk_id, _ in leg.nearest]
        keyword_scores = {chunk_id: matches.score(chunk_id) for chunk_id in [*ranked, *nearest]}
        alpha = vector_weight(
            matches.coverage,
            leg.embedder.fixed_weight,
            covers_language=_covers(leg.embedder, matches.languages),
        )
        return alpha, fuse(Leg(ranked, keyword_scores), Leg(nearest, cosines), alpha)


def _covers(embedder: Embedder, languages: tuple[str, ...]) -> bool:
    """Whether the embedder knows the language that most of the site's chunks are in."""
    return embedder.languages is None or not languages or languages[0] in embedder.languages


def _is_relevant(matches: KeywordMatches, leg: _VectorLeg) -> bool:
    best = leg.nearest[0][1] if leg.nearest else None
    floor = leg.embedder.similarity_floor if leg.embedder else None
    return is_relevant(matches.evidence, best, floor)
