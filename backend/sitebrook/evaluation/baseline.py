"""What others do: rank-bm25 over words split at spaces, joined with the vectors by ranks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final, cast

import numpy as np

_POOL: Final = 100
_RANK_CONSTANT: Final = 60


class SplitBm25:
    """rank-bm25 as its README shows it: words are what stands between spaces."""

    def __init__(self, chunk_ids: Sequence[str], texts: Sequence[str]) -> None:
        import rank_bm25

        self._chunk_ids = chunk_ids
        self._bm25: Any = cast("Any", rank_bm25).BM25Okapi([text.split() for text in texts])

    def find(self, question: str) -> list[str]:
        """The ids of the best chunks, best first."""
        scores = np.asarray(self._bm25.get_scores(question.split()))
        best: list[int] = np.argsort(-scores, kind="stable")[:_POOL].tolist()
        return [self._chunk_ids[at] for at in best if scores[at] > 0]


def join_by_rank(*rankings: Sequence[str]) -> list[str]:
    """Reciprocal rank fusion with 60 and equal weights."""
    sums: defaultdict[str, float] = defaultdict(float)
    for ranking in rankings:
        for rank, chunk_id in enumerate(ranking, start=1):
            sums[chunk_id] += 1 / (_RANK_CONSTANT + rank)
    return sorted(sums, key=lambda chunk_id: (-sums[chunk_id], chunk_id))
