"""Postings made and joined without holding up the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np

from sitebrook.compute.pool import ComputePool
from sitebrook.compute.work import Work
from sitebrook.retrieval.indexing import (
    INDEX,
    JOIN,
    IndexRequest,
    JoinRequest,
    UnindexedChunk,
    index_chunks,
    join_parts,
)
from sitebrook.retrieval.postings import Numbers, Postings

AskedT = TypeVar("AskedT")

# So much is done at once, in about 2 ms; asking a child costs 0.3 to 0.6 ms. A thread, which
# takes turns with the event loop, would hold it up for longer.
_INLINE_CHARACTERS: Final = 4_000
_INLINE_PARTS: Final = 8
_INLINE_BYTES: Final = 65_536
# A child's work of half a second: others may wait for it.
_SLICE_CHARACTERS: Final = 1_000_000
NO_NUMBERS: Final[Numbers] = np.empty(0, dtype=np.uint32)


@dataclass(frozen=True, slots=True)
class Indexer:
    """Makes and joins postings: a few at once, more in children of ``pool``, else in a thread.

    Its methods raise what ``ComputePool.run`` raises; nothing is changed then.
    """

    pool: ComputePool | None = None

    async def index(self, chunks: Sequence[UnindexedChunk]) -> Postings:
        """The postings of up to 65,536 chunks."""
        parts: list[Postings] = []
        for part in _to_slices(chunks):
            is_little = sum(len(one.text) for one in part) <= _INLINE_CHARACTERS
            asked = IndexRequest(part)
            parts.append(await self._run(INDEX, index_chunks, asked, is_little=is_little))
        return parts[0] if len(parts) == 1 else await self.join(parts)

    async def join(self, parts: Sequence[Postings], gone: Numbers = NO_NUMBERS) -> Postings:
        """The postings of the parts' chunks but those ``gone``; see ``postings.join``."""
        is_little = (
            len(parts) <= _INLINE_PARTS and sum(one.size_bytes for one in parts) <= _INLINE_BYTES
        )
        asked = JoinRequest(list(parts), gone)
        return await self._run(JOIN, join_parts, asked, is_little=is_little)

    async def _run(
        self,
        work: Work[AskedT, Postings],
        function: Callable[[AskedT], Postings],
        asked: AskedT,
        *,
        is_little: bool,
    ) -> Postings:
        if is_little:
            return function(asked)
        if self.pool is None:
            return await asyncio.to_thread(function, asked)
        return await self.pool.run(work, asked)


def _to_slices(chunks: Sequence[UnindexedChunk]) -> Iterator[list[UnindexedChunk]]:
    part: list[UnindexedChunk] = []
    characters = 0
    for one in chunks:
        if part and characters + len(one.text) > _SLICE_CHARACTERS:
            yield part
            part, characters = [], 0
        part.append(one)
        characters += len(one.text)
    yield part
