"""Citation markers in a streamed answer: found whatever the cut, renumbered, or dropped."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

# A marker is decided within this many characters from its bracket.
_MARKER_CHARACTERS: Final = 8
# A marker's numbers are decided one by one, as they come: "[1," and then "2]".
_FIRST_NUMBER: Final = re.compile(r"\[\s*(\d{1,2})\s*([\],])")
_NEXT_NUMBER: Final = re.compile(r"\s*(\d{1,2})\s*([\],])")
_BEGINS_FIRST: Final = re.compile(r"\[\s*\d{0,2}\s*")
_BEGINS_NEXT: Final = re.compile(r"\s*\d{0,2}\s*")
_FENCE: Final = 3
# How much of the text before a marker is looked at to judge it.
BEFORE_CHARACTERS: Final = 500

# The citation number for the number in a marker and the text before it; None: it is dropped.
FindIndex = Callable[[int, str], int | None]


class Marker(msgspec.Struct, frozen=True):
    """Where a marker stands in the text of one choice, in code points, end exclusive.

    One that the model left out is empty and stands where it belongs.
    """

    index: int
    start: int
    end: int


class MarkerFilter:
    """Passes the text of one choice on, with its markers renumbered or, without passage, dropped.

    At most 8 characters are held back, and only from an opening bracket. Brackets in code spans
    and code blocks are text. ``shown`` is what the caller has shown of the choice so far, to which
    it adds each piece; only a marker is reason to look back.
    """

    def __init__(self, find_index: FindIndex, shown: Sequence[str]) -> None:
        self.markers: list[Marker] = []
        self._find_index = find_index
        self._before = shown
        self._held: str = ""
        self._is_listing = False
        self._sent = 0
        self._code = _CodeTracker()

    def push(self, text: str) -> str:
        """What may be shown now."""
        if not self._held and not self._is_listing and "[" not in text:
            return self._show(text)
        text = self._held + text
        self._held = ""
        shown: list[str] = []
        position = 0
        while position < len(text):
            start = position
            if not self._is_listing:
                bracket = text.find("[", position)
                start = len(text) if bracket < 0 else bracket
                if start > position:
                    shown.append(self._show(text[position:start]))
            found = None if self._code.is_inside else self._pattern.match(text, start)
            if found is not None and found.end() - start <= self._room:
                marker = self._renumber(int(found[1]), shown)
                if marker:
                    shown.append(marker)
                self._is_listing = found[2] == ","
                position = found.end()
            elif self._may_become_number(text, start):
                self._held = text[start:]
                break
            elif self._is_listing:
                self._is_listing = False  # what follows the comma is no number: it is text
            else:
                shown.append(self._show(text[start : start + 1]))
                position = start + 1
        return "".join(shown)

    def finish(self) -> str:
        """What was held back, once nothing more comes."""
        rest, self._held = self._held, ""
        return self._show(rest)

    @property
    def _pattern(self) -> re.Pattern[str]:
        return _NEXT_NUMBER if self._is_listing else _FIRST_NUMBER

    @property
    def _room(self) -> int:
        return _MARKER_CHARACTERS - self._is_listing

    def _may_become_number(self, text: str, start: int) -> bool:
        if self._code.is_inside or not 0 < len(text) - start < self._room:
            return False
        begins = _BEGINS_NEXT if self._is_listing else _BEGINS_FIRST
        begun = begins.match(text, start)
        return begun is not None and begun.end() == len(text)

    def _renumber(self, number: int, pieces: Sequence[str]) -> str:
        index = self._find_index(number, self._last(pieces))
        if index is None:
            return ""
        shown = f"[{index}]"
        self.markers.append(Marker(index, self._sent, self._sent + len(shown)))
        return self._show(shown)

    def _last(self, pieces: Sequence[str]) -> str:
        """The end of what is shown, with the ``pieces`` that are not given out yet."""
        last: list[str] = []
        room = BEFORE_CHARACTERS
        for piece in itertools.chain(reversed(pieces), reversed(self._before)):
            end = piece[-room:]
            last.append(end)
            room -= len(end)
            if not room:
                break
        return "".join(reversed(last))

    def _show(self, text: str) -> str:
        self._code.push(text)
        self._sent += len(text)
        return text


class _CodeTracker:
    """Whether the text so far ends inside a Markdown code span or fence.

    A single backtick inside a word opens nothing, and a code span ends with its line at the
    latest: a stray backtick must not hide the markers of the rest.
    """

    def __init__(self) -> None:
        self._open = 0  # length of the backtick run that opened the code
        self._run = 0
        self._last = ""
        self._before_run = ""

    @property
    def is_inside(self) -> bool:
        """Whether a bracket that comes now is code."""
        if self._run == 0:
            return self._open > 0
        return self._open != self._run and not (self._open == 0 and self._is_in_word)

    def push(self, text: str) -> None:
        """Follows the text on."""
        if "`" not in text and self._run == 0 and self._open == 0:
            self._last = text[-1:] or self._last
            return
        for character in text:
            if character == "`":
                if self._run == 0:
                    self._before_run = self._last
                self._run += 1
            else:
                self._end_run()
                if character == "\n" and self._open < _FENCE:
                    self._open = 0
            self._last = character

    @property
    def _is_in_word(self) -> bool:
        return self._run == 1 and self._before_run.isalnum()

    def _end_run(self) -> None:
        if self._run and self._open == 0:
            self._open = 0 if self._is_in_word else self._run
        elif self._run and (self._run == self._open or self._run > self._open >= _FENCE):
            self._open = 0
        self._run = 0
