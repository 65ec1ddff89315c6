"""BM25 beside rank-bm25 on the same words, by processor time: both compute in one thread."""

from __future__ import annotations

import functools
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import rank_bm25
from tests.bench.processes import rss_bytes
from tests.bench.report import Row, show
from tests.bench.synthetic_site import (
    MadeChunk,
    Texts,
    draw_questions,
    percentile,
    tell,
    to_indexed,
)

from sitebrook.evaluation.judged import JudgedSet
from sitebrook.retrieval.bm25 import Bm25
from sitebrook.retrieval.words import to_words

SIZES = (1_000, 10_000, 100_000, 1_000_000)
# Above it, rank-bm25 takes minutes to make and gigabytes.
_LARGEST_REFERENCE = 100_000
_LIMIT = 100
_QUESTIONS = 100
_REFERENCE_QUESTIONS = 20
_BOUND = 100


@dataclass(slots=True)
class Compared:
    """Milliseconds of a question each, seconds to make, and megabytes, at one size."""

    chunks: int
    own: list[float] = field(default_factory=list[float])
    reference: list[float] = field(default_factory=list[float])
    own_s: float = 0.0
    reference_s: float = 0.0
    own_mb: float = 0.0
    reference_mb: float = 0.0

    @property
    def ratio(self) -> float | None:
        """How many times as fast as rank-bm25."""
        if not self.reference:
            return None
        return statistics.median(self.reference) / statistics.median(self.own)


def compare(sets: Sequence[JudgedSet], sizes: Sequence[int]) -> list[Compared]:
    """Each size, with the same questions."""
    texts = Texts(sets)
    questions = draw_questions(sets, _QUESTIONS)
    results: list[Compared] = []
    for size in sizes:
        tell(f"{size:,} chunks: BM25")
        chunks = list(texts.chunks(size))
        compared = Compared(size)
        _measure_own(compared, chunks, questions)
        if size <= _LARGEST_REFERENCE:
            _measure_reference(compared, chunks, questions)
        results.append(compared)
    return results


def _measure_own(
    compared: Compared, chunks: Sequence[MadeChunk], questions: Sequence[tuple[str, str]]
) -> None:
    started = time.thread_time()
    parts = to_indexed(chunks, "site")
    index = Bm25(parts)
    compared.own_s = time.thread_time() - started
    compared.own_mb = sum(part.size_bytes for part in parts) / 1e6
    for _ in range(2):  # the second time counts: the first one stems words
        compared.own = [
            _time_ms(functools.partial(index.find, one, _LIMIT)) for one, _ in questions
        ]


def _measure_reference(
    compared: Compared, chunks: Sequence[MadeChunk], questions: Sequence[tuple[str, str]]
) -> None:
    before = rss_bytes([os.getpid()])
    started = time.thread_time()
    index: Any = rank_bm25.BM25Okapi([chunk.words for chunk in chunks])
    compared.reference_s = time.thread_time() - started
    compared.reference_mb = (rss_bytes([os.getpid()]) - before) / 1e6
    asked = [to_words(one, language) for one, language in questions[:_REFERENCE_QUESTIONS]]
    # Scores alone, without finding the best of them.
    compared.reference = [_time_ms(functools.partial(index.get_scores, one)) for one in asked]


def _time_ms(work: Callable[[], object]) -> float:
    started = time.thread_time()
    work()
    return (time.thread_time() - started) * 1000


def to_tables(results: Sequence[Compared]) -> list[str]:
    """A line for each size."""
    head = ("BM25 p50", "p99 ms", "made s", "MB", "rank-bm25 p50", "made s", "MB", "faster")
    lines = [f"  {'chunks':>10}" + "".join(f"{name:>15}" for name in head)]
    for one in results:
        cells = [percentile(one.own, 0.5), percentile(one.own, 0.99), one.own_s, one.own_mb]
        if one.reference:
            cells += [statistics.median(one.reference), one.reference_s, one.reference_mb]
        shown = "".join(f"{show(cell):>15}" for cell in cells)
        times = "" if one.ratio is None else f"{one.ratio:,.0f} x"
        lines.append(f"  {one.chunks:>10,}{shown}{times:>15}")
    return lines


def to_rows(results: Sequence[Compared]) -> list[Row]:
    """The target at 100,000 chunks, and what is stated of the others."""
    rows: list[Row] = []
    for one in results:
        what = f"BM25, {one.chunks:,} chunks"
        value = f"{percentile(one.own, 0.5):.2f} ms p50, {one.own_mb:.0f} MB"
        if one.ratio is None:
            rows.append(Row(what, value, "-", None))
            continue
        value += f", {one.ratio:,.0f} x faster"
        is_judged = one.chunks == _LARGEST_REFERENCE
        target = f">= {_BOUND} x rank-bm25" if is_judged else "-"
        rows.append(Row(what, value, target, one.ratio >= _BOUND if is_judged else None))
    return rows
