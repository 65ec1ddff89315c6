"""The Markdown of a passage as blocks: paragraphs, lists, tables and code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Literal

_FENCE: Final = re.compile(r"(`{3,}(?=[^`]*$)|~{3,})")
_HEADING: Final = re.compile(r"#{1,6}\s+(.*?)[\s#]*")
_BULLET: Final = re.compile(r"([-*+])\s+(.*)")
_NUMBER: Final = re.compile(r"(\d{1,9})[.)]\s+(.*)")
_TABLE_RULE: Final = re.compile(r"\|?[\s:|-]*-[\s:|-]*\|?")
_MARKER: Final = re.compile(r"\s?\[\d+\](?!\()")
_CODE_SPAN: Final = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")
_UNCUT: Final = re.compile(rf"{_CODE_SPAN.pattern}|^\d+[.)]\s")
_PLAIN_HEADING: Final = re.compile(r"[^\W\d_][^.!?:;…。\uff01\uff1f`@\d]*[^\W_]\)?")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?…])\s+(?=[^\s\d\W_]|[`\"'(\[*])|(?<=[。\uff01\uff1f])")
_WORD: Final = re.compile(r"\w")
_HEADING_WORDS: Final = 9  # a longer line is no heading, even without a stop

Kind = Literal["text", "list", "table", "code"]


@dataclass(slots=True)
class Block:
    """``pieces`` are lines of a paragraph, entries, rows, or one code block with its fences."""

    kind: Kind
    heading: str
    pieces: list[str] = field(default_factory=list[str])
    marks: list[str] = field(default_factory=list[str])  # of a list: "-" or "3."


def to_blocks(text: str) -> list[Block]:
    """The blocks in order, without headings, heads of tables and stray backticks."""
    blocks = _Reader(text.split("\n")).read()
    return [_finished(one) for one in _without_plain_headings(blocks) if one.pieces]


def to_sentences(text: str) -> list[str]:
    """The sentences of a paragraph; a code span is never cut."""
    masked = _UNCUT.sub(lambda span: "x" * len(span[0]), text)
    cuts = [0, *(end.end() for end in _SENTENCE_END.finditer(masked)), len(text)]
    pieces = (text[cut:until].strip() for cut, until in pairwise(cuts))
    return [piece for piece in pieces if _WORD.search(piece)]


def _finished(block: Block) -> Block:
    if block.kind == "text":
        block.pieces = to_sentences(_plain(" ".join(block.pieces)))
    elif block.kind != "code":
        block.pieces = [_plain(piece) for piece in block.pieces]
    return block


def _plain(text: str) -> str:
    """Without the document's own markers and without backticks that have no partner."""
    spans = [(one.start(), one.end()) for one in _CODE_SPAN.finditer(text)]
    kept: list[str] = []
    at = 0
    for start, end in [*spans, (len(text), len(text))]:
        between = _MARKER.sub("", text[at:start]).replace("`", "")
        kept += [between or " ", text[start:end]]  # spans that touch would become one
        at = end
    return "".join(kept).strip()


def _without_plain_headings(blocks: list[Block]) -> Iterator[Block]:
    """Takes one short line without a stop before another block for what it is: a heading."""
    heading: str | None = None
    for block in blocks:
        line = block.pieces[0] if block.pieces else ""
        is_heading = (
            len(block.pieces) == 1
            and block.kind == "text"
            and len(blocks) > 1
            and len(line.split()) <= _HEADING_WORDS
            and _PLAIN_HEADING.fullmatch(line) is not None
        )
        if is_heading:
            heading = line
            continue
        if heading is not None and not block.heading:
            block.heading = heading
        yield block


class _Reader:
    """Lines read one by one into the block that is open."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = iter(lines)
        self._blocks: list[Block] = []
        self._heading = ""
        self._is_open = False  # whether the next plain line continues the last block

    def read(self) -> list[Block]:
        """All blocks; those of an empty code block hold nothing."""
        for line in self._lines:
            self._take(line)
        for block in self._blocks:
            _undo_single_number(block)
        return self._blocks

    def _take(self, line: str) -> None:
        stripped = line.strip()
        fence = _FENCE.match(stripped)
        heading = _HEADING.fullmatch(stripped)
        if fence:
            self._take_code(stripped, fence[1])
        elif not stripped or heading:
            self._is_open = False
            self._heading = heading[1] if heading else self._heading
        elif stripped.startswith("|"):
            self._take_row(stripped)
        elif not self._take_entry(stripped):
            self._take_text(line, stripped.lstrip("> "))

    def _last(self, kind: Kind) -> Block | None:
        last = self._blocks[-1] if self._blocks else None
        same = last is not None and last.kind == kind and last.heading == self._heading
        return last if same else None

    def _open(self, kind: Kind) -> Block:
        block = Block(kind, self._heading)
        self._blocks.append(block)
        return block

    def _take_code(self, opening: str, fence: str) -> None:
        body: list[str] = []
        for line in self._lines:
            if line.strip().startswith(fence):
                break
            body.append(line)
        self._is_open = False
        if body:
            self._open("code").pieces = ["\n".join([opening, *body, fence])]

    def _take_row(self, line: str) -> None:
        table = (self._last("table") if self._is_open else None) or self._open("table")
        self._is_open = True
        if _TABLE_RULE.fullmatch(line):
            table.pieces.clear()
            return
        cells = (cell.strip() for cell in line.strip("|").split("|"))
        table.pieces.append(" — ".join(cell for cell in cells if cell))

    def _take_entry(self, line: str) -> bool:
        """Whether the line begins an entry; a number does so only where one is due.

        As in CommonMark, a wrapped line that happens to begin with "18." goes on with its
        paragraph: only 1 may interrupt one.
        """
        entries = self._last("list")
        bullet, number = _BULLET.fullmatch(line), _NUMBER.fullmatch(line)
        if number is not None:
            due = int(number[1])
            is_next = entries is not None and entries.marks[-1] in {f"{due - 1}.", f"{due}."}
            if not is_next and (self._is_open and due != 1):
                return False
            mark, text = f"{due}.", number[2]
        elif bullet is not None:
            mark, text = "-", bullet[2]
        else:
            return False
        entries = entries or self._open("list")
        entries.marks.append(mark)
        entries.pieces.append(text)
        self._is_open = True
        return True

    def _take_text(self, line: str, text: str) -> None:
        if not text:
            return
        entries = self._last("list")
        if entries is not None and (self._is_open or line.startswith("  ")):
            entries.pieces[-1] += f" {text}"
        else:
            paragraph = (self._last("text") if self._is_open else None) or self._open("text")
            paragraph.pieces.append(text)
        self._is_open = True


def _undo_single_number(block: Block) -> None:
    """A single entry with a number above 1 is the rest of a sentence that the passage cuts."""
    if block.marks and len(block.marks) == 1 and block.marks[0] not in {"-", "0.", "1."}:
        block.kind, block.pieces = "text", [f"{block.marks[0]} {block.pieces[0]}"]
        block.marks = []
