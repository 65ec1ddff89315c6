"""A document as it was read: sections under their headings, made of blocks."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from sitebrook.errors import BodyTooLarge
from sitebrook.ingestion.decoding import clean

_MAX_HEADING_CHARACTERS: Final = 300


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, list, table or piece of code; ``is_whole`` is not cut unless it is large.

    ``header`` are a table's first lines where they name its columns: each piece begins with them.
    """

    text: str
    is_whole: bool = False
    header: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """What stands under one heading; ``headings`` is the path to it, without the title."""

    headings: tuple[str, ...]
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class LoadedDocument:
    """A document's content; ``text`` is all of it in one piece, for reading."""

    title: str
    url: str | None
    sections: tuple[Section, ...]
    text: str


@dataclass(slots=True)
class Outline:
    """Collects the sections of a document in reading order, up to a number of characters."""

    title: str = ""
    max_characters: int = sys.maxsize
    sections: list[Section] = field(default_factory=list[Section])
    _path: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    _blocks: list[Block] = field(default_factory=list[Block])
    _characters: int = 0

    def open(self, level: int, heading: str) -> None:
        """Begins a section; the first heading of level 1 is the title, unless there is one."""
        heading = " ".join(clean(heading).split())
        if len(heading) > _MAX_HEADING_CHARACTERS:  # text that is only written large
            self.add(heading)
            return
        self.close()
        self._path = [step for step in self._path if step[0] < level]
        if level == 1 and heading and self.title in {"", heading}:
            self.title = heading
        elif heading:
            self._path.append((level, heading))

    def add(self, text: str, *, is_whole: bool = False, header: str = "") -> None:
        """Adds a block to the open section. Raises BodyTooLarge above ``max_characters``."""
        # Here and not before: entities and escapes of a format can stand for what nobody sees.
        text = clean(text)
        if text.strip():
            self._characters += len(text)
            self.check_characters(self._characters)
            self._blocks.append(Block(text.strip("\n").rstrip(), is_whole, clean(header)))

    def add_table(self, rows: Sequence[Sequence[str]], *, has_header: bool) -> None:
        """Adds rows as lines, cells between bars; a header is told from a mere first row."""
        lines = [" | ".join(row).rstrip(" |") for row in rows]
        lines = [line for line in lines if line.strip()]
        header = lines[0] if has_header and len(lines) > 1 else ""
        self.add("\n".join(lines), is_whole=True, header=header)

    def check_characters(self, count: int) -> None:
        """Raises BodyTooLarge when that many are too many."""
        if count > self.max_characters:
            raise too_long(self.max_characters)

    @property
    def has_blocks(self) -> bool:
        """Whether the open section has any yet."""
        return bool(self._blocks)

    def close(self) -> None:
        """Ends the open section; one without blocks leaves no trace but in its subsections."""
        if self._blocks:
            path = tuple(heading for _, heading in self._path)
            self.sections.append(Section(path, tuple(self._blocks)))
            self._blocks = []


def too_long(limit: int) -> BodyTooLarge:
    """The error for a document with more characters than it may have."""
    return BodyTooLarge(
        f"The document has more than {limit:,} characters of text; divide it, or raise the limit "
        "(SITEBROOK_MAX_DOCUMENT_CHARACTERS).",
        param="content",
    )


def to_text(sections: Iterable[Section]) -> str:
    """The sections as one text, each heading on its own line once."""
    parts: list[str] = []
    last: tuple[str, ...] = ()
    for section in sections:
        shared = sum(1 for _ in _shared(last, section.headings))
        parts += [
            f"{'#' * (depth + 2)} {heading}"
            for depth, heading in enumerate(section.headings)
            if depth >= shared
        ]
        parts += [block.text for block in section.blocks]
        last = section.headings
    return "\n\n".join(parts)


def _shared(first: tuple[str, ...], second: tuple[str, ...]) -> Iterable[str]:
    for left, right in zip(first, second, strict=False):
        if left != right:
            return
        yield left
