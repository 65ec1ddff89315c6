"""The words of chunks as packed arrays: for each word the chunks that hold it and how often.

A word is known by a fingerprint of 64 bits: among a million words the chance that any two share
one is 3 in 100 million. Three bytes hold a posting; a word that stands in a quarter of the chunks
or more has a byte for each chunk instead, which takes no more and is scored faster.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

# A chunk's position in its postings has 16 bits.
MAX_CHUNKS: Final = 65_536
_COMMON_SHARE: Final = 4
_MAX_FREQUENCY: Final = np.iinfo(np.uint16).max

Numbers = NDArray[np.uint32]
Keys = NDArray[np.uint64]
# Of 8 bits, or of 16 when a chunk repeats a word more than 255 times.
Frequencies = NDArray[np.uint8 | np.uint16]


class IndexedChunk(NamedTuple):
    """A chunk as it is indexed; ``number`` is its number within the site."""

    number: int
    chunk_id: str
    language: str
    words: Sequence[str]


@dataclass(frozen=True, slots=True, eq=False)
class Postings:
    """The words of up to 65,536 chunks; a chunk's position is its place in ``numbers``.

    ``languages`` has for each chunk the place of its language in ``language_names``, ``lengths``
    how many words it has; ``id_order`` is the order of ``chunk_ids``. ``removed`` numbers chunks of
    other postings that are gone. Of the word
    ``keys[at]`` the postings lie from ``ends[at - 1]`` to ``ends[at]`` in ``positions`` (ascending)
    and ``frequencies``. Of the word ``common_keys[at]``, held by ``common_chunks[at]`` chunks, the
    row ``common[at]`` has the frequency in each chunk. A word is in one of both; keys ascend.
    """

    numbers: Numbers
    chunk_ids: NDArray[np.bytes_]
    lengths: Numbers
    languages: NDArray[np.uint8]
    language_names: tuple[str, ...]
    id_order: NDArray[np.uint16]
    removed: Numbers
    keys: Keys
    ends: Numbers
    positions: NDArray[np.uint16]
    frequencies: Frequencies
    common_keys: Keys
    common_chunks: Numbers
    common: Frequencies

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def size_bytes(self) -> int:
        """The memory of its arrays."""
        return sum(getattr(self, name).nbytes for name in ARRAYS)

    def moved(self, by: int, removed: Sequence[int]) -> Postings:
        """The same chunks with numbers higher ``by`` so much, and others ``removed`` too."""
        gone = np.union1d(self.removed, np.array(removed, dtype=np.uint32))
        numbers = self.numbers + np.uint32(by)
        return replace(self, numbers=numbers, removed=gone.astype(np.uint32))


ARRAYS: Final = tuple(name for name in Postings.__dataclass_fields__ if name != "language_names")


@functools.lru_cache(maxsize=60_000)
def to_key(word: str) -> int:
    """The fingerprint of a word, the same in every process."""
    digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def to_postings(chunks: Sequence[IndexedChunk], removed: Sequence[int] = ()) -> Postings:
    """The postings of the chunks, which may be none; ``removed`` are numbers of others."""
    lengths = np.array([len(chunk.words) for chunk in chunks], dtype=np.uint32)
    keys = np.fromiter(
        (to_key(word) for chunk in chunks for word in chunk.words), np.uint64, int(lengths.sum())
    )
    positions = np.repeat(np.arange(len(chunks)), lengths)
    order = np.lexsort((positions, keys))
    keys, positions = keys[order], positions[order]
    starts = np.flatnonzero(_begins(keys) | _begins(positions))
    frequencies = np.diff(starts, append=len(keys))
    names = tuple(dict.fromkeys(chunk.language for chunk in chunks))
    facts = _Chunks(
        numbers=np.array([chunk.number for chunk in chunks], dtype=np.uint32),
        chunk_ids=np.array([chunk.chunk_id for chunk in chunks], dtype=np.bytes_),
        lengths=lengths,
        languages=np.array([names.index(chunk.language) for chunk in chunks], dtype=np.uint8),
        language_names=names,
    )
    found, begins = np.unique(keys[starts], return_index=True)
    ends = np.append(begins[1:], len(starts)) if len(found) else begins
    words = _Words(found, ends, positions[starts], frequencies)
    return _pack(facts, words, np.unique(np.array(removed, dtype=np.uint32)))


def join(parts: Sequence[Postings], gone: Numbers) -> Postings:
    """The postings of the parts' chunks but those whose numbers are ``gone``, in that order.

    What the parts say is removed and none of them has stays removed.
    """
    kept = [~np.isin(part.numbers, gone) for part in parts]
    names = tuple(dict.fromkeys(name for part in parts for name in part.language_names))
    codes = [
        np.array([names.index(name) for name in part.language_names], dtype=np.uint8)
        for part in parts
    ]
    facts = _Chunks(
        numbers=_concatenate([part.numbers[keep] for part, keep in zip(parts, kept, strict=True)]),
        chunk_ids=np.concatenate(
            [part.chunk_ids[keep] for part, keep in zip(parts, kept, strict=True)]
        ),
        lengths=_concatenate([part.lengths[keep] for part, keep in zip(parts, kept, strict=True)]),
        languages=np.concatenate(
            [
                code[part.languages[keep]]
                for part, keep, code in zip(parts, kept, codes, strict=True)
            ]
        ),
        language_names=names,
    )
    words = _join_words(_to_lists(parts, kept))
    removed = np.setdiff1d(
        _concatenate([part.removed for part in parts]),
        _concatenate([part.numbers for part in parts]),
    )
    return _pack(facts, words, removed)


class _Chunks(NamedTuple):
    """What is known of each chunk, as in ``Postings``."""

    numbers: Numbers
    chunk_ids: NDArray[np.bytes_]
    lengths: Numbers
    languages: NDArray[np.uint8]
    language_names: tuple[str, ...]


class _Words(NamedTuple):
    """Words with their postings, as ``keys`` to ``frequencies`` in ``Postings``."""

    keys: Keys
    ends: NDArray[Any]
    positions: NDArray[Any]
    frequencies: NDArray[Any]


def _pack(chunks: _Chunks, words: _Words, removed: Numbers) -> Postings:
    """The postings with the words of many chunks apart."""
    if len(chunks.numbers) > MAX_CHUNKS:
        raise ValueError(f"{len(chunks.numbers)} chunks do not fit into one Postings")
    frequencies = np.minimum(words.frequencies, _MAX_FREQUENCY)
    is_small = not len(frequencies) or int(frequencies.max()) <= np.iinfo(np.uint8).max
    frequencies = frequencies.astype(np.uint8 if is_small else np.uint16)
    in_chunks = np.diff(words.ends, prepend=0)
    is_common = in_chunks * _COMMON_SHARE >= len(chunks.numbers)
    of_common = np.repeat(is_common, in_chunks)
    common = np.zeros((int(is_common.sum()), len(chunks.numbers)), dtype=frequencies.dtype)
    rows = np.repeat(np.arange(len(common)), in_chunks[is_common])
    common[rows, words.positions[of_common]] = frequencies[of_common]
    return Postings(
        *chunks,
        id_order=np.argsort(chunks.chunk_ids).astype(np.uint16),
        removed=removed,
        keys=words.keys[~is_common],
        ends=np.cumsum(in_chunks[~is_common], dtype=np.uint32),
        positions=words.positions[~of_common].astype(np.uint16),
        frequencies=frequencies[~of_common],
        common_keys=words.keys[is_common],
        common_chunks=in_chunks[is_common].astype(np.uint32),
        common=common,
    )


def _to_lists(parts: Sequence[Postings], kept: Sequence[NDArray[np.bool_]]) -> list[_Words]:
    """The words of the parts with the positions that their chunks get; two lists for each part."""
    lists: list[_Words] = []
    base = 0
    for part, keep in zip(parts, kept, strict=True):
        moved = (np.cumsum(keep) - 1 + base).astype(np.uint16)
        rows, at = np.nonzero(part.common)
        dense = _Words(part.common_keys, part.common_chunks.cumsum(), at, part.common[rows, at])
        sparse = _Words(part.keys, part.ends, part.positions, part.frequencies)
        lists += [_move(words, keep, moved) for words in (dense, sparse)]
        base += int(keep.sum())
    return lists


def _move(words: _Words, keep: NDArray[np.bool_], moved: NDArray[np.uint16]) -> _Words:
    is_kept = keep[words.positions]
    before = np.concatenate(([0], np.cumsum(is_kept)))
    return _Words(
        words.keys,
        before[words.ends],
        moved[words.positions[is_kept]],
        words.frequencies[is_kept],
    )


def _join_words(lists: Sequence[_Words]) -> _Words:
    """All words of the lists; their postings follow each other in the order of the lists."""
    keys = np.unique(np.concatenate([words.keys for words in lists]))
    rows = [np.searchsorted(keys, words.keys) for words in lists]
    sizes = [np.diff(words.ends, prepend=0) for words in lists]
    totals = np.zeros(len(keys), dtype=np.int64)
    for row, size in zip(rows, sizes, strict=True):
        totals[row] += size
    ends = np.cumsum(totals)
    free = ends - totals
    positions = np.empty(int(totals.sum()), dtype=np.uint16)
    frequencies = np.empty(len(positions), dtype=np.uint16)
    for words, row, size in zip(lists, rows, sizes, strict=True):
        starts = words.ends - size
        target = np.repeat(free[row] - starts, size) + np.arange(len(words.positions))
        positions[target] = words.positions
        frequencies[target] = words.frequencies
        free[row] += size
    is_held = totals > 0
    return _Words(keys[is_held], ends[is_held], positions, frequencies)


def _begins(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a value differs from the one before."""
    begins = np.ones(len(values), dtype=np.bool_)
    begins[1:] = values[1:] != values[:-1]
    return begins


def _concatenate(arrays: Sequence[Numbers]) -> Numbers:
    return np.concatenate([*arrays, np.empty(0, dtype=np.uint32)])
