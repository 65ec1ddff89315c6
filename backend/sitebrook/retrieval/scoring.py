"""The BM25 scores of the chunks of one ``Postings``, beside others that share idf and lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sitebrook.retrieval.postings import Keys, Postings

Scores = NDArray[np.float64]
Positions = NDArray[np.intp]

# Keeps 0 / 0 out where nothing normalises: k1 of 0, or a chunk without words and b of 1.
_LEAST_NORM: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Parameters:
    """How fast a repeated word stops counting (``k1``), how much long chunks are held back (``b``).

    ``mean_length`` is that of all chunks in words.
    """

    k1: float
    b: float
    mean_length: float

    def norms(self, lengths: NDArray[Any]) -> Scores:
        """What is added to a word's frequency below the fraction, by the chunks' lengths."""
        norms = self.k1 * (1 - self.b + self.b * lengths / self.mean_length)
        return np.maximum(norms, _LEAST_NORM)


class Form(NamedTuple):
    """One form of a word: its place among the looked-up words, and what its frequency is worth."""

    at: int
    factor: float


@dataclass(frozen=True, slots=True, eq=False)
class FoundWords:
    """Where each of some words lies in a Postings.

    ``common`` is its row there or -1; else its postings run from ``starts`` to ``stops``, which are
    equal when no chunk holds it. ``chunks`` is how many do.
    """

    common: list[int]
    starts: list[int]
    stops: list[int]
    chunks: NDArray[np.int64]

    def has(self, at: int) -> bool:
        """Whether the word is there."""
        return self.common[at] >= 0 or self.stops[at] > self.starts[at]


class Part:
    """A Postings of which ``is_gone`` tells the chunks that are no more."""

    def __init__(
        self, postings: Postings, is_gone: NDArray[np.bool_], parameters: Parameters
    ) -> None:
        self.postings = postings
        self._is_gone = is_gone
        self._gone = np.flatnonzero(is_gone)
        self._parameters = parameters
        self._id_order = postings.id_order.astype(np.intp)
        norms = parameters.norms(postings.lengths)
        # No frequency counts beside an infinite length.
        norms[self._gone] = np.inf
        self._rough_norms = norms.astype(np.float32)

    def look_up(self, keys: Keys) -> FoundWords:
        """Where the words lie."""
        postings = self.postings
        common = _find(postings.common_keys, keys)
        sparse = _find(postings.keys, keys)
        stops = np.where(sparse >= 0, postings.ends[sparse], 0) if len(postings.ends) else sparse
        starts = (
            np.where(sparse > 0, postings.ends[sparse - 1], 0) if len(postings.ends) else sparse
        )
        chunks = (stops - starts).astype(np.int64)
        is_common = common >= 0
        chunks[is_common] = postings.common_chunks[common[is_common]]
        found = FoundWords(common.tolist(), starts.tolist(), stops.tolist(), chunks)
        if len(self._gone):
            chunks -= [self._count_gone(found, at) for at in range(len(keys))]
        return found

    def _count_gone(self, found: FoundWords, at: int) -> int:
        if found.common[at] >= 0:
            return int(np.count_nonzero(self.postings.common[found.common[at], self._gone]))
        positions = self.postings.positions[found.starts[at] : found.stops[at]]
        return int(np.count_nonzero(self._is_gone[positions]))

    def rough_scores(
        self, found: FoundWords, words: Sequence[Sequence[Form]]
    ) -> NDArray[np.float32]:
        """The score of every chunk in single precision; of a word its best form counts."""
        scores = np.zeros(len(self.postings), dtype=np.float32)
        buffers = np.empty_like(scores), np.empty_like(scores)
        for forms in words:
            held = [form for form in forms if found.has(form.at)]
            if len(held) == 1:
                self._add(scores, found, held[0], buffers)
            elif held:
                best = np.zeros_like(scores)
                for form in held:
                    one = np.zeros_like(scores)
                    self._add(one, found, form, buffers)
                    np.maximum(best, one, out=best)
                scores += best
        return scores

    def _add(
        self,
        scores: NDArray[np.float32],
        found: FoundWords,
        form: Form,
        buffers: tuple[NDArray[np.float32], NDArray[np.float32]],
    ) -> None:
        factor, row = np.float32(form.factor), found.common[form.at]
        if row >= 0:
            frequencies, norms = buffers
            np.copyto(frequencies, self.postings.common[row])
            np.add(self._rough_norms, frequencies, out=norms)
            np.divide(frequencies, norms, out=frequencies)
            np.multiply(frequencies, factor, out=frequencies)
            scores += frequencies
            return
        span = slice(found.starts[form.at], found.stops[form.at])
        places = self.postings.positions[span].astype(np.intp)
        frequencies = self.postings.frequencies[span].astype(np.float32)
        norms = self._rough_norms.take(places)
        norms += frequencies
        frequencies /= norms
        frequencies *= factor
        scores[places] += frequencies

    def exact_scores(
        self, found: FoundWords, words: Sequence[Sequence[Form]], positions: Positions
    ) -> Scores:
        """What each word adds to each of the chunks; shape (words, positions)."""
        norms = self._parameters.norms(self.postings.lengths[positions])
        norms[self._is_gone[positions]] = np.inf
        held = [(row, form) for row, forms in enumerate(words) for form in forms]
        frequencies = np.zeros((len(held), len(positions)))
        short = positions.astype(np.uint16)
        for into, (_, form) in zip(frequencies, held, strict=True):
            self._read(into, found, form.at, short)
        factors = np.array([form.factor for _, form in held])
        of_forms = factors[:, np.newaxis] * (frequencies / (frequencies + norms))
        if len(held) == len(words) and all(words):
            return of_forms
        scores = np.zeros((len(words), len(positions)))
        for (row, _), one in zip(held, of_forms, strict=True):
            np.maximum(scores[row], one, out=scores[row])
        return scores

    def _read(
        self, into: Scores, found: FoundWords, at: int, positions: NDArray[np.uint16]
    ) -> None:
        """Writes the word's frequency in each of the chunks."""
        row = found.common[at]
        if row >= 0:
            into[:] = self.postings.common[row].take(positions)
            return
        span = slice(found.starts[at], found.stops[at])
        held = self.postings.positions[span]
        if len(held):
            places = held.searchsorted(positions)
            here = held.take(places, mode="clip") == positions
            into[here] = self.postings.frequencies[span].take(places[here])

    def find_chunks(self, chunk_ids: NDArray[np.bytes_]) -> Positions:
        """The position of each of the chunks, -1 for one that is not here or gone."""
        order = self._id_order
        found = _find(self.postings.chunk_ids, chunk_ids, sorter=order)
        positions = np.where(found >= 0, order[found], -1)
        positions[(positions >= 0) & self._is_gone[positions]] = -1
        return positions


def _find(known: NDArray[Any], wanted: NDArray[Any], sorter: Any = None) -> NDArray[np.intp]:
    """The place of each value in the ascending ``known`` (in its order by ``sorter``), or -1."""
    if not len(known):
        return np.full(len(wanted), -1)
    places = known.searchsorted(wanted, sorter=sorter)
    places[places == len(known)] = 0
    found = known[places] if sorter is None else known[sorter[places]]
    return np.where(found == wanted, places, -1)
