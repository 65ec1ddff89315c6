"""The sentences of a text, and of an answer with the markers that stand behind each."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final, NamedTuple

from sitebrook.chat.markers import Marker

# What ends a sentence: a line, a stop with a space behind it, a stop of East Asian scripts.
_STOP: Final = re.compile(
    "\n+|[.!?\u2026\u061f\u06d4\u0964][\"'\u201d\u2019\u00bb)*_]*(?=\\s)"
    "|[\u3002\uff01\uff1f\uff61]+[\u300d\u300f\u201d\uff09]*"
)
_FENCED: Final = re.compile(r"^ {0,3}(`{3,}|~{3,}).*?(?:^ {0,3}\1|\Z)", re.DOTALL | re.MULTILINE)
# Longer than any answer that somebody reads; an upstream may send 10 million characters.
_MOST_CHARACTERS: Final = 50_000


class Sentence(NamedTuple):
    """A sentence without the space around it; ``end`` is exclusive."""

    start: int
    end: int
    text: str


class Statement(NamedTuple):
    """A sentence of an answer without markers; ``indexes`` are those of the markers behind it."""

    end: int
    text: str
    indexes: frozenset[int]


def to_sentences(text: str) -> list[Sentence]:
    """The sentences in order, each verbatim; a line is one at most."""
    sentences: list[Sentence] = []
    start = 0
    for end in [*(stop.end() for stop in _STOP.finditer(text)), len(text)]:
        piece = text[start:end]
        stripped = piece.strip()
        if stripped:
            begin = start + len(piece) - len(piece.lstrip())
            sentences.append(Sentence(begin, begin + len(stripped), stripped))
        start = end
    return sentences


def to_statements(text: str, markers: Sequence[Marker]) -> list[Statement]:
    """The statements of an answer's first 50,000 characters, without code blocks.

    A marker belongs to the sentence that it stands in or behind.
    """
    text = text[:_MOST_CHARACTERS]
    markers = [one for one in markers if one.end <= len(text)]
    sentences = to_sentences(_FENCED.sub(_to_spaces, _without(markers, text)))
    starts = [one.start for one in sentences]
    named: list[set[int]] = [set() for _ in sentences]
    for marker in markers:
        if named:
            # An empty marker ends its sentence, and the next one may begin in the same place.
            at = marker.start if marker.end > marker.start else marker.start - 1
            named[max(0, bisect_right(starts, at) - 1)].add(marker.index)
    return [
        Statement(one.end, one.text, frozenset(indexes))
        for one, indexes in zip(sentences, named, strict=True)
    ]


def _without(markers: Sequence[Marker], text: str) -> str:
    """The text with spaces where the markers are, so that all else stays in its place."""
    pieces: list[str] = []
    at = 0
    for marker in markers:
        pieces += (text[at : marker.start], " " * (marker.end - marker.start))
        at = marker.end
    return "".join((*pieces, text[at:]))


def _to_spaces(found: re.Match[str]) -> str:
    return " " * len(found[0])
