"""Chunking, search, and the endpoint that judges passages again."""

from __future__ import annotations

import dataclasses
from typing import Final

from sitebrook.errors import StartError
from sitebrook.settings.fields import setting

_SCHEMES: Final = ("http://", "https://")
_FUSIONS: Final = ("weighted", "rrf")


@dataclasses.dataclass(frozen=True, slots=True)
class RetrievalSettings:
    """Chunking and search."""

    chunk_characters: int = setting(
        800, "SITEBROOK_CHUNK_CHARACTERS", "target size of a chunk", least=50
    )
    overlap_characters: int = setting(
        160, "SITEBROOK_OVERLAP_CHARACTERS", "overlap of chunks inside one section"
    )
    max_passages: int = setting(6, "SITEBROOK_MAX_PASSAGES", "passages given to the model", least=1)
    min_score: float = setting(
        0.0, "SITEBROOK_MIN_SCORE", "passages with a fused score below this are left out (0 to 1)"
    )
    context_characters: int = setting(
        6_000,
        "SITEBROOK_CONTEXT_CHARACTERS",
        "where passages are shorter together, the text around them is added up to this length",
        least=0,
    )
    fusion: str = setting(
        "weighted", "SITEBROOK_FUSION", "how both rankings are joined: weighted or rrf"
    )
    bm25_k1: float = setting(1.2, "SITEBROOK_BM25_K1", "BM25 term frequency saturation", least=0)
    bm25_b: float = setting(0.75, "SITEBROOK_BM25_B", "BM25 length normalisation (0 to 1)", least=0)
    keyword_cache_mb: int = setting(
        512, "SITEBROOK_KEYWORD_CACHE_MB", "memory of a process for keyword indexes", least=1
    )
    kept_questions: int = setting(
        2_000, "SITEBROOK_KEPT_QUESTIONS", "questions whose vectors a process keeps", least=0
    )


@dataclasses.dataclass(frozen=True, slots=True)
class RerankSettings:
    """An endpoint of the form of ``/v1/rerank``; without a model there is none."""

    model: str | None = setting(
        None, "SITEBROOK_RERANK_MODEL", "model that puts passages in order again; unset: none"
    )
    base_url: str | None = setting(
        None, "SITEBROOK_RERANK_BASE_URL", "its base URL; requests go to /rerank under it"
    )
    api_key: str | None = setting(
        None, "SITEBROOK_RERANK_API_KEY", "key for that endpoint", is_secret=True
    )
    candidates: int = setting(
        24, "SITEBROOK_RERANK_CANDIDATES", "passages given to the model that reranks", least=1
    )
    timeout_s: float = setting(
        1.0,
        "SITEBROOK_RERANK_TIMEOUT_S",
        "after this long, passages stay in the order that they had",
        least=0.001,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class FollowUpSettings:
    """How a question that needs the turns before it is made whole for the search."""

    model: str | None = setting(
        None,
        "SITEBROOK_FOLLOW_UP_MODEL",
        "model that makes follow-up questions whole; unset: a rule alone",
    )
    timeout_s: float = setting(
        2.0,
        "SITEBROOK_FOLLOW_UP_TIMEOUT_S",
        "after this long, the rule makes them whole",
        least=0.001,
    )


def check_retrieval(settings: RetrievalSettings, rerank: RerankSettings) -> None:
    """Raises StartError for values that contradict each other or name nothing."""
    if not 0 <= settings.overlap_characters < settings.chunk_characters:
        raise StartError("SITEBROOK_OVERLAP_CHARACTERS must be below SITEBROOK_CHUNK_CHARACTERS.")
    if settings.fusion not in _FUSIONS:
        raise StartError(f"SITEBROOK_FUSION is {settings.fusion!r}; use weighted or rrf.")
    if bool(rerank.model) != bool(rerank.base_url):
        raise StartError("Set both SITEBROOK_RERANK_MODEL and SITEBROOK_RERANK_BASE_URL, or none.")
    if rerank.base_url and not rerank.base_url.startswith(_SCHEMES):
        raise StartError("SITEBROOK_RERANK_BASE_URL must begin with http:// or https://.")
