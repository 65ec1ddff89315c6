"""The passages of a site that answer a question, by keywords and vectors together."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sitebrook.db.engine import Database
from sitebrook.db.snapshot import Snapshot
from sitebrook.errors import RequestError
from sitebrook.retrieval.context import join_neighbours
from sitebrook.retrieval.embedder import Embedder
from sitebrook.retrieval.fusion import FusedChunk
from sitebrook.retrieval.indexer import Indexer
from sitebrook.retrieval.keywords import KeywordIndexes
from sitebrook.retrieval.knowledge import Knowledge, ask_knowledge, to_knowledge
from sitebrook.retrieval.legs import (
    Clock,
    EmbeddedQuestion,
    Legs,
    ask_ahead,
    fuse_legs,
    search_both,
)
from sitebrook.retrieval.passages import Passage, load_passages
from sitebrook.retrieval.question_vectors import ProcessQuestionVectors, QuestionVectors
from sitebrook.retrieval.reindexing import reindex
from sitebrook.retrieval.reranking import Reranker, rerank
from sitebrook.retrieval.searched import to_searched
from sitebrook.retrieval.selection import choose
from sitebrook.retrieval.trace import Facts, SearchTrace, to_trace
from sitebrook.retrieval.within import load_within
from sitebrook.settings import RetrievalSettings

_LOG: Final = logging.getLogger(__name__)
_EMBED_TIMEOUT_S: Final = 2.0
# Chunks whose text is read for each passage asked for: room for repeated texts and documents.
_READ_PER_PASSAGE: Final = 4
# How often a search begins again because the site's embedder was switched meanwhile.
_REPEATS: Final = 3
_KEPT_SITES: Final = 10_000


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What was found, best first.

    ``passages`` are fit to answer from; it is empty when nothing relevant was found, and ``weak``
    then has the best of what there is. ``alpha`` is the weight of the vectors, ``coverage`` the
    share of the question that the best chunk holds by keywords. ``degraded`` says what could not
    be used, vectors or a reranker, and why. ``trace`` is there when it was asked for.
    """

    passages: tuple[Passage, ...] = ()
    weak: tuple[Passage, ...] = ()
    alpha: float = 0.0
    coverage: float = 0.0
    timings_ms: Mapping[str, float] = field(default_factory=dict[str, float])
    degraded: str | None = None
    trace: SearchTrace | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    site_id: str
    question: str
    limit: int
    min_score: float
    explains: bool
    clock: Clock
    document_ids: Sequence[str] | None = None
    chooses: bool = True
    reranks: bool = True


@dataclass(frozen=True, slots=True)
class Ranking:
    """All candidates for a question, best first, before any is read; see ``SearchResult``."""

    legs: Legs
    facts: Facts
    fused: Sequence[FusedChunk]
    timings_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class _Found:
    """A ranking, and the best of it as passages."""

    ranking: Ranking
    read: Sequence[Passage]
    failure: str | None


