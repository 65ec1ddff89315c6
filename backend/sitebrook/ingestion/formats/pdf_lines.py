"""The lines of a PDF's page, as far as they can be seen."""

from __future__ import annotations

import ctypes
import re
import statistics
from dataclasses import dataclass
from typing import Any, Final

import pypdfium2.raw

from sitebrook.ingestion.decoding import clean

_RAW: Final[Any] = pypdfium2.raw
_UNSEEN_MODES: Final = frozenset({3, 7})  # neither filled nor stroked
_LEAST_HEIGHT: Final = 1.5  # points
_WHITE: Final = 250
_ENDS: Final = frozenset({0x0A, 0x0D})
# pdfium's sign for a hyphen that only divides a word at the end of a line.
_DIVISION: Final = frozenset({0x02, 0xAD, 0xFFFE})
_SPACE: Final = 0x20
_SAMPLES: Final = 7
_SURROGATES: Final = range(0xD800, 0xE000)
_SPACES: Final = re.compile(r"[^\S\n]+")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text and where it stands, in points from the page's lower edge."""

    text: str
    top: float
    bottom: float
    size: float
    is_divided: bool = False  # ends within a word


@dataclass(frozen=True, slots=True)
class _Sight:
    """How an object shows its text."""

    is_seen: bool
    is_invisible: bool  # by its mode, as text recognition leaves it over a picture


class PageLines:
    """What a page says. Text that nobody can see is left out.

    That is text in an invisible mode, transparent, smaller than 1.5 points, off the page, or white
    where nothing else is drawn. A page that has invisible text only, and a picture, was scanned
    and read by a machine: its text counts.
    """

    def __init__(self, page: Any) -> None:
        kinds = {int(one.type) for one in page.get_objects(max_depth=3)}
        self.has_pictures = _RAW.FPDF_PAGEOBJ_IMAGE in kinds
        self._is_bare = kinds <= {_RAW.FPDF_PAGEOBJ_TEXT}
        self._box = page.get_bbox()
        self._sights: dict[int, _Sight] = {}
        self._text: Any = page.get_textpage()
        try:
            self.lines = self._read(take_invisible=False)
            if not self.lines and self.has_pictures:
                self.lines = self._read(take_invisible=True)
        finally:
            self._text.close()

    def _read(self, *, take_invisible: bool) -> list[Line]:
        lines: list[Line] = []
        codes: list[int] = []
        places: list[int] = []
        for at in range(self._text.count_chars()):
            code = int(_RAW.FPDFText_GetUnicode(self._text, at))
            if code in _ENDS:
                lines += self._to_lines(codes, places)
                codes, places = [], []
            elif self._is_taken(at, take_invisible=take_invisible):
                codes.append(code)
                places += [at] if code > _SPACE else []
        return lines + self._to_lines(codes, places)

    def _is_taken(self, at: int, *, take_invisible: bool) -> bool:
        found = _RAW.FPDFText_GetTextObject(self._text, at)
        if not found:
            return True  # a space that the page does not have itself
        address = ctypes.addressof(found.contents)
        sight = self._sights.get(address)
        if sight is None:
            sight = self._sights[address] = self._look(found, at)
        return sight.is_seen or (take_invisible and sight.is_invisible)

    def _look(self, found: Any, at: int) -> _Sight:
        mode = int(_RAW.FPDFTextObj_GetTextRenderMode(found))
        left, bottom, right, top = self._place(at)
        page_left, page_bottom, page_right, page_top = self._box
        is_on_page = (
            right > page_left and left < page_right and top > page_bottom and bottom < page_top
        )
        is_large = abs(top - bottom) >= _LEAST_HEIGHT or abs(right - left) >= _LEAST_HEIGHT
        is_invisible = mode in _UNSEEN_MODES
        is_seen = is_on_page and is_large and not is_invisible and self._has_colour(found)
        return _Sight(is_seen, is_invisible)

    def _has_colour(self, found: Any) -> bool:
        parts = [ctypes.c_uint() for _ in range(4)]
        if not _RAW.FPDFPageObj_GetFillColor(found, *parts):
            return True
        *colours, opacity = (part.value for part in parts)
        is_white = min(colours) >= _WHITE
        return opacity > 0 and not (is_white and self._is_bare)

    def _place(self, at: int) -> tuple[float, float, float, float]:
        box = _RAW.FS_RECTF()
        if not _RAW.FPDFText_GetLooseCharBox(self._text, at, box):
            return 0.0, 0.0, 0.0, 0.0
        return box.left, box.bottom, box.right, box.top

    def _to_lines(self, codes: list[int], places: list[int]) -> list[Line]:
        """The line of these characters, unless there is nothing in it.

        pdfium takes two lines with a divided word between them for one.
        """
        shown = (chr(code) for code in codes if code not in _DIVISION and code not in _SURROGATES)
        text = _SPACES.sub(" ", clean("".join(shown))).strip()
        if not text or not places:
            return []
        _, bottom, _, _ = self._place(places[-1])
        _, _, _, top = self._place(places[0])
        return [Line(text, top, bottom, self._size(places), codes[-1] in _DIVISION)]

    def _size(self, places: list[int]) -> float:
        """The height of most characters, by a few of them, in half points."""
        some = places[:: max(1, len(places) // _SAMPLES)]
        boxes = [self._place(at) for at in some]
        return round(2 * statistics.median(abs(top - bottom) for _, bottom, _, top in boxes)) / 2
