"""The trace of a search as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sitebrook.chat.standalone import Standalone
from sitebrook.retrieval.fusion import Weight
from sitebrook.retrieval.trace import SearchTrace, TracedPassage

_REASONS: Final = {
    "site": "the site's own",
    "embedder": "the embedder's own",
    "language": "the embedder does not know the language",
    "coverage": "by the coverage",
    "keywords alone": "keywords alone",
}


def to_searched(searched: Standalone) -> str:
    """What was searched for the question, and who made it."""
    if searched.made_by == "question":
        return "Searched    the question as it is"
    failure = f"; {searched.failure}" if searched.failure else ""
    made = f"made by the {searched.made_by}: {searched.why}{failure}"
    return f"Searched    {searched.text}\n            {made}"


def to_explanation(trace: SearchTrace) -> str:
    """How the question was understood, and where each candidate's score comes from."""
    return "\n".join([*_to_facts(trace), "", *_to_words(trace), "", *_to_candidates(trace)])


def _to_facts(trace: SearchTrace) -> Iterator[str]:
    facts = trace.facts
    languages = ", ".join(trace.languages) or "none"
    yield f"Documents   version {facts.version}, {facts.chunks:,} chunks in {languages}"
    nearest = "" if facts.nearest is None else f", nearest vector {facts.nearest:.3f}"
    relevant = "relevant" if trace.is_relevant else "not relevant"
    yield (
        f"Question    coverage {trace.coverage:.2f}, evidence {trace.evidence:.2f}{nearest}: "
        f"{relevant}"
    )
    yield f"Joined      {facts.candidates} candidates, {_to_fusion(facts.fusion, facts.weight)}"
    yield f"Embedder    {facts.embedder}"


def _to_fusion(fusion: str, weight: Weight) -> str:
    if fusion == "rrf":
        return "by reciprocal ranks"
    return f"weight of the vectors {weight.alpha:.2f} ({_REASONS[weight.reason]})"


def _to_words(trace: SearchTrace) -> Iterator[str]:
    yield "Words of the question: forms, idf, weight, chunks that hold it"
    for word in trace.words:
        mark = "  (function word)" if word.is_stop_word else ""
        forms = "/".join(word.forms)
        yield f"  {forms:<24} {word.idf:6.2f} {word.weight:5.1f} {word.chunks:8,}{mark}"


def _to_candidates(trace: SearchTrace) -> Iterator[str]:
    yield "Candidates: score = keywords + vectors (BM25, rank; cosine, rank)"
    for number, traced in enumerate(trace.passages, start=1):
        yield from _to_candidate(number, traced)


def _to_candidate(number: int, traced: TracedPassage) -> Iterator[str]:
    passage, fused = traced.passage, traced.passage.fused
    place = " > ".join((passage.title, *passage.headings))
    left_out = f"  left out: {traced.left_out}" if traced.left_out else ""
    yield f"{number:3}. {passage.score:.3f}  {place}{left_out}"
    cosine = "none" if fused.vector_score is None else f"{fused.vector_score:.3f}"
    again = "" if passage.rerank_score is None else f"; reranked {passage.rerank_score:.3f}"
    yield (
        f"     {fused.score:.3f} = {fused.keyword_part:.3f} + {fused.vector_part:.3f}"
        f"  ({fused.keyword_score:.2f}, {_to_rank(fused.keyword_rank)};"
        f" {cosine}, {_to_rank(fused.vector_rank)}){again}"
    )
    if traced.words:
        shares = sorted(traced.words.items(), key=lambda share: -share[1])
        yield "     " + ", ".join(f"{word} {share:.2f}" for word, share in shares)


def _to_rank(rank: int | None) -> str:
    return "not among the best" if rank is None else f"rank {rank}"
