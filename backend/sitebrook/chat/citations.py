"""What an answer keeps of a passage that it names: a copy, with the best-fitting quote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from sitebrook.chat.statements import to_sentences
from sitebrook.retrieval.stop_words import stop_words
from sitebrook.retrieval.words import to_words

_MAX_QUOTE_CHARACTERS: Final = 300
# Added to a sentence's words: a short one must not win by one word alone.
_LEAST_WORDS: Final = 3


class CitedPassage(Protocol):
    """What a citation copies from a passage."""

    @property
    def chunk_id(self) -> str:
        """The chunk it is."""
        ...

    @property
    def document_id(self) -> str:
        """The document it stands in."""
        ...

    @property
    def title(self) -> str:
        """The document's title."""
        ...

    @property
    def headings(self) -> Sequence[str]:
        """The path of headings above it."""
        ...

    @property
    def text(self) -> str:
        """Its text."""
        ...

    @property
    def language(self) -> str:
        """Its language, ISO 639-1, or empty."""
        ...

    @property
    def score(self) -> float:
        """Its fused score, 0 to 1."""
        ...


class Citation(msgspec.Struct, frozen=True, kw_only=True):
    """A passage that the answer names; a copy, so that history outlives a re-ingest.

    ``index`` is the number in its markers; ``id`` is the chunk, a hint only.
    """

    index: int
    id: str
    document: str
    title: str
    url: str
    heading: str
    quote: str
    score: float


def to_citation(index: int, passage: CitedPassage, *, url: str, statements: str) -> Citation:
    """The citation that shows ``passage`` as source of ``statements`` of an answer."""
    return Citation(
        index=index,
        id=passage.chunk_id,
        document=passage.document_id,
        title=passage.title,
        url=url,
        heading=" > ".join(passage.headings),
        quote=find_quote(passage.text, statements, passage.language),
        score=round(passage.score, 4),
    )


def find_quote(passage: str, statements: str, language: str) -> str:
    """The sentence of ``passage`` that shares the most words with ``statements``, verbatim.

    At most 300 characters, cut between words where there are spaces.
    """
    empty = stop_words(frozenset({language}))
    wanted = set(to_words(statements, language)) - empty
    best, best_share = passage.strip(), -1.0
    for sentence in to_sentences(passage):
        words = set(to_words(sentence.text, language)) - empty
        share = len(words & wanted) / (len(words) + _LEAST_WORDS) if words else -1.0
        if share > best_share:
            best, best_share = sentence.text, share
    if len(best) <= _MAX_QUOTE_CHARACTERS:
        return best
    return best[:_MAX_QUOTE_CHARACTERS].rsplit(" ", 1)[0]
