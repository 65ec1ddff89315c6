"""The weight of the vectors that suits judged questions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sitebrook.errors import InvalidRequest
from sitebrook.evaluation.measures import Relevant, measure_ndcg
from sitebrook.retrieval.fusion import FusedChunk, Leg, fuse

WEIGHTS: Final = tuple(step / 20 for step in range(21))
# Below this many questions a weight is chance.
LEAST_QUESTIONS: Final = 30
# A weight within this of the best is as good; the one nearest to the middle of those is taken.
_AS_GOOD: Final = 0.002

# Candidates of a question with both scores.
Candidates = Sequence[FusedChunk]


@dataclass(frozen=True, slots=True)
class Tuning:
    """The best weight, what it reaches, and what the rule reaches (nDCG@10).

    ``held_out`` is reached on each half of the questions by the weight that is best on the other:
    what to expect of it for questions that nobody judged. ``curve`` has every weight.
    """

    weight: float
    reached: float
    held_out: float
    by_rule: float
    curve: Mapping[float, float]

    @property
    def is_better(self) -> bool:
        """Whether it can be expected to do better than the rule."""
        return self.held_out > self.by_rule


def check_questions(relevant: Relevant) -> None:
    """Raises InvalidRequest when there are too few questions to find a weight by."""
    if len(relevant) < LEAST_QUESTIONS:
        raise InvalidRequest(
            f"A weight found by {len(relevant)} questions is chance; judge at least "
            f"{LEAST_QUESTIONS}."
        )


def tune(
    relevant: Relevant,
    candidates: Mapping[str, Candidates],
    documents: Mapping[str, str],
    by_rule: Mapping[str, Sequence[str]],
) -> Tuning:
    """The weight for these questions; ``documents`` has the document of each chunk."""
    runs = {
        weight: {name: _rank(found, weight, documents) for name, found in candidates.items()}
        for weight in WEIGHTS
    }
    halves = [{name: relevant[name] for name in relevant if _half(name) == half} for half in (0, 1)]
    curves = [
        {weight: measure_ndcg(half, run) if half else 0.0 for weight, run in runs.items()}
        for half in halves
    ]
    sizes = [len(half) for half in halves]
    curve = {weight: _mean([one[weight] for one in curves], sizes) for weight in WEIGHTS}
    crossed = [curves[1][_best(curves[0])], curves[0][_best(curves[1])]]
    weight = _best(curve)
    return Tuning(
        weight=weight,
        reached=curve[weight],
        held_out=_mean(crossed, sizes[::-1]),
        by_rule=measure_ndcg(relevant, by_rule),
        curve=curve,
    )


def _rank(found: Candidates, weight: float, documents: Mapping[str, str]) -> list[str]:
    names = [one.chunk_id for one in found]
    keywords = Leg(names, {one.chunk_id: one.keyword_score for one in found})
    vectors = Leg(names, {one.chunk_id: one.vector_score or 0.0 for one in found})
    fused = fuse(keywords, vectors, weight)
    return list(dict.fromkeys(documents[one.chunk_id] for one in fused))


def _half(name: str) -> int:
    """0 or 1 by the question's id alone, so that the halves stay the same when others come."""
    return hashlib.sha256(name.encode()).digest()[0] % 2


def _best(curve: Mapping[float, float]) -> float:
    highest = max(curve.values())
    good = [weight for weight, value in curve.items() if value >= highest - _AS_GOOD]
    return good[len(good) // 2]


def _mean(values: Sequence[float], sizes: Sequence[int]) -> float:
    total = sum(sizes)
    weighed = zip(values, sizes, strict=True)
    return sum(value * size for value, size in weighed) / total if total else 0.0
