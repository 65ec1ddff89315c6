"""The wire of searches."""

from __future__ import annotations

from typing import Literal

import msgspec


class PassageResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A passage, and why it was found.

    ``score`` (0 to 1) is ``keyword_part`` plus ``vector_part``, or the reranker's. A rank is null
    when that search did not have the chunk among its best; its score still counts. ``neighbours``
    of the chunk are joined to its text.
    """

    chunk_id: str
    document_id: str
    title: str
    url: str | None
    headings: list[str]
    text: str
    language: str
    neighbours: int
    score: float
    rerank_score: float | None
    keyword_score: float
    keyword_rank: int | None
    keyword_part: float
    vector_score: float | None
    vector_rank: int | None
    vector_part: float
    vector_weight: float


class WordResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A word of the question in its forms; ``chunks`` of the site hold it."""

    forms: list[str]
    idf: float
    weight: float
    chunks: int
    is_stop_word: bool


class CandidateResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk that was looked at; ``left_out`` says why it is no passage, null for passages.

    ``words`` has the question's words that it holds with what each adds to its keyword score.
    """

    passage: PassageResponse
    words: dict[str, float]
    left_out: str | None


class TraceResponse(msgspec.Struct, frozen=True, kw_only=True):
    """How the question was understood and weighed.

    ``version`` counts the changes of the site's documents, ``chunks`` their chunks.
    ``weight_reason`` is what decided the weight of the vectors: the site, the embedder, its
    languages, the coverage, or that keywords were alone. ``nearest`` is the best cosine.
    """

    version: int
    chunks: int
    embedder: str
    fusion: str
    languages: list[str]
    words: list[WordResponse]
    coverage: float
    evidence: float
    nearest: float | None
    vector_weight: float
    weight_reason: str
    candidates: int
    looked_at: list[CandidateResponse]


class SearchedResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The question as it was searched.

    ``made_by`` is ``question`` when that is the question itself, else what made it of the earlier
    ones and ``why``. ``failure`` says why the model that is set for it did not.
    """

    text: str
    made_by: Literal["question", "rule", "model"]
    why: str
    failure: str


class SearchResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The passages for a question, best first.

    When nothing found is about the question, ``data`` is empty and ``weak`` has the best of it.
    ``degraded`` says what could not be used. ``trace`` is there with ``explain``.
    """

    data: list[PassageResponse]
    weak: list[PassageResponse]
    degraded: str | None
    timings_ms: dict[str, float]
    searched: SearchedResponse
    trace: TraceResponse | None = None
    object: Literal["list"] = "list"
