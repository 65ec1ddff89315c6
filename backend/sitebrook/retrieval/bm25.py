"""Exact BM25 over the chunks of one site as of one moment."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sitebrook.retrieval.postings import Numbers, Postings, to_key
from sitebrook.retrieval.scoring import Form, FoundWords, Parameters, Part, Positions, Scores
from sitebrook.retrieval.stop_words import stop_words
from sitebrook.retrieval.words import to_question_words

# Half weight for function words is the mean of BM25 with and without them. Measured on five sets
# (nDCG@10, geometric mean): 0.722, against 0.708 with full weight and 0.719 without them.
_STOP_WORD_WEIGHT: Final = 0.5
# A question is analysed in each of the site's most frequent languages, up to this many.
_MAX_LANGUAGES: Final = 6
# The best chunks in which a question's subject is looked for.
_EVIDENCE_CHUNKS: Final = 10
# The best are looked for in single precision and scored in double; what rounding could have put
# below the last of them is scored too.
_ROUNDING: Final = np.float32(1 - 1e-5)
# Among so many chunks only the best score is looked at when the limit of the best is searched.
_BLOCK: Final = 64


@dataclass(frozen=True, slots=True)
class QuestionWord:
    """A word of the question in its forms under the site's languages.

    ``idf`` is that of its rarest known form, ``weight`` what its score is multiplied by: how often
    the question has it, halved for a function word. ``chunks`` hold its most frequent form.
    """

    forms: tuple[str, ...]
    idf: float
    weight: float
    chunks: int
    is_stop_word: bool


@dataclass(frozen=True, slots=True)
class KeywordMatches:
    """The chunks found for one question, best first, with their scores.

    ``coverage`` is the share of the question's idf mass that the best chunk holds, ``evidence``
    the greatest share of its subject (its words without stop words, by idf) in one of the best.
    ``languages`` are those of the site's chunks, the most frequent first.
    """

    ranked: tuple[tuple[str, float], ...] = ()
    coverage: float = 0.0
    evidence: float = 0.0
    languages: tuple[str, ...] = ()
    words: tuple[QuestionWord, ...] = ()
    _asked: _Asked | None = None

    def score(self, chunk_ids: Sequence[str]) -> dict[str, float]:
        """The exact score of each chunk; 0 for one without words of the question."""
        return {chunk_id: sum(shares) for chunk_id, shares in self.shares(chunk_ids).items()}

    def shares(self, chunk_ids: Sequence[str]) -> dict[str, tuple[float, ...]]:
        """What each of ``words`` adds to the score of each chunk."""
        none = (0.0,) * len(self.words)
        found = dict.fromkeys(chunk_ids, none)
        if self._asked is not None and chunk_ids:
            found |= self._asked.shares(chunk_ids)
        return found


class Bm25:
    """BM25 with Lucene's idf, ln(1 + (N - n + 0.5) / (n + 0.5)), over the postings of one site.

    BM25Okapi's own idf is negative for a word in more than half of the chunks and is then replaced
    by a quarter of the mean idf, more than that of many rarer words; Lucene's is positive and
    falls with n (nDCG@10, geometric mean of five sets: 0.708 against 0.693).
    """

    def __init__(self, postings: Sequence[Postings], *, k1: float = 1.2, b: float = 0.75) -> None:
        removed = np.concatenate([np.empty(0, np.uint32), *(one.removed for one in postings)])
        kept = [~np.isin(one.numbers, removed) for one in postings]
        held = list(zip(postings, kept, strict=True))
        words = sum(int(one.lengths[keep].sum()) for one, keep in held)
        self._chunks = sum(int(keep.sum()) for keep in kept)
        parameters = Parameters(k1, b, max(1.0, words / max(1, self._chunks)))
        self._factor = k1 + 1
        self._parts = [Part(one, ~keep, parameters) for one, keep in held if keep.any()]
        self._languages = _to_languages(held)
        self._stop_words = stop_words(frozenset(self._languages))

    def __len__(self) -> int:
        return self._chunks

    def find(self, question: str, limit: int, within: Numbers | None = None) -> KeywordMatches:
        """The best chunks for the question, of the numbers ``within``; safe in any thread.

        Words weigh by how rare they are among all chunks.
        """
        groups = Counter(to_question_words(question, self._languages))
        if not self._parts or not groups:
            return KeywordMatches(languages=self._languages)
        asked = self._ask(groups)
        best = asked.find_best(limit, within)
        coverage, evidence = _cover(asked.words, best.shares[:, :_EVIDENCE_CHUNKS] > 0)
        return KeywordMatches(
            ranked=tuple(zip(best.chunk_ids, best.scores, strict=True)),
            coverage=coverage,
            evidence=evidence,
            languages=self._languages,
            words=asked.words,
            _asked=asked,
        )

    def _ask(self, groups: Counter[tuple[str, ...]]) -> _Asked:
        places: dict[str, int] = {}
        for forms in groups:
            for form in forms:
                places.setdefault(form, len(places))
        keys = np.array([to_key(form) for form in places], dtype=np.uint64)
        found = [part.look_up(keys) for part in self._parts]
        counts: list[int] = np.sum([one.chunks for one in found], axis=0).tolist()
        words: list[QuestionWord] = []
        forms_of_words: list[list[Form]] = []
        for forms, times in groups.items():
            known = [(at, counts[at]) for at in map(places.__getitem__, forms) if counts[at]]
            is_stop_word = not self._stop_words.isdisjoint(forms)
            weight = times * (_STOP_WORD_WEIGHT if is_stop_word else 1.0)
            forms_of_words.append(
                [Form(at, weight * self._factor * self._idf(count)) for at, count in known]
            )
            held = [count for _, count in known]
            # A word of no chunk counts as one of a single chunk: a typing error must not outweigh
            # all that is known.
            idf = self._idf(min(held, default=1))
            words.append(QuestionWord(forms, idf, weight, max(held, default=0), is_stop_word))
        return _Asked(self._parts, found, forms_of_words, tuple(words))

    def _idf(self, chunks: int) -> float:
        return math.log(1 + (self._chunks - chunks + 0.5) / (chunks + 0.5))


@dataclass(frozen=True, slots=True)
class _Best:
    """The best chunks, best first; ``shares`` has a row for each word, a column for each chunk."""

    chunk_ids: list[str]
    scores: list[float]
    shares: Scores


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question's words looked up in every part."""

    parts: Sequence[Part]
    found: Sequence[FoundWords]
    forms: Sequence[Sequence[Form]]
    words: tuple[QuestionWord, ...]

    def find_best(self, limit: int, within: Numbers | None) -> _Best:
        rough = [
            part.rough_scores(words, self.forms)
            for part, words in zip(self.parts, self.found, strict=True)
        ]
        if within is not None:
            for part, scores in zip(self.parts, rough, strict=True):
                scores[~np.isin(part.postings.numbers, within)] = 0
        found = _find_highest(rough, limit)
        shares = np.concatenate(
            [self._exact(at, positions) for at, positions in enumerate(found)], axis=1
        )
        scores = shares.sum(axis=0)
        numbers, chunk_ids = (
            np.concatenate(
                [
                    getattr(part.postings, name)[positions]
                    for part, positions in zip(self.parts, found, strict=True)
                ]
            )
            for name in ("numbers", "chunk_ids")
        )
        # Equals stand in the order of their age.
        order = np.lexsort((numbers, -scores))[:limit]
        names = [chunk_id.decode() for chunk_id in chunk_ids[order].tolist()]
        return _Best(names, scores[order].tolist(), shares[:, order])

    def shares(self, chunk_ids: Sequence[str]) -> dict[str, tuple[float, ...]]:
        """What each word adds to the score of each of the chunks that are here."""
        wanted = np.array([chunk_id.encode() for chunk_id in chunk_ids])
        found: dict[str, tuple[float, ...]] = {}
        for at, part in enumerate(self.parts):
            positions = part.find_chunks(wanted)
            here = np.flatnonzero(positions >= 0)
            columns = self._exact(at, positions[here]).T.tolist()
            found |= {
                chunk_ids[place]: tuple(column)
                for place, column in zip(here.tolist(), columns, strict=True)
            }
        return found

    def _exact(self, part: int, positions: Positions) -> Scores:
        return self.parts[part].exact_scores(self.found[part], self.forms, positions)


