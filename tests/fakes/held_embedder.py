"""An embedder at which documents wait until a test lets them go."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Sequence

from sitebrook.parts import Parts
from sitebrook.retrieval.embedder import Embedder, Vectors


class HeldEmbedder(Embedder):
    """Another embedder's vectors; the ``held`` calls, counted from 0, wait to be let go.

    One that ``is_deaf`` does not hear that it is cancelled while it waits, as in a process that
    was stopped.
    """

    def __init__(self, inner: Embedder, held: Container[int], *, is_deaf: bool = False) -> None:
        self.reached = asyncio.Event()
        self.task: asyncio.Task[object] | None = None
        self._inner = inner
        self._held = held
        self._is_deaf = is_deaf
        self._calls = 0
        self._gate = asyncio.Semaphore(0)

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def languages(self) -> frozenset[str] | None:
        return self._inner.languages

    @property
    def fixed_weight(self) -> float | None:
        return self._inner.fixed_weight

    @property
    def similarity_floor(self) -> float | None:
        return self._inner.similarity_floor

    async def embed(self, texts: Sequence[str]) -> Vectors:
        number = self._calls
        self._calls += 1
        if number in self._held:
            await self._wait()
        return await self._inner.embed(texts)

    async def embed_question(self, question: str) -> Vectors:
        return await self._inner.embed_question(question)

    async def aclose(self) -> None:
        await self._inner.aclose()

    def let_go(self) -> None:
        """Lets one call go on, the next one if none waits."""
        self._gate.release()

    async def _wait(self) -> None:
        self.task = asyncio.current_task()
        self.reached.set()
        if not self._is_deaf:
            await self._gate.acquire()
            return
        waiting = asyncio.create_task(self._gate.acquire())
        try:
            await asyncio.shield(waiting)
        except asyncio.CancelledError:
            await waiting


def hold(parts: Parts, held: Container[int], *, is_deaf: bool = False) -> HeldEmbedder:
    """Makes it the embedder of the documents that the parts take in."""
    embedder = HeldEmbedder(parts.embedders.default, held, is_deaf=is_deaf)
    parts.embedders.default = embedder
    parts.embedders.all = (embedder,)
    return embedder
