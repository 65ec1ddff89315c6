"""BM25 over the chunks of one site as of one moment, scored by rank-bm25."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from rank_bm25 import BM25Okapi  # pyright: ignore[reportMissingTypeStubs]

from sitebrook.retrieval.knowledge import ChunkTexts
from sitebrook.retrieval.stop_words import stop_words
from sitebrook.retrieval.words import to_question_words, to_words

# Half weight for function words is the mean of BM25 with and without them. Measured on five sets
# (nDCG@10, geometric mean): 0.722, against 0.708 with full weight and 0.719 without them.
_STOP_WORD_WEIGHT: Final = 0.5
# A question is analysed in each of the site's most frequent languages, up to this many.
_MAX_LANGUAGES: Final = 6
# The best chunks in which a question's subject is looked for.
_EVIDENCE_CHUNKS: Final = 10

Scores = NDArray[np.float64]
Frequencies = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ChunkWords:
    """How often each word stands in a chunk."""

    language: str
    frequencies: Frequencies


@dataclass(frozen=True, slots=True)
class KeywordMatches:
    """The chunks found for one question.

    ``coverage`` is the share of the question's idf mass that the best chunk holds, ``evidence``
    the greatest share of its subject (its words without stop words, by idf) in one of the best.
    ``languages`` are those of the site's chunks, the most frequent first.
    """

    ranked: tuple[tuple[str, float], ...]
    coverage: float
    evidence: float
    languages: tuple[str, ...]
    _scores: Scores
    _positions: Mapping[str, int]

    def score(self, chunk_id: str) -> float:
        """The exact score of any chunk; 0 for one without words of the question."""
        position = self._positions.get(chunk_id)
        return 0.0 if position is None else float(self._scores[position])


def no_matches() -> KeywordMatches:
    """What is found where there is nothing to find."""
    return KeywordMatches((), 0.0, 0.0, (), np.zeros(0), {})


class Bm25(BM25Okapi):
    """BM25Okapi with Lucene's idf, ln(1 + (N - n + 0.5) / (n + 0.5)), of words counted before.

    BM25Okapi's own idf is negative for a word in more than half of the chunks and is then replaced
    by a quarter of the mean idf, more than that of many rarer words; Lucene's is positive and
    falls with n (nDCG@10, geometric mean of five sets: 0.708 against 0.693).
    """

    idf: dict[str, float]
    doc_freqs: list[Frequencies]

    def _initialize(self, corpus: Sequence[Frequencies]) -> dict[str, list[int]]:
        self.doc_freqs = list(corpus)
        lengths = [sum(frequencies.values()) for frequencies in corpus]
        self.doc_len = np.array(lengths, dtype=np.float64)
        self.corpus_size = len(lengths)
        self.avgdl = max(1.0, sum(lengths) / self.corpus_size)
        self.postings: dict[str, list[int]] = {}
        for position, frequencies in enumerate(corpus):
            for word in frequencies:
                self.postings.setdefault(word, []).append(position)
        return self.postings

    def _calc_idf(self, nd: Mapping[str, Sequence[int]]) -> None:
        self.idf = {word: self.idf_of(len(positions)) for word, positions in nd.items()}

    def idf_of(self, chunks: int) -> float:
        """The idf of a word that stands in this many chunks."""
        return math.log(1 + (self.corpus_size - chunks + 0.5) / (chunks + 0.5))

    def add_scores(self, word: str, scores: Scores) -> None:
        """Raises each chunk's score to that of the word, where that is more."""
        positions = self.postings.get(word)
        if positions is not None:
            found = cast("list[float]", cast("Any", self).get_batch_scores([word], positions))
            scores[positions] = np.maximum(scores[positions], found)


class Snapshot:
    """The keyword index of one site as of one version of its documents; never changed."""

    def __init__(
        self, version: int, words: Mapping[str, ChunkWords], *, k1: float, b: float
    ) -> None:
        self.version = version
        self.words = words
        self.chunk_ids = tuple(words)
        self._positions = {chunk_id: at for at, chunk_id in enumerate(self.chunk_ids)}
        languages = Counter(chunk.language for chunk in words.values())
        self._languages = tuple(name for name, _ in languages.most_common(_MAX_LANGUAGES))
        self._stop_words = stop_words(frozenset(self._languages))
        frequencies = [chunk.frequencies for chunk in words.values()]
        self._bm25 = Bm25(frequencies, k1=k1, b=b) if frequencies else None

    @classmethod
    def build(
        cls, texts: ChunkTexts, previous: Snapshot | None, *, k1: float, b: float
    ) -> Snapshot:
        """The snapshot of these chunks; words of chunks that ``previous`` has are taken from it."""
        kept: Mapping[str, ChunkWords] = previous.words if previous else {}
        words = {
            chunk_id: kept.get(chunk_id) or _count(*texts.new[chunk_id])
            for chunk_id in texts.chunk_ids
        }
        return cls(texts.version, words, k1=k1, b=b)

    def __len__(self) -> int:
        return len(self.chunk_ids)

    def find(self, question: str, limit: int) -> KeywordMatches:
        """The best chunks for the question, best first."""
        groups = to_question_words(question, self._languages)
        bm25 = self._bm25
        if bm25 is None or not groups:
            return no_matches()
        scores = np.zeros(len(self.chunk_ids))
        for forms, count in Counter(groups).items():
            scores += count * self._weight(forms) * self._score(bm25, forms)
        ranked = np.argsort(-scores, kind="stable")[:limit]
        best = [int(at) for at in ranked if scores[at] > 0]
        coverage, evidence = self._cover(bm25, groups, best[:_EVIDENCE_CHUNKS])
        found = tuple((self.chunk_ids[at], float(scores[at])) for at in best)
        return KeywordMatches(found, coverage, evidence, self._languages, scores, self._positions)

    def _score(self, bm25: Bm25, forms: tuple[str, ...]) -> Scores:
        """The best score of the word's forms in each chunk: they are one word."""
        scores = np.zeros(len(self.chunk_ids))
        for form in forms:
            bm25.add_scores(form, scores)
        return scores

    def _weight(self, forms: tuple[str, ...]) -> float:
        return 1.0 if self._stop_words.isdisjoint(forms) else _STOP_WORD_WEIGHT

    def _cover(
        self, bm25: Bm25, groups: list[tuple[str, ...]], best: list[int]
    ) -> tuple[float, float]:
        """Coverage and evidence; a question of function words alone is judged by them."""
        idf = {forms: _idf(bm25, forms) for forms in groups}
        subject = {forms: mass for forms, mass in idf.items() if self._stop_words.isdisjoint(forms)}
        chunks = [bm25.doc_freqs[at] for at in best]
        coverage = _share(idf, chunks[:1])
        return coverage, _share(subject, chunks) if subject else coverage


def _idf(bm25: Bm25, forms: tuple[str, ...]) -> float:
    known = [bm25.idf[form] for form in forms if form in bm25.idf]
    # A word of no chunk counts as one of a single chunk, or a typing error would outweigh all.
    return max(known) if known else bm25.idf_of(1)


def _share(idf: Mapping[tuple[str, ...], float], chunks: Sequence[Frequencies]) -> float:
    """The largest share of the mass that one of the chunks holds."""
    total = sum(idf.values())
    held = [
        sum(mass for forms, mass in idf.items() if any(form in chunk for form in forms))
        for chunk in chunks
    ]
    return max(held, default=0.0) / total if total else 0.0


def _count(text: str, language: str) -> ChunkWords:
    return ChunkWords(language, Counter(to_words(text, language)))
