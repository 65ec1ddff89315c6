"""Figures by their labels: counters and histograms with bounded label sets, that can be summed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

OTHER: Final = "other"
NONE: Final = "none"
_MAX_LABEL_CHARACTERS: Final = 100

Labels = tuple[str, ...]


class Family(msgspec.Struct, frozen=True):
    """One metric: its name as Prometheus shows it, what it says, its labels.

    ``bounds`` are the upper bounds of a histogram's buckets. ``max_series`` label sets are kept.
    """

    name: str
    meaning: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: Labels = ()
    bounds: tuple[float, ...] = ()
    max_series: int = 1000


class Counts(msgspec.Struct):
    """One histogram: observations per bucket, the last above every bound, and their sum."""

    buckets: list[int]
    total: float = 0.0


class Snapshot(msgspec.Struct):
    """The figures of a process at one moment, by family and labels."""

    values: dict[str, list[tuple[Labels, float]]] = {}
    counts: dict[str, list[tuple[Labels, Counts]]] = {}

    def add(self, other: Snapshot) -> None:
        """Adds another process's figures."""
        for name, series in other.values.items():
            values = dict(self.values.get(name, ()))
            for labels, value in series:
                values[labels] = values.get(labels, 0.0) + value
            self.values[name] = list(values.items())
        for name, histograms in other.counts.items():
            counts = dict(self.counts.get(name, ()))
            for labels, one in histograms:
                known = counts.get(labels)
                counts[labels] = one if known is None else _sum(known, one)
            self.counts[name] = list(counts.items())


def _sum(one: Counts, other: Counts) -> Counts:
    if len(one.buckets) != len(other.buckets):  # an older version's, left by a worker
        return one
    buckets = [a + b for a, b in zip(one.buckets, other.buckets, strict=True)]
    return Counts(buckets, one.total + other.total)


class LabelValues:
    """The values that one label may have; what is over ``limit``, or too long, is ``other``.

    ``known`` values always have their place; others keep it in the order in which they come.
    """

    def __init__(self, limit: int, known: Iterable[str] = ()) -> None:
        self._known = frozenset(known)
        self._limit = limit
        self._seen: set[str] = set()

    def __call__(self, value: str) -> str:
        """The value to show; nothing is ``none``."""
        if value in self._seen or value in self._known:
            return value
        if not value:
            return NONE
        if len(self._seen) >= self._limit or len(value) > _MAX_LABEL_CHARACTERS:
            return OTHER
        self._seen.add(value)
        return value


class Counter:
    """Sums, or the last values, of one family by labels."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self._values: dict[Labels, float] = {}
        self._rest = (OTHER,) * len(family.labels)

    def add(self, labels: Labels, amount: float = 1.0) -> None:
        """Adds to the figure of these labels, or of ``other`` when there are too many."""
        values = self._values
        if labels not in values and len(values) >= self.family.max_series:
            labels = self._rest
        values[labels] = values.get(labels, 0.0) + amount

    def set(self, labels: Labels, value: float) -> None:
        """Puts the figure of these labels; further label sets than allowed are left out."""
        if labels in self._values or len(self._values) < self.family.max_series:
            self._values[labels] = float(value)

    def series(self) -> list[tuple[Labels, float]]:
        """The figures at this moment."""
        return list(self._values.items())


class Histogram:
    """How the observations of one family are distributed, by labels."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self._counts: dict[Labels, Counts] = {}
        self._rest = (OTHER,) * len(family.labels)

    def observe(self, labels: Labels, value: float) -> None:
        """Counts one observation."""
        counts = self._find(labels)
        counts.buckets[bisect_left(self.family.bounds, value)] += 1
        counts.total += value

    def merge(self, labels: Labels, buckets: Sequence[int], total: float) -> None:
        """Adds observations that were counted per bucket, and their sum."""
        counts = self._find(labels)
        for position, count in enumerate(buckets):
            counts.buckets[position] += count
        counts.total += total

    def series(self) -> list[tuple[Labels, Counts]]:
        """The counts at this moment."""
        return [
            (labels, Counts(list(one.buckets), one.total)) for labels, one in self._counts.items()
        ]

    def _find(self, labels: Labels) -> Counts:
        found = self._counts.get(labels)
        if found is None:
            if len(self._counts) >= self.family.max_series:
                labels = self._rest
            found = self._counts.setdefault(labels, Counts([0] * (len(self.family.bounds) + 1)))
        return found
