"""Passages and what an answer over them comes to."""

from __future__ import annotations

from dataclasses import dataclass

from sitebrook.chat.citations import Citation
from sitebrook.chat.markers import Marker, MarkerFilter
from sitebrook.chat.sources import LinkedPassage, Sources


@dataclass(frozen=True)
class FakePassage:
    """A passage as the search gives it."""

    text: str
    language: str = "en"
    title: str = "Title"
    headings: tuple[str, ...] = ()
    chunk_id: str = "chunk_1"
    document_id: str = "doc_1"
    score: float = 0.5


@dataclass(frozen=True)
class Answered:
    """A whole answer: its text as shown, its markers in order, what they cite."""

    text: str
    markers: list[Marker]
    citations: tuple[Citation, ...]

    @property
    def titles(self) -> list[str]:
        """What is cited, in order."""
        return [one.title for one in self.citations]


def to_sources(passages: list[FakePassage], question: str = "") -> Sources:
    """The sources of one answer."""
    linked = [LinkedPassage(one, f"https://example.com/{one.title}") for one in passages]
    return Sources(linked, question)


def answer(text: str, passages: list[FakePassage], question: str = "") -> Answered:
    """What becomes of a model's text, pushed at once."""
    sources = to_sources(passages, question)
    marker_filter = MarkerFilter(sources.find_index, [])
    shown = marker_filter.push(text) + marker_filter.finish()
    unmarked = sources.find_unmarked(shown, marker_filter.markers)
    markers = sorted([*marker_filter.markers, *unmarked], key=lambda one: one.start)
    return Answered(shown, markers, sources.cite(shown, markers))
