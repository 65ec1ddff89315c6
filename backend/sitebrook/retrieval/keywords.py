"""Chunks by the words of a question: what a keyword index is, and one made of rank-bm25."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.retrieval.bm25 import KeywordMatches, Snapshot
from sitebrook.retrieval.knowledge import Knowledge, load_chunk_texts


class KeywordView(Protocol):
    """The words of a site's chunks as of one version of its documents; never changed."""

    def __len__(self) -> int:
        """How many chunks there are."""
        ...

    def find(self, question: str, limit: int) -> KeywordMatches:
        """The chunks that share words with the question, best first; safe in any thread."""
        ...


class KeywordIndexes(Protocol):
    """The keyword indexes of sites."""

    async def load(self, connection: AsyncConnection, knowledge: Knowledge) -> KeywordView:
        """The site's chunks as of ``knowledge.version``; ``connection`` is a snapshot of that."""
        ...


@dataclass(slots=True)
class _Entry:
    lock: asyncio.Lock
    snapshot: Snapshot | None = None


class RankBm25Indexes:
    """Keyword indexes in process, made by rank-bm25 from a site's chunks when they have changed.

    At most ``max_sites`` sites are kept, the longest unused goes first.
    """

    def __init__(self, *, k1: float = 1.2, b: float = 0.75, max_sites: int = 64) -> None:
        self._k1, self._b = k1, b
        self._max_sites = max_sites
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    async def load(self, connection: AsyncConnection, knowledge: Knowledge) -> KeywordView:
        """The site's chunks as of ``knowledge.version``."""
        entry = self._entries.setdefault(knowledge.site_id, _Entry(asyncio.Lock()))
        self._entries.move_to_end(knowledge.site_id)
        while len(self._entries) > self._max_sites:
            self._entries.popitem(last=False)
        async with entry.lock:
            kept = entry.snapshot
            if kept is not None and kept.version == knowledge.version:
                return kept
            built = await self._build(connection, knowledge.site_id, kept)
            if kept is None or kept.version < built.version:
                entry.snapshot = built
            return built

    async def _build(
        self, connection: AsyncConnection, site_id: str, previous: Snapshot | None
    ) -> Snapshot:
        known: Sequence[str] = previous.chunk_ids if previous else ()
        texts = await load_chunk_texts(connection, site_id, known)
        return await asyncio.to_thread(Snapshot.build, texts, previous, k1=self._k1, b=self._b)