class Searcher:
    """Finds passages in the knowledge of sites.

    ``indexer`` makes the keyword index of a site that has none, of older words for one.
    """

    def __init__(  # noqa: PLR0913 - each is a part of its own
        self,
        database: Database,
        embedders: Iterable[Embedder],
        settings: RetrievalSettings,
        reranker: Reranker | None = None,
        question_vectors: QuestionVectors | None = None,
        indexer: Indexer | None = None,
    ) -> None:
        self._database = database
        self._indexer = indexer or Indexer()
        self._embedders = {embedder.name: embedder for embedder in embedders}
        self._keyword_indexes = KeywordIndexes(settings)
        self._settings = settings
        self._reranker = reranker
        self._question_vectors = question_vectors or ProcessQuestionVectors(settings.kept_questions)
        # The embedder and the dimension that each site was last seen with.
        self._seen: OrderedDict[str, Knowledge] = OrderedDict()

    async def find(  # noqa: PLR0913 - each narrows one search
        self,
        site_id: str,
        question: str,
        *,
        limit: int | None = None,
        min_score: float | None = None,
        explains: bool = False,
        document_ids: Sequence[str] | None = None,
    ) -> SearchResult:
        """The passages for the question; an empty result for a site without documents.

        ``limit`` and ``min_score`` are the settings' unless given; with ``document_ids`` only these
        are searched. Of a long question the beginning and the end are searched. All passages are of
        one version of the site's documents. Raises Unavailable while PostgreSQL does not answer.
        """
        if not question.strip():
            return SearchResult()
        settings = self._settings
        asked = _Asked(
            site_id,
            to_searched(question),
            limit or settings.max_passages,
            settings.min_score if min_score is None else min_score,
            explains,
            Clock(),
            document_ids,
        )
        return await self._repeat(asked)

    async def find_chunks(
        self,
        site_id: str,
        question: str,
        *,
        limit: int,
        document_ids: Sequence[str] | None = None,
        reranks: bool = True,
    ) -> tuple[Passage, ...]:
        """The best chunks as they are, of some documents or all: none left out, nothing joined.

        Their scores are comparable between questions: the fused one, times how much of the
        question the best of them is about, or what the reranker gave.
        """
        if not question.strip():
            return ()
        asked = _Asked(
            site_id,
            to_searched(question),
            limit,
            min_score=0.0,
            explains=False,
            clock=Clock(),
            document_ids=document_ids,
            chooses=False,
            reranks=reranks,
        )
        return (await self._repeat(asked)).passages

    def forget(self, site_id: str) -> None:
        """Lets go of what is kept in memory about documents that are no more."""
        self._keyword_indexes.forget(site_id)
        self._seen.pop(site_id, None)

    async def rank(self, site_id: str, question: str) -> Ranking | None:
        """All candidates for the question; None for a site without documents.

        What ``find`` chooses from, for those who measure it.
        """
        asked = _Asked(site_id, to_searched(question), 1, 0.0, explains=False, clock=Clock())
        for _ in range(_REPEATS):
            seen = self._seen.get(site_id)
            embedded = await self._embed(seen, asked)
            async with self._database.pipelined() as snapshot:
                knowledge, embedded = await _open(snapshot, seen, asked, embedded)
                if knowledge is None:
                    return None
                if _is_as_seen(knowledge, seen):
                    return await self._rank(snapshot, knowledge, asked, embedded)
            await self._prepare(knowledge)
        return None

    async def aclose(self) -> None:
        """Closes what the reranker holds open."""
        if self._reranker is not None:
            await self._reranker.aclose()

    async def _repeat(self, asked: _Asked) -> SearchResult:
        for _ in range(_REPEATS):
            result = await self._search(asked)
            if result is not None:
                return result
        return SearchResult()

    async def _search(self, asked: _Asked) -> SearchResult | None:
        """What was found; None when it must be asked again.

        That is when the question was embedded by another embedder than the site, when the site's
        vectors have become others, or when it has chunks without postings, which are made then.
        """
        seen = self._seen.get(asked.site_id)
        reranker = self._reranker if asked.reranks else None
        # A provider may take long: the snapshot is opened after it has answered.
        embedded = await self._embed(seen, asked)
        async with self._database.pipelined() as snapshot:
            knowledge, embedded = await _open(snapshot, seen, asked, embedded)
            if knowledge is None:
                return SearchResult()
            found = None
            if _is_as_seen(knowledge, seen):
                found = await self._find(snapshot, knowledge, asked, embedded)
                if reranker is None:
                    return await self._to_result(snapshot, asked, found)
        if found is None or reranker is None:
            await self._prepare(knowledge)
            return None
        found = await _rerank(reranker, asked, found)
        async with self._database.pipelined() as snapshot:
            return await self._to_result(snapshot, asked, found)

    async def _prepare(self, knowledge: Knowledge) -> None:
        self._note(knowledge)
        if not knowledge.is_indexed:
            await reindex(self._database, self._indexer, knowledge.site_id)

    async def _rank(
        self,
        snapshot: Snapshot,
        knowledge: Knowledge,
        asked: _Asked,
        embedded: EmbeddedQuestion,
    ) -> Ranking:
        index = self._keyword_indexes.find(knowledge)
        if index is None:
            index = await self._keyword_indexes.load(await snapshot.connection(), knowledge)
        if asked.document_ids is not None:
            within = await load_within(
                await snapshot.connection(), asked.site_id, asked.document_ids
            )
            embedded = replace(embedded, within=within)
        legs = await search_both(snapshot, knowledge, index, embedded, asked.clock)
        with asked.clock.measure("fuse"):
            by_rank = self._settings.fusion == "rrf"
            weight, fused = fuse_legs(knowledge, legs, by_rank=by_rank)
        facts = Facts(
            version=knowledge.version,
            chunks=len(index),
            embedder=knowledge.embedder,
            fusion=self._settings.fusion,
            weight=weight,
            candidates=len(fused),
            nearest=legs.nearest,
        )
        return Ranking(legs, facts, fused, asked.clock.timings_ms)

    async def _find(
        self,
        snapshot: Snapshot,
        knowledge: Knowledge,
        asked: _Asked,
        embedded: EmbeddedQuestion,
    ) -> _Found:
        ranking = await self._rank(snapshot, knowledge, asked, embedded)
        judged = self._reranker.candidates if self._reranker and asked.reranks else 0
        best = ranking.fused[: max(judged, asked.limit * _READ_PER_PASSAGE)]
        with asked.clock.measure("read"):
            weight = ranking.facts.weight.alpha
            read = await load_passages(snapshot, asked.site_id, best, weight)
        failure = ranking.legs.vectors.failure
        if failure is not None:
            _LOG.warning("searched by keywords alone: %s", failure)
        return _Found(ranking, read, failure)

    async def _to_result(self, snapshot: Snapshot, asked: _Asked, found: _Found) -> SearchResult:
        if not asked.chooses:
            return SearchResult(passages=_scored(found)[: asked.limit], degraded=found.failure)
        selection = choose(found.read, asked.limit, asked.min_score)
        with asked.clock.measure("context"):
            characters = self._settings.context_characters
            passages = await join_neighbours(snapshot, selection.chosen, characters)
        legs, facts = found.ranking.legs, found.ranking.facts
        relevant = legs.is_relevant()
        trace = None
        if asked.explains:
            trace = to_trace(facts, legs, found.read, selection)
        return SearchResult(
            passages=passages if relevant else (),
            weak=() if relevant else passages,
            alpha=facts.weight.alpha,
            coverage=legs.keywords.coverage,
            timings_ms=asked.clock.timings_ms,
            degraded=found.failure,
            trace=trace,
        )

    def _note(self, knowledge: Knowledge) -> None:
        self._seen[knowledge.site_id] = knowledge
        self._seen.move_to_end(knowledge.site_id)
        while len(self._seen) > _KEPT_SITES:
            self._seen.popitem(last=False)

    async def _embed(self, seen: Knowledge | None, asked: _Asked) -> EmbeddedQuestion:
        text = asked.question
        name = None if seen is None else seen.embedder
        embedder = self._embedders.get(name or "")
        if embedder is None:
            return EmbeddedQuestion(text, failure=f"embedder {name} is not configured")
        with asked.clock.measure("embed"):
            try:
                async with asyncio.timeout(_EMBED_TIMEOUT_S):
                    vector = await self._question_vectors.find(embedder, text)
            except TimeoutError:
                failure = f"embedder did not answer within {_EMBED_TIMEOUT_S:g} s"
                return EmbeddedQuestion(text, failure=failure)
            except RequestError as error:
                return EmbeddedQuestion(text, failure=f"embedder failed: {error.message}")
        return EmbeddedQuestion(text, embedder, vector)


