"""A set of judged questions measured on a site, the owner's or one made of the set's documents."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from sitebrook.access.sites import NewSite, Site, create_site, find_site
from sitebrook.db.engine import Database
from sitebrook.errors import InvalidRequest
from sitebrook.evaluation.judged import JudgedDocument, JudgedSet
from sitebrook.evaluation.measures import NDCG, measure
from sitebrook.evaluation.runs import FUSED, KEYWORDS, RECIPE, VECTORS, Runs, ask_all
from sitebrook.evaluation.tuning import Tuning, check_questions, tune
from sitebrook.ingestion.ingest import Ingester, Refusal
from sitebrook.ingestion.loaders import RawDocument
from sitebrook.retrieval.chunk_texts import load_chunk_texts
from sitebrook.retrieval.documents import prune
from sitebrook.retrieval.search import Searcher

_AT_ONCE: Final = 4
_UNKNOWN_SHOWN: Final = 5

OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Measured:
    """What is measured: what takes documents in, and what finds them again.

    ``embedder`` is the name of the embedder of new sites.
    """

    database: Database
    ingester: Ingester
    searcher: Searcher
    embedder: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """For each ranking each measure, and how many questions found nothing.

    ``unknown`` judged documents are not among the site's, ``unknown_names`` are the first few of
    them. ``latency_ms`` has the median and the 95th percentile of each phase; ``failure`` says why
    and how often vectors were not used.
    """

    name: str
    documents: int
    chunks: int
    questions: int
    unknown: int
    unknown_names: tuple[str, ...]
    measures: Mapping[str, Mapping[str, float]]
    unanswered: Mapping[str, int]
    latency_ms: Mapping[str, tuple[float, float]]
    failure: str | None
    tuning: Tuning | None

    def ratio(self, first: str, second: str) -> float:
        """How the nDCG@10 of one ranking compares with that of another; 0 beside nothing."""
        other = self.measures[second][NDCG]
        return self.measures[first][NDCG] / other if other else 0.0

    @property
    def of_better_leg(self) -> float:
        """Both together beside the better leg alone."""
        better = max((KEYWORDS, VECTORS), key=lambda name: self.measures[name][NDCG])
        return self.ratio(FUSED, better)

    @property
    def of_recipe(self) -> float:
        """Both together beside the baseline."""
        return self.ratio(FUSED, RECIPE)


async def fill_site(measured: Measured, judged: JudgedSet, on_progress: OnProgress) -> Site:
    """A site with the set's documents and no others, taken in as any site's are.

    The site of an earlier run is used again: what is unchanged is neither read nor embedded.
    """
    key = f"{judged.place}\0{measured.embedder}"
    name = f"eval {hashlib.sha256(key.encode()).hexdigest()[:16]}"
    async with measured.database.begin() as connection:
        site = await find_site(connection, name)
        if site is None:
            site = await create_site(connection, NewSite(name=name))
    await prune(measured.database, site.id, [one.id for one in judged.documents], under=[""])
    await _take_in(measured, site, judged, on_progress)
    return site


async def evaluate(
    measured: Measured, site_id: str, judged: JudgedSet, *, tunes: bool, on_progress: OnProgress
) -> Evaluation:
    """The measures of the set's questions on a site that has its documents.

    Raises InvalidRequest when there is nothing to ask about, or too little to tune by.
    """
    if tunes:
        check_questions(judged.relevant)
    texts = await load_chunk_texts(measured.database, site_id)

    def note(done: int, total: int) -> None:
        on_progress("questions", done, total)

    runs = await ask_all(measured.searcher, site_id, judged, texts, on_question=note)
    known = set(runs.documents.values())
    wanted = {document for documents in judged.relevant.values() for document in documents}
    return Evaluation(
        name=judged.name,
        documents=len(known),
        chunks=len(texts),
        questions=len(judged.questions),
        unknown=len(wanted - known),
        unknown_names=tuple(sorted(wanted - known)[:_UNKNOWN_SHOWN]),
        measures={name: measure(judged.relevant, run) for name, run in runs.rankings.items()},
        unanswered=runs.unanswered,
        latency_ms=_to_latency(runs),
        failure=_to_failure(runs),
        tuning=await asyncio.to_thread(_tune, judged, runs) if tunes else None,
    )


async def _take_in(
    measured: Measured, site: Site, judged: JudgedSet, on_progress: OnProgress
) -> None:
    waiting = iter(judged.documents)
    done = 0

    async def work() -> None:
        nonlocal done
        for document in waiting:
            outcome = await measured.ingester.take_in(site, _to_raw(document))
            if isinstance(outcome, Refusal) and document.text.strip():
                raise InvalidRequest(f"Document '{document.id}' of the set: {outcome.reason}")
            done += 1
            on_progress("documents", done, len(judged.documents))

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(work())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


def _to_raw(document: JudgedDocument) -> RawDocument:
    return RawDocument(
        document.id, document.text, "text/plain", document.title or None, document.url
    )


def _tune(judged: JudgedSet, runs: Runs) -> Tuning:
    if runs.failures:
        raise InvalidRequest("There is no weight to be found while vectors cannot be used.")
    return tune(judged.relevant, runs.candidates, runs.documents, runs.rankings[FUSED])


def _to_failure(runs: Runs) -> str | None:
    counted = [f"{reason} ({count} questions)" for reason, count in runs.failures.items()]
    return "; ".join(counted) or None


def _to_latency(runs: Runs) -> dict[str, tuple[float, float]]:
    phases = dict.fromkeys(name for timings in runs.timings_ms for name in timings)
    latency: dict[str, tuple[float, float]] = {}
    for name in phases:
        values = sorted(timings.get(name, 0.0) for timings in runs.timings_ms)
        latency[name] = values[len(values) // 2], values[int(len(values) * 0.95)]
    return latency
