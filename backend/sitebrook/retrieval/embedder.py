"""Texts as vectors: what an embedder is, and the keyless one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from sitebrook.compute.pool import ComputePool
from sitebrook.retrieval.hashing import DIMENSION, HASH, HashRequest, hash_all

Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """Makes vectors of texts; the same text always gives the same vector."""

    @property
    def name(self) -> str:
        """What its vectors are stored under: model and dimension, never reused for others."""
        ...

    @property
    def languages(self) -> frozenset[str] | None:
        """The languages it covers (ISO 639-1); None is any."""
        ...

    @property
    def fixed_weight(self) -> float | None:
        """The weight of its scores in the fusion; None lets the question decide."""
        ...

    @property
    def similarity_floor(self) -> float | None:
        """The cosine from which a passage counts as relevant; None when it cannot tell."""
        ...

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One row of length one for each text of a document, in order; shape (texts, dimension)."""
        ...

    async def embed_question(self, question: str) -> Vectors:
        """The question's row of length one, to be compared with those of documents."""
        ...

    async def aclose(self) -> None:
        """Ends what the embedder holds open."""
        ...


# Words never seen before take 4 us a character: so many are hashed at once, and so many by one
# call of a child.
_INLINE_CHARACTERS: Final = 1_000
_PART_CHARACTERS: Final = 100_000


class HashingEmbedder:
    """The keyless embedder: words and their character n-grams hashed into 512 signed buckets.

    It knows no meaning, only spelling: it finds inflections, compounds and misspelt words. The
    vectors are the same in every process and on every platform. A few characters are hashed at
    once, more by children of ``pool``; without one a thread does it.
    """

    name = f"hashing-1-{DIMENSION}"
    languages: frozenset[str] | None = None
    # 0.05 to 0.3 measured: best at 0.2, no set below its keywords alone at 0.15.
    fixed_weight: float | None = 0.15
    similarity_floor: float | None = None

    def __init__(self, pool: ComputePool | None = None) -> None:
        self._pool = pool

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One row of length one for each text; a text without words is a row of zeros.

        Raises Unavailable (WorkFailed) when no child hashes them.
        """
        if sum(map(len, texts)) <= _INLINE_CHARACTERS:
            return hash_all(texts)
        if self._pool is None:
            return await asyncio.to_thread(hash_all, texts)
        rows = [(await self._pool.run(HASH, part)).vectors for part in _to_parts(texts)]
        return np.concatenate(rows)

    async def embed_question(self, question: str) -> Vectors:
        """The question's row, hashed as documents are, but never behind them."""
        if len(question) <= _INLINE_CHARACTERS:
            return hash_all([question])[0]
        return (await asyncio.to_thread(hash_all, [question]))[0]

    async def aclose(self) -> None:
        """Holds nothing open."""


def _to_parts(texts: Sequence[str]) -> Iterator[HashRequest]:
    """The texts in order, in parts which a child has done within seconds."""
    part: list[str] = []
    characters = 0
    for text in texts:
        if part and characters + len(text) > _PART_CHARACTERS:
            yield HashRequest(part)
            part, characters = [], 0
        # Half of a surrogate pair, which no pipe takes, is in no word.
        part.append(text.encode("utf-8", "replace").decode())
        characters += len(text)
    yield HashRequest(part)
