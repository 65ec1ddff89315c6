"""Texts as vectors, by any endpoint that speaks OpenAI's embeddings wire."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import numpy as np
import openai
from numpy.typing import NDArray

from sitebrook.errors import ProviderError, StartError
from sitebrook.providers import faults
from sitebrook.settings import EmbeddingSettings

_TIMEOUT_S: Final = 60.0
_MAX_RETRIES: Final = 2
_AT_ONCE: Final = 4  # batches under way for one call


class OpenAICompatibleEmbedder:
    """Vectors of length one from ``settings.base_url``; satisfies ``retrieval.Embedder``.

    The endpoint's own name for the model and its host tell its vectors from others.
    """

    def __init__(self, settings: EmbeddingSettings, *, timeout_s: float = _TIMEOUT_S) -> None:
        if not settings.model or not settings.base_url:
            raise StartError("An embedding endpoint needs SITEBROOK_EMBEDDING_MODEL and _BASE_URL.")
        self._model = settings.model
        self._min_similarity = settings.min_similarity
        self._timeout_s = timeout_s
        self._batch_size = max(settings.batch_size, 1)
        self._host = urlsplit(settings.base_url).netloc.rpartition("@")[2]
        self._client = openai.AsyncOpenAI(
            api_key=settings.api_key
            or "none",  # the SDK wants one; endpoints without keys ignore it
            base_url=settings.base_url,
            max_retries=_MAX_RETRIES,
            timeout=timeout_s,
            http_client=openai.DefaultAsyncHttpxClient(follow_redirects=False, trust_env=False),
        )

    @property
    def name(self) -> str:
        """What its vectors are stored under."""
        return f"openai:{self._model}@{self._host}"

    @property
    def languages(self) -> frozenset[str] | None:
        """None: hosted embedding models cover every language that sites are written in."""
        return None

    @property
    def fixed_weight(self) -> float | None:
        """None: the question decides how much the vectors count."""
        return None

    @property
    def similarity_floor(self) -> float | None:
        """The setting: cosines of different models cannot be compared with one bound."""
        return self._min_similarity

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One row of length one for each text, in order; shape (texts, dimension).

        Raises ProviderError.
        """
        batches = [
            texts[start : start + self._batch_size]
            for start in range(0, len(texts), self._batch_size)
        ]
        if not batches:
            return np.zeros((0, 0), dtype=np.float32)
        places = asyncio.Semaphore(_AT_ONCE)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._embed_batch(one, places)) for one in batches]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        parts = [task.result() for task in tasks]
        if len({part.shape[1] for part in parts}) != 1:
            raise self._malformed("sent vectors of different lengths")
        return np.concatenate(parts)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._client.close()

    async def _embed_batch(
        self, texts: Sequence[str], places: asyncio.Semaphore
    ) -> NDArray[np.float32]:
        async with places:
            rows = await self._request([text or " " for text in texts])  # "" is refused by some
        try:
            vectors = np.array(rows, dtype=np.float32)
        except (ValueError, TypeError):
            raise self._malformed("sent vectors of different lengths") from None
        if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
            raise self._malformed("did not send one vector for each text")
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        lengths[lengths == 0] = 1
        return (vectors / lengths).astype(np.float32, copy=False)

    async def _request(self, texts: list[str]) -> list[list[float]]:
        try:
            answer = await self._client.embeddings.create(model=self._model, input=texts)
        except openai.APIStatusError as error:
            raise faults.from_status(
                self._host,
                self._model,
                error.status_code,
                error.response.headers,
                error.response.content,
            ) from None
        except openai.APITimeoutError:
            raise faults.did_not_start(self._host, self._timeout_s) from None
        except openai.APIConnectionError:
            raise faults.unreachable(self._host) from None
        except (openai.OpenAIError, ValueError, TypeError):  # not JSON, or not of the wire's shape
            raise self._malformed("did not answer as an embedding endpoint") from None
        rows = sorted(answer.data, key=lambda row: row.index)
        return [row.embedding for row in rows]

    def _malformed(self, what: str) -> ProviderError:
        return faults.malformed(self._host, what)
