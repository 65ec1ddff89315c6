"""The passages of a site that answer a question, by keywords and vectors together."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Coroutine, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.db.engine import Database
from sitebrook.errors import RequestError
from sitebrook.retrieval.bm25 import Bm25, KeywordMatches
from sitebrook.retrieval.embedder import Embedder, QuestionVectors, Vectors
from sitebrook.retrieval.fusion import FusedChunk, Leg, fuse, is_relevant, vector_weight
from sitebrook.retrieval.keywords import KeywordIndexes
from sitebrook.retrieval.knowledge import Knowledge, load_knowledge
from sitebrook.retrieval.passages import Passage, choose, load_passages
from sitebrook.retrieval.reindexing import reindex
from sitebrook.retrieval.vectors import find_nearest, score_chunks
from sitebrook.settings import RetrievalSettings

_LOG: Final = logging.getLogger(__name__)
_POOL: Final = 100
_EMBED_TIMEOUT_S: Final = 2.0
# Chunks whose text is read for each passage asked for: room for repeated texts and documents.
_READ_PER_PASSAGE: Final = 4
# How often a search begins again because the site's embedder was switched meanwhile.
_REPEATS: Final = 3
# Below this many chunks a search takes less time than the way to a thread and back.
_INLINE_CHUNKS: Final = 300
_KEPT_SITES: Final = 10_000


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
class _EmbeddedQuestion:
    """The question's vector, or why there is none."""

    embedder: Embedder | None = None
    vector: Vectors | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class _VectorLeg:
    """What the vectors found; without an embedder they had no part."""

    embedder: Embedder | None = None
    question: Vectors | None = None
    nearest: tuple[tuple[str, float], ...] = ()
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


@dataclass(frozen=True, slots=True)
class _Asked:
    site_id: str
    question: str
    limit: int
    min_score: float
    clock: _Clock


class Searcher:
    """Finds passages in the knowledge of sites."""

    def __init__(
        self,
        database: Database,
        embedders: Iterable[Embedder],
        keyword_indexes: KeywordIndexes,
        settings: RetrievalSettings,
    ) -> None:
        self._database = database
        self._embedders = {embedder.name: embedder for embedder in embedders}
        self._keyword_indexes = keyword_indexes
        self._settings = settings
        self._question_vectors = QuestionVectors()
        # The embedder by which each site was last seen to be embedded.
        self._embedder_names: OrderedDict[str, str] = OrderedDict()

    async def find(
        self,
        site_id: str,
        question: str,
        *,
        limit: int | None = None,
        min_score: float | None = None,
    ) -> SearchResult:
        """The passages for the question; an empty result for a site without documents.

        ``limit`` and ``min_score`` are the settings' unless given. All passages are of one version
        of the site's documents.
        """
        if not question.strip():
            return SearchResult()
        settings = self._settings
        asked = _Asked(
            site_id,
            question,
            limit or settings.max_passages,
            settings.min_score if min_score is None else min_score,
            _Clock(),
        )
        for _ in range(_REPEATS):
            result = await self._search(asked)
            if result is not None:
                return result
        return SearchResult()

    async def _search(self, asked: _Asked) -> SearchResult | None:
        """What was found; None when it must be asked again.

        That is when the question was embedded by another embedder than the site, or when the site
        has chunks without postings, which are made then.
        """
        name = self._embedder_names.get(asked.site_id)
        # A provider may take long: the snapshot is opened after it has answered.
        embedded = _EmbeddedQuestion() if name is None else await self._embed(name, asked)
        async with self._database.snapshot() as connection:
            knowledge = await load_knowledge(connection, asked.site_id)
            if knowledge is None:
                return SearchResult()
            if knowledge.embedder != name:
                self._note_embedder(knowledge)
                return None
            if knowledge.is_indexed:
                return await self._search_snapshot(connection, knowledge, asked, embedded)
        await reindex(self._database, asked.site_id)
        return None

    async def _search_snapshot(
        self,
        connection: AsyncConnection,
        knowledge: Knowledge,
        asked: _Asked,
        embedded: _EmbeddedQuestion,
    ) -> SearchResult:
        index = await self._keyword_indexes.load(connection, knowledge)
        matches, leg = await _together(
            _find_by_keywords(index, asked),
            _find_by_vectors(connection, knowledge, embedded, asked.clock),
        )
        with asked.clock.measure("fuse"):
            return await _to_result(connection, knowledge, asked, (matches, leg))

    def _note_embedder(self, knowledge: Knowledge) -> None:
        self._embedder_names[knowledge.site_id] = knowledge.embedder
        self._embedder_names.move_to_end(knowledge.site_id)
        while len(self._embedder_names) > _KEPT_SITES:
            self._embedder_names.popitem(last=False)

    async def _embed(self, name: str, asked: _Asked) -> _EmbeddedQuestion:
        embedder = self._embedders.get(name)
        if embedder is None:
            return _EmbeddedQuestion(failure=f"embedder {name} is not configured")
        with asked.clock.measure("embed"):
            try:
                async with asyncio.timeout(_EMBED_TIMEOUT_S):
                    vector = await self._question_vectors.find(embedder, asked.question)
            except TimeoutError:
                failure = f"embedder did not answer within {_EMBED_TIMEOUT_S:g} s"
                return _EmbeddedQuestion(failure=failure)
            except RequestError as error:
                return _EmbeddedQuestion(failure=f"embedder failed: {error.message}")
        return _EmbeddedQuestion(embedder, vector)


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


