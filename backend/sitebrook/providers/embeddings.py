"""Texts as vectors, by any endpoint that speaks OpenAI's embeddings wire."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sitebrook.errors import ProviderError, StartError
from sitebrook.providers.embedding_pace import Pace
from sitebrook.providers.sdk_endpoint import SdkEndpoint
from sitebrook.settings import EmbeddingSettings

_TIMEOUT_S: Final = 60.0
_DOCUMENT_TRIES: Final = 6
_QUESTION_TRIES: Final = 2
_PAUSE_S: Final = 0.5
# A longer wait is the operator's decision.
_LONGEST_RETRY_AFTER_S: Final = 90.0
# OpenAI takes 300,000 tokens in a request; a token has at least about a character.
_MAX_BATCH_CHARACTERS: Final = 200_000
_HINTS: Final = {
    400: "lower SITEBROOK_EMBEDDING_BATCH_SIZE or SITEBROOK_CHUNK_CHARACTERS",
    401: "check SITEBROOK_EMBEDDING_API_KEY",
    403: "check SITEBROOK_EMBEDDING_API_KEY",
    404: "check SITEBROOK_EMBEDDING_MODEL and SITEBROOK_EMBEDDING_BASE_URL",
    413: "lower SITEBROOK_EMBEDDING_BATCH_SIZE",
    422: "lower SITEBROOK_EMBEDDING_BATCH_SIZE or SITEBROOK_CHUNK_CHARACTERS",
    429: "lower SITEBROOK_EMBEDDING_REQUESTS_PER_MINUTE or SITEBROOK_EMBEDDING_CONCURRENCY",
}

Vectors = NDArray[np.float32]


class OpenAICompatibleEmbedder:
    """Vectors of length one from ``settings.base_url``; satisfies ``retrieval.Embedder``.

    The endpoint's own name for the model and its host tell its vectors from others.
    """

    fixed_weight: float | None = None

    def __init__(
        self,
        settings: EmbeddingSettings,
        *,
        timeout_s: float = _TIMEOUT_S,
        pause_s: float = _PAUSE_S,
    ) -> None:
        if not settings.model or not settings.base_url:
            raise StartError("An embedding endpoint needs SITEBROOK_EMBEDDING_MODEL and _BASE_URL.")
        self._settings = settings
        self._model = settings.model
        # Hosted models mostly cover every language that sites are written in.
        self.languages = frozenset(settings.languages) or None
        # Cosines of different models cannot be compared with one bound.
        self.similarity_floor: float | None = settings.min_similarity
        self._pace = Pace(
            at_once=settings.concurrency,
            per_minute=settings.requests_per_minute,
            pause_s=pause_s,
        )
        # Questions do not stand behind the documents.
        self._question_pace = Pace(at_once=1000, per_minute=0, pause_s=min(pause_s, 0.1))
        self._endpoint = SdkEndpoint(
            "an embedding endpoint",
            base_url=settings.base_url,
            api_key=settings.api_key,
            model=settings.model,
            timeout_s=timeout_s,
        )

    @property
    def name(self) -> str:
        """What its vectors are stored under: all that they depend on."""
        size = f"/{self._settings.dimensions}" if self._settings.dimensions else ""
        prefix = self._settings.document_prefix
        mark = f"#{hashlib.sha256(prefix.encode()).hexdigest()[:8]}" if prefix else ""
        return f"openai:{self._model}{size}{mark}@{self._endpoint.host}"

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One row of length one for each text, in order; shape (texts, dimension).

        Passing faults are tried again for about half a minute, or for as long as the endpoint
        asks. Raises ProviderError.
        """
        batches = list(self._to_batches(texts))
        if not batches:
            return np.zeros((0, 0), dtype=np.float32)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._embed_batch(batch, self._pace, _DOCUMENT_TRIES))
                    for batch in batches
                ]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        parts = [task.result() for task in tasks]
        if len({part.shape[1] for part in parts}) != 1:
            raise self._endpoint.malformed("sent vectors of different lengths")
        return np.concatenate(parts)

    async def embed_question(self, question: str) -> Vectors:
        """The question's row of length one. Raises ProviderError."""
        text = _join(self._settings.question_prefix, question)
        return (await self._embed_batch([text], self._question_pace, _QUESTION_TRIES))[0]

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._endpoint.aclose()

    def _to_batches(self, texts: Sequence[str]) -> Iterator[list[str]]:
        batch: list[str] = []
        characters = 0
        for text in texts:
            is_full = len(batch) == self._settings.batch_size
            if batch and (is_full or characters + len(text) > _MAX_BATCH_CHARACTERS):
                yield batch
                batch, characters = [], 0
            batch.append(_join(self._settings.document_prefix, text))
            characters += len(text)
        if batch:
            yield batch

    async def _embed_batch(self, texts: Sequence[str], pace: Pace, tries: int) -> Vectors:
        rows = await self._request(texts, pace, tries)
        try:
            vectors = np.array(rows, dtype=np.float32)
        except (ValueError, TypeError):
            raise self._endpoint.malformed("sent vectors of different lengths") from None
        if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
            raise self._endpoint.malformed("did not send one vector for each text")
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        lengths[lengths == 0] = 1
        return (vectors / lengths).astype(np.float32, copy=False)

    async def _request(self, texts: Sequence[str], pace: Pace, tries: int) -> list[list[float]]:
        """The endpoint's rows, asked for up to ``tries`` times."""
        asked = 0
        while True:
            try:
                async with pace.place():
                    return await self._send(texts)
            except ProviderError as error:
                asked += 1
                if asked == tries or not _may_pass(error):
                    raise self._explained(error) from None
                pace.rest(asked, error.retry_after_s)

    async def _send(self, texts: Sequence[str]) -> list[list[float]]:
        options: dict[str, Any] = {}
        if self._settings.dimensions:
            options["dimensions"] = self._settings.dimensions
        with self._endpoint.translating():
            answer = await self._endpoint.client.embeddings.create(
                model=self._model,
                input=[text or " " for text in texts],  # "" is refused by some
                **options,
            )
        rows = sorted(answer.data, key=lambda row: row.index)
        return [row.embedding for row in rows]

    def _explained(self, error: ProviderError) -> ProviderError:
        """The same failure with the setting that may end it."""
        hint = _HINTS.get(error.upstream_status or 0)
        if hint is None or error.code == "insufficient_quota":
            return error
        return ProviderError(
            f"{error.message.rstrip('.')}: {hint}.",
            code=error.code,
            upstream_status=error.upstream_status,
            is_permanent=error.is_permanent,
            retry_after_s=error.retry_after_s,
        )


def _may_pass(error: ProviderError) -> bool:
    is_soon = (error.retry_after_s or 0) <= _LONGEST_RETRY_AFTER_S
    return is_soon and not error.is_permanent and error.code != "provider_malformed"


def _join(prefix: str, text: str) -> str:
    """The text behind its prefix; the environment cannot hold a space at a value's end."""
    gap = "" if not prefix or prefix[-1].isspace() else " "
    return f"{prefix}{gap}{text}"