async def _open(
    snapshot: Snapshot, seen: Knowledge | None, asked: _Asked, embedded: EmbeddedQuestion
) -> tuple[Knowledge | None, EmbeddedQuestion]:
    """What the site knows; its vectors are asked meanwhile, as if it were still as it was seen."""
    answer = ask_knowledge(snapshot, asked.site_id)
    if seen is not None and asked.document_ids is None:
        embedded = ask_ahead(snapshot, seen, embedded)
    return await to_knowledge(answer, asked.site_id), embedded


def _is_as_seen(knowledge: Knowledge, seen: Knowledge | None) -> bool:
    """Whether the site can be searched as it was seen; its documents may have changed."""
    return (
        seen is not None
        and knowledge.is_indexed
        and (knowledge.embedder, knowledge.dimension) == (seen.embedder, seen.dimension)
    )


def _scored(found: _Found) -> tuple[Passage, ...]:
    certainty = found.ranking.legs.certainty
    return tuple(
        one if one.rerank_score is not None else replace(one, score=one.score * certainty)
        for one in found.read
    )


async def _rerank(reranker: Reranker, asked: _Asked, found: _Found) -> _Found:
    with asked.clock.measure("rerank"):
        read, failure = await rerank(reranker, asked.question, found.read)
    failures = [one for one in (found.failure, failure) if one is not None]
    return replace(found, read=read, failure="; ".join(failures) or None)
