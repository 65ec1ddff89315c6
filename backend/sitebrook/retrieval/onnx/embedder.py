"""An embedder that runs a model of this machine, in threads of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np

from sitebrook.retrieval.embedder import Vectors
from sitebrook.retrieval.onnx.folder import OnnxFolder
from sitebrook.retrieval.onnx.model import OnnxModel

# Documents are run in slices, so that a caller who is cancelled is followed within seconds.
_SLICE: Final = 32
_NICENESS: Final = 10


class OnnxEmbedder:
    """Vectors of length one from the model of a folder; satisfies ``retrieval.Embedder``.

    Documents go through the whole model, behind everything else that the processor has to do;
    questions through the smaller one, if there is one, at once. Each is loaded when it is first
    used, and neither holds up the event loop.
    """

    fixed_weight: float | None = None

    def __init__(
        self,
        folder: OnnxFolder,
        *,
        min_similarity: float | None,
        languages: frozenset[str] | None,
        threads: int,
    ) -> None:
        self._folder = folder
        self.name = folder.name
        self.languages = languages or folder.languages
        self.similarity_floor = min_similarity
        threads = threads or max(1, (os.cpu_count() or 1) - 1)
        self._documents = _Runner(folder, folder.model, threads, is_patient=True)
        self._questions = _Runner(folder, folder.question_model, 1, is_patient=False)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One row of length one for each text, in order; shape (texts, dimension)."""
        prompt = self._folder.document_prompt
        parts = [
            await self._documents.run([prompt + text for text in texts[start : start + _SLICE]])
            for start in range(0, len(texts), _SLICE)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, 0), dtype=np.float32)

    async def embed_question(self, question: str) -> Vectors:
        """The question's row of length one."""
        return (await self._questions.run([self._folder.question_prompt + question]))[0]

    async def aclose(self) -> None:
        """Ends the threads; a slice that is under way is finished first."""
        await asyncio.gather(self._documents.aclose(), self._questions.aclose())


class _Runner:
    """One model in one thread."""

    def __init__(self, folder: OnnxFolder, file: Path, threads: int, *, is_patient: bool) -> None:
        self._folder, self._file, self._threads = folder, file, threads
        self._model: OnnxModel | None = None
        initializer = _give_way if is_patient else None
        self._executor = ThreadPoolExecutor(1, "onnx", initializer)

    async def run(self, texts: Sequence[str]) -> Vectors:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._encode, texts)

    async def aclose(self) -> None:
        await asyncio.to_thread(self._executor.shutdown, wait=True, cancel_futures=True)

    def _encode(self, texts: Sequence[str]) -> Vectors:
        if self._model is None:
            self._model = OnnxModel(self._folder, self._file, threads=self._threads)
        return self._model.encode(texts)


def _give_way() -> None:
    """Puts this thread behind others; those that the runtime starts from it inherit that."""
    if sys.platform == "linux":  # elsewhere it would be the whole process
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
