"""The lines of a PDF's pages as headings and paragraphs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sitebrook.ingestion.formats.pdf_lines import Line
from sitebrook.ingestion.sections import Outline

_HEADING_RATIO: Final = 1.15
_HEADING_CHARACTERS: Final = 150
_MAX_LEVELS: Final = 4
# Pages with the same line at the same place near an edge, from which on it is furniture.
_REPEATED: Final = 3
_EDGE_LINES: Final = 2
_PLACE_POINTS: Final = 4
_PARAGRAPH_GAP: Final = 0.55  # of a line's height, more than between the lines of a paragraph
_POINT: Final = re.compile(r"[•▪◦‣·●○■–—*-] |\(?\d{1,2}[.)] |\(?[a-z][.)] ")  # noqa: RUF001
_DIGITS: Final = re.compile(r"\d+")
_PAGE_NUMBER: Final = re.compile(r"[-–—\s]*(?:\w{1,8}\.? )?#(?:\s*(?:/|\w{1,4})\s*#)?[-–—\s]*")  # noqa: RUF001
_SENTENCE_END: Final = re.compile(r"[.!?:;。！？]['\")\]”’»]*$")  # noqa: RUF001
# An entry of a table of contents: a title, dots, a page.
_LEADER: Final = re.compile(r"(?:\. ?){5,}\s*[\divxlc]{1,6}$")
_LETTERS: Final = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Bookmark:
    """A heading that the document lists, by its level, from 1, and its page, from 0."""

    title: str
    level: int
    page: int


def add_lines(
    pages: Sequence[Sequence[Line]], bookmarks: Sequence[Bookmark], outline: Outline
) -> None:
    """Adds the lines to the outline, without those that repeat on every page."""
    kept = _without_furniture(pages)
    sizes = _heading_sizes(kept)
    by_page: dict[int, list[Bookmark]] = {}
    for one in bookmarks:
        by_page.setdefault(one.page, []).append(one)
    if not outline.title:
        outline.title = _first_large(kept, sizes)
    writer = _Writer(outline)
    for number, lines in enumerate(kept):
        levels, unmatched = _match(lines, by_page.get(number, []))
        for one in unmatched:
            writer.open(one)
        for at, line in enumerate(lines):
            writer.add(line, levels.get(at) if bookmarks else _size_level(line, sizes))
    writer.end()


class _Writer:
    """Joins lines to paragraphs and headings."""

    def __init__(self, outline: Outline) -> None:
        self._outline = outline
        self._words = ""
        self._level: int | None = None  # of the heading that is being gathered
        self._last: Line | None = None

    def add(self, line: Line, level: int | None) -> None:
        if self._last is not None and self._continues(line, level):
            space = "" if self._last.is_divided else " "
            self._words = f"{self._words}{space}{line.text}"
        else:
            self._flush()
            self._words, self._level = line.text, level
        self._last = line

    def open(self, bookmark: Bookmark) -> None:
        """Begins a section that no line names."""
        self._flush()
        self._outline.open(bookmark.level, bookmark.title)

    def end(self) -> None:
        self._flush()
        self._outline.close()

    def _continues(self, line: Line, level: int | None) -> bool:
        last = self._last
        if last is None or level != self._level or _POINT.match(line.text):
            return False
        if last.is_divided:
            return True
        gap = last.bottom - line.top
        if abs(gap) > last.size * 4 or gap < -last.size:  # another column or page
            return level is None and line.text[:1].islower() and not _SENTENCE_END.search(last.text)
        return gap <= last.size * _PARAGRAPH_GAP and abs(line.size - last.size) <= last.size * 0.1

    def _flush(self) -> None:
        if self._level is not None:
            self._outline.open(self._level, self._words[:_HEADING_CHARACTERS])
        else:
            self._outline.add(self._words)
        self._words, self._level, self._last = "", None, None


def _match(
    lines: Sequence[Line], listed: Sequence[Bookmark]
) -> tuple[dict[int, int], list[Bookmark]]:
    """The levels of lines that a bookmark of the page names, and the bookmarks without a line."""
    levels: dict[int, int] = {}
    unmatched: list[Bookmark] = []
    for one in listed:
        found = next((at for at, line in enumerate(lines) if _is_titled(line, one)), None)
        if found is None:
            unmatched.append(one)
        else:
            levels.setdefault(found, one.level)
    return levels, unmatched


def _size_level(line: Line, sizes: Mapping[float, int]) -> int | None:
    is_heading = len(line.text) <= _HEADING_CHARACTERS and _LETTERS.search(line.text)
    return sizes.get(line.size) if is_heading else None


def _is_titled(line: Line, bookmark: Bookmark) -> bool:
    said, wanted = _letters(line.text), _letters(bookmark.title)
    return bool(said) and (said == wanted or (len(said) > 8 and wanted.startswith(said)))


def _letters(text: str) -> str:
    return "".join(_LETTERS.findall(text.lower())).lstrip("0123456789")


def _without_furniture(pages: Sequence[Sequence[Line]]) -> list[list[Line]]:
    """The pages without headers, footers and numbers at their edges."""
    counted = Counter(form for lines in pages for form in {_form(line) for line in _edges(lines)})
    has_pages = len(pages) > 1
    kept: list[list[Line]] = []
    for lines in pages:
        dropped = {
            id(line)
            for line in _edges(lines)
            if counted[_form(line)] >= _REPEATED
            or (has_pages and _PAGE_NUMBER.fullmatch(_form(line)[0]))
        }
        kept.append(
            [line for line in lines if id(line) not in dropped and not _LEADER.search(line.text)]
        )
    return kept


def _edges(lines: Sequence[Line]) -> list[Line]:
    by_height = sorted(lines, key=lambda line: line.top)
    return [*by_height[:_EDGE_LINES], *by_height[_EDGE_LINES:][-_EDGE_LINES:]]


def _form(line: Line) -> tuple[str, int]:
    """What is the same of a line on all pages that have it: its words and its height."""
    return _DIGITS.sub("#", line.text.lower()), round(line.top / _PLACE_POINTS)


def _heading_sizes(pages: Sequence[Sequence[Line]]) -> dict[float, int]:
    """The level of each size of line that is larger than the body's; the largest first."""
    characters: Counter[float] = Counter()
    for lines in pages:
        for line in lines:
            characters[line.size] += len(line.text)
    if not characters:
        return {}
    body = characters.most_common(1)[0][0]
    large = sorted((one for one in characters if one >= body * _HEADING_RATIO), reverse=True)
    # More than a few sizes, or as much large text as other, is a poster, not headings.
    if sum(characters[one] for one in large) > sum(characters.values()) / 2:
        return {}
    return {size: min(at + 1, _MAX_LEVELS) for at, size in enumerate(large)}


def _first_large(pages: Sequence[Sequence[Line]], sizes: Mapping[float, int]) -> str:
    """What the first page says in the largest letters, as a title."""
    first: Sequence[Line] = pages[0] if pages else ()
    largest = max((line.size for line in first if line.size in sizes), default=0.0)
    words = [line.text for line in first if line.size == largest]
    return " ".join(words)[:_HEADING_CHARACTERS] if largest and len(words) <= 4 else ""
