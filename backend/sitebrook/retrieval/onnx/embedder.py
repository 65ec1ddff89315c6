"""An embedder that runs a model of this machine: documents in a child, questions in a thread."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np

from sitebrook.compute.pool import ComputePool, count_cores
from sitebrook.compute.work import Limits
from sitebrook.retrieval.embedder import Vectors
from sitebrook.retrieval.onnx.embedding import EMBED, EmbedRequest
from sitebrook.retrieval.onnx.folder import OnnxFolder
from sitebrook.retrieval.onnx.model import OnnxModel
from sitebrook.settings import ComputeSettings

# Texts of one call of the child, and the longest that may take: a slow machine with a large model
# needs minutes, a model that hangs is ended.
_SLICE: Final = 32
_SLICE_S: Final = 600.0
# A child that is replaced loads its model again.
_CALLS_PER_CHILD: Final = 2**31
# All-MiniLM, a file of 90 MB, takes 194 MB when it is loaded and 300 MB with the longest texts;
# models of 1,024 dimensions and 24 layers have three times as wide ones.
_OF_FILE: Final = 3
_ACTIVATION_BYTES: Final = 1024**3
# Attention of the longest text: two matrices of 16 heads in single precision.
_OF_SQUARED_TOKENS: Final = 2 * 16 * 4
# The stacks of one of the runtime's, 8 MB, and of one of the tokenizer's, 2 MB.
_THREAD_BYTES: Final = 10 * 1024**2
# Unless more are asked for: a machine that lends some of its cores often shows all.
_MOST_THREADS: Final = 8


class OnnxEmbedder:
    """Vectors of length one from the model of a folder; satisfies ``retrieval.Embedder``.

    Documents go through the whole model, in a child process which computes behind everything else
    that the processor has to do; questions through the smaller one, if there is one, at once. Each
    is loaded when it is first used, by the child again after it had nothing to do for long.
    """

    fixed_weight: float | None = None

    def __init__(
        self,
        folder: OnnxFolder,
        *,
        min_similarity: float | None,
        languages: frozenset[str] | None,
        threads: int,
        compute: ComputeSettings,
    ) -> None:
        self._folder = folder
        self.name = folder.name
        self.languages = languages or folder.languages
        self.similarity_floor = min_similarity
        self._threads = threads or min(max(count_cores() - 1, 1), _MOST_THREADS)
        self._limits = Limits(time_s=_SLICE_S, threads=self._threads)
        bounds = dataclasses.replace(
            compute,
            children=1,
            memory_bytes=to_memory_bytes(folder, self._threads),
            calls_per_child=_CALLS_PER_CHILD,
        )
        self._pool = ComputePool(bounds)
        self._questions = ThreadPoolExecutor(1, "onnx")
        self._question_model: OnnxModel | None = None

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One row of length one for each text, in order; shape (texts, dimension).

        Raises Unavailable (WorkFailed) when the child cannot do it.
        """
        starts = range(0, len(texts), _SLICE)
        parts = [await self._embed(texts[start : start + _SLICE]) for start in starts]
        return np.concatenate(parts) if parts else np.zeros((0, 0), dtype=np.float32)

    async def embed_question(self, question: str) -> Vectors:
        """The question's row of length one."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._questions, self._encode, question)

    async def aclose(self) -> None:
        """Ends the child, and the thread when its question is embedded."""
        await self._pool.aclose()
        await asyncio.to_thread(self._questions.shutdown, wait=True, cancel_futures=True)

    async def _embed(self, texts: Sequence[str]) -> Vectors:
        prompt = self._folder.document_prompt
        # Half of a surrogate pair goes over no pipe.
        sent = [(prompt + text).encode("utf-8", "replace").decode() for text in texts]
        asked = EmbedRequest(str(self._folder.path), self.name, self._threads, sent)
        return (await self._pool.run(EMBED, asked, self._limits)).vectors

    def _encode(self, question: str) -> Vectors:
        if self._question_model is None:
            file = self._folder.question_model
            self._question_model = OnnxModel(self._folder, file, threads=1)
        return self._question_model.encode([self._folder.question_prompt + question])[0]


def to_memory_bytes(folder: OnnxFolder, threads: int) -> int:
    """The most memory that a child may have which runs the folder's whole model in threads."""
    # Large models keep their numbers in files beside it.
    files = folder.model.parent.glob(f"{folder.model.name}*")
    size = sum(file.stat().st_size for file in files)
    attention = _OF_SQUARED_TOKENS * folder.max_tokens**2
    return _OF_FILE * size + attention + threads * _THREAD_BYTES + _ACTIVATION_BYTES
