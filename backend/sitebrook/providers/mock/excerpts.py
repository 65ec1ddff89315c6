"""What is quoted of a passage, as Markdown with markers."""

from __future__ import annotations

import re
from typing import Final

from sitebrook.providers.mock.ranking import Piece, RankedBlock, RankedPassage, Ranking

_MOST_SENTENCES: Final = 4
_MOST_ENTRIES: Final = 8
_LEAST_FIT: Final = 0.55  # of the best piece's
_LEAST_FIT_OF_SECTION: Final = 0.2  # the same, where the heading names a word of the question
_LEAST_HEADING: Final = 0.3  # of the question, for a section to be quoted from its beginning
_LEAST_ADDED: Final = 0.3  # of the question, for a sentence of another passage to say anew
_LEAST_ADDED_FIT: Final = 0.5  # and to name at all
_MOST_ADDED: Final = 2
_POINTS_BACK: Final = re.compile(r"(?:It|Its|They|Their|This|These|That|Those|He|She)\b")


class Excerpt:
    """Parts of one passage in its own order, and the words in them."""

    def __init__(self, ranking: Ranking, passage: RankedPassage, block: RankedBlock) -> None:
        self.parts: list[str] = []
        self.words = passage.title | block.heading
        self._ranking, self.passage = ranking, passage
        at = passage.blocks.index(block)
        if block.is_code:
            self._add_code_with_text(at)
        elif block.block.kind == "text":
            self._add_paragraph(at)
        else:
            before = passage.blocks[at - 1] if at else None
            if before is not None and _announces(before):
                self._add_pieces(before.pieces[-1:])
                self._add_entries(block, wants_all=True)
            else:
                self._add_entries(block, wants_all=False)

    def _add_paragraph(self, at: int) -> None:
        block = self.passage.blocks[at]
        following = self.passage.blocks[at + 1 : at + 2]
        chosen = self._sentences(block)
        last = block.pieces[-1]
        is_whole = self._is_section(block)
        if (
            following
            and (_announces(block) or following[0].is_code)
            and (is_whole or last in chosen or self._ranking.asks_how)
        ):
            chosen = chosen if last in chosen else [*chosen, last]
            self._add_pieces(chosen)
            self._add_following(at + 1)
            return
        if not following and _announces(block) and len(block.pieces) > 1:
            chosen = [one for one in chosen if one is not block.pieces[-1]] or [block.pieces[0]]
        self._add_pieces(chosen)

    def _sentences(self, block: RankedBlock) -> list[Piece]:
        """A short paragraph of the right section whole, else the sentences that fit."""
        if self._is_section(block):
            return list(block.pieces[:_MOST_SENTENCES])
        chosen = self._fitting(block)[:_MOST_SENTENCES]
        first = block.pieces.index(chosen[0])
        is_unclear = first > 0 and _POINTS_BACK.match(chosen[0].text) is not None
        return [block.pieces[first - 1], *chosen] if is_unclear else chosen

    def _is_section(self, block: RankedBlock) -> bool:
        return self._ranking.share(block.heading) >= _LEAST_HEADING

    def _fitting(self, block: RankedBlock) -> list[Piece]:
        fits = [self._ranking.fit(piece) for piece in block.pieces]
        names_subject = self._ranking.share(block.heading) > 0
        least = max(fits) * (_LEAST_FIT_OF_SECTION if names_subject else _LEAST_FIT)
        found = [one for fit, one in zip(fits, block.pieces, strict=True) if fit and fit >= least]
        return found or list(block.pieces[:1])

    def _add_following(self, at: int) -> None:
        following = self.passage.blocks[at]
        if following.is_code:
            for one in self.passage.blocks[at:]:
                if not one.is_code:
                    break
                self._add_code(one)
        elif following.block.kind != "text":
            self._add_entries(following, wants_all=True)
        else:
            self._add_pieces(list(following.pieces[:_MOST_SENTENCES]))

    def _add_code_with_text(self, at: int) -> None:
        blocks = self.passage.blocks
        if at and blocks[at - 1].block.kind == "text":
            self._add_paragraph(at - 1)
            return
        self._add_code(blocks[at])
        after = blocks[at + 1] if at + 1 < len(blocks) else None
        if after is not None and after.block.kind == "text" and not _announces(after):
            self._add_pieces(list(after.pieces[:_MOST_SENTENCES]))
        else:
            self.parts.append(f"[{self.passage.number}]")

    def _add_code(self, block: RankedBlock) -> None:
        self.parts.append(block.block.pieces[0])
        self.words |= block.pieces[0].words

    def _add_entries(self, block: RankedBlock, *, wants_all: bool) -> None:
        is_short = len(block.pieces) <= _MOST_ENTRIES
        chosen = list(block.pieces) if wants_all and is_short else self._fitting(block)
        chosen = chosen[:_MOST_ENTRIES]
        if len(chosen) == 1:
            self._add_pieces(chosen)
            return
        marks = block.block.marks or ["-"] * len(block.pieces)
        marked = [
            (mark, one) for mark, one in zip(marks, block.pieces, strict=True) if one in chosen
        ]
        self._add_list(marked)

    def _add_list(self, marked: list[tuple[str, Piece]]) -> None:
        number = self.passage.number
        self.parts.append("\n".join(f"{mark} {cited(one.text, number)}" for mark, one in marked))
        self.words = self.words.union(*(one.words for _, one in marked))

    def _add_pieces(self, pieces: list[Piece] | tuple[Piece, ...]) -> None:
        number = self.passage.number
        self.parts.append(" ".join(cited(one.text, number) for one in pieces))
        self.words = self.words.union(*(one.words for one in pieces))


def best_excerpt(ranking: Ranking) -> Excerpt | None:
    """What the passage that fits best says; None when none shares a word with the question."""
    best = ranking.best()
    if best is None:
        return None
    found = Excerpt(ranking, *best)
    if found.parts[-1].endswith(":"):
        found.parts[-1] = f"{found.parts[-1][:-1]}."
    return found


def additions(ranking: Ranking, found: Excerpt) -> list[str]:
    """Sentences of other passages for what the excerpt leaves open of the question."""
    added: list[str] = []
    words = found.words
    for other in ranking.passages:
        if other.number == found.passage.number or other.language != found.passage.language:
            continue
        for block in other.blocks:
            for piece in () if block.is_code else block.pieces:
                gain = ranking.share(ranking.missing(words) & piece.words)
                fits = gain >= _LEAST_ADDED and ranking.share(piece.words) >= _LEAST_ADDED_FIT
                if fits and len(added) < _MOST_ADDED and piece.text[-1] != ":":
                    added.append(f"- {cited(piece.text, other.number)}")
                    words |= piece.words
    return added


def cited(text: str, number: int) -> str:
    """The text with a marker before its final stop."""
    text, marker = text.rstrip(" ,;"), f"[{number}]"
    if text.endswith((".", ":", "。")) and not text.endswith("..."):
        return f"{text[:-1]} {marker}{text[-1]}"
    return f"{text} {marker}" + ("" if text.endswith(("!", "?", "…", "\uff01", "\uff1f")) else ".")


def _announces(block: RankedBlock) -> bool:
    return block.block.kind == "text" and block.pieces[-1].text.endswith(":")
