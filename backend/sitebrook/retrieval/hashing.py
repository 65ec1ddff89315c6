"""Words and their n-grams hashed into vectors: what children do for ``HashingEmbedder``."""

from __future__ import annotations

import functools
import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from sitebrook.compute.work import Work
from sitebrook.retrieval.stop_words import all_function_words
from sitebrook.retrieval.words import to_words

# Measured on five sets (nDCG@10, geometric mean; keywords alone 0.722): 3- to 5-grams 0.602,
# words without them 0.541; fused 0.728 with either 512 or 1,024 dimensions, and a halfvec of 512
# still lies in the row, where 1,024 would be moved out to another table.
DIMENSION: Final = 512
_GRAMS: Final = (3, 4, 5)
_STOP_WORD_WEIGHT: Final = 0.25
_Vectors = NDArray[np.float32]
_Features = tuple[NDArray[np.intp], NDArray[np.float64]]


class HashRequest(msgspec.Struct, frozen=True):
    """Texts to be made vectors."""

    texts: list[str]


class HashedTexts(msgspec.Struct, frozen=True):
    """A row of length one for each text."""

    vectors: NDArray[np.float32]


def hash_texts(asked: HashRequest) -> HashedTexts:
    """The rows of the texts."""
    return HashedTexts(hash_all(asked.texts))


HASH: Final = Work("sitebrook.retrieval.hashing:hash_texts", HashRequest, HashedTexts)


def hash_all(texts: Sequence[str]) -> _Vectors:
    """One row of length one for each text; a text without words is a row of zeros."""
    vectors = np.zeros((len(texts), DIMENSION), dtype=np.float32)
    for row, text in enumerate(texts):
        vectors[row] = _embed(text)
    return vectors


def _embed(text: str) -> _Vectors:
    counts = Counter(to_words(text, ""))
    if not counts:
        return np.zeros(DIMENSION, dtype=np.float32)
    features = [_features(word) for word in counts]
    weights = [
        values * (1 + math.log(count))
        for (_, values), count in zip(features, counts.values(), strict=True)
    ]
    buckets = np.concatenate([buckets for buckets, _ in features])
    vector = np.bincount(buckets, np.concatenate(weights), DIMENSION)
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
    buckets = np.array([number % DIMENSION for number in hashes], dtype=np.intp)
    return buckets, np.array(weights) * np.array(signs)


def _hash(feature: str) -> int:
    digest = hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
