"""Texts judged by a question, by any endpoint of the form of ``/v1/rerank``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, cast

from sitebrook.errors import StartError
from sitebrook.providers.sdk_endpoint import SdkEndpoint
from sitebrook.settings import RerankSettings

_SCORE_NAMES: Final = ("relevance_score", "score")


class RerankEndpoint:
    """Scores of 0 to 1 from ``settings.base_url``; satisfies ``retrieval.Reranker``.

    Cohere, Jina, Voyage, vLLM, llama.cpp and Text Embeddings Inference speak this wire. Scores
    that are not within 0 to 1 are taken for the model's own numbers before its last, logistic step.
    """

    def __init__(self, settings: RerankSettings) -> None:
        if not settings.model or not settings.base_url:
            raise StartError("A rerank endpoint needs SITEBROOK_RERANK_MODEL and _BASE_URL.")
        self.candidates = settings.candidates
        self.timeout_s = settings.timeout_s
        self._model = settings.model
        self._endpoint = SdkEndpoint(
            "a rerank endpoint",
            base_url=settings.base_url,
            api_key=settings.api_key,
            model=settings.model,
            timeout_s=settings.timeout_s,
        )

    async def score(self, question: str, texts: Sequence[str]) -> list[float]:
        """A score for each text, in order. Raises ProviderError."""
        body = {
            "model": self._model,
            "query": question,
            "documents": list(texts),
            "top_n": len(texts),
            "return_documents": False,
        }
        with self._endpoint.translating():
            answer = await self._endpoint.client.post("/rerank", body=body, cast_to=object)
        scores = _to_scores(answer, len(texts))
        if scores is None:
            raise self._endpoint.malformed("did not send one score for each text")
        return scores

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._endpoint.aclose()


def _to_scores(answer: object, count: int) -> list[float] | None:
    """The scores in the order of the texts; None unless there is one for each."""
    rows = answer
    if isinstance(answer, dict):
        known = cast("dict[str, Any]", answer)
        rows = known.get("results", known.get("data"))
    if not isinstance(rows, list):
        return None
    scores: dict[int, float] = {}
    for row in cast("list[Any]", rows):
        if not isinstance(row, dict):
            return None
        fields = cast("dict[str, Any]", row)
        index = fields.get("index")
        score = next((fields[name] for name in _SCORE_NAMES if name in fields), None)
        if not isinstance(index, int) or not isinstance(score, int | float):
            return None
        scores[index] = float(score)
    if scores.keys() != set(range(count)) or not all(map(math.isfinite, scores.values())):
        return None
    found = [scores[index] for index in range(count)]
    if all(0 <= score <= 1 for score in found):
        return found
    return [1 / (1 + math.exp(-max(-500.0, min(500.0, score)))) for score in found]
