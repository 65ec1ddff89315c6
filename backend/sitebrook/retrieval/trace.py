"""Why a search found what it found, for those who ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sitebrook.retrieval.bm25 import QuestionWord
from sitebrook.retrieval.fusion import Weight
from sitebrook.retrieval.legs import Legs
from sitebrook.retrieval.passages import Passage
from sitebrook.retrieval.selection import Selection


@dataclass(frozen=True, slots=True)
class Facts:
    """What a search knows of the question before it chooses passages."""

    version: int
    chunks: int
    embedder: str
    fusion: str
    weight: Weight
    candidates: int
    nearest: float | None


@dataclass(frozen=True, slots=True)
class TracedPassage:
    """A candidate that was read: what each word of the question gave, and what became of it.

    ``words`` has the words that it holds with their share of its keyword score; ``left_out`` is
    None for those that were chosen.
    """

    passage: Passage
    words: Mapping[str, float]
    left_out: str | None


@dataclass(frozen=True, slots=True)
class SearchTrace:
    """How a question was understood and weighed.

    ``version`` and ``chunks`` are the site's; ``candidates`` is how many chunks either leg had
    among its best; ``nearest`` is the best cosine.
    """

    facts: Facts
    languages: tuple[str, ...]
    words: tuple[QuestionWord, ...]
    coverage: float
    evidence: float
    is_relevant: bool
    passages: tuple[TracedPassage, ...]


def to_trace(
    facts: Facts, legs: Legs, read: Sequence[Passage], selection: Selection
) -> SearchTrace:
    """The trace of a search whose candidates are ``read``."""
    matches = legs.keywords
    shares = matches.shares([one.chunk_id for one in read])
    names = ["/".join(word.forms) for word in matches.words]
    traced = [
        TracedPassage(
            one,
            {name: share for name, share in zip(names, shares[one.chunk_id], strict=True) if share},
            selection.left_out.get(one.chunk_id),
        )
        for one in read
    ]
    return SearchTrace(
        facts=facts,
        languages=matches.languages,
        words=matches.words,
        coverage=matches.coverage,
        evidence=matches.evidence,
        is_relevant=legs.is_relevant(),
        passages=tuple(traced),
    )
