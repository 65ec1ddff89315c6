"""Which passage answers a question, and which of its blocks."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sitebrook.providers.mock.blocks import Block, to_blocks
from sitebrook.providers.mock.sentences import to_stems
from sitebrook.providers.mock.wording import language_of
from sitebrook.providers.protocol import PromptPassage

# What each part is worth beside the fit of the best piece; tried on the questions of the demo site.
_HEADING_WEIGHT: Final = 0.6
_TITLE_WEIGHT: Final = 0.3
_RANK_WEIGHT: Final = 0.5
_DEFINITION_BONUS: Final = 1.0
_STEPS_BONUS: Final = 0.2  # of code for a question that asks how
_FOREIGN_FACTOR: Final = 0.4  # for a passage in another language than the question
_CODE_FACTOR: Final = 0.5
_ORDER_WEIGHT: Final = 0.2  # what a block's place in its passage is worth
_LONG_PIECE: Final = 40  # words
_HOW: Final = re.compile(r"\W*(?:how (?:do|can|to|should)|come|wie|comment|cómo)\b", re.IGNORECASE)
_DEFINED: Final = re.compile(
    r"\W*(?:(?:an?|the|il|lo|la|un|una|der|die|das|ein|eine|le|el)\s+)?(.{1,60}?)\W*"
    r"(?::\W|\s(?:is|are|means|è|sono|ist|sind|est|sont|es|son)\s|\s—\s)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A sentence, an entry, a row or a code block, with its content words."""

    text: str
    words: frozenset[str]


@dataclass(frozen=True, slots=True)
class RankedBlock:
    """A block with its pieces; ``heading`` holds the words of the headings above it."""

    block: Block
    pieces: tuple[Piece, ...]
    heading: frozenset[str]

    @property
    def is_code(self) -> bool:
        """Whether it is quoted as it stands."""
        return self.block.kind == "code"


@dataclass(frozen=True, slots=True)
class RankedPassage:
    """A passage as its blocks; ``place`` counts from 0, the best of the retrieval."""

    number: int
    place: int
    language: str
    title: frozenset[str]
    blocks: tuple[RankedBlock, ...]


class Ranking:
    """The fit of passages and blocks to one question; its rare words weigh more."""

    def __init__(self, question: str, passages: Sequence[PromptPassage], language: str) -> None:
        self._language = language
        self.asks_how = _HOW.match(question) is not None
        self._asked = to_stems(question)
        self.passages = [_ranked(one, place, language) for place, one in enumerate(passages)]
        named = [piece.words for one in self.passages for b in one.blocks for piece in b.pieces]
        count = len(named) + 1
        self._weights = {
            word: math.log(1 + count / (1 + sum(word in words for words in named)))
            for word in self._asked
        }
        self._mass = sum(self._weights.values())
        titles = (one.title | b.heading for one in self.passages for b in one.blocks)
        self._named = frozenset[str]().union(*named, *titles)

    def coverage(self) -> float:
        """The share of the question's weight that the passages and their titles name at all."""
        return self.share(self._named)

    def share(self, words: frozenset[str]) -> float:
        """The share of the question's weight that the words name."""
        if not self._mass:
            return 0.0
        named = self._asked & words
        return sum(self._weights[word] for word in sorted(named)) / self._mass

    def missing(self, words: frozenset[str]) -> frozenset[str]:
        """The words of the question that are not among these, as far as any passage has them."""
        return (self._asked & self._named) - words

    def best(self) -> tuple[RankedPassage, RankedBlock] | None:
        """The passage that answers best and its block; None when no word is shared."""
        scored = [
            (self._score(one, block), -one.place, one, block)
            for one in self.passages
            if (block := self._best_block(one)) is not None
        ]
        scored = [entry for entry in scored if entry[0] > 0]
        return max(scored, key=lambda entry: entry[:2])[2:] if scored else None

    def fit(self, piece: Piece, *, is_code: bool = False) -> float:
        """How well a piece fits by its own words, 0 to 1, and more for a definition."""
        fit = self.share(piece.words)
        if is_code:
            return fit * _CODE_FACTOR
        if len(piece.words) > _LONG_PIECE:
            fit *= math.sqrt(_LONG_PIECE / len(piece.words))
        return fit + (_DEFINITION_BONUS if fit and self._defines(piece.text) else 0.0)

    def _defines(self, text: str) -> bool:
        defined = _DEFINED.match(text)
        return defined is not None and to_stems(defined[1]) == self._asked

    def fit_of(self, block: RankedBlock) -> float:
        """The fit of a block's best piece."""
        return max(self.fit(piece, is_code=block.is_code) for piece in block.pieces)

    def _score(self, passage: RankedPassage, block: RankedBlock) -> float:
        fit = self.fit_of(block)
        heading, title = self.share(block.heading), self.share(passage.title)
        if not (fit or heading or title):
            return 0.0
        score = fit + _HEADING_WEIGHT * heading + _TITLE_WEIGHT * title
        score += _RANK_WEIGHT / (1 + passage.place)
        if self.asks_how and (self.fit_of(block) or heading) and _has_steps(passage, block):
            score += _STEPS_BONUS
        return score * (1.0 if passage.language == self._language else _FOREIGN_FACTOR)

    def _best_block(self, passage: RankedPassage) -> RankedBlock | None:
        """The first block that says most of what the headings above it leave open."""
        best: RankedBlock | None = None
        most = -1.0
        for at, block in enumerate(passage.blocks):
            open_words = self._asked - block.heading
            rest = max(self.share(piece.words & open_words) for piece in block.pieces)
            worth = rest * (_CODE_FACTOR if block.is_code else 1.0) + 0.25 * self.fit_of(block)
            worth += 0.5 * self.share(block.heading) + _ORDER_WEIGHT / (1 + at)
            if worth > most:
                best, most = block, worth
        return best


def _has_steps(passage: RankedPassage, block: RankedBlock) -> bool:
    at = passage.blocks.index(block)
    return any(one.is_code for one in passage.blocks[at : at + 2])


def _ranked(passage: PromptPassage, place: int, language: str) -> RankedPassage:
    title, _, headings = passage.title.partition(" > ")
    above = to_stems(headings)
    blocks = tuple(
        RankedBlock(
            block,
            tuple(Piece(text, to_stems(text)) for text in block.pieces),
            above | to_stems(block.heading),
        )
        for block in to_blocks(passage.text)
    )
    blocks = tuple(block for block in blocks if block.pieces)
    spoken = language_of(f"{passage.title} {passage.text}", language)
    return RankedPassage(passage.number, place, spoken, to_stems(title), blocks)
