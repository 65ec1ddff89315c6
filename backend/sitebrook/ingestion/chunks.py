"""Documents cut into chunks along their structure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sitebrook.ingestion.sections import Block, LoadedDocument, Section
from sitebrook.retrieval.language import detect_language
from sitebrook.retrieval.words import UNSPACED_RUN

# Code and tables stay whole up to this many times the target size.
_WHOLE_FACTOR: Final = 1.5
# A section below this share of the target is joined with its neighbour, a rest with its chunk.
_TINY_SHARE: Final = 0.25
# A table's header above this share of the target is not repeated.
_HEADER_SHARE: Final = 0.25
# A chunk is in another language than its document only when that is quite sure.
_CERTAINTY: Final = 0.95
_SENTENCE_END: Final = re.compile(r"(?<=[.!?;:])\s+(?=\S)|(?<=[。！？；])|\n+")  # noqa: RUF001
_LINE_END: Final = re.compile(r"\n+")
_FENCE: Final = "```"
_FENCE_CHARACTERS: Final = 40
_CODE: Final = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SizesInCharacters:
    """How large chunks are about to be, and how much of one the next one repeats."""

    characters: int
    overlap_characters: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document; ``headings`` is the path to its section."""

    headings: tuple[str, ...]
    text: str
    language: str


@dataclass(frozen=True, slots=True)
class _Piece:
    """A sentence, a line or a whole block, and what stands between it and the one before.

    ``header`` begins the chunk that the piece begins.
    """

    text: str
    gap: str
    is_whole: bool = False
    header: str = ""


def to_chunks(loaded: LoadedDocument, sizes: SizesInCharacters, language: str) -> tuple[Chunk, ...]:
    """The document's chunks in order; ``language`` is the document's."""
    target = sizes.characters
    chunks: list[Chunk] = []
    for section in _join_tiny(loaded.sections, target):
        pieces = _to_pieces(section.blocks, target)
        for text in _pack(pieces, target, sizes.overlap_characters):
            found = detect_language(_prose(text), language, certainty=_CERTAINTY)
            chunks.append(Chunk(section.headings, text, found))
    return tuple(chunks)


def document_language(loaded: LoadedDocument, default: str) -> str:
    """The language of the document's prose."""
    prose = (block.text for section in loaded.sections for block in section.blocks)
    return detect_language(_prose("\n".join(prose)), default)


def _prose(text: str) -> str:
    return _CODE.sub("", text)


def _join_tiny(sections: Iterable[Section], target: int) -> list[Section]:
    """The sections, tiny ones joined with the neighbour under the same heading."""
    joined: list[Section] = []
    for section in sections:
        both = _joined(joined[-1], section, target) if joined else None
        if both is None:
            joined.append(section)
        else:
            joined[-1] = both
    return joined


def _joined(first: Section, second: Section, target: int) -> Section | None:
    """Both under the heading they share, their own headings as lines; None if they stay apart."""
    sizes = [_size(first), _size(second)]
    shared = _shared_path(first.headings, second.headings)
    is_near = max(len(first.headings), len(second.headings)) - len(shared) <= 1
    if min(sizes) >= target * _TINY_SHARE or sum(sizes) > target or not is_near:
        return None
    return Section(shared, (*_with_headings(first, shared), *_with_headings(second, shared)))


def _shared_path(first: Sequence[str], second: Sequence[str]) -> tuple[str, ...]:
    length = 0
    while length < min(len(first), len(second)) and first[length] == second[length]:
        length += 1
    return tuple(first[:length])


def _with_headings(section: Section, shared: Sequence[str]) -> tuple[Block, ...]:
    own = section.headings[len(shared) :]
    return (*(Block(heading) for heading in own), *section.blocks)


def _size(section: Section) -> int:
    return sum(len(block.text) + 2 for block in section.blocks)


def _to_pieces(blocks: Iterable[Block], target: int) -> list[_Piece]:
    pieces: list[_Piece] = []
    for block in blocks:
        if block.is_whole and len(block.text) <= target * _WHOLE_FACTOR:
            pieces.append(_Piece(block.text, "\n\n", is_whole=True))
        elif len(block.text) <= target // 2 and not block.is_whole:
            pieces.append(_Piece(block.text, "\n\n"))
        elif block.text.startswith(_FENCE):
            pieces += _cut_code(block.text, target)
        else:
            pieces += _with_header(_cut(block, target), block.header, target)
    return pieces


