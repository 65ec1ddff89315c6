"""The keyword indexes of sites in this process, as of any version that a search sees."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.retrieval.bm25 import Bm25
from sitebrook.retrieval.knowledge import Knowledge
from sitebrook.retrieval.postings import Postings, join
from sitebrook.retrieval.stored_postings import Scope, list_postings, load_postings
from sitebrook.settings import RetrievalSettings

# Rows with fewer chunks are joined in memory: a question is looked up in each that is left, and
# joining all of these takes some milliseconds.
_SMALL_CHUNKS: Final = 2_048
# Searches that began before a change still need the version before it.
_KEPT_VERSIONS: Final = 2
_MEGABYTE: Final = 1_000_000


@dataclass(slots=True)
class _Entry:
    """What is kept of a site: its rows as they are stored, and indexes over them by version."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    rows: dict[int, Postings] = field(default_factory=dict[int, Postings])
    indexes: OrderedDict[int, Bm25] = field(default_factory=OrderedDict[int, Bm25])

    @property
    def size_bytes(self) -> int:
        return sum(row.size_bytes for row in self.rows.values())


class KeywordIndexes:
    """The keyword indexes that were used last, within the memory of the settings."""

    def __init__(self, settings: RetrievalSettings) -> None:
        self._settings = settings
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    @property
    def size_bytes(self) -> int:
        """The memory of all that is kept."""
        return sum(entry.size_bytes for entry in self._entries.values())

    async def load(self, connection: AsyncConnection, knowledge: Knowledge) -> Bm25:
        """The site's index as of ``knowledge.version``; ``connection`` is a snapshot of that.

        Only rows that this process has not seen are read.
        """
        entry = self._entries.setdefault(knowledge.site_id, _Entry())
        self._entries.move_to_end(knowledge.site_id)
        async with entry.lock:
            kept = entry.indexes.get(knowledge.version)
            if kept is None:
                kept = await self._build(connection, knowledge, entry)
        self._forget()
        return kept

    def find(self, knowledge: Knowledge) -> Bm25 | None:
        """The site's index as of ``knowledge.version``, if it is kept."""
        entry = self._entries.get(knowledge.site_id)
        kept = entry.indexes.get(knowledge.version) if entry else None
        if kept is not None:
            self._entries.move_to_end(knowledge.site_id)
        return kept

    def forget(self, site_id: str) -> None:
        """Lets go of a site's index."""
        self._entries.pop(site_id, None)

    async def _build(
        self, connection: AsyncConnection, knowledge: Knowledge, entry: _Entry
    ) -> Bm25:
        ids = await list_postings(connection, Scope(knowledge.site_id))
        new = await load_postings(connection, [one for one in ids if one not in entry.rows])
        rows = {one: new[one] if one in new else entry.rows[one] for one in ids}
        index = await asyncio.to_thread(self._to_index, rows)
        if knowledge.version > max(entry.indexes, default=-1):
            entry.rows = rows
        entry.indexes[knowledge.version] = index
        while len(entry.indexes) > _KEPT_VERSIONS:
            del entry.indexes[min(entry.indexes)]
        return index

    def _to_index(self, rows: Mapping[int, Postings]) -> Bm25:
        parts = [row for row in rows.values() if len(row) >= _SMALL_CHUNKS]
        small = [row for row in rows.values() if len(row) < _SMALL_CHUNKS]
        if len(small) > 1:
            gone = np.concatenate([row.removed for row in rows.values()])
            small = [join(small, gone)]
        settings = self._settings
        return Bm25([*parts, *small], k1=settings.bm25_k1, b=settings.bm25_b)

    def _forget(self) -> None:
        """Lets go of the sites used longest ago, but for the last one."""
        limit = self._settings.keyword_cache_mb * _MEGABYTE
        while len(self._entries) > 1 and self.size_bytes > limit:
            self._entries.popitem(last=False)
