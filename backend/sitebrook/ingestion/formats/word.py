"""Word documents (.docx) as sections."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element

from sitebrook.ingestion.formats.archive import Archive
from sitebrook.ingestion.formats.office import (
    find_main_part,
    read_relationships,
    read_title,
)
from sitebrook.ingestion.formats.word_styles import Style, Styles, heading_level, is_hidden
from sitebrook.ingestion.formats.xml_stream import descend, read_elements
from sitebrook.ingestion.sections import Outline

# Not text of the document: properties, deletions, codes of fields, readings over characters.
_LEFT_OUT: Final = frozenset(
    (
        *("w:pPr", "w:rPr", "w:tblPr", "w:tcPr", "w:trPr", "w:sectPr", "w:sdtPr"),
        *("w:del", "w:moveFrom", "w:delText", "w:instrText", "w:delInstrText"),
        *("w:rt", "mc:Fallback"),
    )
)
_CHARACTERS: Final = {"w:tab": " ", "w:br": "\n", "w:cr": "\n", "w:noBreakHyphen": "-"}
_NOTES: Final = {"w:footnoteReference": "footnotes", "w:endnoteReference": "endnotes"}
_WHITE: Final = "FFFFFF"
_FRAMES: Final = frozenset({"w:drawing", "w:pict"})  # may have a colour of their own
_SHADES: Final = ("w:shd", "w:highlight")


def read_word(content: bytes, outline: Outline) -> None:
    """Adds the document's sections to the outline, and its title."""
    archive = Archive(content)
    part = find_main_part(archive)
    related = {one.kind: one.target for one in read_relationships(archive, part).values()}
    reader = _Reader(outline, Styles(archive, related.get("styles")), _notes(archive, related))
    with archive.open(part) as source:
        for element in read_elements(source, "w:p", "w:tbl"):
            reader.read(element)
    reader.end()
    outline.title = outline.title or read_title(archive)


def _notes(archive: Archive, related: dict[str, str]) -> dict[tuple[str, str], str]:
    """The texts of footnotes and endnotes, by kind and id."""
    found: dict[tuple[str, str], str] = {}
    for kind, tag in (("footnotes", "w:footnote"), ("endnotes", "w:endnote")):
        if related.get(kind) in archive.names:
            with archive.open(related[kind]) as source:
                for note in read_elements(source, tag):
                    text = " ".join(" ".join(_words(note, {}, on_white=True)).split())
                    found[kind, note.get("w:id", "")] = text
    return found


class _Reader:
    """Turns paragraphs and tables into blocks, in their order."""

    def __init__(self, outline: Outline, styles: Styles, notes: dict[tuple[str, str], str]) -> None:
        self._outline = outline
        self._styles = styles
        self._notes = notes
        self._points: list[str] = []

    def read(self, element: Element) -> None:
        """Adds a paragraph or a table."""
        if element.tag == "w:p":
            self._read_paragraph(element)
        else:
            self._read_table(element)

    def end(self) -> None:
        """Adds what was gathered."""
        self._end_list()
        self._outline.close()

    def _read_paragraph(self, paragraph: Element) -> None:
        properties = paragraph.find("w:pPr")
        style = self._style(properties)
        is_shaded = properties is not None and properties.find("w:shd") is not None
        text = _to_lines("".join(self._words(paragraph, on_white=not is_shaded)))
        if not text or style.is_contents or style.is_hidden:
            return
        level = heading_level(properties) or style.level
        if style.is_title and not self._outline.title:
            self._end_list()
            self._outline.title = " ".join(text.split())
        elif level is not None:
            self._end_list()
            self._outline.open(level, " ".join(text.split()))
        elif style.is_list or (properties is not None and _is_point(properties)):
            self._points.append(f"- {text}")
        else:
            self._end_list()
            self._outline.add(text)

    def _read_table(self, table: Element) -> None:
        rows = [_cells(row) for row in _inside(table, "w:tr")]
        if sum(map(len, rows)) == 1:  # a frame around text
            for element in _outermost(rows[0][0]):
                self.read(element)
            return
        self._end_list()
        # The table's style may shade a row, so nothing in it counts as white on white.
        texts = [[" ".join("".join(self._words(cell, on_white=False)).split()) for cell in row]
                 for row in rows]  # fmt: skip
        self._outline.add_table(texts, has_header=bool(texts) and all(texts[0]))

    def _words(self, element: Element, *, on_white: bool) -> Iterator[str]:
        return _words(element, self._notes, on_white=on_white)

    def _style(self, properties: Element | None) -> Style:
        named = properties.find("w:pStyle") if properties is not None else None
        return self._styles.find(named.get("w:val", "") if named is not None else "")

    def _end_list(self) -> None:
        self._outline.add("\n".join(self._points))
        self._points.clear()


def _is_point(properties: Element) -> bool:
    number = descend(properties, "w:numPr", "w:numId")
    return number is not None and number.get("w:val") != "0"


def _inside(element: Element, tag: str) -> Iterator[Element]:
    """The elements of this name in the table or row, also in content controls, not in cells."""
    for child in element:
        if child.tag == tag:
            yield child
        elif child.tag in {"w:sdt", "w:sdtContent", "w:ins", "w:customXml"}:
            yield from _inside(child, tag)


def _cells(row: Element) -> list[Element]:
    properties = row.find("w:trPr")
    if properties is not None and properties.find("w:del") is not None:
        return []
    return list(_inside(row, "w:tc"))


def _outermost(element: Element) -> Iterator[Element]:
    for child in element:
        if child.tag in {"w:p", "w:tbl"}:
            yield child
        else:
            yield from _outermost(child)


def _words(element: Element, notes: dict[tuple[str, str], str], *, on_white: bool) -> Iterator[str]:
    """The text inside the element, as it is seen."""
    for child in element:
        tag = child.tag
        if tag in {"w:t", "m:t"}:
            yield child.text or ""
        elif tag in _CHARACTERS:
            yield _CHARACTERS[tag]
        elif tag in _NOTES:
            note = notes.get((_NOTES[tag], child.get("w:id", "")), "")
            yield f" ({note})" if note else ""
        elif tag not in _LEFT_OUT and not (tag == "w:r" and _is_unseen(child, on_white=on_white)):
            inside = on_white and tag not in _FRAMES
            yield from _words(child, notes, on_white=inside)
            # Paragraphs of a cell or a text box are apart.
            yield "\n" if tag in {"w:p", "w:tc"} else ""


def _is_unseen(run: Element, *, on_white: bool) -> bool:
    properties = run.find("w:rPr")
    if properties is None:
        return False
    color = properties.find("w:color")
    is_white = color is not None and color.get("w:val", "").upper() == _WHITE
    is_shaded = any(properties.find(tag) is not None for tag in _SHADES)
    return is_hidden(properties) or (on_white and is_white and not is_shaded)


def _to_lines(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)
