"""The words of a text as the index knows them; the same for chunks and for questions."""

from __future__ import annotations

import functools
import re
import threading
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

import Stemmer

from sitebrook.retrieval.language import STEMMERS

# Counts every change of what words a text has: an index made by an earlier one is made anew.
WORDS_FORMAT: Final = 1
# Longer than any word or identifier; what is longer is encoded data.
_MAX_CHARACTERS: Final = 64

# Scripts written without spaces: Thai, Lao, Myanmar, Khmer, kana, Han (with extensions), Hangul.
_UNSPACED: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f"
)
_TOKEN: Final = re.compile(
    rf"[{_UNSPACED}]+"
    rf"|[^\W_{_UNSPACED}](?:[^\W{_UNSPACED}\u0300-\u036f]+|[\u0300-\u036f]"
    rf"|[.,:\-](?=[^\W_{_UNSPACED}]))*(?:\+\+|\#)?"
)
UNSPACED_RUN: Final = re.compile(rf"[{_UNSPACED}]+")
_PARTS: Final = re.compile(r"[_.,:\-]+")
_HYPHENED: Final = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)+")
_GROUPED: Final = re.compile(r"\d{1,3}(?:[.,]\d{3})+")
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# What a question may leave out: accents, Hebrew points, Arabic vowel signs.
_MARKS: Final = re.compile("[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0640]")
# Letters that Unicode does not take apart, and the Russian \u0451, mostly written as \u0435.
_LETTERS: Final = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "\u0131": "i", "\u0451": "\u0435"})
# "And the", "so the" before a noun: the Snowball stemmer only knows "the", "with the", "for the".
_ARABIC_AND: Final = re.compile("^[\u0648\u0641](?=\u0627\u0644..)")

_stemmers = threading.local()


def to_words(text: str, language: str) -> list[str]:
    """The words in order: folded and stemmed by ``language`` (ISO 639-1; unknown: only folded).

    Codes and identifiers (``ERR_CONN-42``, ``v2.3.1``, ``getUser``) stand whole and in parts,
    hyphened words (``e-mail``) and grouped digits (``1,000``) in parts and as one; scripts without
    spaces are cut into bigrams.
    """
    words: list[str] = []
    for token in _TOKEN.findall(unicodedata.normalize("NFKC", text)):
        words += _words(token, language)
    return words


def to_question_words(text: str, languages: Sequence[str]) -> list[tuple[str, ...]]:
    """For each word of a question, in order, the distinct forms it has under the languages.

    The language of a short question cannot be told, so each form may match; the forms of one word
    are one word to the score.
    """
    distinct = dict.fromkeys(languages) or ("",)
    groups: list[tuple[str, ...]] = []
    for token in _TOKEN.findall(unicodedata.normalize("NFKC", text)):
        by_language = [_words(token, language) for language in distinct]
        groups += [tuple(dict.fromkeys(forms)) for forms in zip(*by_language, strict=True)]
    return groups


def count_words(words: Iterable[str]) -> float:
    """How many they are; a bigram of a script without spaces is half of a word."""
    return sum(0.5 if len(word) > 1 and UNSPACED_RUN.match(word) else 1.0 for word in words)


@functools.lru_cache(maxsize=60_000)
def _words(token: str, language: str) -> tuple[str, ...]:
    pieces = _pieces(token)
    return tuple(_to_word(piece, language) for piece in pieces if len(piece) <= _MAX_CHARACTERS)


def _pieces(token: str) -> list[str]:
    """The token, or what it is made of: the same pieces whatever the language."""
    if UNSPACED_RUN.match(token):
        return [token[at : at + 2] for at in range(max(1, len(token) - 1))]
    if token.isalpha() and (token.islower() or token.istitle() or token.isupper()):
        return [token]
    parts = [part for part in _PARTS.split(token) if part]
    pieces = [piece for part in parts for piece in _humps(part)]
    if len(pieces) < 2:
        return pieces
    if _HYPHENED.fullmatch(token) or _GROUPED.fullmatch(token):
        # Others write "e-mail" as one word and "1,000" without the comma.
        return [*pieces, "".join(parts)]
    return [token, *pieces]


def _humps(part: str) -> list[str]:
    return _HUMP.split(part) if part.isascii() else [part]


def _to_word(piece: str, language: str) -> str:
    folded = piece.casefold()
    return _fold_marks(_stem(folded, language) if folded.isalpha() else folded) or folded


def _stem(word: str, language: str) -> str:
    algorithm = STEMMERS.get(language)
    if algorithm is None:
        return word
    # A stemmer object is not safe to share between threads.
    stemmer: Any = getattr(_stemmers, algorithm, None)
    if stemmer is None:
        stemmer = cast("Any", Stemmer).Stemmer(algorithm, 0)
        setattr(_stemmers, algorithm, stemmer)
    if language == "ar":
        word = _ARABIC_AND.sub("", word)
    return str(stemmer.stemWord(word)) or word


def _fold_marks(word: str) -> str:
    if word.isascii():
        return word
    decomposed = unicodedata.normalize("NFD", word.translate(_LETTERS))
    # й is a letter of its own: its breve stays
    return unicodedata.normalize("NFC", _MARKS.sub("", decomposed.replace("и\u0306", "й")))
