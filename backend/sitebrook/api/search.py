"""``/api/search``: the passages that a question finds, and why."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from sitebrook.access.gate import Caller
from sitebrook.access.limits import allowances_of_key
from sitebrook.api.schemas.search import (
    CandidateResponse,
    PassageResponse,
    SearchedResponse,
    SearchResponse,
    TraceResponse,
    WordResponse,
)
from sitebrook.errors import InvalidRequest
from sitebrook.parts import Parts
from sitebrook.providers.protocol import PromptMessage
from sitebrook.retrieval.passages import Passage
from sitebrook.retrieval.trace import SearchTrace


@get("/api/search", summary="Search a site's documents", tags=["documents"])
async def search(  # noqa: PLR0913 - each is a parameter of the address
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
    question: Annotated[str, QueryParameter(max_length=10_000)] = "",
    limit: Annotated[int | None, QueryParameter(ge=1, le=50)] = None,
    explain: FromQuery[bool] = False,
    earlier: Annotated[list[str] | None, QueryParameter(max_items=20)] = None,
) -> SearchResponse:
    """The passages that a model would be given; no model answers.

    ``earlier`` are the questions before this one, oldest first; a question that needs them is made
    whole first, as in a conversation, and ``searched`` tells what was searched.

    With ``explain=1`` it tells how the question was understood, what each word and both searches
    gave to each chunk that was looked at, and why it was left out.
    """
    # Not by the framework, which would look at it before the key.
    if not question.strip():
        raise InvalidRequest("A search needs a question.", param="question")
    await parts.limiter.count(allowances_of_key(server, parts.settings.limits))
    history = [PromptMessage(role="user", content=one) for one in earlier or ()]
    searched = await parts.follow_ups.to_standalone(question, history)
    found = await parts.searcher.find(server.site.id, searched.text, limit=limit, explains=explain)
    return SearchResponse(
        data=[_to_passage(one) for one in found.passages],
        weak=[_to_passage(one) for one in found.weak],
        degraded=found.degraded,
        timings_ms=dict(found.timings_ms),
        searched=SearchedResponse(
            text=searched.text,
            made_by=searched.made_by,
            why=searched.why,
            failure=searched.failure,
        ),
        trace=None if found.trace is None else _to_trace(found.trace),
    )


def _to_passage(passage: Passage) -> PassageResponse:
    fused = passage.fused
    return PassageResponse(
        chunk_id=passage.chunk_id,
        document_id=passage.document_id,
        title=passage.title,
        url=passage.url,
        headings=list(passage.headings),
        text=passage.text,
        language=passage.language,
        neighbours=passage.neighbours,
        score=passage.score,
        rerank_score=passage.rerank_score,
        keyword_score=fused.keyword_score,
        keyword_rank=fused.keyword_rank,
        keyword_part=fused.keyword_part,
        vector_score=fused.vector_score,
        vector_rank=fused.vector_rank,
        vector_part=fused.vector_part,
        vector_weight=passage.weight,
    )


def _to_trace(trace: SearchTrace) -> TraceResponse:
    facts = trace.facts
    return TraceResponse(
        version=facts.version,
        chunks=facts.chunks,
        embedder=facts.embedder,
        fusion=facts.fusion,
        languages=list(trace.languages),
        words=[
            WordResponse(
                forms=list(word.forms),
                idf=word.idf,
                weight=word.weight,
                chunks=word.chunks,
                is_stop_word=word.is_stop_word,
            )
            for word in trace.words
        ],
        coverage=trace.coverage,
        evidence=trace.evidence,
        nearest=facts.nearest,
        vector_weight=facts.weight.alpha,
        weight_reason=facts.weight.reason,
        candidates=facts.candidates,
        looked_at=[
            CandidateResponse(
                passage=_to_passage(one.passage), words=dict(one.words), left_out=one.left_out
            )
            for one in trace.passages
        ],
    )
