"""Two rankings of chunks made one, with the scores of both kept beside the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

# Weights of the vector leg, from DESIGN: where the embedder does not know the language, and the
# line along which it falls as the keywords cover more of the question. Measured on 13 sets with
# MiniLM: 1.003 times the better leg; RRF with 60 reached 0.82 of it.
UNCOVERED_WEIGHT: Final = 0.2
_LEAST_WEIGHT: Final = 0.4
_WEIGHT_RANGE: Final = 0.5
_RANK_CONSTANT: Final = 60

# From where a question counts as one that the site can answer. On five sets 99 % of the judged
# questions lie above each line; of the questions of another set 26 % lie above the first, 14 %
# above the second. The third only adds to an embedder's own judgement.
_EVIDENCE: Final = 0.28
_EVIDENCE_AND_SPELLING: Final = 0.66
_SPELLING_WEIGHT: Final = 1.5
_EVIDENCE_BESIDE_MEANING: Final = 0.5


class FusedChunk(NamedTuple):
    """A chunk with its fused score (0 to 1) and what it is made of; ranks begin at 1.

    ``keyword_part`` and ``vector_part`` are what the legs give to the score. A rank is None when
    the chunk was not among the best of that leg; the score still counts.
    """

    chunk_id: str
    score: float
    keyword_part: float
    keyword_score: float
    keyword_rank: int | None
    vector_part: float
    vector_score: float | None
    vector_rank: int | None


class Weight(NamedTuple):
    """The weight of the vector leg, 0 to 1, and what decided it."""

    alpha: float
    reason: Literal["site", "embedder", "language", "coverage", "keywords alone"]


@dataclass(frozen=True, slots=True)
class Leg:
    """One ranking: its chunks, best first, and the exact score of every candidate it knows."""

    ranked: Sequence[str]
    scores: Mapping[str, float]

    def ranks(self) -> dict[str, int]:
        """The rank of each ranked chunk, from 1."""
        return {chunk_id: rank for rank, chunk_id in enumerate(self.ranked, start=1)}


def vector_weight(
    coverage: float, of_site: float | None, of_embedder: float | None, *, covers_language: bool
) -> Weight:
    """The weight of the vector leg for a question that keywords cover so far.

    The site's own comes first, then the embedder's.
    """
    if of_site is not None:
        return Weight(of_site, "site")
    if of_embedder is not None:
        return Weight(of_embedder, "embedder")
    if not covers_language:
        return Weight(UNCOVERED_WEIGHT, "language")
    return Weight(_LEAST_WEIGHT + _WEIGHT_RANGE * (1 - coverage), "coverage")


def is_relevant(evidence: float, cosine: float | None, floor: float | None) -> bool:
    """Whether what was found is about the question at all; fused scores cannot tell.

    ``evidence`` is the share of the question's subject that one of the best chunks holds by
    keywords, ``cosine`` that of the nearest chunk (None: no vectors), ``floor`` the cosine that
    the embedder calls relevant (None: it compares spelling only).
    """
    if cosine is None:
        return evidence >= _EVIDENCE
    if floor is None:
        return evidence + _SPELLING_WEIGHT * cosine >= _EVIDENCE_AND_SPELLING
    return cosine >= floor or evidence >= _EVIDENCE_BESIDE_MEANING


def fuse(keywords: Leg, vectors: Leg | None, alpha: float) -> list[FusedChunk]:
    """All candidates, best first: (1 - alpha) * keywords + alpha * vectors, each scaled to 0..1.

    The scale runs from the worst to the best candidate of the union. Without a vector leg the
    keywords decide alone.
    """
    candidates = _candidates(keywords, vectors)
    weight = alpha if vectors else 0.0
    by_keyword = _scaled(candidates, keywords.scores)
    by_vector = _scaled(candidates, vectors.scores) if vectors else {}
    parts = {
        chunk_id: ((1 - weight) * by_keyword[chunk_id], weight * by_vector.get(chunk_id, 0.0))
        for chunk_id in candidates
    }
    return _to_chunks(parts, keywords, vectors)


def fuse_by_rank(keywords: Leg, vectors: Leg | None) -> list[FusedChunk]:
    """All candidates, best first by reciprocal ranks, 1 / (60 + rank), scaled to 0..1.

    Equal weight for both legs, whatever their scores: it loses to the better leg on most sets, and
    needs nothing to be known about either.
    """
    keyword_ranks = keywords.ranks()
    vector_ranks = vectors.ranks() if vectors else {}
    share = (_RANK_CONSTANT + 1) / (2 if vectors else 1)

    def part(rank: int | None) -> float:
        return 0.0 if rank is None else share / (_RANK_CONSTANT + rank)

    parts = {
        chunk_id: (part(keyword_ranks.get(chunk_id)), part(vector_ranks.get(chunk_id)))
        for chunk_id in _candidates(keywords, vectors)
    }
    return _to_chunks(parts, keywords, vectors)


def _candidates(keywords: Leg, vectors: Leg | None) -> list[str]:
    return list(dict.fromkeys([*keywords.ranked, *(vectors.ranked if vectors else ())]))


def _scaled(candidates: Sequence[str], scores: Mapping[str, float]) -> dict[str, float]:
    values = [scores.get(chunk_id, 0.0) for chunk_id in candidates]
    if not values:
        return {}
    low, high = min(values), max(values)
    if high <= low:
        # One candidate, or all alike: they count fully if there is anything in them.
        return dict.fromkeys(candidates, 1.0 if high > 0 else 0.0)
    return {
        chunk_id: (value - low) / (high - low)
        for chunk_id, value in zip(candidates, values, strict=True)
    }


def _to_chunks(
    parts: Mapping[str, tuple[float, float]], keywords: Leg, vectors: Leg | None
) -> list[FusedChunk]:
    keyword_rank = keywords.ranks().get
    keyword_score = keywords.scores.get
    vector_rank = vectors.ranks().get if vectors else _nothing
    vector_score = vectors.scores.get if vectors else _nothing
    chunks = [
        FusedChunk(
            chunk_id,
            by_keyword + by_vector,
            by_keyword,
            keyword_score(chunk_id, 0.0),
            keyword_rank(chunk_id),
            by_vector,
            vector_score(chunk_id),
            vector_rank(chunk_id),
        )
        for chunk_id, (by_keyword, by_vector) in parts.items()
    ]
    return sorted(chunks, key=lambda chunk: (-chunk[1], -chunk[3], chunk[0]))


def _nothing(_chunk_id: str) -> None:
    """What a leg that is missing knows of a chunk."""
