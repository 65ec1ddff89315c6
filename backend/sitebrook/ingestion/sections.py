"""A document as it was read: sections under their headings, made of blocks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, list, table or piece of code; ``is_whole`` is not cut unless it is large."""

    text: str
    is_whole: bool = False


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
    """Collects the sections of a document in reading order."""

    title: str = ""
    sections: list[Section] = field(default_factory=list[Section])
    _path: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    _blocks: list[Block] = field(default_factory=list[Block])

    def open(self, level: int, heading: str) -> None:
        """Begins a section; the first heading of level 1 is the title, unless there is one."""
        self.close()
        self._path = [step for step in self._path if step[0] < level]
        if level == 1 and heading and self.title in {"", heading}:
            self.title = heading
        elif heading:
            self._path.append((level, heading))

    def add(self, text: str, *, is_whole: bool = False) -> None:
        """Adds a block to the open section."""
        if text.strip():
            self._blocks.append(Block(text.strip("\n").rstrip(), is_whole))

    def close(self) -> None:
        """Ends the open section; one without blocks leaves no trace but in its subsections."""
        if self._blocks:
            path = tuple(heading for _, heading in self._path)
            self.sections.append(Section(path, tuple(self._blocks)))
            self._blocks = []


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
