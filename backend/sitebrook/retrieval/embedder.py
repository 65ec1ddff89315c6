"""Texts as vectors: what an embedder is, and the keyless one."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from sitebrook.compute.pool import ComputePool
from sitebrook.compute.work import Work
from sitebrook.retrieval.stop_words import all_function_words
from sitebrook.retrieval.words import to_words

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


# Measured on five sets (nDCG@10, geometric mean; keywords alone 0.722): 3- to 5-grams 0.602,
# words without them 0.541; fused 0.728 with either 512 or 1,024 dimensions, and a halfvec of 512
# still lies in the row, where 1,024 would be moved out to another table.
_DIMENSION: Final = 512
_GRAMS: Final = (3, 4, 5)
_STOP_WORD_WEIGHT: Final = 0.25
# Words never seen before take 4 us a character. So many characters are done at once, up to the
# second bound in a thread, with which the event loop shares the interpreter, and more in children.
_INLINE_CHARACTERS: Final = 2_000
_THREAD_CHARACTERS: Final = 100_000

_Features = tuple[NDArray[np.intp], NDArray[np.float64]]


class _Texts(msgspec.Struct, frozen=True):
    texts: list[str]


class _Rows(msgspec.Struct, frozen=True):
    vectors: NDArray[np.float32]


def embed_in_child(asked: _Texts) -> _Rows:
    """The rows of the texts; what children run."""
    return _Rows(_embed_all(asked.texts))


_EMBED: Final = Work("sitebrook.retrieval.embedder:embed_in_child", _Texts, _Rows)


class HashingEmbedder:
    """The keyless embedder: words and their character n-grams hashed into 512 signed buckets.

    It knows no meaning, only spelling: it finds inflections, compounds and misspelt words. The
    vectors are the same in every process and on every platform. Children of ``pool`` hash what
    would hold up the event loop; without it a thread does.
    """

    name = f"hashing-1-{_DIMENSION}"
    languages: frozenset[str] | None = None
    # 0.05 to 0.3 measured: best at 0.2, no set below its keywords alone at 0.15.
    fixed_weight: float | None = 0.15
    similarity_floor: float | None = None

    def __init__(self, pool: ComputePool | None = None) -> None:
        self._pool = pool

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One row of length one for each text; a text without words is a row of zeros."""
        characters = sum(map(len, texts))
        if characters <= _INLINE_CHARACTERS:
            return _embed_all(texts)
        if self._pool is None or characters <= _THREAD_CHARACTERS:
            return await asyncio.to_thread(_embed_all, texts)
        rows = [(await self._pool.run(_EMBED, part)).vectors for part in _to_parts(texts)]
        return np.concatenate(rows)

    async def embed_question(self, question: str) -> Vectors:
        """The question's row; questions and documents are hashed alike."""
        return (await self.embed([question]))[0]

    async def aclose(self) -> None:
        """Holds nothing open."""


def _to_parts(texts: Sequence[str]) -> Iterator[_Texts]:
    """The texts in order, in parts which a child has done within seconds."""
    part: list[str] = []
    characters = 0
    for text in texts:
        if part and characters + len(text) > _THREAD_CHARACTERS:
            yield _Texts(part)
            part, characters = [], 0
        # Half of a surrogate pair, which no pipe takes, is in no word.
        part.append(text.encode("utf-8", "replace").decode())
        characters += len(text)
    yield _Texts(part)


def _embed_all(texts: Sequence[str]) -> Vectors:
    vectors = np.zeros((len(texts), _DIMENSION), dtype=np.float32)
    for row, text in enumerate(texts):
        vectors[row] = _embed(text)
    return vectors


def _embed(text: str) -> Vectors:
    counts = Counter(to_words(text, ""))
    if not counts:
        return np.zeros(_DIMENSION, dtype=np.float32)
    features = [_features(word) for word in counts]
    weights = [
        values * (1 + math.log(count))
        for (_, values), count in zip(features, counts.values(), strict=True)
    ]
    buckets = np.concatenate([buckets for buckets, _ in features])
    vector = np.bincount(buckets, np.concatenate(weights), _DIMENSION)
    return (vector / (np.linalg.norm(vector) or 1.0)).astype(np.float32)


@functools.lru_cache(maxsize=100_000)
def _features(word: str) -> _Features:
    """The buckets and signed weights of a word; all its n-grams together weigh as the word."""
    framed = f"<{word}>"
    grams = [framed[at : at + size] for size in _GRAMS for at in range(len(framed) - size + 1)]
    hashes = [_hash(" " + word), *map(_hash, grams)]
    weight = _STOP_WORD_WEIGHT if word in all_function_words() else 1.0
    weights = [weight] + [weight / math.sqrt(len(grams))] * len(grams)
    signs = [1.0 if number >> 63 else -1.0 for number in hashes]
    buckets = np.array([number % _DIMENSION for number in hashes], dtype=np.intp)
    return buckets, np.array(weights) * np.array(signs)


def _hash(feature: str) -> int:
    digest = hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
