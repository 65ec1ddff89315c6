"""Passages in the order of a model that reads question and passage together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

from sitebrook.errors import RequestError
from sitebrook.retrieval.knowledge import to_indexed_text
from sitebrook.retrieval.passages import Passage

_LOG: Final = logging.getLogger(__name__)


class Reranker(Protocol):
    """Judges texts by how well they answer a question."""

    @property
    def candidates(self) -> int:
        """How many passages it is given."""
        ...

    @property
    def timeout_s(self) -> float:
        """After this long the passages stay in their order."""
        ...

    async def score(self, question: str, texts: Sequence[str]) -> list[float]:
        """A score for each text, the higher the better. Raises RequestError."""
        ...

    async def aclose(self) -> None:
        """Closes what it holds open."""
        ...


async def rerank(
    reranker: Reranker, question: str, passages: Sequence[Passage]
) -> tuple[list[Passage], str | None]:
    """The passages by the reranker's scores, and why it failed, if it did: then as they were.

    Those that it was not given follow behind in their order.
    """
    judged, rest = passages[: reranker.candidates], passages[reranker.candidates :]
    texts = [to_indexed_text(one.title, one.headings, one.text) for one in judged]
    if not texts:
        return [], None
    try:
        async with asyncio.timeout(reranker.timeout_s):
            scores = await reranker.score(question, texts)
    except TimeoutError:
        failure = f"the reranker did not answer within {reranker.timeout_s:g} s"
    except RequestError as error:
        failure = f"the reranker failed: {error.message}"
    else:
        scored = [
            replace(one, score=score, rerank_score=score)
            for one, score in zip(judged, scores, strict=True)
        ]
        least = min(scores)
        behind = [replace(one, score=min(one.score, least)) for one in rest]
        return [*sorted(scored, key=lambda one: -one.score), *behind], None
    _LOG.warning("passages keep their order: %s", failure)
    return list(passages), failure