def _find_highest(rough: Sequence[NDArray[np.float32]], limit: int) -> list[Positions]:
    """The positions of the highest scores above 0 in each array: at least ``limit`` in all."""
    least = np.finfo(np.float32).tiny
    maxima = np.concatenate([_block_maxima(scores) for scores in rough])
    if len(maxima) > limit:
        # As many blocks have a chunk with this much, so the best have no less.
        least = max(least, np.partition(maxima, -limit)[-limit] * _ROUNDING)
    found = [np.flatnonzero(scores >= least) for scores in rough]
    highest = [scores[positions] for scores, positions in zip(rough, found, strict=True)]
    if sum(map(len, found)) <= limit:
        return found
    least = np.partition(np.concatenate(highest), -limit)[-limit] * _ROUNDING
    return [positions[scores >= least] for positions, scores in zip(found, highest, strict=True)]


def _block_maxima(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """The highest of every so many scores, which need not lie side by side, and the rest."""
    whole = len(scores) // _BLOCK * _BLOCK
    return np.concatenate((scores[:whole].reshape(_BLOCK, -1).max(axis=0), scores[whole:]))


def _cover(words: Sequence[QuestionWord], held: NDArray[np.bool_]) -> tuple[float, float]:
    """Coverage and evidence of the best chunks; ``held`` tells which word each of them has.

    A question of function words alone is judged by them.
    """
    idf = np.array([word.idf for word in words])
    subject = np.array([not word.is_stop_word for word in words])
    coverage = _share(idf, held[:, :1])
    return coverage, _share(idf[subject], held[subject]) if subject.any() else coverage


def _share(idf: Scores, held: NDArray[np.bool_]) -> float:
    """The largest share of the mass that one of the chunks holds."""
    total = float(idf.sum())
    return float((idf @ held).max(initial=0.0)) / total if total else 0.0


def _to_languages(held: Sequence[tuple[Postings, NDArray[np.bool_]]]) -> tuple[str, ...]:
    counts: Counter[str] = Counter()
    for one, keep in held:
        sizes = np.bincount(one.languages[keep], minlength=len(one.language_names))
        counts.update(dict(zip(one.language_names, sizes.tolist(), strict=True)))
    return tuple(name for name, count in counts.most_common(_MAX_LANGUAGES) if count)
