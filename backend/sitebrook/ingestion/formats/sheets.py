"""Spreadsheets (.xlsx) as sections, one table for each sheet that is shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element

from sitebrook.ingestion.formats.archive import Archive
from sitebrook.ingestion.formats.number_formats import NumberFormats
from sitebrook.ingestion.formats.office import (
    find_main_part,
    is_on,
    read_relationships,
    read_title,
    to_whole,
)
from sitebrook.ingestion.formats.xml_stream import read_elements
from sitebrook.ingestion.sections import Outline

_SHEET_LEVEL: Final = 2
_MAX_COLUMNS: Final = 16_384
_COLUMN_LETTERS: Final = 3
# Above this many places a sheet is too sparse to be written with its empty ones.
_MAX_PLACES: Final = 1_000_000

Row = dict[int, str]


def read_sheets(content: bytes, outline: Outline) -> None:
    """Adds the sheets' rows; hidden sheets, rows and columns are not for readers."""
    archive = Archive(content)
    part = find_main_part(archive)
    related = read_relationships(archive, part)
    by_kind = {one.kind: one.target for one in related.values()}
    with archive.open(part) as source:
        found = list(read_elements(source, "s:sheet", "s:workbookPr"))
    properties = [one for one in found if one.tag == "s:workbookPr"]
    is_1904 = any("date1904" in one.attrib and is_on(one.get("date1904")) for one in properties)
    formats = NumberFormats(archive, by_kind.get("styles"), is_1904=is_1904)
    reader = _Reader(_shared_texts(archive, by_kind.get("sharedStrings")), formats, outline)
    shown = [
        (one.get("name", ""), related[one.get("r:id", "")].target)
        for one in found
        if one.get("state", "visible") == "visible" and one.get("r:id") in related
    ]
    for name, target in shown:
        outline.open(_SHEET_LEVEL, name if len(shown) > 1 else "")
        if target in archive:
            reader.read(archive, target)
    outline.close()
    outline.title = outline.title or read_title(archive)


def _shared_texts(archive: Archive, part: str | None) -> list[str]:
    if part is None or part not in archive:
        return []
    with archive.open(part) as source:
        return [_text(one) for one in read_elements(source, "s:si")]


def _text(element: Element) -> str:
    """The text of a string, without the readings that stand over its characters."""
    runs = [element, *element.findall("s:r")]
    return "".join(run.findtext("s:t") or "" for run in runs)


class _Reader:
    def __init__(self, texts: list[str], formats: NumberFormats, outline: Outline) -> None:
        self._texts = texts
        self._formats = formats
        self._outline = outline

    def read(self, archive: Archive, part: str) -> None:
        rows: list[Row] = []
        numeric: set[int] = set()  # of the first two rows, which may be a header and its rows
        hidden: set[int] = set()
        characters = 0
        with archive.open(part) as source:
            for element in read_elements(source, "s:col", "s:row", max_cells=_MAX_COLUMNS):
                if element.tag == "s:col":
                    hidden |= _hidden_columns(element)
                elif not _is_hidden(element):
                    row = dict(self._cells(element, hidden))
                    characters += sum(map(len, row.values()))
                    rows += [row] if row else []
                    if len(rows) == 1 and row:
                        numeric = _numeric_columns(element)
                self._outline.check_characters(characters)
        has_header = bool(rows) and len(rows[0]) > 1 and not numeric
        self._outline.add_table(_to_places(rows), has_header=has_header)

    def _cells(self, row: Element, hidden: set[int]) -> Iterator[tuple[int, str]]:
        """Columns, from 1, and what stands in them."""
        column = 0
        for cell in row.findall("s:c"):
            column = _column(cell.get("r", "")) or column + 1
            text = " ".join(self._value(cell).split())
            if text and column not in hidden:
                yield column, text

    def _value(self, cell: Element) -> str:
        kind = cell.get("t", "n")
        if kind == "inlineStr":
            inline = cell.find("s:is")
            return _text(inline) if inline is not None else ""
        value = cell.findtext("s:v") or ""
        if kind == "s":
            at = to_whole(value)
            return self._texts[at] if at is not None and at < len(self._texts) else ""
        if kind == "b":
            return "TRUE" if value == "1" else "FALSE"
        if kind == "e":
            return ""
        return self._formats.show(value, cell.get("s", "0")) if kind == "n" else value


def _column(place: str) -> int:
    """The number of the column, from 1, in a place such as AB12; 0 when it is none."""
    number = 0
    for character in place[:_COLUMN_LETTERS]:
        if not "A" <= character <= "Z":
            break
        number = number * 26 + ord(character) - ord("A") + 1
    return number if number <= _MAX_COLUMNS else 0


def _is_hidden(element: Element) -> bool:
    return "hidden" in element.attrib and is_on(element.get("hidden"))


def _hidden_columns(element: Element) -> set[int]:
    first, last = to_whole(element.get("min")), to_whole(element.get("max"))
    if not _is_hidden(element) or first is None or last is None:
        return set()
    return set(range(first, min(last, _MAX_COLUMNS) + 1))


def _numeric_columns(row: Element) -> set[int]:
    """The places in the row of cells that hold numbers."""
    cells = enumerate(row.findall("s:c"))
    return {at for at, cell in cells if cell.get("t", "n") in {"n", "b", "d"} and len(cell)}


def _to_places(rows: list[Row]) -> list[list[str]]:
    """The rows with empty places kept, unless nearly all are; columns empty throughout go."""
    used = sorted({column for row in rows for column in row})
    if len(used) * len(rows) > _MAX_PLACES:
        return [list(row.values()) for row in rows]
    return [[row.get(column, "") for column in used] for row in rows]
