"""Chunks by the words of a question: what a keyword index is, and one made of rank-bm25."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from sitebrook.db.engine import Database
from sitebrook.retrieval.bm25 import KeywordMatches, Snapshot, no_matches
from sitebrook.retrieval.knowledge import Knowledge, load_chunk_texts

# Below this many chunks a search takes less time than the way to a thread and back.
_INLINE_CHUNKS: Final = 300


class KeywordIndex(Protocol):
    """Finds chunks by words."""

    async def find(self, knowledge: Knowledge, question: str, limit: int) -> KeywordMatches:
        """The chunks that share words with the question.

        It sees the site's documents as of ``knowledge.version`` or later, always as of one moment.
        """
        ...


@dataclass(slots=True)
class _Entry:
    lock: asyncio.Lock
    snapshot: Snapshot | None = None


class RankBm25Index:
    """A keyword index in process, made by rank-bm25 from a site's chunks when they have changed.

    At most ``max_sites`` sites are kept, the longest unused goes first.
    """

    def __init__(
        self, database: Database, *, k1: float = 1.2, b: float = 0.75, max_sites: int = 64
    ) -> None:
        self._database = database
        self._k1, self._b = k1, b
        self._max_sites = max_sites
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    async def find(self, knowledge: Knowledge, question: str, limit: int) -> KeywordMatches:
        """The chunks that share words with the question, with their BM25 scores."""
        snapshot = await self._current(knowledge)
        if not snapshot.chunk_ids:
            return no_matches()
        if len(snapshot.chunk_ids) <= _INLINE_CHUNKS:
            return snapshot.find(question, limit)
        return await asyncio.to_thread(snapshot.find, question, limit)

    async def _current(self, knowledge: Knowledge) -> Snapshot:
        entry = self._entries.setdefault(knowledge.site_id, _Entry(asyncio.Lock()))
        self._entries.move_to_end(knowledge.site_id)
        while len(self._entries) > self._max_sites:
            self._entries.popitem(last=False)
        async with entry.lock:
            if entry.snapshot is None or entry.snapshot.version < knowledge.version:
                entry.snapshot = await self._build(knowledge.site_id, entry.snapshot)
            return entry.snapshot

    async def _build(self, site_id: str, previous: Snapshot | None) -> Snapshot:
        known: Sequence[str] = previous.chunk_ids if previous else ()
        texts = await load_chunk_texts(self._database, site_id, known)
        return await asyncio.to_thread(Snapshot.build, texts, previous, k1=self._k1, b=self._b)
