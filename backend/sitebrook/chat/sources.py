"""The passages of a prompt, as the choices of one answer name them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from sitebrook.chat.attribution import Attributor
from sitebrook.chat.citations import Citation, CitedPassage, to_citation
from sitebrook.chat.markers import BEFORE_CHARACTERS, Marker
from sitebrook.chat.quotations import Quoted, find_quotation
from sitebrook.chat.statements import to_statements

# A statement of four words that mean something has more, in Chinese too.
_LEAST_CHARACTERS: Final = 8


class LinkedPassage(msgspec.Struct, frozen=True, gc=False):
    """A passage of the prompt and the link that opens its document."""

    passage: CitedPassage
    url: str


class Sources:
    """Numbers the passages in the order in which an answer first names them, and cites them.

    ``question`` is what was asked; what an answer repeats of it has no source.
    """

    def __init__(self, passages: Sequence[LinkedPassage] = (), question: str = "") -> None:
        self._passages = passages
        self._question = question
        self._indexes: dict[int, int] = {}  # of citations, by the passage's place in the prompt
        self._citations: dict[int, Citation] = {}
        self._attributor: Attributor | None = None
        self._quoted = Quoted([_to_text(one.passage) for one in passages])

    def find_index(self, number: int, before: str) -> int | None:
        """The citation for passage ``number``, from 1; None when the marker names no source.

        ``before`` is the text before the marker. When it ends with a quotation, the citation is
        that of the passage which has it, the named one first; None when no passage has it.
        """
        if not 1 <= number <= len(self._passages):
            return None
        place = number - 1
        quotation = find_quotation(before)
        if quotation is not None:
            others = (place, *range(len(self._passages)))
            holding = (one for one in others if self._quoted.holds(one, quotation))
            found = next(holding, None)
            if found is None:
                return None
            place = found
        return self._to_index(place)

    def cite(self, text: str, markers: Sequence[Marker]) -> tuple[Citation, ...]:
        """The citations that the markers in the text of a choice name, by their index."""
        statements = to_statements(text, markers)
        named = {marker.index: marker for marker in reversed(markers)}
        for place, index in self._indexes.items():
            if index in named and index not in self._citations:
                stated = " ".join(one.text for one in statements if index in one.indexes)
                stated = stated or _around(named[index], text)
                self._citations[index] = self._to_citation(index, place, stated)
        return tuple(self._citations[index] for index in sorted(named))

    def find_unmarked(self, text: str, markers: Sequence[Marker]) -> list[Marker]:
        """An empty marker behind each statement that uses a passage which nothing names."""
        if not self._passages:
            return []
        statements = to_statements(text, markers)
        if all(one.indexes or len(one.text) < _LEAST_CHARACTERS for one in statements):
            return []
        named = {marker.index for marker in markers}
        cited = [place for place, index in self._indexes.items() if index in named]
        if self._attributor is None:
            self._attributor = Attributor(self._question, [one.passage for one in self._passages])
        added: list[Marker] = []
        for use in self._attributor.find_uses(statements, cited):
            statement = statements[use.statement]
            quotation = find_quotation(statement.text)
            if quotation is None or self._quoted.holds(use.passage, quotation):
                index = self._to_index(use.passage)
                added.append(Marker(index, statement.end, statement.end))
        return added

    def _to_index(self, place: int) -> int:
        return self._indexes.setdefault(place, len(self._indexes) + 1)

    def _to_citation(self, index: int, place: int, stated: str) -> Citation:
        linked = self._passages[place]
        return to_citation(index, linked.passage, url=linked.url, statements=stated)


def _around(marker: Marker, text: str) -> str:
    """What stands by a marker that is behind the statements of a very long answer."""
    return text[max(0, marker.start - BEFORE_CHARACTERS) : marker.end + BEFORE_CHARACTERS]


def _to_text(passage: CitedPassage) -> str:
    return "\n".join((passage.title, *passage.headings, passage.text))