async def _find_by_keywords(index: Bm25, asked: _Asked) -> KeywordMatches:
    with asked.clock.measure("keywords"):
        if len(index) <= _INLINE_CHUNKS:
            return index.find(asked.question, _POOL)
        return await asyncio.to_thread(index.find, asked.question, _POOL)


async def _find_by_vectors(
    connection: AsyncConnection, knowledge: Knowledge, embedded: _EmbeddedQuestion, clock: _Clock
) -> _VectorLeg:
    embedder, vector = embedded.embedder, embedded.vector
    if embedder is None or vector is None:
        return _VectorLeg(failure=embedded.failure)
    if knowledge.dimension not in {None, len(vector)}:
        return _VectorLeg(
            failure=f"embedder {knowledge.embedder} gives vectors of {len(vector)} numbers, "
            f"the documents have {knowledge.dimension}"
        )
    with clock.measure("vectors"):
        nearest = await find_nearest(connection, knowledge, vector, _POOL)
    return _VectorLeg(embedder, vector, tuple(nearest))


async def _to_result(
    connection: AsyncConnection,
    knowledge: Knowledge,
    asked: _Asked,
    legs: tuple[KeywordMatches, _VectorLeg],
) -> SearchResult:
    matches, leg = legs
    alpha, fused = await _fuse(connection, knowledge, matches, leg)
    best = [found for found in fused if found.score >= asked.min_score]
    best = best[: asked.limit * _READ_PER_PASSAGE]
    passages = tuple(choose(await load_passages(connection, asked.site_id, best), asked.limit))
    if leg.failure is not None:
        _LOG.warning("searched by keywords alone: %s", leg.failure)
    relevant = _is_relevant(matches, leg)
    return SearchResult(
        passages=passages if relevant else (),
        weak=() if relevant else passages,
        alpha=alpha,
        coverage=matches.coverage,
        timings_ms=asked.clock.timings_ms,
        degraded=leg.failure,
    )


async def _fuse(
    connection: AsyncConnection, knowledge: Knowledge, matches: KeywordMatches, leg: _VectorLeg
) -> tuple[float, list[FusedChunk]]:
    """The weight of the vectors, and all candidates with both exact scores."""
    ranked = [chunk_id for chunk_id, _ in matches.ranked]
    if leg.embedder is None or leg.question is None:
        return 0.0, fuse(Leg(ranked, dict(matches.ranked)), None, 0.0)
    cosines = dict(leg.nearest)
    unscored = [chunk_id for chunk_id in ranked if chunk_id not in cosines]
    cosines |= await score_chunks(connection, knowledge, leg.question, unscored)
    nearest = [chunk_id for chunk_id, _ in leg.nearest]
    keyword_scores = dict(matches.ranked)
    keyword_scores |= matches.score([one for one in nearest if one not in keyword_scores])
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
