"""Whether what an answer puts into quotation marks stands in the passage that it names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from sitebrook.chat.markers import BEFORE_CHARACTERS
from sitebrook.retrieval.words import UNSPACED_RUN

# A quotation that ends the text, but for stops, emphasis and other markers behind it. A straight
# mark opens only before a character and behind none, so that inches and the like are no quotation.
_QUOTATION: Final = re.compile(
    '(?:(?<!\\w)"(?=\\S)([^"\n]+)(?<=\\S)"|\u201c([^\u201c\u201d\n]+)\u201d'
    "|\u201e([^\u201e\u201c\u201d\n]+)[\u201c\u201d]|[\u00ab\u00bb]([^\u00ab\u00bb\n]+)[\u00ab\u00bb]"
    "|\u300c([^\u300c\u300d\n]+)\u300d|\u300e([^\u300e\u300f\n]+)\u300f)"
    "[\\s.,;:!?*_)\u3002\u3001\uff0c\uff01\uff1f]*(?:\\[\\d+\\]\\s*)*$"
)
_CLOSING: Final = re.compile('["\u201c\u201d\u00ab\u00bb\u300d\u300f]')
_ELLIPSIS: Final = re.compile("\\[?(?:\u2026|\\.\\.\\.)\\]?")
_LINK_TARGET: Final = re.compile(r"\]\([^()\s]*\)")
_NO_LETTER: Final = re.compile(r"[\W_]+")
# Shorter ones are names and terms, which need no source. Four words, and as much in Chinese.
_LEAST_CHARACTERS: Final = 20
_LEAST_UNSPACED: Final = 8


def find_quotation(before: str) -> str | None:
    """The quotation that ends the text before a marker; None without one long enough to check."""
    if not _CLOSING.search(before):
        return None
    found = _QUOTATION.search(before[-BEFORE_CHARACTERS:])
    if found is None:
        return None
    quotation = next(group for group in found.groups() if group is not None)
    least = _LEAST_UNSPACED if UNSPACED_RUN.search(quotation) else _LEAST_CHARACTERS
    return quotation if len(_to_letters(quotation)) >= least else None


class Quoted:
    """The texts that may be quoted, compared by their letters and digits alone."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._letters: dict[int, str] = {}

    def holds(self, number: int, quotation: str) -> bool:
        """Whether the text with that number, from 0, has the quotation.

        Its parts around an ellipsis may stand apart, in their order.
        """
        letters = self._letters.get(number)
        if letters is None:
            letters = self._letters[number] = _to_letters(self._texts[number])
        at = 0
        for part in map(_to_letters, _ELLIPSIS.split(quotation)):
            found = letters.find(part, at)
            if found < 0:
                return False
            at = found + len(part)
        return True


def _to_letters(text: str) -> str:
    text = _LINK_TARGET.sub("]", unicodedata.normalize("NFKC", text))
    return _NO_LETTER.sub("", text.casefold())
