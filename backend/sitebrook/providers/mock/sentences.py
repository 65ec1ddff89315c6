"""The words of questions and passages that tell what they are about."""

from __future__ import annotations

import re
import unicodedata
from itertools import filterfalse
from typing import Final

from sitebrook.providers.mock.wording import FUNCTION_WORDS

_WORD: Final = re.compile(r"\w+")
_CJK: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]+")
_STEM: Final = 5  # letters of a word that count; folds plurals and verb endings together


def to_stems(text: str) -> frozenset[str]:
    """The content words of a text: lower case, without accents, cut to a stem; CJK as bigrams."""
    folded = text.casefold()
    if not folded.isascii():
        decomposed = unicodedata.normalize("NFKD", folded)
        folded = "".join(filterfalse(unicodedata.combining, decomposed))
    stems: set[str] = set()
    for run in _CJK.findall(folded):
        stems |= {run[at : at + 2] for at in range(max(1, len(run) - 1))}
    for word in _WORD.findall(_CJK.sub(" ", folded)):
        for part in word.split("_"):
            if len(part) > 1 and part not in _FOLDED_FUNCTION_WORDS:
                stems.add(_without_plural(part)[:_STEM])
    return frozenset(stems)


def _without_plural(word: str) -> str:
    """A short word without its s, which the cut to a stem would leave: costs, sites, opens."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and word[-2] != "s" else word


def _fold(word: str) -> str:
    return unicodedata.normalize("NFKD", word).encode("ascii", "ignore").decode()


# Words that no answer is about; too common in other languages to tell English by.
_EMPTY_WORDS: Final = (
    "an at in on or if be by as am was were will would could did has had me we us our your its "
    "them they he she not no but so just please any get gets"
)
_FOLDED_FUNCTION_WORDS: Final = frozenset(map(_fold, FUNCTION_WORDS)) | frozenset(
    _EMPTY_WORDS.split()
)