def _with_header(pieces: Sequence[_Piece], header: str, target: int) -> list[_Piece]:
    """The lines of a table, those behind its header with it."""
    if not header or len(header) > target * _HEADER_SHARE:
        return list(pieces)
    own = header.count("\n") + 1
    return [*pieces[:own], *(replace(piece, header=header) for piece in pieces[own:])]


def _cut_code(text: str, target: int) -> list[_Piece]:
    """The code in parts of whole lines, each between fences like the whole."""
    first, *lines = text.split("\n")
    if lines and lines[-1].startswith(_FENCE):
        lines.pop()
    parts: list[list[str]] = [[]]
    size = 0
    for line in (part for whole in lines for part in _cut_line(whole, target)):
        size += len(line) + 1
        if parts[-1] and size > target:
            parts.append([])
            size = len(line) + 1
        parts[-1].append(line)
    return [
        _Piece("\n".join([first[:_FENCE_CHARACTERS], *part, _FENCE]), "\n\n", is_whole=True)
        for part in parts
    ]


def _cut_line(line: str, target: int) -> list[str]:
    return [line[start : start + target] for start in range(0, max(len(line), 1), target)]


def _cut(block: Block, target: int) -> list[_Piece]:
    """The block's sentences and lines, of a table its lines; long ones cut between words."""
    pieces: list[_Piece] = []
    gap, start = "\n\n", 0
    places = _LINE_END if block.is_whole else _SENTENCE_END
    ends = [(match.start(), match.end()) for match in places.finditer(block.text)]
    for end, after in [*ends, (len(block.text), len(block.text))]:
        if block.text[start:end].strip():
            pieces += _cut_words(block.text[start:end], gap, target)
            gap = "\n" if "\n" in block.text[end:after] else block.text[end:after]
        start = after
    return pieces


def _cut_words(sentence: str, gap: str, target: int) -> list[_Piece]:
    if len(sentence) <= target // 2:
        return [_Piece(sentence, gap)]
    pieces: list[_Piece] = []
    size, start = target // 4, 0
    while len(sentence) - start > size:
        space = sentence.rfind(" ", start + 1, start + size)
        if space < 0 and not UNSPACED_RUN.match(sentence[start + size]):
            space = sentence.find(" ", start + size, start + target)
        # Scripts without spaces, and data without them, are cut where the size says.
        cut = space if space > 0 else start + size
        pieces.append(_Piece(sentence[start:cut], gap))
        gap, start = (" ", cut + 1) if space > 0 else ("", cut)
    return [*pieces, _Piece(sentence[start:], gap)] if start < len(sentence) else pieces


def _pack(pieces: Sequence[_Piece], target: int, overlap: int) -> list[str]:
    """Texts of about the target size; each begins with the end of the one before."""
    texts: list[str] = []
    current = ""
    rest = sum(len(piece.gap) + len(piece.text) for piece in pieces)
    for piece in pieces:
        grown = f"{current}{piece.gap}{piece.text}" if current else piece.text
        # A small rest is no chunk of its own.
        is_rest = rest <= target * _TINY_SHARE
        is_large = is_rest or (piece.is_whole and len(current) < overlap)
        rest -= len(piece.gap) + len(piece.text)
        if current and len(grown) > (target * _WHOLE_FACTOR if is_large else target):
            texts.append(current)
            grown = _begin(piece, current, target, overlap)
        current = grown
    return [*texts, current] if current else texts


def _begin(piece: _Piece, before: str, target: int, overlap: int) -> str:
    """The first piece of a chunk, behind its header or behind the end of the chunk before."""
    if piece.header:
        return f"{piece.header}\n{piece.text}"
    tail = _tail(before, min(overlap, target - len(piece.text) - len(piece.gap)))
    return f"{tail}{piece.gap}{piece.text}" if tail else piece.text


def _tail(text: str, length: int) -> str:
    """The last words of the text, from the start of a sentence where one is near; no code."""
    if length <= 0 or text.endswith("```"):
        return ""
    start = max(0, len(text) - length)
    sentence = _SENTENCE_END.search(text, start)
    if sentence is not None and sentence.end() < len(text) - length // 4:
        return text[sentence.end() :]
    space = text.find(" ", start)
    if space >= 0:
        return text[space + 1 :]
    return text[start:] if UNSPACED_RUN.match(text[start]) else ""
