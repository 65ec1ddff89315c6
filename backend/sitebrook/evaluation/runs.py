"""Judged questions asked of a site: what each leg, both together and the baseline find."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Final

from sitebrook.errors import InvalidRequest
from sitebrook.evaluation.baseline import SplitBm25, join_by_rank
from sitebrook.evaluation.judged import JudgedSet
from sitebrook.evaluation.tuning import Candidates
from sitebrook.retrieval.chunk_texts import ChunkText
from sitebrook.retrieval.search import Ranking, Searcher

KEYWORDS: Final = "keywords"
VECTORS: Final = "vectors"
FUSED: Final = "both"
SPLIT: Final = "rank-bm25 on split words"
RECIPE: Final = "the same, vectors, RRF 60"

_FIRST: Final = "What do you offer?"

OnQuestion = Callable[[int, int], None]


@dataclass(slots=True)
class Runs:
    """What was found, by the name of a ranking, then by question: documents, best first.

    ``candidates`` has the chunks of each question with both scores; ``documents`` the document of
    each chunk; ``timings_ms`` what the phases of each question took, ``all`` and what
    is left of it, ``rest``, among them;
    ``failures`` how often vectors could not be used, by reason.
    """

    documents: Mapping[str, str]
    rankings: dict[str, dict[str, list[str]]] = field(
        default_factory=dict[str, dict[str, list[str]]]
    )
    candidates: dict[str, Candidates] = field(default_factory=dict[str, Candidates])
    timings_ms: list[Mapping[str, float]] = field(default_factory=list[Mapping[str, float]])
    failures: Counter[str] = field(default_factory=Counter[str])

    @property
    def unanswered(self) -> dict[str, int]:
        """How many questions each ranking found nothing for."""
        return {
            name: sum(not found for found in run.values()) for name, run in self.rankings.items()
        }

    def note(self, question: str, rankings: Mapping[str, Sequence[str]]) -> None:
        """Keeps rankings of chunks as rankings of documents, each at its best chunk."""
        for name, chunk_ids in rankings.items():
            folded = dict.fromkeys(self.documents[one] for one in chunk_ids)
            self.rankings.setdefault(name, {})[question] = list(folded)


async def ask_all(
    searcher: Searcher,
    site_id: str,
    judged: JudgedSet,
    texts: Sequence[ChunkText],
    *,
    on_question: OnQuestion,
) -> Runs:
    """Asks every question of the set one after the other; ``texts`` are the site's chunks.

    Raises InvalidRequest when the site has no documents, or none of those that the set judges.
    """
    if not texts:
        raise InvalidRequest("There are no documents to ask about; `sitebrook ingest` adds some.")
    runs = Runs(_to_documents(texts, judged))
    _check_judged(judged, set(runs.documents.values()))
    ids = [one.chunk_id for one in texts]
    split = await asyncio.to_thread(SplitBm25, ids, [one.text for one in texts])
    # Loads what the searches of a process share, which else the first question would pay for.
    await searcher.rank(site_id, _FIRST)
    for done, (name, question) in enumerate(judged.questions.items(), start=1):
        started = time.perf_counter()
        ranking = await searcher.rank(site_id, question)
        if ranking is None:
            raise InvalidRequest("The site's documents were removed meanwhile.")
        all_ms = (time.perf_counter() - started) * 1000
        runs.timings_ms.append(_with_rest(ranking.timings_ms, all_ms))
        runs.candidates[name] = ranking.fused
        if ranking.legs.vectors.failure is not None:
            runs.failures[ranking.legs.vectors.failure] += 1
        by_words = await asyncio.to_thread(split.find, question)
        runs.note(name, _to_rankings(ranking, by_words))
        on_question(done, len(judged.questions))
    return runs


def _check_judged(judged: JudgedSet, known: Set[str]) -> None:
    """Raises InvalidRequest when none of the judged documents is known: all would be 0."""
    wanted = {document for documents in judged.relevant.values() for document in documents}
    if not wanted & known:
        raise InvalidRequest(
            f"The site has none of the {len(wanted):,} judged documents: the set says "
            f"'{min(wanted)}', the site has '{min(known)}'. Choose the site with --site, or name "
            f"the documents as the site does."
        )


def _with_rest(timings_ms: Mapping[str, float], all_ms: float) -> dict[str, float]:
    """The phases and what they leave of the whole; keywords and vectors run at the same time."""
    alone = [timings_ms.get(name, 0.0) for name in ("embed", "fuse")]
    together = max(timings_ms.get(name, 0.0) for name in ("keywords", "vectors"))
    return {**timings_ms, "rest": max(0.0, all_ms - sum(alone) - together), "all": all_ms}


def _to_rankings(ranking: Ranking, by_words: Sequence[str]) -> dict[str, Sequence[str]]:
    keywords = [chunk_id for chunk_id, _ in ranking.legs.keywords.ranked]
    vectors = [chunk_id for chunk_id, _ in ranking.legs.vectors.nearest]
    return {
        KEYWORDS: keywords,
        VECTORS: vectors,
        FUSED: [one.chunk_id for one in ranking.fused],
        SPLIT: by_words,
        RECIPE: join_by_rank(by_words, vectors),
    }


def _to_documents(texts: Sequence[ChunkText], judged: JudgedSet) -> dict[str, str]:
    """The document of each chunk as the set names it, else by its source."""
    named = {document for documents in judged.relevant.values() for document in documents}
    found: dict[str, str] = {}
    for one in texts:
        if one.document_id not in found:
            known = (name for name in _names(one) if name in named)
            found[one.document_id] = next(known, one.source)
    return {one.chunk_id: found[one.document_id] for one in texts}


def _names(one: ChunkText) -> Iterator[str]:
    """What a set may call the document: source, id, address, or how its source ends."""
    yield from (one.source, one.document_id)
    if one.url is not None:
        yield one.url
    for at, character in enumerate(one.source):
        if character in "/:":
            yield one.source[at + 1 :]
