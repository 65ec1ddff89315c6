"""Which of the passages found go into the prompt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sitebrook.retrieval.passages import Passage

# Of one document at most, unless there are not enough others.
DOCUMENT_SHARE: Final = 0.4
# Texts that share so much of the shorter one say the same twice; chunks that overlap share less.
_REPEATED_SHARE: Final = 0.8
_SHINGLE: Final = 3

_Shingles = frozenset[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Selection:
    """The chosen passages, best first, and why each other one was left out, by chunk."""

    chosen: tuple[Passage, ...]
    left_out: dict[str, str]


def choose(passages: Sequence[Passage], limit: int, min_score: float) -> Selection:
    """The best passages from ``min_score`` on: no text twice, not too much of one document.

    ``passages`` are best first. Those of a document that has its share already come in where
    others are missing.
    """
    chosen: list[Passage] = []
    spare: list[Passage] = []
    left_out: dict[str, str] = {}
    shingles: list[_Shingles] = []
    of_document: Counter[str] = Counter()
    for passage in passages:
        if passage.score < min_score:
            left_out[passage.chunk_id] = "score too low"
            continue
        if len(chosen) == limit:
            left_out[passage.chunk_id] = "limit reached"
            continue
        own = to_shingles(passage.text)
        if any(is_repeat(own, other) for other in shingles):
            left_out[passage.chunk_id] = "says the same as a better one"
        else:
            shingles.append(own)
            of_document[passage.document_id] += 1
            is_spare = of_document[passage.document_id] > max(1, int(limit * DOCUMENT_SHARE))
            (spare if is_spare else chosen).append(passage)
    best = [*chosen, *spare[: limit - len(chosen)]]
    kept = {one.chunk_id for one in best}
    others = (one.chunk_id for one in spare if one.chunk_id not in kept)
    left_out |= dict.fromkeys(others, "enough of its document")
    return Selection(tuple(sorted(best, key=lambda one: -one.score)), left_out)


def to_shingles(text: str) -> _Shingles:
    """All runs of three words; a shorter text is one run."""
    words = text.casefold().split()
    if len(words) <= _SHINGLE:
        return frozenset([tuple(words)])
    return frozenset(zip(words, words[1:], words[2:], strict=False))


def is_repeat(first: _Shingles, second: _Shingles) -> bool:
    """Whether one text holds nearly all of the other."""
    return len(first & second) >= _REPEATED_SHARE * min(len(first), len(second))
